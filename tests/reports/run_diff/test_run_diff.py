"""Two runs beside each other: where they part, what was asked and answered differently; in text, as JSON, as a page."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from imagerag import ImageRAG, RunRecord, UnknownRunError
from imagerag.cli import main
from imagerag.reports.html.diff_writer import page_of
from imagerag.reports.run_diff.diff import diff
from imagerag.reports.run_diff.models import Divergence, RunDiff
from imagerag.reports.run_diff.text import pair
from imagerag.tools.testing.fakes import ScriptedJudge
from tests.graphs.conftest import Stage, make_stage
from tests.reports.conftest import CAPTION, HOSTILE, RUNS, Browser
from tests.reports.html.test_run_report import assert_self_contained
from tests.scripted_runs import scripted_spec


@pytest.fixture
async def compared(tmp_path: Path) -> tuple[Stage, ImageRAG]:
    """A run called `first` that redrew once: what is missing came from one of two references."""
    stage = make_stage(tmp_path / "home")
    for place, similarity in enumerate((0.9, 0.8)):
        stage.library.plant(CAPTION, similarity=similarity, title=f"Heart {place}")
    stage.judge.enqueue(["a heart"], [])
    _ = [event async for event in stage.runner.start("a heart", scripted_spec(), run_id="first")]
    rag = ImageRAG(preset="sketch", home=tmp_path / "home")
    vars(rag._context)["dependencies"] = stage.runner.dependencies
    return stage, rag


async def step_of(rag: ImageRAG, node: str, run: str = "first") -> int:
    return next(step.index for step in await rag.runs.steps(run) if step.node == node)


def changes(divergence: Divergence | None) -> dict[str, tuple[Any, Any]]:
    assert divergence is not None
    return {one.what: (one.a, one.b) for one in (*divergence.inputs, *divergence.outputs)}


async def test_another_seed_shows_in_the_drawing_and_in_what_follows(compared: Any) -> None:
    stage, rag = compared
    stage.judge.enqueue([])
    again = await rag.runs.replay("first", await step_of(rag, "regenerate"), seed=7)
    found = await rag.runs.diff("first", again)
    first = found.first
    assert (first.node, first.round) == ("regenerate", 1)
    assert [(one.what, one.a, one.b) for one in first.inputs] == [("seed", 0, 7)]
    assert [one.what for one in first.outputs] == ["image"]
    assert [(one.what, one.a, one.b) for one in found.setup] == [("seed", 0, 7)]
    assert found.shared == await step_of(rag, "regenerate") - 1
    (judged,) = found.divergences[1:]
    assert judged.node == "critique"
    assert [one.what for one in judged.inputs] == ["image shown"]
    assert found.a.attempts[0] == found.b.attempts[0]
    assert found.a.attempts[1] != found.b.attempts[1]
    assert not found.same


async def test_another_threshold_shows_in_the_search_that_it_first_decided(compared: Any) -> None:
    _, rag = compared
    again = await rag.runs.replay("first", await step_of(rag, "retrieve"), threshold=0.95)
    found = await rag.runs.diff("first", again)
    assert found.first.node == "retrieve"
    assert changes(found.first)["threshold"] == ([0.5], [0.95])
    assert changes(found.first)["passed"] == (["Heart 0", "Heart 1"], None)
    only_a = [one.node for one in found.divergences if one.b is None]
    assert only_a == ["regenerate", "critique"]
    assert ("outcome", "aligned", "no_usable_reference") in [(one.what, one.a, one.b) for one in found.result]
    assert {one.node for one in found.divergences if one.a is None} >= {"retrieve"}


async def test_another_prompt_another_judge_and_other_references_are_named(compared: Any) -> None:
    stage, rag = compared
    stage.judge.enqueue([])
    other = await rag.runs.diff(
        "first", await rag.runs.replay("first", await step_of(rag, "critique"), prompt="a star")
    )
    assert other.first.node == "critique"
    assert changes(other.first)["prompt"] == ("a heart", "a star")
    stage.runner.dependencies.use("judge", "stern", ScriptedJudge(["a heart"], [], identity="stern-1"))
    stern = await rag.runs.diff("first", await rag.runs.replay("first", await step_of(rag, "critique"), judge="stern"))
    assert changes(stern.first)["judge"] == ("scripted", "stern")
    reference = stage.library.plant("a heart", similarity=0.3, title="By hand")
    stage.judge.enqueue([])
    redraw = await step_of(rag, "regenerate")
    hand = await rag.runs.diff("first", await rag.runs.replay("first", redraw, references=[reference.sha256]))
    before, after = changes(hand.first)["references"]
    assert (before, after[0].startswith("By hand")) == (["Heart 0 for a heart"], True)


async def test_the_same_question_answered_otherwise_is_told_as_such(compared: Any) -> None:
    stage, rag = compared
    stage.judge.enqueue(["a heart", "a moon"], [])
    again = await rag.runs.replay("first", await step_of(rag, "critique"), no_cache=True)
    found = await rag.runs.diff("first", again)
    assert found.setup == ()
    assert found.first.node == "critique"
    assert found.first.inputs == ()
    assert found.first.same_inputs
    assert "a moon" in (changes(found.first)["missing"][1] or [])


async def test_a_replay_takes_the_answers_of_its_own_run_not_those_that_another_got_later(compared: Any) -> None:
    stage, rag = compared
    stage.judge.enqueue(["a moon"], ["a moon"], ["a moon"], ["a moon"])
    _ = [event async for event in stage.runner.start("a heart", scripted_spec(), run_id="second")]
    assert not (await rag.runs.diff("first", "second")).same
    before = len(stage.judge.calls)
    for run in ("first", "second"):
        assert (await rag.runs.diff(run, await rag.runs.replay(run, 1))).same
    assert len(stage.judge.calls) == before


async def test_a_run_that_goes_on_is_the_continuation(compared: Any) -> None:
    stage, rag = compared
    stage.judge.enqueue([])
    again = await rag.runs.continue_("first", prompt="a big heart", keep_images=[1])
    found = await rag.runs.diff(again, "first")
    assert (found.relation, found.descendant, found.since) == ("continuation", "a", None)
    named = {one.what for one in found.setup}
    assert {"prompt", "always sent"} <= named


def mirrored(found: RunDiff) -> dict[str, Any]:
    """What is said of either run, as it would be said had they been named the other way round."""

    def turned(listed: Any) -> list[tuple[str, Any, Any]]:
        return sorted(((one.what, one.b, one.a) for one in listed), key=lambda one: one[0])

    both = [one for one in found.divergences if one.a and one.b]
    alone = sorted((one.node, one.round, one.b is None) for one in found.divergences if not (one.a and one.b))
    return {
        "sides": (found.b, found.a),
        "setup": turned(found.setup),
        "result": turned(found.result),
        "inputs": [turned(one.inputs) for one in both],
        "outputs": [turned(one.outputs) for one in both],
        "alone": sorted((node, number, not mine) for node, number, mine in alone),
        "same": found.same,
    }


def straight(found: RunDiff) -> dict[str, Any]:
    turned = mirrored(found)
    return {
        "sides": (found.a, found.b),
        **{name: [(what, b, a) for what, a, b in turned[name]] for name in ("setup", "result")},
        **{name: [[(w, b, a) for w, a, b in one] for one in turned[name]] for name in ("inputs", "outputs")},
        "alone": sorted((node, number, not mine) for node, number, mine in turned["alone"]),
        "same": found.same,
    }


async def test_any_two_runs_are_compared_either_way_and_each_is_the_same_as_itself(rag: ImageRAG) -> None:
    """Whatever their outcome, and wherever they stand: ended, waiting, killed."""
    runs: list[tuple[RunRecord, Any]] = [(await rag.runs.get(name), await rag.runs.steps(name)) for name in RUNS]
    for a, steps_a in runs:
        for b, steps_b in runs:
            found = diff(a, b, steps_a, steps_b)
            assert found.same == (a is b), (a.run_id, b.run_id)
            assert straight(found) == mirrored(diff(b, a, steps_b, steps_a)), (a.run_id, b.run_id)
            assert RunDiff.model_validate(found.model_dump(by_alias=True, exclude={"same"})) == found
            if not found.same and found.first is None:
                assert found.setup or found.result
    assert (await rag.runs.diff("aligned", "aligned")).relation == "same_run"


async def test_a_run_that_was_killed_is_told_where_it_stands(rag: ImageRAG) -> None:
    found = await rag.runs.diff("cancelled", "killed")
    assert ("status", "ended", "running") in [(one.what, one.a, one.b) for one in found.result]
    standing = [one for one in found.divergences if one.b and "here the run stands" in one.b.text]
    assert [one.node for one in standing] == ["extract_concepts"]


async def test_an_unknown_run_is_named(rag: ImageRAG) -> None:
    with pytest.raises(UnknownRunError, match="nothing-like-it"):
        await rag.runs.diff("aligned", "nothing-like-it")


def test_lists_tell_only_what_the_other_lacks() -> None:
    from imagerag.reports.run_diff.models import Difference

    assert pair(Difference(what="found", a=["x", "y"], b=["y", "z"])) == (
        "x, and 1 that both have",
        "z, and 1 that both have",
    )
    assert pair(Difference(what="found", a=["x", "y"], b=["y", "x"])) == ("x; y", "y; x (another order)")
    assert pair(Difference(what="image", a="0" * 64, b=None)) == ("0" * 12, "nothing")


@pytest.fixture
def imagerag(every_outcome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["--home", str(every_outcome), *arguments])

    return run


def test_the_command_tells_the_first_divergence_first(imagerag: Any) -> None:
    told = imagerag("diff", "aligned", "no_usable_reference")
    assert told.exit_code == 0
    lines = [line.strip() for line in told.stdout.splitlines()]
    at = next(number for number, line in enumerate(lines) if line.startswith("first divergence"))
    assert "step 2, critique (judge), first drawing" in lines[at]
    assert lines.index("outputs") > at
    assert "aligned → no usable reference" in told.stdout
    assert "attempt 1" in told.stdout
    assert "only A has it" in told.stdout


@pytest.mark.parametrize(("pair", "code"), [(("aligned", "aligned"), 0), (("aligned", "refused"), 1)])
def test_exit_codes_say_whether_they_differ_when_asked_to(imagerag: Any, pair: tuple[str, str], code: int) -> None:
    assert imagerag("diff", *pair).exit_code == 0
    assert imagerag("diff", *pair, "--exit-code").exit_code == code


def test_json_is_one_document_and_the_page_is_beside_it(imagerag: Any, tmp_path: Path) -> None:
    told = imagerag("diff", "aligned", "best_effort", "--json", "--out", "x.html")
    document = json.loads(told.stdout)
    assert list(document)[:2] == ["schema", "same"]
    assert (document["schema"], document["same"]) == ("imagerag.diff/1", False)
    assert document["divergences"][0]["node"] == "generate"
    assert [one["what"] for one in document["divergences"][0]["inputs"]] == ["prompt"]
    assert (tmp_path / "x.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    "arguments",
    [
        ["aligned"],
        ["aligned", "nothing-like-it"],
        ["aligned", "refused", "--out", "x.png"],
        ["aligned", "refused", "x"],
    ],
)
def test_what_cannot_be_compared_is_refused(imagerag: Any, arguments: list[str], tmp_path: Path) -> None:
    refused = imagerag("diff", *arguments)
    assert refused.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", RUNS)
async def test_the_page_needs_nothing_and_no_text_gets_out_of_it(rag: ImageRAG, other: str) -> None:
    a, b = await rag.runs.get("best_effort"), await rag.runs.get(other)
    page = await page_of(rag.dependencies, found := await rag.runs.diff(a, b), a, b)
    read = assert_self_contained(page)
    shown = len([1 for tag, given in read.elements if "attempt" in (given.get("class") or "").split()])
    assert shown == len(a.attempts) + len(b.attempts)
    assert ("the same" in read.words.split("a heart")[0]) == found.same
    assert "<script>alert(1)" in read.text, "shown as it is, not run"
    assert HOSTILE not in page


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_a_phone_and_follows_the_scheme(
    imagerag: Any, browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    assert imagerag("diff", "best_effort", "aligned", "--out", "x.html").exit_code == 0
    seen = browser.look(tmp_path / "x.html", width=width, dark=dark)
    assert seen["wide"] <= seen["room"] == width
    assert seen["over"] == []
    assert seen["broken"] == 0
    assert seen["paper"] == ("rgb(22, 21, 19)" if dark else "rgb(250, 249, 246)")


def test_show_runs_and_the_report_tell_where_a_run_comes_from(
    compared: tuple[Stage, ImageRAG], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, rag = compared

    async def made() -> None:
        stage.judge.enqueue([], [])
        await rag.runs.replay("first", await step_of(rag, "regenerate"), seed=7, new_id="replayed")
        unused = (await rag.runs.get("first")).searches[0].candidates[1].image.sha256
        await rag.runs.continue_(
            "first", prompt="a big heart", keep_images=[1], exclude_images=[unused], new_id="continued"
        )

    asyncio.run(made())
    monkeypatch.chdir(tmp_path)

    def told(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["--home", str(tmp_path / "home"), *arguments])
        assert done.exit_code == 0, done.output
        return " ".join(done.stdout.split())

    redraw = asyncio.run(step_of(rag, "regenerate"))
    assert f"forked at step {redraw} of first changed: seed 0 → 7" in told("show", "replayed")
    assert f"{redraw} update seed 0 → 7" in told("show", "replayed")
    shown = told("show", "continued")
    assert "continues first" in shown
    assert "prompt a heart → a big heart" in shown
    assert "always sent: Heart 0" in shown
    assert "never to be used: Heart 1" in shown
    marked = [line for line in told("runs").split(" ✓ ") if "↳" in line]
    listed = {run["run_id"]: run["parent_run"] for run in json.loads(told("runs", "--json"))["runs"]}
    assert listed == {"first": None, "replayed": "first", "continued": "first"}
    assert len(marked) == 2
    for name, words in (
        ("replayed", (f"Forked at step {redraw} of first.", "seed: 0 → 7")),
        ("continued", ("Continues first.", "prompt: a heart → a big heart", "Heart 0", "Heart 1")),
        ("first", ()),
    ):
        told("report", name, "--out", f"{name}.html")
        words_there = assert_self_contained((tmp_path / f"{name}.html").read_text()).words
        for word in words:
            assert word in words_there, word
        assert ("Where it comes from" in words_there) == bool(words)
