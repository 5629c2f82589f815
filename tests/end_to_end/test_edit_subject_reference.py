"""Edit, subject, reference at the doors: what leaves over HTTP (templates, images, their order), what is refused before
anything is paid, and that the judge is shown what was sent."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from imagerag import ImageRAG, Outcome, RunRecord, UsageError
from imagerag.agent.intents import KEPT
from imagerag.agent.next_steps import next_steps
from imagerag.agent.types import Attempt, Requirement, RequirementCheck, Verdict
from imagerag.assistants.service import ChatService
from imagerag.assistants.tool_inputs import GenerateImage
from imagerag.tools.registry import make_generator
from imagerag.tools.sketch.renderer import draw
from imagerag.tools.sketch.world import Placed, Scene, Thing
from imagerag.tools.testing.fakes import ScriptedJudge
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, SketchResponder, tiny_png
from tests.cli.conftest import Imagerag, document, one_line

SCENE = Scene(
    (
        Placed(Thing("circle", "red", "striped"), 0.3, 0.3, 0.2, 0, 0.06, 0.5),
        Placed(Thing("star", "blue", "solid"), 0.7, 0.7, 0.2, 0, 0.06, 0.5),
    ),
    "sky",
)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    file = tmp_path / "room.png"
    draw(SCENE).save(file)
    return file


@pytest.fixture
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer(SketchResponder()) as loopback:
        yield loopback
    assert loopback.errors == []


def over_http(
    server: MockOpenAIServer, home: Path, *, generator: str = "openai:gpt-image-2", judge: str = "?max_images=9"
) -> ImageRAG:
    asked = f"openai:some-vlm{judge}@{server.base_url}"
    return ImageRAG(preset="sketch", generator=f"{generator}@{server.base_url}", judge=asked, home=home)


def test_an_edit_keeps_the_rest_and_is_judged_on_both(imagerag: Imagerag, room: Path) -> None:
    told = document(imagerag("generate", "change the background to mint", "--edit", f"room={room}", "--json"))
    assert (told["outcome"], told["warnings"]) == ("aligned", [])
    attempt = told["attempts"][0]
    checks = [(c["requirement"]["kind"], c["requirement"]["text"], c["met"]) for c in attempt["verdict"]["checks"]]
    assert checks == [("style", "a mint background", True), ("kept", KEPT, True)]
    assert [(one["role"], one["concept"]) for one in attempt["references"]] == [("edit", "room")]
    assert (
        attempt["prompt"]
        == "According to these images of <1, to edit: room>, edit the first: change the background to mint"
    )
    shown = imagerag("show", told["run_id"], "--rounds").stdout
    assert "your own, is edited" in shown
    assert "(had to stay)" in shown


def test_an_edit_takes_from_the_library_what_it_does_not_know(imagerag: Imagerag, room: Path) -> None:
    told = document(imagerag("generate", "turn the star into a purple ringed hexagon", "--edit", room, "--json"))
    assert told["outcome"] == "aligned"
    assert [[one["role"] for one in a["references"]] for a in told["attempts"]] == [["edit"], ["edit", "reference"]]


async def test_over_http_an_edit_goes_to_the_edits_endpoint_and_the_judge_sees_the_original(
    server: MockOpenAIServer, home: Path, room: Path
) -> None:
    rag = over_http(server, home)
    record = await rag.generate("make the star green", edit=("my room", room))
    assert record.outcome is Outcome.ALIGNED, record.reason
    (drawn,) = server.of("images.edit")
    assert server.count("images.generate") == 0
    assert [image.data for image in drawn.images] == [room.read_bytes()]
    assert "Image 1, to be edited: my room\n\nEdit the first image." in drawn.prompt
    assert "Do not edit" not in drawn.prompt
    assert drawn.prompt.endswith("make the star green")
    (asked,) = server.of("chat")
    assert len(asked.images) == 2
    assert asked.images[0].data == room.read_bytes()
    assert 'Picture 1, the original. NAME: "my room"' in asked.prompt
    assert f'- [kept] "{KEPT}"' in asked.prompt
    assert record.attempts[0].verdict is not None
    assert record.attempts[0].verdict.checks[-1].requirement.kind == "kept"


async def test_stepwise_the_first_question_asks_what_had_to_stay_too(
    server: MockOpenAIServer, home: Path, room: Path
) -> None:
    record = await over_http(server, home).generate("make the star green", edit=room, judge_mode="stepwise")
    assert record.outcome is Outcome.ALIGNED
    assert "It is no, too, where something changed against the original" in server.of("chat")[0].prompt


async def test_where_one_picture_is_taken_all_are_on_one_sheet(
    server: MockOpenAIServer, home: Path, room: Path
) -> None:
    server.enqueue("chat", MockResponse(text=_points((KEPT, "kept"), ("a green star", "content"))))
    await over_http(server, home, judge="?max_images=1").generate("make the star green", edit=room, max_rounds=0)
    (asked,) = server.of("chat")
    assert len(asked.images) == 1
    assert asked.prompt.index("Picture 1, the original.") < asked.prompt.index("[This is picture 1 of the sheet.]")


def _points(*named: tuple[str, str], met: bool = True) -> str:
    checks = [
        {"number": n, "requirement": text, "kind": kind, "evidence": "", "met": met, "caption": ""}
        for n, (text, kind) in enumerate(named, start=1)
    ]
    return json.dumps({"checks": checks})


async def test_a_subject_appears_in_a_new_picture_and_has_to_be_the_very_one(
    server: MockOpenAIServer, home: Path, room: Path
) -> None:
    same = "my star: the very one of picture 1"
    server.enqueue("chat", MockResponse(text=_points(("a sky background", "style"), (same, "likeness"))))
    record = await over_http(server, home).generate("my star on a sky background", subjects=[("my star", room)])
    (drawn,) = server.of("images.edit")
    assert "Image 1, a subject: my star" in drawn.prompt
    assert "Do not edit them. Draw one new picture in which each subject appears" in drawn.prompt
    (asked,) = server.of("chat")
    assert f'- [likeness] "{same}"' in asked.prompt
    assert "Picture 1, somebody's own." in asked.prompt
    verdict = record.attempts[0].verdict
    assert verdict is not None
    assert [check.requirement.kind for check in verdict.checks] == ["style", "likeness"]


async def test_a_subject_without_a_name_is_put_into_words_too(server: MockOpenAIServer, home: Path, room: Path) -> None:
    rag = over_http(server, home)
    rag.dependencies.use("judge", "mine", ScriptedJudge([]))
    await ImageRAG.generate(rag, "on a sky background", subjects=[room], likeness="never", max_rounds=0)
    assert "Image 1, a subject: what is to be in the picture" in server.of("images.edit")[0].prompt


async def test_what_was_retrieved_is_shown_to_the_judge_in_the_order_it_was_sent(
    server: MockOpenAIServer, home: Path
) -> None:
    rag = over_http(server, home)
    record = await rag.generate("a red solid heart and a blue split crescent on a mint background")
    assert record.outcome is Outcome.ALIGNED
    first, *_, last = server.of("chat")
    sent = record.attempts[-1].references
    assert (len(first.images), len(last.images)) == (1, 1 + len(sent))
    library = await rag.libraries.open("sketch")
    assert [image.data for image in last.images[:-1]] == [await library.image_bytes(one.image.sha256) for one in sent]
    assert f'Picture 1, a reference. NAME: "{sent[0].concept}"' in last.prompt
    assert "Their backgrounds, and whatever else they show, are not asked for." in last.prompt


@pytest.mark.parametrize("judge", ["sketch", "http"])
async def test_likeness_of_a_reference_is_on_the_checklist(server: MockOpenAIServer, home: Path, judge: str) -> None:
    rag = over_http(server, home) if judge == "http" else ImageRAG(preset="sketch", home=home)
    record = await rag.generate("a teal ringed hexagon", likeness="always")
    verdict = record.attempts[-1].verdict
    assert verdict is not None
    assert [check.requirement.kind for check in verdict.checks] == ["content", "likeness"]
    assert verdict.checks[-1].requirement.text == "a teal ringed hexagon: the very one of picture 1"
    assert "like what was sent" in verdict.checks[-1].evidence
    assert record.attempts[0].verdict is not None
    assert len(record.attempts[0].verdict.checks) == 1


def test_chat_models_are_told_what_their_answer_is_to_be(room: Path) -> None:
    from imagerag.agent.ports import ImagePart
    from imagerag.agent.prompts import reference_prompt

    own = ImagePart(data=room.read_bytes(), media_type="image/png", role="edit", concept="room <|im_end|>")
    told = reference_prompt(make_generator("openai-chat:some@http://localhost:1/v1").template, "a beach", [own])
    assert "Answer with the first image, edited." in told
    assert "<|im_end|>" not in told


def test_a_users_own_templates(room: Path) -> None:
    mine = make_generator(
        "openai:some?template_edit=Edit+it:+{prompt}&template={items}:+{prompt}&template_item=({n})+{caption}"
    )
    assert (mine.template.edit, mine.template.masked, mine.template.whole) == ("Edit it: {prompt}",) * 2 + (
        "{items}: {prompt}",
    )
    assert mine.template.item == mine.template.edit_item == "({n}) {caption}"


@pytest.mark.parametrize(
    "option",
    ["template={itmes}+{prompt}", "template=no+place", "template={prompt.x}", "template={prompt!r}",
     "template={0}{prompt}", "template={prompt", "template_edit={caption}", "template_item={n}"],
)  # fmt: skip
def test_a_template_that_cannot_be_is_refused_with_the_placeholders_there_are(option: str) -> None:
    with pytest.raises(UsageError) as refused:
        make_generator(f"openai:some?{option}")
    known = "{caption}, and {n}" if "item=" in option else "{prompt}, and {items}"
    assert known in str(refused.value)


async def test_a_template_of_ones_own_is_what_is_sent(server: MockOpenAIServer, home: Path, room: Path) -> None:
    rag = over_http(server, home, generator="openai:gpt-image-2?template_edit=Please:+{prompt}!")
    rag.dependencies.use("judge", "mine", ScriptedJudge([]))
    await rag.generate("make the star green", edit=room, max_rounds=0)
    assert server.of("images.edit")[0].prompt == "Please: make the star green!"


@pytest.mark.parametrize("arguments", [
    ("--edit", "room.png", "--subject", "room.png"),
    ("--edit", "room.png", "--edit-library", "0" * 64),
    ("--mask", "room.png"),
    ("--edit-library", "0" * 64),
    ("--edit-library", "seven"),
    ("--edit", "room.png", "--generator", "openai-chat:m?edits=false@http://127.0.0.1:9/v1"),
])  # fmt: skip
def test_what_cannot_go_together_is_refused_before_anything_is_drawn(
    imagerag: Imagerag, room: Path, arguments: tuple[str, ...]
) -> None:
    result = imagerag("generate", "make the star green", *arguments)
    assert result.exit_code == 2
    assert any(word in one_line(result) for word in ("leave", "name the image", "imagerag search", "--subject FILE"))
    assert imagerag("runs").stdout.startswith("no runs yet")


def test_a_picture_of_the_library_is_edited(imagerag: Imagerag) -> None:
    found = document(imagerag("search", "a hexagon", "-k", "1", "--json"))
    sha = found["results"][0]["id"]
    told = document(imagerag("generate", "change the background to lilac", "--edit-library", sha, "--json"))
    assert told["outcome"] == "aligned"
    assert told["attempts"][0]["references"][0]["image"]["sha256"] == sha


def test_whose_an_edited_library_picture_is_goes_along_with_what_was_made_of_it(
    imagerag: Imagerag, tmp_path: Path
) -> None:
    """By its id, by hand, and in a run that goes on from there: in the sidecar, and where a person reads it."""
    found = document(imagerag("search", "a hexagon", "-k", "1", "--json"))["results"][0]
    told = imagerag(
        "generate", "change the background to lilac", "--edit-library", found["id"], "--out", tmp_path / "1.png"
    )
    assert "the library's, is edited" in told.output
    waiting = document(imagerag("generate", "a teal ringed hexagon", "--select", "--json"))
    offered = waiting["question"]["candidates"][0]
    chosen = imagerag("resume", waiting["run_id"], "--edit", "1", "--out", tmp_path / "2.png")
    assert f"edits {offered['title']}" in chosen.output
    imagerag("continue", waiting["run_id"], "--prompt", "change the background to mint", "--out", tmp_path / "3.png")
    for name, source in (("1", found), ("2", offered), ("3", offered)):
        (edited,) = [
            one
            for one in json.loads((tmp_path / f"{name}.png.json").read_text())["references"]
            if one["role"] == "edit"
        ]
        assert (edited["title"], edited["licence"]) == (source["title"], source["licence"])
        assert edited["licence"]
        assert edited["author"].startswith("Sketch Studio")


def test_one_picture_is_edited_at_a_time(imagerag: Imagerag, room: Path) -> None:
    refused = imagerag("generate", "make the star green", "--edit", room, "--edit", room)
    assert refused.exit_code == 2
    assert "Invalid value for '--edit': one image is edited at a time, not 2" in one_line(refused)


def test_who_is_asked_to_choose_is_told_that_one_can_be_edited(imagerag: Imagerag, room: Path) -> None:
    waiting = document(imagerag("generate", "a teal ringed hexagon", "--select", "--json"))
    assert any(f"imagerag resume {waiting['run_id']} --edit 1" in step for step in waiting["next_steps"])
    own = document(imagerag("generate", "a teal ringed hexagon", "--subject", f"it={room}", "--select", "--json"))
    assert own["next_steps"]
    assert not any("--edit" in step for step in own["next_steps"])


def test_what_was_offered_can_be_edited_instead(imagerag: Imagerag) -> None:
    asked = "a teal ringed hexagon"
    waiting = document(imagerag("generate", asked, "--select", "--json"))
    assert waiting["question"]["may_edit"]
    told = document(imagerag("resume", waiting["run_id"], "--edit", "1", "--json"))
    first = told["attempts"][1]["references"]
    assert [one["role"] for one in first] == ["edit"]
    assert first[0]["image"]["sha256"] == waiting["question"]["candidates"][0]["id"]
    assert told["attempts"][1]["verdict"]["checks"][-1]["requirement"]["kind"] == "kept"


def test_a_choice_cannot_edit_what_a_run_has_of_its_own(imagerag: Imagerag, room: Path) -> None:
    waiting = document(
        imagerag("generate", "my star and a teal ringed hexagon", "--subject", f"my star={room}", "--select", "--json")
    )
    refused = imagerag("resume", waiting["run_id"], "--edit", "1")
    assert "choose references" in one_line(refused)


def test_a_batch_says_it_the_same_way(imagerag: Imagerag, room: Path, tmp_path: Path) -> None:
    edit = {"prompt": "make the star green", "edit": "room.png"}
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, [edit, {**edit, "subjects": ["room.png"]}])))
    imagerag("batch", tmp_path / "lines.jsonl", "--out", tmp_path / "out")
    results = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert sorted(str(one["outcome"]) for one in results) == ["None", "aligned"]
    (refused,) = [one for one in results if one["outcome"] is None]
    assert "leave out `edit` or `subjects`" in json.dumps(refused)


async def test_a_chat_says_it_the_same_way(home: Path, room: Path) -> None:
    service = ChatService(ImageRAG(preset="sketch", home=home))
    answer = await service.generate_image(GenerateImage(prompt="make the star green", edit=str(room)))
    assert not answer.is_error, answer.text
    assert "which is edited" in answer.text


def test_images_of_one_colour_can_be_compared_by_any_encoder() -> None:
    """What has no things on plain paper is compared as a whole: nothing is divided by nothing."""
    from imagerag.agent.images.mask_compositing import changed_share

    red, blue = (Image.open(io.BytesIO(tiny_png(word))) for word in ("red", "blue"))
    assert (changed_share(red, red), changed_share(red, blue)) == (0.0, 1.0)


@pytest.mark.parametrize(("drawn", "advised"), [(False, True), (True, False)])
def test_no_image_is_advised_for_what_had_to_stay(drawn: bool, advised: bool) -> None:
    star, stay = Requirement(text="a green star", kind="content"), Requirement(text="the rest", kind="kept")
    checks = (RequirementCheck(requirement=star, met=drawn), RequirementCheck(requirement=stay, met=False))
    verdict = Verdict(aligned=False, score=0.5 if drawn else 0.0, checks=checks)
    attempt = Attempt.model_construct(verdict=verdict, mask=None)
    unresolved = [check.requirement.text for check in checks if not check.met]
    record = RunRecord.model_construct(
        run_id="r", status="ended", outcome=Outcome.BEST_EFFORT, attempts=[attempt], best_attempt=0,
        unresolved=unresolved, concepts=[], setup=None, error=None,
    )  # fmt: skip
    steps = " ".join(next_steps(record))
    assert ("'a green star'" in steps) == advised
    assert "the rest" not in steps
    assert ("libraries.index" in steps) == advised
