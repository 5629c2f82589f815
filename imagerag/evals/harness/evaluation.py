"""Run, replay, score and merge evaluations, each in one folder."""

import asyncio
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from imagerag.agent.errors import BudgetExceededError, UsageError
from imagerag.agent.types import RunConfig, RunSpec
from imagerag.evals.check_record import CheckSummary
from imagerag.evals.dependencies import dependencies_for
from imagerag.evals.documents import EvalReplay
from imagerag.evals.harness.case_runner import Mode
from imagerag.evals.harness.checks import run_checks
from imagerag.evals.harness.encoder_independence import checked
from imagerag.evals.harness.plan import FILE, Plan
from imagerag.evals.harness.plan_pins import pinned
from imagerag.evals.harness.results_store import FILES as STORE_FILES
from imagerag.evals.harness.results_store import RESULTS, TIMINGS, ResultsStore
from imagerag.evals.harness.runner import EvalReport, EvalRunner, Progress, Warn
from imagerag.evals.harness.scoring import Scoring
from imagerag.evals.harness.summary import summarise, write_summary
from imagerag.evals.metrics.registry import MetricMaker
from imagerag.evals.metrics.vlm_scores import graded_id
from imagerag.evals.result_record import Result, lines_of, read_results
from imagerag.evals.statistics.estimators import require_scipy
from imagerag.graphs.configuration.trust_policy import check_named
from imagerag.store.data_dir import DataDir
from imagerag.store.journal import open_journal
from imagerag.store.output_dir_lock import exclusive_writer
from imagerag.store.trust_store import note_named

HOME = "home"
REPLAY = "replay"


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """Options of an evaluation that do not change its results.

    Attributes:
        users: the user's own home, which holds the libraries.
        retry_failed: run again the cases in which something failed.
        allow_same_encoder: measure by an encoder that also retrieves or judges, and mark what it says.
    """

    users: DataDir
    cache: Mode = "record"
    concurrency: int = 4
    max_calls: int | None = None
    max_cost_usd: float | None = None
    assume_cost_usd_per_call: float | None = None
    retry_failed: bool = False
    allow_same_encoder: bool = False
    progress: Progress = lambda count, total, what: None
    warn: Warn = lambda warnings: None


async def run_evaluation(folder: Path, plan: Plan, options: EvalOptions) -> EvalReport:
    """Run the cases of a plan that are not stored yet; write results and summary once all are.

    Raises:
        UsageError: the folder holds another evaluation, or an arm or metric cannot be made.
        MissingExtraError: SciPy is not installed.
    """
    if options.cache == "replay":
        raise UsageError("replay_evaluation replays: it writes beside the results instead of over them")
    require_scipy()
    with exclusive_writer(folder):
        store = ResultsStore(folder, plan.keys)
        runner = await _runner(folder, plan, options, store, options.cache)
        plan = runner.plan
        plan.keep(folder)
        for spec in plan.user_chosen_specs:
            await asyncio.to_thread(note_named, spec)
        report = await runner.run()
        checks = plan.suite.checks
        check_results = await run_checks(folder, checks, runner) if checks and report.whole else None
        if report.whole:
            _finish(folder, plan, store, check_results)
    return report


async def replay_evaluation(folder: Path, options: EvalOptions) -> EvalReplay:
    """Run a recorded evaluation again without calling any model, into `replay/`, and compare the results.

    Raises:
        UntrustedError: the plan names code or a backend that only the user may name.
        UsageError: the folder holds no finished evaluation.
    """
    plan = Plan.read(folder)
    await asyncio.to_thread(check_named, str(folder / FILE), plan.user_chosen_specs)
    with exclusive_writer(folder):
        return await _replayed(folder, plan, options)


async def _replayed(folder: Path, plan: Plan, options: EvalOptions) -> EvalReplay:
    recorded = folder / RESULTS
    carried = {result.key: result for result in read_results(recorded) if result.status == "technical"}
    target = folder / REPLAY
    shutil.rmtree(target, ignore_errors=True)
    store = ResultsStore(target, plan.keys)
    # Metrics that were allowed despite a shared encoder are marked in the recorded names.
    runner = await _runner(folder, plan, replace(options, allow_same_encoder=True), store, "replay")
    runner.carried, runner.stop_after = carried, 10**9
    report = await runner.run()
    _finish(target, runner.plan, store)
    differs = _first_difference(recorded, target / RESULTS)
    return EvalReplay(results=report.total, identical=differs is None, differs=differs, carried=len(carried))


async def score_evaluation(folder: Path, target: Path, specs: Sequence[str], options: EvalOptions) -> int:
    """Compute other metrics of a finished evaluation, without generating or judging again.

    Args:
        folder: the evaluation; only its journal changes, which stores the graders' responses.
        target: the folder for the results with the new scores only; earlier results in it are replaced.
        specs: the metrics.

    Returns:
        The number of results.

    Raises:
        UsageError: the folder holds no finished evaluation, `target` is that folder, or a metric is unknown.
    """
    plan = Plan.read(folder)
    if not (folder / RESULTS).is_file():
        raise UsageError(f"{folder} holds no finished evaluation: run it to its end first")
    if target.resolve() == folder.resolve():
        raise UsageError("the new scores need a folder of their own: what a run recorded is not rewritten")
    with exclusive_writer(target):
        return await _score_results(folder, target, plan, specs, options)


async def _score_results(folder: Path, target: Path, plan: Plan, specs: Sequence[str], options: EvalOptions) -> int:
    recorded = folder / RESULTS
    for name in (FILE, *STORE_FILES):
        (target / name).unlink(missing_ok=True)
    measured = plan.model_copy(update={"metrics": tuple(specs)})
    runner = await _runner(folder, measured, options, ResultsStore(target, plan.keys), options.cache)
    measured.keep(target)
    cases = {case.id: case for case in plan.mine}
    scoring, count = Scoring(runner.dependencies, runner.metrics), 0
    async with runner.dependencies.working():
        for name, group in groupby(read_results(recorded), key=lambda result: result.case):
            scored = await scoring.scored(cases[name], list(group))
            runner.store.add(scored, [])
            count += len(scored)
            options.progress(count, len(plan.keys), name)
            if count < len(plan.keys) and (why := runner.add_graded(scored)):
                raise BudgetExceededError(f"{why}; the same command with more allowed goes on, and pays nothing twice")
    await asyncio.to_thread(_copy_images, folder / HOME / "blobs", target / HOME / "blobs")
    _finish(target, measured, runner.store)
    return count


async def _runner(folder: Path, plan: Plan, options: EvalOptions, store: ResultsStore, cache: Mode) -> EvalRunner:
    dependencies = dependencies_for(DataDir(folder / HOME), options.users, plan.suite.libraries)
    judges = frozenset(arm.of(plan.setup, seed=0, cache="record").judge for arm in plan.arms)
    maker = MetricMaker(dependencies, judges, RunConfig(cache=cache))
    metrics = await checked(maker.all(plan.metrics), plan, dependencies, allow=options.allow_same_encoder)
    return EvalRunner(
        plan=await pinned(plan, dependencies),
        dependencies=dependencies,
        metrics=metrics,
        store=store,
        graded=maker.graded,
        cache=cache,
        concurrency=options.concurrency,
        retry_failed=options.retry_failed,
        max_calls=options.max_calls,
        max_cost_usd=options.max_cost_usd,
        assume_cost_usd_per_call=options.assume_cost_usd_per_call,
        progress=options.progress,
        warn=options.warn,
    )


def _finish(folder: Path, plan: Plan, store: ResultsStore, checks: CheckSummary | None = None) -> None:
    store.finish()
    write_summary(folder, summarise(plan, read_results(folder / RESULTS), checks))


def _first_difference(one: Path, other: Path) -> tuple[str, int, str] | None:
    lines = zip(lines_of(one), lines_of(other), strict=True)
    difference = next((line for line, again in lines if line != again), None)
    return Result.model_validate_json(difference).key if difference else None


async def merge_evaluations(folders: Sequence[Path], target: Path) -> EvalReport:
    """Merge the shards of one evaluation: results in order, images, and the summary.

    Raises:
        UsageError: the folders are not shards of the same evaluation, or a shard is missing.
    """
    plans = [Plan.read(folder) for folder in folders]
    first = plans[0]
    for folder, plan in zip(folders, plans, strict=True):
        if plan.identity != first.identity or plan.shard.of != first.shard.of:
            raise UsageError(f"{folder} is no shard of the evaluation in {folders[0]}")
    numbers = sorted(plan.shard.number for plan in plans)
    if numbers != list(range(1, first.shard.of + 1)):
        raise UsageError(f"these are the shards {numbers} of {first.shard.of}: give each of them once")
    with exclusive_writer(target):
        return await _merged(folders, first.model_copy(update={"shard": type(first.shard)()}), target)


async def _merged(folders: Sequence[Path], whole: Plan, target: Path) -> EvalReport:
    whole.keep(target)
    store = ResultsStore(target, whole.keys)
    store.open()
    for folder in folders:
        times = {_time_key(line): line for line in lines_of(folder / TIMINGS)}
        for _, group in groupby(read_results(folder / RESULTS), key=lambda result: result.case):
            results = [result for result in group if not store.has([result.key])]
            store.add(results, [_loads(times[result.key]) for result in results if result.key in times])
        await _copy_journal(DataDir(folder / HOME), DataDir(target / HOME), read_results(folder / RESULTS))
        await asyncio.to_thread(_copy_images, folder / HOME / "blobs", target / HOME / "blobs")
    _finish(target, whole, store)
    return EvalReport(done=store.count, total=len(whole.keys))


async def _copy_journal(source: DataDir, target: DataDir, results: Iterable[Result]) -> None:
    """Copy the journal entries of these results, so that the merged evaluation can be replayed."""
    async with open_journal(source.store) as old, open_journal(target.store) as new:
        run_ids: set[str] = {""}
        for result in results:
            for run_id in (result.initial_image.run_id, result.run_id, graded_id(result.run_id)):
                if run_id not in run_ids:
                    run_ids.add(run_id)
                    for entry in (await old.of_run(run_id))[0]:
                        await new.keep(entry)


def _copy_images(source: Path, target: Path) -> None:
    for file in source.glob("??/*"):
        there = target / file.parent.name / file.name
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, there)


def _time_key(line: str) -> tuple[str, int, str]:
    row = _loads(line)
    return row["case"], row["seed"], row["arm"]


def _loads(line: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(line)
    return row


def setup_for(generator: str, judge: str, library: str | None, config: RunConfig | None = None) -> RunSpec:
    """The default setup of all arms."""
    return RunSpec(generator=generator, judge=judge, library=library, config=config or RunConfig())
