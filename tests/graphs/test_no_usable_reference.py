"""Why there was no usable reference: each cause is told as itself, with the next step that belongs to it."""

from typing import Any

import pytest
from langgraph.types import Command

from imagerag.agent.next_steps import next_steps
from imagerag.agent.nodes import Nodes
from imagerag.agent.run_record import RunRecord, run_record
from imagerag.agent.types import ImageRef, Outcome, RunConfig, RunSpec, UsedReference
from imagerag.assistants.run_text import format_run
from imagerag.formatting.assistant_steps import AFTER_CAUSE
from imagerag.graphs.generation import build_workflow
from imagerag.tools.testing.fakes import ScriptedGenerator

CAPTION = "a detailed picture of a heart"


def checked(record: RunRecord, *causes: str) -> str:
    """The reason of a run that ended so; the assistant is told what to do about the first cause."""
    assert record.outcome is Outcome.NO_USABLE_REFERENCE
    assert tuple(record.causes) == causes
    assert "nothing in the library passed" not in record.reason
    told = format_run(record)
    assert f"Next: {AFTER_CAUSE[record.causes[0]]}" in told
    assert "has no image of" not in "".join([*record.next_steps, told])
    return record.reason


async def test_nothing_is_similar_enough(bench):
    for similarity in (0.41051, 0.2):
        bench.library.plant(CAPTION, similarity=similarity)
    bench.judge.enqueue(["a heart"])
    record = await bench.run()
    reason = checked(record, "below_threshold")
    assert reason == ("no usable reference for a heart: of 2 images found, 2 below the threshold 0.500 (closest 0.411)")
    assert record.next_steps[0] == "add an image of 'a heart': `rag.libraries.index(FILE, library=NAME)`"
    assert "use the closest all the same" in record.next_steps[1]
    assert "add_images=[" in record.next_steps[1]


async def test_a_threshold_of_ones_own_is_named_as_what_stands_in_the_way(stage):
    stage.library.plant(CAPTION, similarity=0.8)
    stage.judge.enqueue(["a heart"])
    record = await ran(stage, threshold=0.9)
    assert "1 below the threshold 0.900 (closest 0.800)" in checked(record, "below_threshold")
    assert record.next_steps[0] == (
        "ask for less than 0.900: `rag.with_options(generator='scripted', judge='scripted')"
        ".generate('a scene', library='scripted', threshold='auto')`"
    )


async def test_what_was_drawn_with_already_is_not_named_as_the_way_out(bench):
    nearest = bench.library.plant(CAPTION, similarity=0.4)
    bench.judge.enqueue(["a heart"])
    record = await bench.run()
    assert nearest.sha256[:12] in record.next_steps[1]
    drawn = record.attempts[0].model_copy(update={"references": (UsedReference(image=nearest, concept="a heart"),)})
    again = next_steps(record.model_copy(update={"attempts": [drawn]}))
    assert "use the closest all the same" not in "".join(again)


async def test_a_filter_that_a_closer_image_passed_is_not_what_stands_in_the_way(bench):
    """As an image of the web does, which is not searched for without the filter."""
    bench.library.plant(CAPTION, similarity=0.3, licence="CC-BY-4.0")
    bench.library.plant(CAPTION, similarity=0.4, licence="CC0-1.0")
    bench.judge.enqueue(["a heart"])
    reason = checked(await bench.run(licences=("CC0-1.0",)), "below_threshold")
    assert "without it" not in reason


@pytest.mark.parametrize(
    ("option", "told", "flag"),
    [
        ({"licences": ("CC0-1.0",)}, "the licence filter (CC0-1.0)", "`licences`"),
        ({"tags": ("toy",)}, "the tag filter (toy)", "`tags`"),
        ({"filter": {"kind": "toy"}}, "the metadata filter (kind=toy)", "`filter`"),
    ],
)
async def test_a_filter_left_out_what_would_have_passed(bench, option: Any, told: str, flag: str):
    bench.library.plant(CAPTION, similarity=0.9, licence="CC-BY-4.0")
    bench.judge.enqueue(["a heart"])
    record = await bench.run(**option)
    assert f"{told} leaves out 1 that would pass" in checked(record, "filtered")
    assert f"run it without {flag}" in record.next_steps[0]


async def test_a_filter_that_is_not_all_that_stands_in_the_way(bench):
    bench.library.plant(CAPTION, similarity=0.3, licence="CC-BY-4.0")
    bench.judge.enqueue(["a heart"])
    reason = checked(await bench.run(licences=("CC0-1.0",)), "filtered", "below_threshold")
    assert "the licence filter (CC0-1.0) leaves nothing" in reason
    assert "without it nothing reaches the threshold 0.500 either (closest 0.300)" in reason


async def test_two_filters_of_which_neither_alone_makes_the_difference(bench):
    bench.library.plant(CAPTION, similarity=0.9, licence="CC-BY-4.0")
    bench.judge.enqueue(["a heart"])
    reason = checked(await bench.run(licences=("CC0-1.0",), tags=("toy",)), "filtered")
    assert "the filters together leave out 1 that would pass" in reason


async def test_what_may_never_be_used_is_not_called_missing(bench):
    heart = bench.library.plant(CAPTION, similarity=0.9)
    bench.judge.enqueue(["a heart"])
    record = await finished(bench, excluded_images=[heart.sha256])
    assert "the list of images never to be used leaves out 1 that would pass" in checked(record, "excluded")
    assert f"add_images=['{heart.sha256}']" in record.next_steps[0]


async def test_what_goes_with_every_drawing_is_not_called_left_out(bench):
    heart = bench.library.plant(CAPTION, similarity=0.9)
    pin = UsedReference(image=heart, concept="a heart", caption=CAPTION)
    bench.judge.enqueue(["a heart"])
    record = await finished(bench, kept_images=[pin])
    assert "never to be used" not in record.reason


async def test_references_that_were_sent_did_not_help(bench):
    for similarity in (0.9, 0.8):
        bench.library.plant(CAPTION, similarity=similarity)
    bench.judge.enqueue(*([["a heart"]] * 3))
    record = await bench.run(max_rounds=10)
    assert "of 2 images found, 2 sent before without helping" in checked(record, "already_used")
    assert any("another generator" in step for step in record.next_steps)


async def test_pictures_are_counted_and_not_searches(bench):
    """Two captions and the prompt find the same three pictures: they are three."""
    for place in range(3):
        bench.library.plant(CAPTION, similarity=0.4 - place / 10)
    bench.judge.enqueue(["a heart", "a star"])
    record = await bench.run()
    assert len(record.searches) == 3
    assert sum(len(search.candidates) for search in record.searches) == 9
    assert "of 3 images found, 3 below the threshold" in checked(record, "below_threshold")


async def test_the_person_chose_none(bench):
    bench.library.plant(CAPTION, similarity=0.9, title="Heart 1")
    bench.judge.enqueue(["a heart"])
    record = await finished(bench, choose=[], select=True)
    assert "1 passed but not chosen" in checked(record, "rejected_by_hand")
    assert (
        "draw with one that you did not choose ('Heart 1'): `rag.runs.continue_('run', add_images="
        in record.next_steps[0]
    )


async def test_the_reranker_found_that_nothing_fits(stage):
    stage.library.plant(CAPTION, similarity=0.9)
    stage.judge.enqueue(["a heart"])
    stage.judge.enqueue_rankings([], [])
    record = await ran(stage, reranker="vlm")
    assert "rejected_by_reranker" in record.causes
    assert "1 passed but does not fit, as the reranker found" in record.reason


async def test_the_generator_takes_none(bench):
    bench.generator = ScriptedGenerator(max_references=0)
    bench.library.plant(CAPTION, similarity=0.9)
    bench.judge.enqueue(["a heart"])
    record = await bench.run()
    assert "the generator takes no reference images" in checked(record, "takes_none")
    assert "`generator=SPEC`" in record.next_steps[0]


async def test_the_library_is_empty(bench):
    bench.judge.enqueue(["a heart"])
    record = await bench.run()
    assert "holds no images" in checked(record, "empty_library")
    assert record.next_steps[0] == "fill the library: `rag.libraries.index(PATH, library=NAME)`"


async def test_there_is_no_library(bench):
    bench.library = None
    bench.judge.enqueue(["a heart"])
    record = await bench.run()
    assert "the run has no library to search" in checked(record, "no_library")
    assert "library=NAME" in record.next_steps[0]


async def ran(stage: Any, *, reranker: str | None = None, **config: Any) -> RunRecord:
    """A run of a real runner."""
    made = RunSpec(
        generator="scripted", judge="scripted", library="scripted", reranker=reranker, config=RunConfig(**config)
    )
    record = None
    async for event in stage.runner.start("a scene", made, run_id="run"):
        record = event.record or record
    assert record is not None
    return record


async def finished(bench: Any, *, choose: list[str] | None = None, select: bool = False, **given: Any) -> RunRecord:
    """A run with further input, or one that waits and is answered."""
    nodes = Nodes(generator=bench.generator, judge=bench.judge, library=bench.library, blobs=bench.blobs)
    graph = build_workflow(nodes).compile(checkpointer=bench.saver)
    thread_config: Any = {"configurable": {"thread_id": "run"}, "recursion_limit": 60}
    config = RunConfig(select=select)
    await graph.ainvoke({"prompt": "a scene", **given}, thread_config, context=config)
    if choose is not None:
        await graph.ainvoke(Command(resume={"chosen": choose}), thread_config, context=config)
    return run_record("run", (await graph.aget_state(thread_config)).values)


def test_an_image_counts_by_how_far_it_came():
    from imagerag.agent.no_reference_reason import furthest
    from imagerag.agent.types import Candidate, Concept, Query, Search

    image = ImageRef(sha256="a" * 64, media_type="image/png", width=8, height=8)
    searches = [
        Search(
            round=1,
            query=Query(concept=Concept(text=decision), text=decision),
            candidates=(Candidate(image=image, similarity=0.5, decision=decision),),
        )
        for decision in ("below_threshold", "already_used", "near_duplicate")
    ]
    assert [candidate.decision for candidate, _ in furthest(searches)] == ["already_used"]


async def test_a_run_that_failed_for_a_missing_key_says_which(stage):
    from imagerag.agent.errors import AuthError

    stage.generator.enqueue(AuthError("openai:gpt-image-2 needs a key: set OPENAI_API_KEY, or name another server"))
    record = await ran(stage)
    assert (record.outcome, record.error) == (Outcome.FAILED, "AuthError")
    assert record.next_steps[0].startswith("set OPENAI_API_KEY, and run it again")
    assert "Next: tell the user the reason: a key is missing" in format_run(record)
    stage.generator.enqueue(AuthError("scripted: no (HTTP 401); check the key"))
    other = None
    async for event in stage.runner.start("a scene", record.setup, run_id="wrong"):
        other = event.record or other
    assert other is not None
    assert other.next_steps[0].startswith("check the key of scripted:generator")
    stage.generator.enqueue(AuthError("openai:m@https://models.example.org/v1 needs a key: set OURS, or name another"))
    async for event in stage.runner.start("a scene", record.setup, run_id="named"):
        other = event.record or other
    assert other.next_steps[0].startswith("set OURS, and run it again")
