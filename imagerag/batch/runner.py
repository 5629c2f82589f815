"""Many prompts, a few at a time: every line gets a result, and nothing is made or paid for twice.

The id of a run follows from the batch and from its line, so that a batch whose process was killed finds its half-made
runs again; what models had answered by then is in the journal.
"""

import asyncio
import copy
import json
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.calls.error_calls import calls_from_error
from imagerag.agent.errors import (
    AuthError,
    BudgetExceededError,
    ImageRAGError,
    QuotaError,
    RunStateError,
    StorageError,
    UnknownRunError,
    UsageError,
)
from imagerag.agent.types import BUILT_IN_LIBRARY, Outcome, RunSpec
from imagerag.batch.budget import BatchBudget
from imagerag.batch.input_rows import FILES, OPTIONS, InputRow, Source, read_rows
from imagerag.batch.output_dir import BatchManifest, OutputDir
from imagerag.batch.results import BatchImage, BatchResult, Status
from imagerag.files.export import SUFFIXES
from imagerag.formatting.messages import unknown as unknown_name
from imagerag.graphs.mismatch_warnings import warnings_of_many
from imagerag.store.library.library import list_libraries

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord
    from imagerag.client.client import ImageRAG

MOST_AT_ONCE: Final = 64
MOST_TURNED_DOWN: Final = 5
"""Lines in a row that an account may turn down, for want of a key or of money, before the batch stops."""

_ACCOUNT: Final = ("AuthError", "QuotaError")
_PER_RUN: Final = OPTIONS - FILES - {"max_cost_usd"} | {"max_run_cost_usd"}


@dataclass
class BatchRunner:
    """One batch, started or resumed.

    Args:
        rag: what makes the runs.
        source: a file (`.jsonl`, `.csv`, `.txt`), or prompts and objects.
        out: its folder: `results.jsonl`, and a picture with its sidecar per line.
        options: for all lines that do not say otherwise, as `ImageRAG.generate` takes them; `max_run_cost_usd` is the
            `max_cost_usd` of each.
        resume: go on with the batch in `out`, if there is one, with what it was started with.
        retry_failed: on going on, run lines that failed once more.
        concurrency: runs at once, 1 to 64.
        max_cost_usd: US dollars that the whole batch may spend.
        allow_outside: the file may name pictures outside of its folder.
        warn: told, before anything is drawn or paid, what is likely to go wrong; once for all lines.

    Attributes:
        total: lines, once that is known.
        counts: results by status, those of earlier starts included.
        outcomes: results by outcome.
        earlier: how many results were there before.
        unpriced: whether the cost of any run is not known.
    """

    rag: "ImageRAG"
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
    earlier: int = field(default=0, init=False)
    unpriced: bool = field(default=False, init=False)
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
        self._purse = BatchBudget(self.max_cost_usd)
        # Leaving off early is to be like a crash: the runs under way can be resumed, and are not ended.
        runner = replace(self.rag.runner, left_open=True)
        self._rag = copy.copy(self.rag)
        self._rag.__dict__["runner"] = runner
        self._before: dict[str, BatchResult] = {}
        self._begun: dict[str, str] = {}
        self._turned_down = 0

    @property
    def stopped(self) -> str:
        """Why it ended before its last line; empty when it did not."""
        return str(self._stopped_by or "")

    @property
    def spent_usd(self) -> float:
        """What all runs have cost, as far as that is known, those that were left in the middle among them."""
        return self._purse.spent + sum(self._purse.half_made.values())

    async def run(self) -> AsyncGenerator[BatchResult]:
        """Run what is left to run; each result, in the order in which they come, once it is on the disk.

        Raises:
            UsageError: an input, a folder or an option that cannot be; nothing has been run then.
            BudgetExceededError: the budget does not allow the next run; raised after all results.
            StorageError: the disk is full, or cannot be written: no further line was begun, and those under way can be
                gone on with; raised after all results.
            AuthError, QuotaError: the account turned down several lines, one after the other; likewise.
        """
        started = await asyncio.to_thread(self.folder.started)
        if started is not None and not self.resume:
            raise UsageError(f"there is a batch in {self.folder.path}: go on with --resume, or name another folder")
        self._started = BatchManifest(_name(), self._settings({})) if started is None else self._agreed(started)
        await self._check_setup()
        done = {result.id: result for result in self.folder.read() if not self._again(result)} if started else {}
        await asyncio.to_thread(self._check_items, done)
        self.warn(await warnings_of_many(self.rag.wiring, self._setups(done)))
        with self.folder.alone():
            if await asyncio.to_thread(self.folder.started) != started:
                raise UsageError(f"a batch was begun in {self.folder.path} just now: name another folder, or --resume")
            if started is None:
                self.folder.start(self._started)
            self._before = self.folder.repair(self._dropped())
            self._purse.spent += sum(old.booked_usd for old in self._before.values())
            for result in done.values():
                self._count(result)
            self.earlier = len(done)
            await self._book_half_made({result.run_id for result in (*done.values(), *self._before.values())})
            async with aclosing(self._results(frozenset(done))) as results:
                async for result in results:
                    yield result
        if self._stopped_by:
            raise self._stopped_by

    async def _results(self, done: frozenset[str]) -> AsyncGenerator[BatchResult]:
        """Results of a bounded pool of workers that share the input."""
        left = (item for item in read_rows(self.source, allow_outside=self.allow_outside) if item.id not in done)
        ready: asyncio.Queue[BatchResult | BaseException | None] = asyncio.Queue(self.concurrency)
        workers = [asyncio.create_task(self._work(left, ready)) for _ in range(self.concurrency)]
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

    async def _book_half_made(self, known: Collection[str | None]) -> None:
        """Book what runs have spent that a kill left in the middle, before any other line is begun."""
        for entry in await self.rag.wiring.runs.list(None, status="running"):
            if entry.run_id.startswith(f"{self._started.name}-") and entry.run_id not in known:
                with suppress(UnknownRunError):  # killed before its first step: it had asked nobody
                    self._purse.half_made[entry.run_id] = _spent(await self._rag.runner.record(entry.run_id))

    async def _book_left_open(self) -> None:
        """Book what runs have spent that are left in the middle now."""
        for run_id in self._begun.values():
            with suppress(UnknownRunError):
                self._purse.half_made[run_id] = _spent(await self._rag.runner.record(run_id))
        self._begun.clear()

    async def _work(self, left: Iterator[InputRow], ready: "asyncio.Queue[BatchResult | BaseException | None]") -> None:
        try:
            while not self._stopped_by and (item := next(left, None)) is not None:
                result = await self._one(item)
                if result is not None:
                    await asyncio.shield(asyncio.to_thread(self.folder.append, result))
                    self._count(result, paid=True)
                    self._watch(result)
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
            options = self._options(item)
            await asyncio.to_thread(self.folder.check_space)
            run_id, _ = self._named(item, digest)
            await self._hold(item.id, run_id, await self._most(item.prompt, options), options.get("max_cost_usd"))
        except (BudgetExceededError, StorageError) as error:
            self._stop(error)
            return None
        except UsageError as error:
            return result.model_copy(update={"reason": str(error), "error": type(error).__name__})
        cost, booked, left_open = None, 0.0, False
        try:
            result = await self._drawn(item, options, result)
            cost = result.cost_usd
        except StorageError as error:  # every line's: the next would be paid for, and lost as well
            self._stop(error)
            cost = known_cost(error)
            if not cost:
                return None
            update = {"reason": str(error), "error": type(error).__name__}
            result = result.model_copy(update={**update, "status": "failed", "cost_usd": cost})
        except (asyncio.CancelledError, GeneratorExit):
            left_open = True  # it is booked when it has stopped
            raise
        except RunStateError:
            raise  # somebody else makes this run: it is no result of the line
        except Exception as error:  # one line's, whatever it is: the others go on
            update = {"reason": str(error) or repr(error), "error": type(error).__name__}
            status: Status = "invalid" if isinstance(error, UsageError) else "failed"
            cost = 0.0 if status == "invalid" else None
            result = result.model_copy(update={**update, "status": status, "cost_usd": cost})
        finally:
            if left_open:
                self._purse.held.pop(item.id, None)
            else:
                self._begun.pop(item.id, None)
                booked = await self._purse.pay(item.id, cost)
        before = self._before.get(item.id)
        if before is None or before.status == "invalid":
            return result.model_copy(update={"booked_usd": booked})
        costs = (before.cost_usd, result.cost_usd)
        total = None if None in costs else sum(cost or 0.0 for cost in costs)
        return result.model_copy(update={"cost_usd": total, "booked_usd": before.booked_usd + booked})

    async def _hold(self, line: str, run_id: str, most: float, limit: Any) -> None:
        """Keep what a run can cost in all: beside what it costs from here on, what a kill has left of it."""
        before = self._purse.half_made.pop(run_id, 0.0)
        whole = before + most if limit is None else min(before + most, max(before, float(limit)))
        try:
            await self._purse.hold(line, whole)
        except BaseException:
            if before:
                self._purse.half_made[run_id] = before
            raise

    def _named(self, item: InputRow, digest: str) -> tuple[str, int]:
        """The id of a line's run, and which try it is."""
        before = self._before.get(item.id)
        tries = before.tries + 1 if before is not None and before.status == "failed" else 1
        return f"{self._started.name}-{digest[:16]}" + (f"-{tries}" if tries > 1 else ""), tries

    async def _drawn(self, item: InputRow, options: Mapping[str, Any], result: BatchResult) -> BatchResult:
        run_id, tries = self._named(item, result.input)
        result = result.model_copy(update={"tries": tries})
        self._begun[item.id] = run_id
        record = await self._run(item.prompt, options, run_id)
        image = None
        if record.image is not None:
            file = f"{item.id}{SUFFIXES.get(record.image.media_type, '')}"
            await self._rag.save(record, self.folder.path / file, overwrite=True)
            image = BatchImage(path=file, **record.image.model_dump(exclude={"path"}))
        return result.told(record, image)

    async def _run(self, prompt: str, options: Mapping[str, Any], run_id: str) -> "RunRecord":
        """The record of a run that is found as it stands, gone on with, or begun."""
        try:
            record = await self._rag.runner.record(run_id)
            return record if record.outcome else await self._rag.resume(run_id)
        except UnknownRunError:
            return await self._rag.generate(prompt, run_id=run_id, **options)

    def _options(self, item: InputRow) -> dict[str, Any]:
        """What a run is made with: the line's options before the batch's."""
        shared = dict(self._started.settings["options"])
        limit = shared.pop("max_run_cost_usd", None)
        library = self._started.settings["library"]
        own = {"max_cost_usd": limit} if limit is not None else {}
        told = {"library": library, **shared, **own, **item.options}
        return {name: value for name, value in told.items() if value is not None}

    async def _most(self, prompt: str, options: Mapping[str, Any]) -> float:
        """US dollars that a run can cost at most; only reckoned where there is a budget."""
        estimate = await self._rag.estimate(prompt, **options)  # refuses here what cannot be run
        if self.max_cost_usd is None:
            return 0.0
        most = estimate.usd_at_most
        own = options.get("max_cost_usd")
        if own is not None:
            most = float(own) if most is None else min(most, float(own))
        if most is None:
            raise UsageError(
                f"the most a run can cost is not known ({', '.join(estimate.unpriced)}), so a budget for the batch "
                "cannot be kept: give --max-run-cost-usd or --assume-cost-usd-per-call too, or write the price down "
                "(imagerag prices set)"
            )
        return most

    def _settings(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in self.options.items() if value is not None and name != "library"}
        return {
            "generator": self.rag.settings.generator,
            "judge": self.rag.settings.judge,
            "library": self.options.get("library") or self.rag.settings.library,
            "options": {**kept, **_plain(given)},
        }

    def _agreed(self, started: BatchManifest) -> BatchManifest:
        """What the batch was started with, when it is not contradicted.

        Raises:
            UsageError: it is.
        """
        now = self._settings(started.settings["options"])
        if told := started.differs(now):
            raise UsageError(
                f"the batch in {self.folder.path} was started with {told}: leave that, or name another folder"
            )
        return started

    async def _check_setup(self) -> None:
        """Refuse now what no line could be run with.

        Raises:
            UsageError: a backend, a library or an option that there is not.
        """
        options = self._options(InputRow(0, "", "anything"))
        await self._rag.estimate("anything", **options)
        if library := options.get("library"):
            await self.rag.wiring.library(library)

    def _check_items(self, done: Mapping[str, BatchResult]) -> None:
        """Go through the input once before anything is run, where it can be gone through twice.

        Raises:
            UsageError: an id comes twice, or a line that has a result is not what it was.
        """
        if not isinstance(self.source, str | Path | Sequence):
            return
        self.total = 0
        for item in read_rows(self.source, allow_outside=self.allow_outside):
            self.total += 1
            old = done.get(item.id)
            if old is not None and item.digest(self._started.settings) != old.input:
                raise UsageError(
                    f"line {item.index} is not what it was when {item.id!r} was drawn ({old.prompt[:60]!r})"
                    f"{item.problem and f' ({item.problem})'}: give it an id of its own, put the old one back, or "
                    "start in another folder"
                )
        if not self.total:
            raise UsageError("there is not one prompt in it")

    def _setups(self, done: Mapping[str, BatchResult]) -> list[tuple[RunSpec, list[str]]]:
        """What the lines that are left are drawn with, and their prompts; of input that can be gone through twice."""
        if not isinstance(self.source, str | Path | Sequence):
            return []
        prompts: dict[str | None, list[str]] = {}
        for item in read_rows(self.source, allow_outside=self.allow_outside):
            if item.id not in done and not item.problem:
                prompts.setdefault(self._options(item).get("library"), []).append(item.prompt)
        named = self.rag.settings
        return [
            (RunSpec(generator=named.generator, judge=named.judge, library=library), asked)
            for library, asked in prompts.items()
            if library is None or library in (*list_libraries(self.rag.wiring.home), BUILT_IN_LIBRARY)
        ]

    def _dropped(self) -> tuple[Status, ...]:
        """Results that are made anew: a line that could not be read may have been mended, and costs nothing."""
        return ("invalid", "failed") if self.retry_failed else ("invalid",)

    def _again(self, result: BatchResult) -> bool:
        return result.status in self._dropped()

    def _watch(self, result: BatchResult) -> None:
        """Stop when the account turns down one line after the other: it would all of them."""
        self._turned_down = self._turned_down + 1 if result.error in _ACCOUNT else 0
        if self._turned_down >= MOST_TURNED_DOWN:
            kind = {"AuthError": AuthError, "QuotaError": QuotaError}[result.error or ""]
            told = f"{self._turned_down} lines one after the other were turned down, and the rest was left"
            self._stop(kind(f"{told}: {result.reason}"))

    def _stop(self, error: ImageRAGError) -> None:
        """Begin no further line."""
        self._stopped_by = self._stopped_by or error

    def _count(self, result: BatchResult, *, paid: bool = False) -> None:
        self.counts[result.status] += 1
        self.outcomes[str(result.outcome or Outcome.FAILED) if result.status != "invalid" else "invalid"] += 1
        self.unpriced = self.unpriced or result.cost_usd is None
        if not paid:
            self._purse.spent += result.booked_usd


def known_cost(error: Exception) -> float:
    """US dollars of the calls that an error says were made before it."""
    return sum(call.cost_usd or 0.0 for call in calls_from_error(error))


def _spent(record: "RunRecord") -> float:
    """What a run has cost so far: calls without an answer at their most, what is not known left out."""
    return sum(call.counted_usd or 0.0 for call in record.call_log if call.counts)


def _name() -> str:
    return f"batch-{uuid.uuid4().hex[:8]}"


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they come back from JSON."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(options))
    except TypeError as error:
        raise UsageError(f"an option of a batch has to be plain data: {error}") from error
    return plain
