"""Run an evaluation: every case with every arm and seed; each case is scored and stored when it ends.

After a kill at any instant it can be resumed: complete cases are skipped, and the responses for the others are in the
journal. With `cache="replay"` no model is called.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from imagerag.evals.check_record import Check, run_id_of
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.harness.arm_procedures import procedure_of
from imagerag.evals.harness.case_runner import CaseRunner, Mode
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.results_store import ResultsStore
from imagerag.evals.harness.scoring import Scoring
from imagerag.evals.metrics.base import Metric
from imagerag.evals.metrics.vlm_scores import GradingCalls, graded_id
from imagerag.evals.result_record import Result
from imagerag.evals.suites.case import Case
from imagerag.formatting.numbers import dollars
from imagerag.graphs.mismatch_warnings import warnings_of_many

Progress = Callable[[int, int, str], None]
"""Called with results done, results in all, and what was done last."""

Warn = Callable[[Sequence[str]], None]
"""Called before anything is drawn or paid, with what is likely to go wrong."""

STOP_AFTER: Final = 10
"""Number of consecutive cases with an error in every arm after which an evaluation stops."""


@dataclass
class EvalReport:
    """Progress, calls and cost of an evaluation.

    Attributes:
        cost_usd: US dollars of all calls with a known price.
        assumed_usd: US dollars assumed for calls whose price is not known.
        unknown_cost_calls: number of calls whose price is not known and for which nothing was assumed.
        stopped: the reason for stopping early; empty for a complete evaluation.
        seconds: total time of the runs, without the harness's own time.
    """

    done: int = 0
    total: int = 0
    failed: int = 0
    cost_usd: float = 0.0
    assumed_usd: float = 0.0
    unknown_cost_calls: int = 0
    calls: int = 0
    stopped: str = ""
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether all results are stored."""
        return self.done == self.total and not self.stopped


@dataclass
class EvalRunner:
    """Runs one evaluation.

    Attributes:
        plan: the plan of the evaluation.
        dependencies: makes backends and libraries; its home is the evaluation's own folder.
        metrics: the metrics to compute.
        concurrency: number of cases that run at once.
        max_calls, max_cost_usd: limits of the whole evaluation; no case starts once one is reached.
        assume_cost_usd_per_call: US dollars to count for a call whose price is not known.
        stop_after: number of failed cases in a row after which the evaluation stops.
        retry_failed: run again the cases in which something failed.
        carried: results of broken runs, copied in a replay: a call without a response cannot be replayed.
        graded: calls of the grading metrics; they count towards the limits like every other call.
    """

    plan: Plan
    dependencies: EvalDependencies
    metrics: Sequence[Metric]
    store: ResultsStore
    cache: Mode = "record"
    concurrency: int = 4
    max_calls: int | None = None
    max_cost_usd: float | None = None
    assume_cost_usd_per_call: float | None = None
    stop_after: int = STOP_AFTER
    retry_failed: bool = False
    carried: Mapping[tuple[str, int, str], Result] = field(default_factory=dict)
    graded: GradingCalls = field(default_factory=GradingCalls)
    progress: Progress = lambda count, total, what: None
    warn: Warn = lambda warnings: None
    report: EvalReport = field(default_factory=EvalReport)
    _broken: int = 0
    _unanswered: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict, repr=False)

    async def run(self) -> EvalReport:
        """Run the cases that are not stored yet.

        Raises:
            UsageError: an arm cannot be set up: an unknown library or backend.
        """
        self.store.open()
        if self.retry_failed:
            self.store.drop_failed()
        self.report.total, self.report.done = len(self.plan.keys), self.store.count
        run_ids: set[str] = set()
        for result in self.store.read():
            self._add_result(result)
            run_ids |= runs_of(result)
        for entry in self.store.read_times():
            self._add_calls([*(entry.get("unanswered") or []), *(entry.get("graded") or [])])
        async with self.dependencies.working():
            await self._add_unanswered(run_ids)
            if not self.store.whole:
                await self._check_arms()
            await self._work_together()
        return self.report

    async def _work_together(self) -> None:
        waiting = self._waiting()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, self.concurrency)):
                    group.create_task(self._work(waiting))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None  # raise the first error, which cancelled the other tasks

    async def _check_arms(self) -> None:
        """Set up the backends and library of every arm once, and warn of likely problems."""
        setups = {arm.name: arm.of(self.plan.setup, seed=0, cache=self.cache) for arm in self.plan.arms}
        for arm in self.plan.arms:
            procedure_of(arm)
            await self.dependencies.parts(setups[arm.name])
        if self.cache != "replay":
            prompts = [case.prompt for case in self.plan.mine]
            self.warn(await warnings_of_many(self.dependencies, [(setup, prompts) for setup in setups.values()]))

    def _waiting(self) -> Iterator[Case]:
        for case in self.plan.mine:
            if not self.store.has(self._keys(case)):
                yield case

    def _keys(self, case: Case) -> list[tuple[str, int, str]]:
        return [(case.id, seed, arm.name) for seed in case.seeds for arm in self.plan.arms]

    async def _work(self, waiting: Iterator[Case]) -> None:
        for case in waiting:
            if self._limit_reached():
                return
            results, times = await self.case(case)
            self.report.seconds += sum(entry["elapsed_s"] for entry in times)
            self.store.add(results, times)
            for result in results:
                self._add_result(result)
                for run_id in sorted(runs_of(result)):  # from now on the case's own result counts them
                    self._add_calls(self._unanswered.pop(run_id, []), sign=-1)
            for entry in times:
                self._add_calls([*entry["unanswered"], *entry["graded"]])
            self.report.done = self.store.count
            self._broken = self._broken + 1 if all(r.status == "technical" for r in results) else 0
            self.progress(self.report.done, self.report.total, case.id)

    def _add_result(self, result: Result) -> None:
        first = result.arm == self.plan.arms[0].name
        self.report.failed += result.status == "technical"
        calls = [{"requests": call.get("requests", 1), "usd": call["cost_usd"]} for call in result.calls]
        initial = result.initial_image
        if first and initial.calls:
            calls.append({"requests": initial.calls, "usd": initial.cost_usd})
        self._add_calls(calls)

    async def _add_unanswered(self, run_ids: Collection[str]) -> None:
        """Add the calls without a response of processes that were killed in the middle of a case."""
        for failed_call in await self.dependencies.held_journal.all_unanswered():
            if failed_call.run_id not in run_ids:
                call = failed_call.call
                cost = {"requests": call.requests, "usd": call.counted_usd if call.counts else 0.0}
                self._unanswered.setdefault(failed_call.run_id, []).append(cost)
                self._add_calls([cost])

    def _add_calls(self, calls: Iterable[Mapping[str, Any]], *, sign: int = 1) -> None:
        """Add calls to the report, each with its `requests` and US dollars (`usd`, None where the price is not known).

        Args:
            sign: -1 subtracts calls that were added before.
        """
        per_request = self.assume_cost_usd_per_call
        for call in calls:
            usd, requests = call.get("usd", 0.0), call.get("requests", 1)
            self.report.calls += sign * requests
            if usd is None and per_request is None:
                self.report.unknown_cost_calls += sign
            elif usd is None:
                usd = requests * per_request
                self.report.assumed_usd += sign * usd
            self.report.cost_usd += sign * (usd or 0.0)

    def _limit_reached(self) -> bool:
        """Whether no further case may begin; stores the reason in the report."""
        if self.max_calls is not None and self.report.calls >= self.max_calls:
            self.report.stopped = f"{self.report.calls} model calls were made, of {self.max_calls} allowed"
        elif self.max_cost_usd is not None and self.report.cost_usd >= self.max_cost_usd > 0:
            spent, limit = self.report.cost_usd, self.max_cost_usd
            self.report.stopped = f"{dollars(spent)} were spent, of {dollars(limit)} allowed"
        elif self.max_cost_usd is not None and self.report.unknown_cost_calls:
            self.report.stopped = (
                f"the prices of {self.report.unknown_cost_calls} calls are not known, "
                f"so a budget of ${self.max_cost_usd:g} "
                "cannot be kept: say `assume_cost_usd_per_call=X`, or write them down with imagerag prices set"
            )
        elif self._broken >= self.stop_after:
            self.report.stopped = f"every arm broke in {self._broken} cases in a row"
        return bool(self.report.stopped)

    async def case(self, case: Case) -> tuple[list[Result], list[dict[str, Any]]]:
        """Run a case with all arms and seeds; returns the scored results and their times."""
        results, times = await CaseRunner(self.plan, self.dependencies, self.cache, self.carried).answers(case)
        scored = await Scoring(self.dependencies, self.metrics).scored(case, results)
        return scored, [
            {**entry, "graded": self.graded.pop(result.run_id)} for entry, result in zip(times, scored, strict=True)
        ]

    def add_check(self, check: Check) -> None:
        """Add a check's calls to the report; calls of its run that a killed process made are included."""
        self._add_calls(self._unanswered.pop(run_id_of(check.id), []), sign=-1)
        # The check has only a total: where the price of one call is not known, all its calls count as unpriced.
        unknown = check.cost_usd is None
        calls = [{"usd": None}] * check.calls if unknown else [{"requests": check.calls, "usd": check.cost_usd}]
        self._add_calls(calls)

    def spent(self) -> str:
        """The reason why the budget is spent; empty while it is not."""
        return self.report.stopped if self._limit_reached() else ""

    def add_graded(self, results: Sequence[Result]) -> str:
        """Add the grading calls for these results; returns the reason why the budget is spent, or an empty string."""
        for result in results:
            self._add_calls(self.graded.pop(result.run_id))
        return self.spent()


def runs_of(result: Result) -> set[str]:
    """The run ids of a result's calls in the journal: those of the run, of its initial image and of its graders."""
    return {result.run_id, result.initial_image.run_id, graded_id(result.run_id)}
