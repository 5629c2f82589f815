"""Where the sketch world meets something that is not of it, every door says so before anything is drawn or paid."""

import asyncio
import json
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from PIL import Image

from imagerag import ImageRAG
from imagerag.agent.types import RunSpec
from imagerag.assistants.service import ChatService
from imagerag.assistants.tool_inputs import GenerateImage
from imagerag.graphs.library_warnings import ACCEPTED, library_warnings
from imagerag.graphs.mismatch_warnings import run_warnings
from imagerag.store.library.library_metadata import LibraryMetadata, Threshold
from imagerag.tools.sketch.catalogue import product_scene, products
from imagerag.tools.sketch.out_of_domain import are_photographs, foreign_words, is_foreign
from imagerag.tools.sketch.renderer import draw
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge
from tests.cli.conftest import HELD, KNOWN, Imagerag, document

MASCOT = "our office mascot on a beach"


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Pictures of many colours, with captions of things the sketch world does not have."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for at, name in enumerate(("mug", "headlamp", "bag", "boot", "kettle", "scarf", "tent", "stove", "rope", "knife")):
        noise = Image.effect_noise((96, 96), 90 + 10 * at)
        Image.merge("RGB", (noise, noise.rotate(90), noise.transpose(Image.Transpose.FLIP_LEFT_RIGHT))).save(
            folder / f"{name}.png"
        )
        (folder / f"{name}.txt").write_text(f"a travel {name} of the autumn catalogue")
    return folder


def test_the_command_line_says_what_the_painter_does_not_know(imagerag: Imagerag) -> None:
    told = imagerag("generate", MASCOT, "--max-rounds", "0", "-q")
    assert "warning:" in told.stderr
    assert "“office”, “mascot”" in told.stderr
    assert "--preset openai" in " ".join(told.stderr.split())
    assert told.stderr.index("warning:") == 0
    found = document(imagerag("generate", MASCOT, "--max-rounds", "0", "--json"))
    assert "“mascot”" in found["warnings"][0]
    assert found["outcome"] != "aligned"


@pytest.mark.parametrize("prompt", [KNOWN, HELD, "Widget A, a red solid circle", "two blue moons on a grid background"])
def test_prompts_of_its_own_are_not_warned_of(imagerag: Imagerag, prompt: str) -> None:
    assert "warning" not in imagerag("generate", prompt, "--dry-run").stderr
    assert not is_foreign(prompt)


def test_a_dry_run_warns_too(imagerag: Imagerag) -> None:
    assert "“mascot”" in imagerag("generate", MASCOT, "--dry-run").stderr
    assert document(imagerag("generate", MASCOT, "--dry-run", "--json"))["warnings"]


async def test_python_and_its_events(home: Path) -> None:
    rag = ImageRAG(preset="sketch", home=home)
    events = [event async for event in rag.stream(MASCOT, max_rounds=0)]
    assert events[0].kind == "started"
    assert "“mascot”" in events[0].warnings[0]
    assert events[-1].record is not None
    assert events[-1].record.warnings == list(events[0].warnings)
    assert (await rag.runs.get(events[-1].run_id)).warnings == list(events[0].warnings)


async def test_an_assistant_is_told(home: Path) -> None:
    answer = await ChatService(ImageRAG(preset="sketch", home=home)).generate_image(
        GenerateImage(prompt=MASCOT, max_rounds=0)
    )
    assert "Warning: the sketch generator" in answer.text
    assert "“mascot”" in answer.data["warnings"][0]


async def test_a_real_generator_with_the_sketch_judge(home: Path) -> None:
    rag = ImageRAG(preset="sketch", generator="mine", home=home)
    rag.dependencies.use("generator", "mine", ScriptedGenerator())
    warned = await run_warnings(rag.dependencies, RunSpec(generator="mine", judge="sketch"), "a mug")
    assert [("judge is sketch" in one, "`judge=SPEC`" in one) for one in warned] == [(True, True)]
    rag.dependencies.use("judge", "mine", ScriptedJudge([]))
    assert await run_warnings(rag.dependencies, RunSpec(generator="mine", judge="mine"), "a mug") == ()


def test_photographs_meet_the_sketch_encoder(imagerag: Imagerag, photographs: Path) -> None:
    told = imagerag("index", photographs, "--library", "shop", "-q")
    first, *rest = [" ".join(part.split()) for part in told.stderr.split("warning: ")[1:]]
    assert "look like photographs" in first
    assert "--embedder open_clip:" in first
    found = document(imagerag("index", photographs, "--library", "shop", "--json"))
    info = document(imagerag("library", "info", "shop", "--json"))["metadata"]["threshold"]
    if info["accept_rate"] < ACCEPTED:
        assert "own captions reach its threshold" in found["warnings"][0]
        assert rest
    asked = document(imagerag("generate", KNOWN, "--library", "shop", "--json", "--max-rounds", "0"))
    assert bool(asked["warnings"]) == (info["accept_rate"] < ACCEPTED)
    assert any(
        "shop" in one for one in document(imagerag("generate", MASCOT, "--library", "shop", "--json"))["warnings"]
    )


def test_an_encoder_that_was_asked_for_is_not_warned_of(imagerag: Imagerag, photographs: Path) -> None:
    found = document(imagerag("index", photographs, "--library", "shop", "--embedder", "sketch", "--json"))
    assert not any("look like photographs" in one for one in found["warnings"])


def test_drawings_are_not_taken_for_photographs(tmp_path: Path) -> None:
    files = []
    for product in products()[:8]:
        draw(product_scene(product), 256).save(tmp_path / "x.png")
        files.append((tmp_path / "x.png").read_bytes())
    assert not are_photographs(files)
    assert not are_photographs([])
    assert not are_photographs([b"no image"])


@pytest.mark.parametrize(
    ("spec", "accepted", "real", "warned"),
    [
        ("open_clip:x", 0.0, False, "libraries.check('shop')"),
        ("open_clip:x", 0.49, False, "only 49 %"),
        ("open_clip:x", 0.5, True, ""),
        ("open_clip:x", None, True, ""),
        ("sketch", 0.0, False, "libraries.migrate('shop', embedder='open_clip:"),
        ("sketch", None, True, "encoded with sketch"),
        ("sketch", 0.9, False, ""),
    ],
)
def test_a_library_that_does_not_find_its_own_captions(spec: str, accepted: Any, real: bool, warned: str) -> None:
    found = library_warnings("shop", _library_metadata(spec, accepted), real=real)
    assert bool(found) == bool(warned)
    assert all(warned in one for one in found)
    assert library_warnings("sketch", _library_metadata("sketch", 0.9), real=True) == []


def test_a_snapshot_is_only_read_so_its_library_is_migrated() -> None:
    warning = library_warnings("shop@v1", _library_metadata("sketch", None), real=True)
    assert "library shop@v1" in warning[0]
    assert "libraries.migrate('shop', " in warning[0]


def _library_metadata(spec: str, accepted: float | None) -> LibraryMetadata:
    at = "2026-01-01T00:00:00Z"
    threshold = Threshold(
        cosine=0.2, percentile=99, method="captions", minimum=0.2, negative_quantiles=(0.0, 1.0),
        accept_rate=accepted, n_unrelated=9,
        images=9, calibrated=at,
    )  # fmt: skip
    return LibraryMetadata(
        spec=spec, model="m", weights="w", preprocess="p", dimension=3, created=at, threshold=threshold
    )


def test_words_that_name_things_are_foreign_and_others_are_not() -> None:
    assert foreign_words("a beautiful red solid circle") == []
    assert foreign_words(MASCOT) == ["office", "mascot", "beach"]
    assert is_foreign("???")


def test_a_first_index_that_finds_nothing_leaves_no_library(imagerag: Imagerag, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "page.html").write_text("<html>")
    told = imagerag("index", tmp_path / "in", "--library", "new")
    assert told.exit_code == 2
    assert "page.html" in told.stderr
    for bad in (["nowhere"], [tmp_path / "in", "--manifest", "nowhere.csv"]):
        assert imagerag("index", *bad, "--library", "new").exit_code == 2
    names = [one["name"] for one in document(imagerag("library", "list", "--json"))["libraries"]]
    assert "new" not in names
    Image.new("RGB", (8, 8)).save(tmp_path / "in" / "a.png")
    imagerag("index", tmp_path / "in", "--library", "new")


async def test_two_first_indexes_at_once(home: Path, photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    async def one(folder: Path) -> Any:
        return await ImageRAG(preset="sketch", home=home).libraries.index(folder, library="new", embedder="sketch")

    found = await asyncio.gather(one(photographs), one(photographs), one(tmp_path / "empty"), return_exceptions=True)
    assert not any(isinstance(each, BaseException) for each in found[:2]), found
    assert "new" in await ImageRAG(home=home).libraries.list()


def test_what_generate_writes_comes_back_with_its_licences(imagerag: Imagerag, tmp_path: Path) -> None:
    out = tmp_path / "made" / "circle.png"
    out.parent.mkdir()
    run = document(imagerag("generate", HELD, "--out", out, "--json"))
    licences = {used["licence"] for used in run["references"]}
    assert licences
    found = document(imagerag("index", out.parent, "--library", "made", "--json"))
    assert (found["added"], found["skipped"], found["captions"], found["notes"]) == (1, [], 1, [])
    (hit,) = document(imagerag("search", "heart", "--library", "made", "--json"))["results"]
    assert set(hit["licence"].split("; ")) == licences
    assert (hit["caption"], hit["metadata"]["run_id"]) == (HELD, run["run_id"])
    assert json.dumps(hit["metadata"]).count("sha256") == 0


def test_an_evaluation_says_so_once_for_all_its_cases(imagerag: Imagerag, tmp_path: Path) -> None:
    suite = tmp_path / "suite.txt"
    suite.write_text(f"{MASCOT}\na mug\n")
    told = imagerag("eval", "run", suite, "--arms", "base,one-round", "--out", tmp_path / "out", "-q")
    assert told.stderr.count("warning: the sketch generator") == 1
    assert "“mascot”" in told.stderr


def test_a_batch_says_so_before_its_first_line_is_drawn(imagerag: Imagerag, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text(f"{KNOWN}\n{MASCOT}\na mug\n")
    command = ("batch", prompts, "--out", tmp_path / "out", "--max-rounds", "0")
    told = imagerag(*command)
    assert told.stderr.count("warning: the sketch generator") == 1
    assert told.stderr.index("warning:") < told.stderr.index("[1/3]")
    assert "warning" not in imagerag(*command, "--resume").stderr


async def test_a_graph_of_ones_own_is_told_for_each_prompt_anew(home: Path) -> None:
    graph = (await ImageRAG(preset="sketch", home=home).workflow()).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}
    await graph.ainvoke({"prompt": MASCOT}, config, context={"max_rounds": 0})  # type: ignore[call-overload]
    assert "“mascot”" in (await graph.aget_state(config)).values["warnings"][0]
    await graph.ainvoke({"prompt": KNOWN}, config, context={"max_rounds": 0})  # type: ignore[call-overload]
    assert (await graph.aget_state(config)).values["warnings"] == []


async def test_the_warnings_of_a_graph_around_it_are_left_alone(home: Path) -> None:
    class Around(TypedDict, total=False):
        prompt: str
        result: Any
        warnings: list[dict[str, int]]

    inner = (await ImageRAG(preset="sketch", home=home).workflow()).compile()
    graph = StateGraph(Around).add_node("draw", inner).add_edge(START, "draw").compile()
    done = await graph.ainvoke({"prompt": KNOWN, "warnings": [{"code": 1}]})
    assert done["warnings"] == [{"code": 1}]
    assert done["result"].outcome == "aligned"


def test_a_search_says_what_a_run_says_of_a_library_whose_captions_do_not_pass(
    imagerag: Imagerag, photographs: Path
) -> None:
    imagerag("index", photographs, "--library", "shop")
    found = imagerag("search", "a travel mug", "--library", "shop")
    drawn = imagerag("generate", "a travel mug", "--library", "shop", "--dry-run")
    told = " ".join(found.stderr.split())
    assert "of library shop's own captions reach its threshold" in told
    assert "of library shop's own captions reach its threshold" in " ".join(drawn.stderr.split())
    assert found.exit_code == 0
    assert "own captions" not in imagerag("search", "--image", photographs / "mug.png", "--library", "shop").stderr
    assert "own captions" not in imagerag("search", "a heart", "--library", "sketch").stderr
