"""Runs an evaluation: every case with every arm and seed, scored, kept as it goes.

Killed at any instant it is gone on with: cases that are whole are passed over, and what models answered for the others
is in the journal. With `journal="replay"` no model is called at all.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from imagerag.agent.calls import calls_of
from imagerag.agent.endings import ending_for
from imagerag.agent.errors import BlobError, ImageRAGError, UsageError
from imagerag.agent.record import RunRecord, run_record
from imagerag.agent.types import ImageRef, Subject
from imagerag.evals.answering import Job, procedure_of
from imagerag.evals.arms import Arm
from imagerag.evals.ledger import Ledger
from imagerag.evals.metrics.base import AcrossSeeds, Metric, Sample
from imagerag.evals.parts import EvalWiring
from imagerag.evals.plan import Plan
from imagerag.evals.results import SCORED, Initial, Result, Score, call_lines, status_of
from imagerag.evals.suites.case import Case

Mode = Literal["record", "reuse", "replay"]
Tell = Callable[[int, int, str], None]
"""Called with results done, results in all, and what was done last."""

STOP_AFTER: Final = 10
"""Cases in a row in which every arm broke, after which an evaluation stops: something is down."""


@dataclass
class Report:
    """How an evaluation stands when it stops.

    Attributes:
        stopped: why it stopped early; empty when it is whole.
        seconds: of the runs themselves, summed; the harness's own time is not in it.
    """

    done: int = 0
    total: int = 0
    failed: int = 0
    cost_usd: float = 0.0
    calls: int = 0
    stopped: str = ""
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether every result is there."""
        return self.done == self.total


@dataclass
class Harness:
    """One evaluation under way.

    Attributes:
        plan: what is asked.
        wiring: makes the parts; its home is the evaluation's own folder.
        metrics: what is measured.
        concurrency: cases at a time.
        max_calls, max_cost_usd: of the whole evaluation; no case is begun once they are reached.
        stop_after: broken cases in a row after which it stops.
        retry_failed: do those cases again in which something broke.
        carried: results of broken runs to take over in a replay: a call that got no answer cannot be replayed.
    """

    plan: Plan
    wiring: EvalWiring
    metrics: Sequence[Metric]
    ledger: Ledger
    journal: Mode = "record"
    concurrency: int = 4
    max_calls: int | None = None
    max_cost_usd: float | None = None
    stop_after: int = STOP_AFTER
    retry_failed: bool = False
    carried: Mapping[tuple[str, int, str], Result] = field(default_factory=dict)
    tell: Tell = lambda done, total, what: None
    report: Report = field(default_factory=Report)
    _broken: int = 0

    async def run(self) -> Report:
        """Do what is not done yet.

        Raises:
            UsageError: an arm that cannot be made: an unknown library, a backend that does not exist.
        """
        self.ledger.open()
        if self.retry_failed:
            self.ledger.drop_failed()
        self.report.total, self.report.done = len(self.plan.keys), self.ledger.count
        for result in self.ledger.read():
            self._book(result)
        async with self.wiring.working():
            if not self.ledger.whole:
                for arm in self.plan.arms:
                    procedure_of(arm)
                    await self.wiring.parts(arm.of(self.plan.setup, seed=0, journal=self.journal))
            waiting = self._waiting()
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, self.concurrency)):
                    group.create_task(self._work(waiting))
        return self.report

    def _waiting(self) -> Iterator[Case]:
        for case in self.plan.mine:
            if not self.ledger.has(self._keys(case)):
                yield case

    def _keys(self, case: Case) -> list[tuple[str, int, str]]:
        return [(case.id, seed, arm.name) for seed in case.seeds for arm in self.plan.arms]

    async def _work(self, waiting: Iterator[Case]) -> None:
        for case in waiting:
            if self._spent():
                return
            results, times = await self.case(case)
            self.ledger.add(results, times)
            for result in results:
                self._book(result)
            self.report.done = self.ledger.count
            self._broken = self._broken + 1 if all(r.status == "technical" for r in results) else 0
            self.tell(self.report.done, self.report.total, case.id)

    def _book(self, result: Result) -> None:
        first = result.arm == self.plan.arms[0].name
        self.report.failed += result.status == "technical"
        self.report.calls += len(result.calls) + first * result.initial.calls
        self.report.cost_usd += (result.cost_usd or 0) + first * (result.initial.cost_usd or 0)

    def _spent(self) -> bool:
        """Whether no further case may be begun; the reason is kept."""
        if self.max_calls is not None and self.report.calls >= self.max_calls:
            self.report.stopped = f"{self.report.calls} model calls were made, of {self.max_calls} allowed"
        elif self.max_cost_usd is not None and self.report.cost_usd >= self.max_cost_usd > 0:
            spent, limit = self.report.cost_usd, self.max_cost_usd
            self.report.stopped = f"${spent:.4f} were spent, of ${limit:g} allowed"
        elif self._broken >= self.stop_after:
            self.report.stopped = f"every arm broke in {self._broken} cases in a row"
        return bool(self.report.stopped)

    async def case(self, case: Case) -> tuple[list[Result], list[dict[str, Any]]]:
        """All arms and seeds of a case, scored."""
        found: list[Result] = []
        times: list[dict[str, Any]] = []
        subjects = tuple([Subject(image=await self._put(p.path), name=p.name) for p in case.subjects])
        for seed in case.seeds:
            starts: dict[str, Initial] = {}
            for arm in self.plan.arms:
                result, told = await self._answer(case, seed, arm, subjects, starts)
                found.append(result)
                times.append(told)
                await self._keep_references(result)
        return await self._scored(case, found), times

    async def _answer(
        self, case: Case, seed: int, arm: Arm, subjects: tuple[Subject, ...], starts: dict[str, Initial]
    ) -> tuple[Result, dict[str, Any]]:
        setup = arm.of(self.plan.setup, seed=seed, journal=self.journal)
        arm_hash = arm.hash(self.plan.setup)
        job = Job(
            case=case,
            seed=seed,
            setup=setup,
            wiring=self.wiring,
            run_id=named(self.plan.suite.hash, case.id, seed, arm_hash),
            subjects=subjects if arm.subjects else (),
        )
        start = named(setup.generator, setup.knobs.size, arm.subjects, self.plan.suite.hash, case.id, seed, "start")
        if start not in starts and not arm.own_start:
            starts[start] = await self._start(job, start)
        initial = Initial(origin="own") if arm.own_start else starts[start]
        began = time.perf_counter()
        record = await self._record(arm, job, initial)
        took = time.perf_counter() - began
        self.report.seconds += took
        result = result_of(self.plan, case, arm, arm_hash, seed, record, initial)
        if result.status == "technical" and (carried := self.carried.get(result.key)):
            result = carried
        return result, timing(result, record, took)

    async def _record(self, arm: Arm, job: Job, initial: Initial) -> RunRecord:
        if initial.error:
            ending = ending_for(_failure(initial.error), "generate")
            return run_record(job.run_id, {"prompt": job.case.prompt, "ending": ending, "setup": job.setup})
        job.initial = initial.image
        try:
            return await procedure_of(arm)(job)
        except ImageRAGError as error:
            state = {
                "prompt": job.case.prompt,
                "ending": ending_for(error, "generate"),
                "calls": [*(job.calls.made if job.calls else []), *calls_of(error)],
                "setup": job.setup,
            }
            return run_record(job.run_id, state)

    async def _start(self, job: Job, run_id: str) -> Initial:
        """The picture that arms start from: the case's own, or one that is drawn now."""
        if job.case.initial is not None:
            return Initial(image=await self._put(job.case.initial.path), origin="handed_in")
        drawing = Job(job.case, job.seed, job.setup, self.wiring, run_id, subjects=job.subjects)
        try:
            attempt = await drawing.draw(job.case.prompt)
        except ImageRAGError as error:
            return Initial(generator=job.setup.generator, run_id=run_id, error=f"{type(error).__name__}: {error}")
        made = [call for call in drawing.booked().made if call.answered]
        costs = [call.cost_usd for call in made]
        cost = None if None in costs else sum(cost for cost in costs if cost is not None)
        return Initial(image=attempt.image, generator=attempt.generator, run_id=run_id, cost_usd=cost, calls=len(made))

    async def _keep_references(self, result: Result) -> None:
        """Keep the library pictures that were sent beside the drawn ones: the folder needs no library to be shown."""
        name = result.setup.library
        sent = {r.image.sha256 for a in result.attempts for r in a.references if r.role == "reference"}
        for sha256 in sorted(sent):
            if name and not self.wiring.blobs.path(sha256).exists():
                with suppress(BlobError):
                    await self.wiring.blobs.put(await (await self.wiring.library(name)).image_bytes(sha256))

    async def _put(self, path: str) -> ImageRef:
        try:
            data = await asyncio.to_thread(Path(path).read_bytes)
        except OSError as error:
            raise UsageError(f"cannot read the picture {path}: {error.strerror or error}") from error
        return await self.wiring.blobs.put(data)

    async def _scored(self, case: Case, results: Sequence[Result]) -> list[Result]:
        samples = [await self._sample(case, result) for result in results]
        scored = [await measured(sample, self.metrics) for sample in samples]
        for metric in self.metrics:
            if isinstance(metric, AcrossSeeds) and len(case.seeds) > 1:
                for arm in self.plan.arms:
                    mine = [at for at, result in enumerate(scored) if result.arm == arm.name]
                    more = await metric.across([samples[at] for at in mine])
                    for at in mine:
                        scored[at] = scored[at].model_copy(update={"scores": {**scored[at].scores, **more}})
        return scored

    async def _sample(self, case: Case, result: Result) -> Sample:
        image = result.image if result.status in SCORED else None
        start = result.initial.image
        try:
            data = await self.wiring.blobs.get(image.sha256) if image else None
            first = await self.wiring.blobs.get(start.sha256) if start else None
        except BlobError:
            data = first = None
        return Sample(case=case, result=result, wiring=self.wiring, image=data, initial=first)


async def measured(sample: Sample, metrics: Sequence[Metric]) -> Result:
    """The result with its scores; what could not be measured is None, and says why."""
    scores: dict[str, Score] = {}
    unscored: dict[str, str] = {}
    for metric in metrics:
        if metric.needs_image and sample.image is None:
            scores[metric.spec], unscored[metric.spec] = None, f"no picture: {sample.result.status}"
            continue
        try:
            scores |= await metric.measure(sample)
        except ImageRAGError as error:
            scores[metric.spec], unscored[metric.spec] = None, f"{type(error).__name__}: {error}"
    return sample.result.model_copy(update={"scores": scores, "unscored": unscored})


def result_of(
    plan: Plan, case: Case, arm: Arm, arm_hash: str, seed: int, record: RunRecord, initial: Initial
) -> Result:
    """What is kept of a run."""
    status = status_of(record, initial.image)
    image = ImageRef(**record.image.model_dump(exclude={"path"})) if record.image else None
    return Result(
        suite=plan.suite.told,
        case=case.id,
        arm=arm.name,
        arm_hash=arm_hash,
        seed=seed,
        tags=case.tags,
        prompt=case.prompt,
        setup=arm.of(plan.setup, seed=seed, journal="record"),
        run_id=record.run_id,
        status=status,
        outcome=None if arm.procedure == "keep" and image else record.outcome,
        reason=record.reason,
        error=record.error,
        initial=initial,
        image=image,
        best_attempt=record.best_attempt,
        retrievals=len(record.searches),
        regenerations=max(0, len(record.attempts) - 1),
        requirements=tuple(record.requirements),
        attempts=tuple(record.attempts),
        concepts=tuple(record.concepts),
        searches=tuple(record.searches),
        unresolved=tuple(record.unresolved),
        calls=call_lines(record.call_log),
        cost_usd=record.cost_usd,
    )


def timing(result: Result, record: RunRecord, took: float) -> dict[str, Any]:
    """What a run took, and the tries that got no answer."""
    lost = [{"role": c.role, "backend": c.backend, "error": c.error} for c in record.call_log if not c.answered]
    calls = [[call.role, round(call.elapsed_s, 4)] for call in record.call_log]
    head = {"case": result.case, "seed": result.seed, "arm": result.arm}
    return {**head, "elapsed_s": round(took, 4), "calls": calls, "unanswered": lost}


def named(*parts: object) -> str:
    """An id that is the same for the same parts."""
    return f"ev-{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"


def _failure(text: str) -> Exception:
    """The error whose class and message were kept."""
    from imagerag.agent import errors

    kind, _, message = text.partition(": ")
    found = getattr(errors, kind, errors.ImageRAGError)
    made: Exception = found(message)
    return made
