"""Many prompts, a few at a time: every line gets a result, and nothing is made or paid for twice.

The id of a run follows from the batch and from its line, so that a batch whose process was killed finds its half-made
runs again; what models had answered by then is in the journal.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from imagerag.agent.completion import to_completion
from imagerag.agent.errors import (
    BudgetExceededError,
    ImageRAGError,
    RunStateError,
    StorageError,
    UnknownRunError,
    UsageError,
)
from imagerag.agent.types import Outcome
from imagerag.batch.account_rejections import AccountRejections
from imagerag.batch.batch_estimate import BatchEstimate, summed
from imagerag.batch.budget import BatchBudget, known_cost, spent_by
from imagerag.batch.input_row import FILES, InputRow
from imagerag.batch.line_runner import LineRunner, manifest
from imagerag.batch.output_dir import BatchManifest, OutputDir
from imagerag.batch.results import BatchResult, Status
from imagerag.batch.row_reader import Source, read_rows
from imagerag.files.run_request import BatchOptions
from imagerag.formatting.messages import unknown as unknown_name
from imagerag.graphs.configuration.settings import Settings
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.records import read_record

MOST_AT_ONCE: Final = 64
_PER_RUN: Final = BatchOptions.__annotations__.keys() - FILES


@dataclass
class BatchRunner:
    """One batch, started or resumed.

    Args:
        settings: backends and library of the runs.
        dependencies: makes those backends, and keeps the runs.
        source: a file (`.jsonl`, `.csv`, `.txt`), or prompts and objects.
        out: its folder: `results.jsonl`, and an image with its sidecar per line.
        options: for all lines that do not say otherwise, as `ImageRAG.generate` takes them; `max_run_cost_usd` is the
            `max_cost_usd` of each.
        resume: go on with the batch in `out`, if there is one, with what it was started with.
        retry_failed: on going on, run lines that failed once more.
        concurrency: runs at once, 1 to 64.
        max_cost_usd: US dollars that the whole batch may spend.
        allow_outside: the file may name images outside of its folder.
        warn: told, before anything is drawn or paid, what is likely to go wrong; once for all lines.

    Attributes:
        total: lines, once that is known.
        counts: results by status, those of earlier starts included.
        outcomes: results by outcome.
        previously_done: results that an earlier start left.
        has_unknown_cost: whether the cost of any run is not known.
    """

    settings: Settings
    dependencies: Dependencies
    source: Source
    out: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    retry_failed: bool = False
    concurrency: int = 4
    max_cost_usd: float | None = None
    allow_outside: bool = False
    warn: Callable[[Sequence[str]], None] = field(default=lambda warnings: None, repr=False)

    total: int | None = field(default=None, init=False)
    counts: Counter[Status] = field(default_factory=Counter, init=False)
    outcomes: Counter[str] = field(default_factory=Counter, init=False)
    previously_done: int = field(default=0, init=False)
    has_unknown_cost: bool = field(default=False, init=False)
    _stopped_by: ImageRAGError | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not 1 <= self.concurrency <= MOST_AT_ONCE:
            raise UsageError(f"concurrency: 1 to {MOST_AT_ONCE} runs at once, not {self.concurrency}")
        if self.max_cost_usd is not None and not self.max_cost_usd >= 0:
            raise UsageError(f"max_cost_usd: 0 or more US dollars, not {self.max_cost_usd}")
        unknown = sorted(set(self.options) - _PER_RUN)
        if unknown:
            raise UsageError(unknown_name("option", unknown[0], sorted(_PER_RUN), where="batch"))
        self.folder = OutputDir(Path(self.out).expanduser())
        self._budget = BatchBudget(self.max_cost_usd)
        self._before: dict[str, BatchResult] = {}
        self._begun: dict[str, str] = {}
        self._rejections = AccountRejections()

    @property
    def stop_reason(self) -> str:
        """The reason for an end before the last line; empty when there was none."""
        return str(self._stopped_by or "")

    @property
    def spent_usd(self) -> float:
        """The known cost of all runs, unfinished ones included."""
        return self._budget.spent + sum(self._budget.half_made.values())

    async def run(self) -> AsyncGenerator[BatchResult]:
        """Run what is left to run; each result, in the order in which they come, once it is on the disk.

        Raises:
            UsageError: an input, a folder or an option that cannot be; nothing has been run then.
            BudgetExceededError: the budget does not allow the next run; raised after all results.
            StorageError: the disk is full, or cannot be written: no further line was begun, and those under way can be
                gone on with; raised after all results.
            AuthError, QuotaError: the account turned down several lines, one after the other; likewise.
        """
        started, completed = await self._prepare()
        self.warn(await self._warnings(completed))
        with self.folder.alone():
            if await asyncio.to_thread(self.folder.started) != started:
                where = self.folder.path
                raise UsageError(f"a batch was begun in {where} just now: name another folder, or `resume=True`")
            if started is None:
                self.folder.start(self._started)
            self._before = self.folder.repair(self._dropped())
            self._budget.spent += sum(old.reserved_cost_usd for old in self._before.values())
            for result in completed.values():
                self._count(result)
            self.previously_done = len(completed)
            await self._book_half_made({result.run_id for result in (*completed.values(), *self._before.values())})
            async with aclosing(self._results(frozenset(completed))) as results:
                async for result in results:
                    yield result
        if self._stopped_by:
            raise self._stopped_by

    async def estimate(self) -> BatchEstimate:
        """Check every line that is left, and sum what their runs can cost. Nothing is run, asked, paid or written.

        Raises:
            UsageError: an input, a folder or an option that cannot be.
        """
        _, completed = await self._prepare()
        estimates = self._lines.estimates(self._remaining(completed), budgeted=self.max_cost_usd is not None)
        warnings = await self._warnings(completed)
        return await summed(estimates, previously_done=len(completed), budget=self.max_cost_usd, warnings=warnings)

    async def _prepare(self) -> tuple[BatchManifest | None, dict[str, BatchResult]]:
        """Check the folder, the options and the input; the manifest of an earlier start, and the results to keep."""
        started = await asyncio.to_thread(self.folder.started)
        if started is not None and not self.resume:
            where = self.folder.path
            raise UsageError(f"there is a batch in {where}: go on with `resume=True`, or name another folder")
        self._started = manifest(started, self.settings, self.options, self.folder.path)
        self._lines = LineRunner(self.settings, self.dependencies, self._started, self.folder.path)
        await self._lines.check()
        dropped, earlier = self._dropped(), self.folder.read() if started else ()
        completed = {result.id: result for result in earlier if result.status not in dropped}
        await asyncio.to_thread(self._check_items, completed)
        return started, completed

    async def _results(self, completed_ids: frozenset[str]) -> AsyncGenerator[BatchResult]:
        """Results of a bounded pool of workers that share the input."""
        remaining = self._remaining(completed_ids)
        ready: asyncio.Queue[BatchResult | BaseException | None] = asyncio.Queue(self.concurrency)
        workers = [asyncio.create_task(self._work(remaining, ready)) for _ in range(self.concurrency)]
        try:
            for _ in workers:
                while (result := await ready.get()) is not None:
                    if isinstance(result, BaseException):
                        raise result
                    yield result
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._book_left_open()

    async def _book_half_made(self, run_ids: Collection[str | None]) -> None:
        """Book what runs have spent that a kill left in the middle, before any other line is begun."""
        for entry in await self.dependencies.runs.list(None, status="running"):
            if entry.run_id.startswith(f"{self._started.name}-") and entry.run_id not in run_ids:
                with suppress(UnknownRunError):  # killed before its first step: it had asked nobody
                    self._budget.half_made[entry.run_id] = spent_by(await read_record(self.dependencies, entry.run_id))

    async def _book_left_open(self) -> None:
        """Book what runs have spent that are left in the middle now."""
        for run_id in self._begun.values():
            with suppress(UnknownRunError):
                self._budget.half_made[run_id] = spent_by(await read_record(self.dependencies, run_id))
        self._begun.clear()

    async def _work(
        self, items: Iterator[InputRow], ready: "asyncio.Queue[BatchResult | BaseException | None]"
    ) -> None:
        try:
            while not self._stopped_by and (item := next(items, None)) is not None:
                result = await self._one(item)
                if result is not None:
                    await to_completion(asyncio.to_thread(self.folder.append, result))
                    self._count(result, paid=True)
                    if rejected := self._rejections.add(result):
                        self._stop(rejected)
                    await ready.put(result)
        except StorageError as error:
            self._stop(error)
        except Exception as error:
            await ready.put(error)
        await ready.put(None)

    async def _one(self, item: InputRow) -> BatchResult | None:
        """Run one line; None when it is left for later: the budget or the disk has no room for it."""
        result = BatchResult(id=item.id, index=item.index, input="", prompt=item.prompt, status="invalid")
        try:
            digest = await asyncio.to_thread(item.digest, self._started.settings)
            result = result.model_copy(update={"input": digest})
            if item.problem:
                raise UsageError(item.problem)
            options = self._lines.options(item)
            await asyncio.to_thread(self.folder.check_space)
            run = self._run_name(item, digest)
            request = self._lines.request(item.prompt, options)
            most = await self._lines.max_cost(request, budgeted=self.max_cost_usd is not None)
            await self._budget.hold(item.id, most, run_id=run[0], limit=request.setup.config.max_cost_usd)
        except (BudgetExceededError, StorageError) as error:
            self._stop(error)
            return None
        except UsageError as error:
            return result.failed(error, "invalid", 0.0)
        cost, booked, left_open = None, 0.0, False
        self._begun[item.id] = run[0]
        try:
            result = await self._lines.run(item, request, result, run)
            cost = result.cost_usd
        except StorageError as error:  # every line's: the next would be paid for, and lost as well
            self._stop(error)
            cost = known_cost(error)
            if not cost:
                return None
            result = result.failed(error, "failed", cost)
        except (asyncio.CancelledError, GeneratorExit):
            left_open = True  # it is booked when it has stopped
            raise
        except RunStateError:
            raise  # somebody else makes this run: it is no result of the line
        except Exception as error:  # one line's, whatever it is: the others go on
            cost = 0.0 if isinstance(error, UsageError) else None
            result = result.failed(error, "failed" if cost is None else "invalid", cost)
        finally:
            if left_open:
                self._budget.held.pop(item.id, None)
            else:
                self._begun.pop(item.id, None)
                booked = await self._budget.pay(item.id, cost)
        before = self._before.get(item.id)
        return result.booked(booked, None if before is None or before.status == "invalid" else before)

    def _run_name(self, item: InputRow, digest: str) -> tuple[str, int]:
        """The id of a line's run, and how many runs the line has had with it."""
        before = self._before.get(item.id)
        run_count = before.run_count + 1 if before is not None and before.status == "failed" else 1
        return f"{self._started.name}-{digest[:16]}" + (f"-{run_count}" if run_count > 1 else ""), run_count

    async def _warnings(self, completed: Mapping[str, BatchResult]) -> Sequence[str]:
        """Warnings about the remaining lines, for input that can be read twice."""
        if not isinstance(self.source, str | Path | Sequence):
            return ()
        return await self._lines.warnings(item for item in self._remaining(completed) if not item.problem)

    def _remaining(self, completed: Container[str]) -> Iterator[InputRow]:
        """The lines without a result."""
        rows = read_rows(self.source, allow_outside=self.allow_outside)
        return (item for item in rows if item.id not in completed)

    def _check_items(self, completed: Mapping[str, BatchResult]) -> None:
        """Go through the input once before anything is run, where it can be gone through twice.

        Raises:
            UsageError: an id comes twice, a line that has a result is not what it was, or there is no line.
        """
        if not isinstance(self.source, str | Path | Sequence):
            return
        self.total = self._lines.count(read_rows(self.source, allow_outside=self.allow_outside), completed)

    def _dropped(self) -> tuple[Status, ...]:
        """Results that are made anew: a line that could not be read may have been mended, and costs nothing."""
        return ("invalid", "failed") if self.retry_failed else ("invalid",)

    def _stop(self, error: ImageRAGError) -> None:
        """Begin no further line."""
        self._stopped_by = self._stopped_by or error

    def _count(self, result: BatchResult, *, paid: bool = False) -> None:
        self.counts[result.status] += 1
        self.outcomes[str(result.outcome or Outcome.FAILED) if result.status != "invalid" else "invalid"] += 1
        self.has_unknown_cost = self.has_unknown_cost or result.cost_usd is None
        if not paid:
            self._budget.spent += result.reserved_cost_usd
