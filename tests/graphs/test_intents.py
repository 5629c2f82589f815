"""Three intents for a picture that is sent along (edit, subject, reference), in the graph: what the generator is told,
what the judge is shown, and what follows when only that fails which no library can help with."""

from typing import Any

import pytest
from langgraph.types import RetryPolicy

from imagerag.agent.errors import UsageError
from imagerag.agent.intents import KEPT, needs_likeness
from imagerag.agent.nodes import Nodes
from imagerag.agent.ports import Capabilities, Critique, ImagePart, ReferenceTemplate
from imagerag.agent.prompts import reference_prompt
from imagerag.agent.types import Concept, Outcome, Requirement, RequirementCheck, RunConfig, Subject, Verdict
from imagerag.graphs.generation import build_workflow
from imagerag.tools.generators.image_models import CHAT_TEMPLATE, EDIT_TEMPLATE
from imagerag.tools.testing.fakes import MemoryBlobs, ScriptedGenerator, ScriptedJudge, ScriptedLibrary
from imagerag.tools.testing.mock_openai import tiny_png

ROOM = tiny_png("room")


class SeeingJudge(ScriptedJudge):
    """A scripted judge that is shown what was sent; its script is what of its whole checklist is not met."""

    capabilities = Capabilities(sees_references=True)

    async def critique(self, prompt: str, image: ImagePart, **asked: Any) -> Critique:
        await self._called("critique", prompt=prompt, image=image, **asked)
        unmet = self._next(self._queue, "critique")
        given = [r for r in asked["requirements"] if r.image is None] or [Requirement(text=prompt)]
        checklist = (*given, *(r for r in asked["requirements"] if r.image is not None))
        checks = tuple(
            RequirementCheck(requirement=r, met=not any(word in r.text for word in unmet)) for r in checklist
        )
        missing = tuple(Concept(text=c.requirement.text) for c in checks if not c.met and c.requirement.image is None)
        verdict = Verdict(
            aligned=not unmet, score=sum(c.met for c in checks) / len(checks), checks=checks, missing=missing
        )
        return Critique(verdict=verdict, requirements=checklist)


def stage(*judged: list[str], tags: tuple[str, ...] = (), **generator: Any) -> tuple[Nodes, Any]:
    library = ScriptedLibrary()
    library.plant("a detailed picture of a heart", tiny_png("heart"), tags=tags)
    nodes = Nodes(
        generator=ScriptedGenerator(**generator), judge=SeeingJudge(*judged), library=library, blobs=MemoryBlobs()
    )
    return nodes, build_workflow(nodes, retry=RetryPolicy(max_attempts=1)).compile()


async def edited(nodes: Nodes, graph: Any, prompt: str = "make it green", **config: Any) -> dict[str, Any]:
    own = Subject(image=await nodes.blobs.put(ROOM), name="my room", intent="edit")
    return await whole(graph, {"prompt": prompt, "subjects": [own]}, RunConfig(**config))


async def whole(graph: Any, given: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    """The state at the end, and not only what a run gives back."""
    *_, last = [state async for state in graph.astream(given, context=config, stream_mode="values")]
    return dict(last)


async def test_an_edit_is_judged_on_what_had_to_change_and_on_what_had_to_stay() -> None:
    nodes, graph = stage([])
    state = await edited(nodes, graph)
    assert state["result"].outcome is Outcome.ALIGNED
    attempt = state["attempts"][0]
    assert [(c.requirement.kind, c.requirement.text) for c in attempt.verdict.checks] == [
        ("content", "make it green"),
        ("kept", KEPT),
    ]
    assert [(one.role, one.concept) for one in attempt.references] == [("edit", "my room")]
    asked = nodes.judge.calls[0].arguments  # type: ignore[attr-defined]
    assert [(one.role, one.data) for one in asked["subjects"]] == [("edit", ROOM)]
    drawn = nodes.generator.calls[0].arguments  # type: ignore[attr-defined]
    assert "Edit the first" in drawn["prompt"]


async def test_what_only_had_to_stay_is_not_searched_for_but_drawn_once_more() -> None:
    nodes, graph = stage([KEPT], [KEPT], [])
    state = await edited(nodes, graph)
    assert (state["result"].outcome, state.get("searches") or []) == (Outcome.ALIGNED, [])
    attempts = state["attempts"]
    assert [len(attempt.references) for attempt in attempts] == [1, 1, 1]
    assert [attempt.variation.seed for attempt in attempts] == [0, 1, 2]  # the same would come out the same
    assert state["requirements"] == [Requirement(text="make it green")]


@pytest.mark.parametrize("fails", [KEPT, "very one"])
async def test_what_is_drawn_once_more_is_drawn_with_the_same_references(fails: str) -> None:
    """The reference brought what was missing, and goes along though something else was not as it was sent."""
    nodes, graph = stage(["heart"], [fails], [], tags=("product",))
    state = await edited(nodes, graph, "a heart")
    assert state["result"].outcome is Outcome.ALIGNED
    assert [[one.role for one in attempt.references] for attempt in state["attempts"]] == [
        ["edit"], ["edit", "reference"], ["edit", "reference"],
    ]  # fmt: skip
    assert len({attempt.variation.seed for attempt in state["attempts"][1:]}) == 2


async def test_what_never_stays_ends_with_its_name() -> None:
    nodes, graph = stage([KEPT], [KEPT])
    state = await edited(nodes, graph, max_rounds=1)
    assert (state["result"].outcome, state["result"].reason) == (
        Outcome.BEST_EFFORT,
        f"still missing after 1 round: {KEPT}",
    )


@pytest.mark.parametrize(
    ("likeness", "tags", "expected"),
    [
        ("auto", (), []),
        ("auto", ("toy", "Product"), ["heart"]),
        ("always", (), ["heart"]),
        ("never", ("product",), []),
    ],
)
async def test_a_product_of_the_library_has_to_be_the_very_one(
    likeness: Any, tags: tuple[str, ...], expected: list[str]
) -> None:
    nodes, graph = stage(["heart"], [], tags=tags)
    judge = nodes.judge
    assert isinstance(judge, SeeingJudge)
    state = await graph.ainvoke({"prompt": "a detailed picture of a heart"}, context=RunConfig(likeness=likeness))
    first, second = [call.arguments for call in judge.calls if call.method == "critique"]
    assert (first["subjects"], len(second["subjects"])) == ([], 1)  # what was retrieved is shown in any case
    shown = second["subjects"][0]
    assert (shown.role, shown.data, shown.likeness) == ("reference", tiny_png("heart"), bool(expected))
    compared = [r for r in second["requirements"] if r.image is not None]
    assert [(r.kind, r.image) for r in compared] == [("likeness", 1)] * len(expected)
    assert state["attempts"][1].references[0].likeness is bool(expected)


def test_which_pictures_have_to_be_the_very_ones() -> None:
    assert needs_likeness("auto", kind="likeness")
    assert needs_likeness("auto", kind="content", role="subject")
    assert not needs_likeness("always", kind="style", tags=["product"])
    assert not needs_likeness("always", kind="content", role="edit")
    assert not needs_likeness("auto", kind="content", tags=["production"])


async def test_a_judge_that_does_not_say_that_it_sees_references_is_asked_as_before() -> None:
    library = ScriptedLibrary()
    library.plant("a detailed picture of a heart", tiny_png("heart"), tags=("product",))
    judge = ScriptedJudge(["a heart"], [])
    nodes = Nodes(generator=ScriptedGenerator(), judge=judge, library=library, blobs=MemoryBlobs())
    await build_workflow(nodes).compile().ainvoke({"prompt": "a heart"}, context=RunConfig())
    assert [call.arguments["subjects"] for call in judge.calls if call.method == "critique"] == [[], []]


async def test_wrong_combinations_are_refused_before_anything_is_drawn() -> None:
    nodes, graph = stage([])
    own = Subject(image=await nodes.blobs.put(ROOM))
    edit = own.model_copy(update={"intent": "edit"})
    for subjects, told in [([edit, own], "leave out `edit` or `subjects`"), ([edit, edit], "one at a time")]:
        with pytest.raises(UsageError, match=told):
            await graph.ainvoke({"prompt": "make it green", "subjects": subjects})
    blind, graph = stage([], max_references=0)
    with pytest.raises(UsageError, match=r"cannot edit an image.*openai:gpt-image-2.*`subjects=FILE`"):
        await edited(blind, graph)
    unsure, graph = stage([])
    assert isinstance(unsure.generator, ScriptedGenerator)
    unsure.generator.capabilities = Capabilities(edits=False, edits_option=True)
    with pytest.raises(UsageError, match=r"cannot edit an image.*if it can, say so in its spec \(\?edits=true\)"):
        await edited(unsure, graph)
    assert nodes.generator.calls == blind.generator.calls == []  # type: ignore[attr-defined]


async def test_a_picture_of_the_library_is_edited_and_not_found_again() -> None:
    nodes, graph = stage(["heart"], [])
    library = nodes.library
    assert isinstance(library, ScriptedLibrary)
    sha = next(iter(await library.search("a detailed picture of a heart", k=1, filter=_all()))).image.sha256
    state = await whole(graph, {"prompt": "a detailed picture of a heart", "edit_library": sha}, RunConfig())
    first = state["attempts"][0].references[0]
    assert (first.role, first.image.sha256) == ("edit", sha)
    found = [c.image.sha256 for search in state.get("searches", []) for c in search.candidates]
    assert sha not in found
    with pytest.raises(UsageError, match="no image 000000000000 in library"):
        await graph.ainvoke({"prompt": "a heart", "edit_library": "0" * 64})


def _all() -> Any:
    from imagerag.agent.ports import Filter

    return Filter()


def image(role: str, concept: str = "", **more: Any) -> ImagePart:
    return ImagePart(data=b"", media_type="image/png", role=role, concept=concept, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("template", [EDIT_TEMPLATE, CHAT_TEMPLATE], ids=["images", "chat"])
def test_each_intent_has_its_own_words(template: ReferenceTemplate) -> None:
    edit = reference_prompt(template, "a beach", [image("edit"), image("reference", "sand")])
    assert "Image 1, to be edited: the picture to edit\nImage 2: sand" in edit
    assert "keep everything else" in edit
    assert "Do not edit" not in edit
    subject = reference_prompt(template, "on a beach", [image("subject", "lotion"), image("reference", "sand")])
    assert "Image 1, a subject: lotion\nImage 2: sand" in subject
    assert "one new picture" in subject
    assert "recognisably the same" in subject
    informed = reference_prompt(template, "a beach", [image("reference", "sand")])
    assert "Image 1: sand" in informed
    assert "subject" not in informed
    masked = reference_prompt(template, "a beach", [image("edit", mask=b"x")])
    assert "only where its mask is transparent" in masked


def test_a_template_without_words_for_an_edit_is_given_some() -> None:
    told = reference_prompt(ReferenceTemplate(), "make it green", [image("edit", "my room")])
    assert told.startswith("Edit the first of these images (my room)")
    assert told.endswith("make it green")
