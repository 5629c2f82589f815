"""Run one case with every arm and seed, and make its results."""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from imagerag.agent.calls.error_calls import calls_from_error
from imagerag.agent.errors import BlobError, ImageRAGError, RunStateError, UsageError
from imagerag.agent.outcomes import result_from_error
from imagerag.agent.regular_files import read_regular
from imagerag.agent.run_record import RunRecord, run_record
from imagerag.agent.types import ImageRef, ModelCall, Subject
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.harness.arm_context import ArmContext
from imagerag.evals.harness.arm_procedures import procedure_of
from imagerag.evals.harness.arms import Arm
from imagerag.evals.harness.plan import Plan
from imagerag.evals.result_record import InitialImage, Result, call_lines, status_of
from imagerag.evals.suites.case import Case

Mode = Literal["record", "reuse", "replay"]


@dataclass(frozen=True)
class CaseRunner:
    """Runs cases.

    Attributes:
        carried: results of broken runs, copied in a replay: a call without a response cannot be replayed.
    """

    plan: Plan
    dependencies: EvalDependencies
    cache: Mode = "record"
    carried: Mapping[tuple[str, int, str], Result] = field(default_factory=dict)
    _unanswered: list[ModelCall] = field(default_factory=list)
    """Calls without a response for an initial image; they are in the times of the first arm that starts from it."""

    async def answers(self, case: Case) -> tuple[list[Result], list[dict[str, Any]]]:
        """Run all arms with all seeds; returns the results and their times."""
        results: list[Result] = []
        times: list[dict[str, Any]] = []
        subjects = tuple([Subject(image=await self._put(p.path), name=p.name) for p in case.subjects])
        for seed in case.seeds:
            starts: dict[str, InitialImage] = {}
            for arm in self.plan.arms:
                result, entry = await self._answer(case, seed, arm, subjects, starts)
                results.append(result)
                times.append(entry)
                await self._keep_references(result)
        return results, times

    async def _answer(
        self, case: Case, seed: int, arm: Arm, subjects: tuple[Subject, ...], starts: dict[str, InitialImage]
    ) -> tuple[Result, dict[str, Any]]:
        setup = arm.of(self.plan.setup, seed=seed, cache=self.cache)
        arm_hash = arm.hash(self.plan.setup)
        job = ArmContext(
            case=case,
            seed=seed,
            setup=setup,
            dependencies=self.dependencies,
            run_id=result_name(self.plan.suite.hash, case.id, seed, arm_hash),
            subjects=subjects if arm.subjects else (),
        )
        start = result_name(
            setup.generator, setup.config.size, arm.subjects, self.plan.suite.hash, case.id, seed, "start"
        )
        if start not in starts and not arm.own_start:
            starts[start] = await self._start(job, start)
        initial = InitialImage(origin="own") if arm.own_start else starts[start]
        began = time.perf_counter()
        record = await self._record(arm, job, initial)
        took = time.perf_counter() - began
        result = result_of(self.plan, case, arm, arm_hash, seed, record, initial)
        if result.status == "technical" and (carried := self.carried.get(result.key)):
            result = carried
        entry = timing(result, record, took, self._unanswered)
        self._unanswered.clear()
        return result, entry

    async def _record(self, arm: Arm, job: ArmContext, initial: InitialImage) -> RunRecord:
        if initial.error:
            result = result_from_error(_failure(initial.error), "generate")
            return run_record(job.run_id, {"prompt": job.case.prompt, "result": result, "setup": job.setup})
        job.initial = initial.image
        try:
            return await procedure_of(arm)(job)
        except RunStateError:
            raise  # another process is making this run: that is no result of the arm
        except ImageRAGError as error:
            calls = job.calls.made if job.calls else []
            state = {
                "prompt": job.case.prompt,
                "result": result_from_error(error, "generate"),
                "calls": [*calls, *(call for call in calls_from_error(error) if all(call is not one for one in calls))],
                "setup": job.setup,
            }
            return run_record(job.run_id, state)

    async def _start(self, job: ArmContext, run_id: str) -> InitialImage:
        """Get the initial image: that of the case, or a new one."""
        if job.case.initial is not None:
            return InitialImage(image=await self._put(job.case.initial.path), origin="handed_in")
        drawing = ArmContext(job.case, job.seed, job.setup, self.dependencies, run_id, subjects=job.subjects)
        try:
            attempt = await drawing.draw(job.case.prompt)
        except ImageRAGError as error:
            self._unanswered.extend(call for call in drawing.model_caller().made if not call.completed)
            return InitialImage(generator=job.setup.generator, run_id=run_id, error=f"{type(error).__name__}: {error}")
        calls = [call for call in drawing.model_caller().made if call.completed]
        self._unanswered.extend(call for call in drawing.model_caller().made if not call.completed)
        costs = [call.cost_usd for call in calls]
        cost = None if None in costs else sum(cost for cost in costs if cost is not None)
        return InitialImage(
            image=attempt.image,
            generator=attempt.generator,
            run_id=run_id,
            cost_usd=cost,
            calls=sum(call.requests for call in calls),
        )

    async def _keep_references(self, result: Result) -> None:
        """Store the references beside the generated images, so that reports need no library."""
        name = result.setup.library
        reference_ids = {r.image.sha256 for a in result.attempts for r in a.references if r.role == "reference"}
        for sha256 in sorted(reference_ids):
            if name and not self.dependencies.blobs.path(sha256).exists():
                with suppress(BlobError):
                    await self.dependencies.blobs.put(await (await self.dependencies.library(name)).image_bytes(sha256))

    async def _put(self, path: str) -> ImageRef:
        try:
            data = await asyncio.to_thread(read_regular, path)
        except OSError as error:
            raise UsageError(f"cannot read the image {path}: {error.strerror or error}") from error
        return await self.dependencies.blobs.put(data)


def result_of(
    plan: Plan, case: Case, arm: Arm, arm_hash: str, seed: int, record: RunRecord, initial: InitialImage
) -> Result:
    """Make the result of a run."""
    status = status_of(record, initial.image)
    image = ImageRef(**record.image.model_dump(exclude={"path"})) if record.image else None
    return Result(
        suite=plan.suite.identity,
        case=case.id,
        arm=arm.name,
        arm_hash=arm_hash,
        seed=seed,
        tags=case.tags,
        prompt=case.prompt,
        setup=arm.of(plan.setup, seed=seed, cache="record"),
        run_id=record.run_id,
        status=status,
        outcome=None if arm.procedure == "keep" and image else record.outcome,
        reason=record.reason,
        error=record.error,
        initial_image=initial,
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


def timing(result: Result, record: RunRecord, took: float, before: Sequence[ModelCall] = ()) -> dict[str, Any]:
    """Make the line of `timings.jsonl`: the run's times, and its calls without a response, less those in `before`.

    Each call has its number of requests and the US dollars that it may have cost: 0 where it failed, None where the
    cost is unknown.
    """
    unanswered = [*before, *(call for call in record.call_log if not call.completed)]
    lost_calls = [
        {
            "role": call.role,
            "backend": call.backend,
            "error": call.error,
            "requests": call.requests,
            "usd": call.counted_usd if call.counts else 0.0,
        }
        for call in unanswered
    ]
    calls = [[call.role, round(call.elapsed_s, 4)] for call in record.call_log]
    head = {"case": result.case, "seed": result.seed, "arm": result.arm}
    return {**head, "elapsed_s": round(took, 4), "calls": calls, "unanswered": lost_calls}


def result_name(*parts: object) -> str:
    """An id derived from the parts: equal for equal parts."""
    return f"ev-{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"


def _failure(text: str) -> Exception:
    """Restore an error from its class name and message."""
    from imagerag.agent import errors

    kind, _, message = text.partition(": ")
    error_type = getattr(errors, kind, errors.ImageRAGError)
    error: Exception = error_type(message)
    return error
