"""An evaluation is the same however it is run: again, in parts, after a kill, or without any model."""

import asyncio
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import BackendError, JudgeReplyError, RefusalError, RunStateError, UsageError
from imagerag.agent.ports import GeneratedImage, ImagePart
from imagerag.evals.harness.arm_context import ArmContext
from imagerag.evals.harness.arms import BUILT_IN, parse_arms
from imagerag.evals.harness.evaluation import EvalOptions, merge_evaluations, replay_evaluation, run_evaluation
from imagerag.evals.harness.plan import Plan, Shard
from imagerag.evals.harness.results_store import PARTIAL, RESULTS, ResultsStore
from imagerag.evals.result_record import Result, read_results
from imagerag.evals.suites.case import Case, CaseImage, LibraryRecipe, Suite
from imagerag.evals.suites.sketch import sketch_suite
from imagerag.store.data_dir import DataDir
from imagerag.tools.testing.fakes import ScriptedJudge, ScriptedLibrary, sample_image
from tests.conftest import made_once
from tests.evals.conftest import with_libraries_of
from tests.processes import Python

ARMS = "base,rephrase,prompt,full"


def sketch_plan(shard: str = "1/1", cases: int = 6, arms: str = ARMS) -> Plan:
    """The sketch suite, small: one case a level, and a library of 12 pictures."""
    suite = sketch_suite(cases).model_copy(update={"libraries": {"small": LibraryRecipe(kind="rare", size=12)}})
    setup = {"generator": "sketch", "judge": "sketch", "library": "small"}
    return Plan(
        suite=suite, arms=parse_arms(arms), setup=setup, metrics=("retrieval", "work"), shard=Shard.parse(shard)
    )


def options(folder: Path, **given: Any) -> EvalOptions:
    return EvalOptions(users=DataDir(folder / "users"), **given)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished evaluation of the sketch world."""

    def make(folder: Path) -> None:
        assert asyncio.run(run_evaluation(folder / "one", sketch_plan(), options(folder))).whole

    own = tmp_path_factory.mktemp("evaluation")  # a replay writes there
    return Path(shutil.copytree(made_once(tmp_path_factory, "evaluation", make), own, dirs_exist_ok=True)) / "one"


async def test_the_same_evaluation_gives_the_same_bytes_whatever_runs_beside_it(recorded: Path, tmp_path: Path) -> None:
    await run_evaluation(tmp_path / "two", sketch_plan(), options(tmp_path, concurrency=1))
    for file in (RESULTS, "summary.json"):
        assert (tmp_path / "two" / file).read_bytes() == (recorded / file).read_bytes()


async def test_three_shards_merged_are_the_whole(recorded: Path, tmp_path: Path) -> None:
    shards = [tmp_path / str(number) for number in (1, 2, 3)]
    for number, folder in enumerate(shards, start=1):
        await run_evaluation(
            with_libraries_of(recorded / "home", folder), sketch_plan(f"{number}/3"), options(tmp_path)
        )
    await merge_evaluations(shards, tmp_path / "all")
    assert (tmp_path / "all" / RESULTS).read_bytes() == (recorded / RESULTS).read_bytes()
    assert (tmp_path / "all" / "summary.json").read_bytes() == (recorded / "summary.json").read_bytes()
    for result in read_results(tmp_path / "all" / RESULTS):
        assert result.image is not None
        sha256 = result.image.sha256
        assert (tmp_path / "all" / "home" / "blobs" / sha256[:2] / sha256[2:]).is_file()
    replayed = await replay_evaluation(tmp_path / "all", options(tmp_path))
    assert replayed.identical
    with pytest.raises(UsageError, match="give each of them once"):
        await merge_evaluations(shards[:2], tmp_path / "part")


async def test_a_replay_calls_nothing_and_gives_the_same_bytes(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(*_: Any, **__: Any) -> Any:
        raise AssertionError("a replay must not call a model")

    monkeypatch.setattr("imagerag.tools.sketch.generator.SketchGenerator.generate", down)
    for method in ("critique", "missing_concepts", "captions", "compare"):
        monkeypatch.setattr(f"imagerag.tools.judges.clip.judge.ClipJudge.{method}", down)
    replayed = await replay_evaluation(recorded, options(recorded.parent))
    assert replayed.identical
    assert replayed.differs is None
    assert (recorded / "replay" / "summary.json").read_bytes() == (recorded / "summary.json").read_bytes()


async def test_a_replay_says_what_differs(recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded, tmp_path / "copy")
    results = tmp_path / "copy" / RESULTS
    lines = results.read_text().splitlines()
    lines[5] = lines[5].replace('"status":"', '"reason":"changed","status":"', 1)
    results.write_text("\n".join(lines) + "\n")
    replayed = await replay_evaluation(tmp_path / "copy", options(tmp_path))
    assert not replayed.identical
    assert replayed.differs == Result.model_validate_json(lines[5]).key


def test_results_hold_no_pixels_and_no_times(recorded: Path) -> None:
    for line in (recorded / RESULTS).read_text().splitlines():
        read = json.loads(line)
        assert read["schema"] == "imagerag.result/1"
        assert not {"elapsed_s", "at", "started_at", "created"} & set(keys_of(read))
        assert all(len(text) < 5_000 for text in texts_of(read))
        assert all(call["request"] and "raw_response" in call for call in read["calls"])


def keys_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for item in value.values() for key in keys_of(item))]
    return [key for item in value for key in keys_of(item)] if isinstance(value, list) else []


def texts_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts_of(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts_of(item)]
    return [value] if isinstance(value, str) else []


def test_all_arms_of_a_case_start_from_the_same_picture(recorded: Path) -> None:
    starts: dict[str, set[str]] = {}
    for result in read_results(recorded / RESULTS):
        assert result.initial_image.image is not None
        starts.setdefault(result.case, set()).add(result.initial_image.image.sha256)
        assert result.attempts[0].image == result.initial_image.image
        if result.arm == "base":
            assert result.image == result.initial_image.image
            assert (result.retrievals, result.regenerations, result.calls) == (0, 0, ())
    assert {len(pictures) for pictures in starts.values()} == {1}


KILLED = """
import asyncio, sys
from pathlib import Path
from imagerag.evals.harness.evaluation import EvalOptions, run_evaluation
from imagerag.evals.harness.plan import Plan
from imagerag.store.data_dir import DataDir
folder = Path(sys.argv[1])
asyncio.run(run_evaluation(folder, Plan.read(folder), EvalOptions(users=DataDir(folder / "users"), concurrency=2)))
"""


def results_so_far(folder: Path) -> int:
    partial = folder / PARTIAL
    return partial.read_bytes().count(b"\n") if partial.exists() else 0


def test_killed_at_any_instant_and_resumed_it_is_the_same(recorded: Path, tmp_path: Path) -> None:
    folder = with_libraries_of(recorded / "home", tmp_path / "killed")
    sketch_plan().keep(folder)
    chance = random.Random(4)
    for least in (1, 6):  # results that there are at the kill; there are 24 in all
        with Python("-c", KILLED, folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and results_so_far(folder) < least:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.3))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert not (folder / RESULTS).exists()
    left_alone = asyncio.run(run_evaluation(folder, Plan.read(folder), options(folder, concurrency=2)))
    assert left_alone.whole
    assert (folder / RESULTS).read_bytes() == (recorded / RESULTS).read_bytes()


async def test_a_line_cut_off_by_a_kill_is_made_again(fakes: Any) -> None:
    plan = fakes.plan()
    _, whole = await fakes.run(plan)
    partial = fakes.folder / "out" / PARTIAL
    data = partial.read_bytes()
    for cut in (len(data) - 1, len(data) - 700, len(data) // 2, 10):
        partial.write_bytes(data[:cut])
        asked = len(fakes.judge.calls) + len(fakes.generator.calls)
        report, again = await fakes.run(plan)
        assert report.whole
        assert [result.line() for result in again] == [result.line() for result in whole]
        assert len(fakes.judge.calls) + len(fakes.generator.calls) == asked, "all of it was in the journal"


# -- what goes wrong -----------------------------------------------------------------------------------------------


async def test_failures_stay_in_and_are_told_apart(fakes: Any) -> None:
    def rule(prompt: str, image: ImagePart) -> Any:
        errors = {"a thing 1": RefusalError("no"), "a thing 2": BackendError("down", retryable=False)}
        return errors.get(prompt) or fakes.judged(prompt, image)

    fakes.rule = rule
    fakes.library = None
    _, results = await fakes.run(fakes.plan(fakes.suite(5), arms="base,full"))
    assert len(results) == 10
    full = {result.case: result for result in results if result.arm == "full"}
    assert [full[f"c{at}"].status for at in range(5)] == ["answered", "refused", "technical", "answered", "answered"]
    assert full["c2"].error == "BackendError"


async def test_without_anything_that_helps_the_initial_picture_is_the_answer(fakes: Any) -> None:
    fakes.library = ScriptedLibrary()
    fakes.library.plant("something else", title="something else")
    _, results = await fakes.run(fakes.plan(arms="base,full"))
    for result in results:
        assert result.image == result.initial_image.image
        assert result.status == ("no_reference" if result.arm == "full" else "kept_initial")


async def test_nothing_relevant_in_the_library_leaves_the_first_picture(irrelevant: Path, tmp_path: Path) -> None:
    whole = sketch_suite()
    alike = [case for case in whole.cases if case.id in ("crowded/0137", "alike/0208")]  # hexagons, among circles
    suite = whole.model_copy(update={"cases": (*whole.cases[:3], *alike)})
    setup = {"generator": "sketch", "judge": "sketch", "library": "sketch-irrelevant"}
    plan = Plan(suite=suite, arms=parse_arms("base,full"), setup=setup)
    out = with_libraries_of(irrelevant, tmp_path / "out")
    assert (await run_evaluation(out, plan, options(tmp_path))).whole
    found = [result for result in read_results(out / RESULTS) if result.arm == "full"]
    sent = [result.case for result in found if any(attempt.references for attempt in result.attempts)]
    assert [case.id for case in alike] == sent  # a circle passed for a hexagon where it was searched for
    assert [result.status for result in found] == ["no_reference"] * 5
    assert all(result.image == result.initial_image.image for result in found)


async def test_a_draft_that_is_refused_fails_every_arm_of_its_case(fakes: Any) -> None:
    fakes.generator.enqueue(RefusalError("not that"))
    report, results = await fakes.run(fakes.plan(fakes.suite(2)), concurrency=1)
    assert [r.status for r in results if r.case == "c0"] == ["refused"] * 3
    assert {r.status for r in results if r.case == "c1"} == {"answered", "kept_initial"}
    assert report.failed == 0


async def test_it_stops_when_everything_breaks_and_goes_on_later(fakes: Any) -> None:
    down = [BackendError("down", retryable=False)] * 4
    fakes.generator.enqueue(*down)
    plan = fakes.plan(fakes.suite(6))
    report, _ = await fakes.run(plan, concurrency=1, stop_after=4)
    assert (report.done, report.whole) == (12, False)
    assert "broke in 4 cases" in report.stopped
    report, _ = await fakes.run(plan)
    assert (report.whole, report.failed) == (True, 12)
    report, results = await fakes.run(plan, retry_failed=True)
    assert (report.whole, report.failed, len(results)) == (True, 0, 18)


@pytest.mark.parametrize(("limit", "told"), [({"max_calls": 6}, "model calls"), ({"max_cost_usd": 0.05}, "were spent")])
async def test_no_case_is_begun_over_the_budget(fakes: Any, limit: dict[str, Any], told: str) -> None:
    fakes.generator.enqueue(*(GeneratedImage(data=sample_image(f"a thing {at}//0"), cost_usd=0.03) for at in range(8)))
    report, results = await fakes.run(fakes.plan(fakes.suite(8), arms="base,full"), concurrency=1, **limit)
    assert told in report.stopped
    assert 0 < len(results) < 16
    report, results = await fakes.run(fakes.plan(fakes.suite(8), arms="base,full"))
    assert report.whole
    assert len(results) == 16


async def test_another_evaluation_in_the_same_folder_is_refused(fakes: Any) -> None:
    fakes.plan().keep(fakes.folder)
    fakes.plan().keep(fakes.folder)
    for other in (fakes.plan(arms="base,full"), fakes.plan(fakes.suite(3)), fakes.plan(shard="1/2")):
        with pytest.raises(UsageError, match="another evaluation"):
            other.keep(fakes.folder)


async def test_an_arm_that_cannot_be_made_is_said_before_anything_is_paid(fakes: Any) -> None:
    for arms in ("base,full+library=nowhere", "base,full+generator=nobody:x", "base,no.such.module:arm"):
        with pytest.raises(UsageError):
            await fakes.run(fakes.plan(arms=arms))
    assert fakes.generator.calls == []


# -- arms ----------------------------------------------------------------------------------------------------------


async def test_what_the_arms_search_with(fakes: Any) -> None:
    plan = fakes.plan(fakes.suite(1), arms="base,rephrase,prompt,concept,full,full+judge_mode=stepwise")
    _, results = await fakes.run(plan)
    asked = {r.arm: [(s.query.by, s.query.text) for s in r.searches] for r in results}
    assert asked["base"] == asked["rephrase"] == []
    assert asked["prompt"] == [("prompt", "a thing 0")]
    assert asked["concept"] == [("concept", "a thing 0")]
    assert asked["full"][0][0] == "caption"
    assert asked["full+judge_mode=stepwise"] == [("caption", "a detailed picture of a thing 0")]


async def test_a_judge_that_gives_no_answer_breaks_the_rephrased_arm_too(fakes: Any) -> None:
    fakes.judge = ScriptedJudge(lambda prompt, image: JudgeReplyError("what?", raw="hm"))
    fakes.judge.enqueue_rephrased(*[JudgeReplyError("what?", raw="hm")] * 2)
    suite = Suite(name="s", cases=(Case(id="c0", prompt="a thing 0"),))
    _, results = await fakes.run(fakes.plan(suite, arms="base,rephrase,full"))
    assert [result.status for result in results] == ["kept_initial", "technical", "technical"]
    assert [call["raw_response"] for call in results[1].calls] == ["hm", "hm"]


async def own_picture(job: ArmContext) -> bytes:
    """An arm of one's own."""
    return sample_image(f"mine/{job.case.prompt}/{job.seed}")


async def own_run(job: ArmContext) -> Any:
    return await job.run(max_rounds=0)


async def test_an_arm_of_ones_own(fakes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("own_arms")
    module.__dict__.update(picture=own_picture, run=own_run, sync=lambda job: b"")
    monkeypatch.setitem(sys.modules, "own_arms", module)
    _, results = await fakes.run(fakes.plan(fakes.suite(1), arms="base,own_arms:picture,own_arms:run"))
    assert results[1].status == "answered"
    assert results[1].image != results[0].image
    assert (results[2].outcome, results[2].retrievals) == ("best_effort", 0)
    with pytest.raises(UsageError, match="async def"):
        await fakes.run(fakes.plan(fakes.suite(1), arms="base,own_arms:sync"))


async def test_a_picture_handed_in_is_where_all_arms_start(fakes: Any) -> None:
    file = fakes.folder / "start.png"
    file.write_bytes(sample_image("start"))
    suite = fakes.suite(1, initial=CaseImage.of(file))
    _, results = await fakes.run(fakes.plan(suite, arms="base,full,first"))
    assert [result.initial_image.origin for result in results] == ["handed_in", "handed_in", "own"]
    assert results[0].image == results[1].attempts[0].image
    assert results[0].initial_image.calls == 0


async def test_the_cases_own_pictures_go_with_every_drawing_unless_an_arm_goes_without(fakes: Any) -> None:
    file = fakes.folder / "me.png"
    file.write_bytes(sample_image("me"))
    suite = fakes.suite(1, subjects=(CaseImage.of(file, "me"),))
    fakes.rule = lambda prompt, image: []
    await fakes.run(fakes.plan(suite, arms="base,full,no-subjects"))
    assert [len(call.references) for call in fakes.generator.calls] == [1, 0]


async def test_seeds_are_runs_of_their_own(fakes: Any) -> None:
    suite = fakes.suite(2).only(seeds=3)
    _, results = await fakes.run(fakes.plan(suite, arms="base,full"))
    assert [(r.case, r.seed, r.arm) for r in results] == fakes.plan(suite, arms="base,full").keys
    assert len({result.run_id for result in results}) == 12
    assert len({result.initial_image.image.sha256 for result in results if result.initial_image.image}) == 6


def test_arms_are_read() -> None:
    plain, changed = parse_arms("full,full+threshold=off+max_rounds=1+generator=openai:x?a=b+c")
    assert plain == BUILT_IN["full"][0]
    assert changed.config == {"threshold": "off", "max_rounds": 1}
    assert changed.setup == {"generator": "openai:x?a=b+c"}
    (fallback,) = parse_arms("full+judge=a:x,,b:y")
    assert fallback.setup == {"judge": "a:x,b:y"}
    for wrong in ("nothing", "full+colour=red", "full,full", "", "full+seed=3"):
        with pytest.raises(UsageError):
            parse_arms(wrong)


def test_arms_come_from_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "arms.toml"
    file.write_text(
        '[arms.strict]\nfrom = "full"\nthreshold = 0.4\n[arms.mine]\nrun = "a.b:c"\n[arms.x]\nfrom = "strict"\n'
    )
    strict, mine, more = parse_arms("strict,mine,x+max_rounds=1", file)
    assert (strict.config, mine.procedure) == ({"threshold": 0.4}, "a.b:c")
    assert more.config == {"threshold": 0.4, "max_rounds": 1}
    file.write_text("not toml")
    with pytest.raises(UsageError, match="not TOML"):
        parse_arms("full", file)


def test_an_arms_hash_is_of_what_it_does_not_of_its_name(fakes: Any) -> None:
    setup = fakes.plan().setup
    one, same, other = parse_arms("full,full+max_rounds=3,full+max_rounds=2")
    assert one.hash(setup) == same.hash(setup) != other.hash(setup)
    with pytest.raises(UsageError, match="max_rounds"):
        parse_arms("full+max_rounds=99")[0].hash(setup)


# -- memory and order ----------------------------------------------------------------------------------------------


async def test_no_more_than_so_many_cases_are_under_way(fakes: Any) -> None:
    under_way, most, three = 0, 0, asyncio.Event()
    real = fakes.generator.generate

    async def counted(*given: Any, **more: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if most == 3:
            three.set()
        async with asyncio.timeout(60):
            await three.wait()
        await asyncio.sleep(0.005)
        under_way -= 1
        return await real(*given, **more)

    fakes.generator.generate = counted  # type: ignore[method-assign]
    await fakes.run(fakes.plan(fakes.suite(12)), concurrency=3)
    assert most == 3


def test_a_store_gives_results_in_the_plans_order_and_takes_the_last_word(tmp_path: Path, recorded: Path) -> None:
    results = list(read_results(recorded / RESULTS))
    store = ResultsStore(tmp_path, [result.key for result in results])
    shuffled = random.Random(0).sample(results, len(results))
    store.add(shuffled, [])
    store.add([results[0].model_copy(update={"reason": "again"})], [])
    again = ResultsStore(tmp_path, [result.key for result in results])
    again.open()
    assert [result.key for result in again.read()] == [result.key for result in results]
    assert next(iter(again.read())).reason == "again"


async def test_a_run_that_somebody_else_makes_is_no_result(fakes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation whose run is being made elsewhere stops; what it says of itself is not an arm's failure."""
    from imagerag.graphs.runs.runner import Runner

    def taken(self: Runner, *_: Any, run_id: str, **__: Any) -> Any:
        raise RunStateError(f"run {run_id} is being made right now")

    monkeypatch.setattr(Runner, "start", taken)
    with pytest.raises(RunStateError, match="right now"):
        await fakes.run(fakes.plan(fakes.suite(3), arms="base,full"))
    assert results_so_far(fakes.folder / "out") == 0
    monkeypatch.undo()
    report, results = await fakes.run(fakes.plan(fakes.suite(3), arms="base,full"))
    assert report.whole
    assert {result.status for result in results} <= {"answered", "kept_initial"}
