"""Runs one line of a batch, with the options of the line before those of the batch."""

import json
import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import UnknownRunError, UsageError
from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import BUILT_IN_LIBRARY, RunSpec
from imagerag.batch.batch_estimate import InvalidLine
from imagerag.batch.input_row import InputRow, plain_value
from imagerag.batch.output_dir import BatchManifest
from imagerag.batch.results import BatchImage, BatchResult
from imagerag.files.export import export
from imagerag.files.run_request import RunRequest
from imagerag.graphs.configuration.settings import Settings
from imagerag.graphs.configuration.trust_policy import check_web_library
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.mismatch_warnings import warnings_of_many
from imagerag.graphs.runs.events import last_record
from imagerag.graphs.runs.records import read_record, relist_left
from imagerag.graphs.runs.runner import Runner
from imagerag.store.library.database import is_there

if TYPE_CHECKING:
    from imagerag.graphs.cost_estimate import Estimate


@dataclass(frozen=True)
class LineRunner:
    """Runs lines with the settings that their batch was started with.

    Attributes:
        settings: backends of the runs.
        dependencies: makes those backends, and keeps the runs.
        started: name, library and options of the batch.
        out: the folder for images.
    """

    settings: Settings
    dependencies: Dependencies
    started: BatchManifest
    out: Path

    @cached_property
    def _runner(self) -> Runner:
        # Leaving off early is to be like a crash: the runs under way can be resumed, and are not ended.
        return Runner(dependencies=self.dependencies, left_open=True)

    def options(self, item: InputRow) -> dict[str, Any]:
        """The options of a line's run: the line's before the batch's."""
        shared = dict(self.started.settings["options"])
        limit = shared.pop("max_run_cost_usd", None)
        library = self.started.settings["library"]
        own = {"max_cost_usd": limit} if limit is not None else {}
        check_web_library(item.options.get("library"), library, f"line {item.index}")
        merged = {"library": library, **shared, **own, **item.options}
        return {name: value for name, value in merged.items() if value is not None}

    async def check(self) -> None:
        """Refuse now what no line could be run with.

        Raises:
            UsageError: a backend, a library or an option that there is not.
        """
        options = self.options(InputRow(0, "", "anything"))
        await self.request("anything", options).estimate(self.dependencies)
        if library := options.get("library"):
            await self.dependencies.library(library)

    def count(self, lines: Iterable[InputRow], results: Mapping[str, BatchResult]) -> int:
        """Count lines, and compare those that have a result with what they were then.

        Raises:
            UsageError: one is not what it was, or there is none.
        """
        total = 0
        for item in lines:
            total += 1
            old = results.get(item.id)
            if old is not None and item.digest(self.started.settings) != old.input:
                raise UsageError(
                    f"line {item.index} is not what it was when {item.id!r} was drawn ({old.prompt[:60]!r})"
                    f"{item.problem and f' ({item.problem})'}: give it an id of its own, put the old one back, or "
                    "start in another folder"
                )
        if not total:
            raise UsageError("there is not one prompt in it")
        return total

    async def warnings(self, lines: Iterable[InputRow]) -> Sequence[str]:
        """Warnings about these lines."""
        prompts: dict[str | None, list[str]] = {}
        for item in lines:
            prompts.setdefault(self.options(item).get("library"), []).append(item.prompt)
        settings = self.settings
        setups = [
            (RunSpec(generator=settings.generator, judge=settings.judge, library=library), of_library)
            for library, of_library in prompts.items()
            if library in (None, BUILT_IN_LIBRARY) or is_there(self.dependencies.home, library)
        ]
        return await warnings_of_many(self.dependencies, setups)

    def request(self, prompt: str, options: Mapping[str, Any]) -> RunRequest:
        """The run of a line.

        Raises:
            UsageError: an option that a run does not take.
        """
        return RunRequest.of(self.settings, prompt, options)

    async def max_cost(self, request: RunRequest, *, budgeted: bool) -> float:
        """Check a line's run, and give the US dollars it can cost at most; 0 where there is no budget.

        Raises:
            UsageError: the line cannot be run, or nobody knows what it can cost.
        """
        _, most = await self.estimate(request, budgeted=budgeted)
        return most if budgeted and most is not None else 0.0

    async def estimate(self, request: RunRequest, *, budgeted: bool) -> tuple["Estimate", float | None]:
        """Check a line's run; its estimate, and the US dollars it can cost at most, its own limit counted.

        Raises:
            UsageError: the line cannot be run, or nobody knows what it can cost and the batch has a budget.
        """
        estimate = await request.estimate(self.dependencies)
        most, own = estimate.max_cost_usd, request.setup.config.max_cost_usd
        if own is not None:
            most = own if most is None else min(most, own)
        if most is None and budgeted:
            raise UsageError(
                f"the most a run can cost is not known ({', '.join(estimate.has_unknown_cost)}), "
                "so a budget for the batch cannot be kept: give `max_run_cost_usd` or `assume_cost_usd_per_call` "
                "too, or write the price down (imagerag prices set)"
            )
        return estimate, most

    async def estimates(
        self, lines: Iterable[InputRow], *, budgeted: bool
    ) -> AsyncGenerator[tuple["Estimate", float | None] | InvalidLine]:
        """The `estimate` of each line, or the reason why it cannot be run."""
        for item in lines:
            try:
                if item.problem:
                    raise UsageError(item.problem)
                yield await self.estimate(self.request(item.prompt, self.options(item)), budgeted=budgeted)
            except UsageError as error:
                yield InvalidLine(id=item.id, index=item.index, reason=str(error))

    async def run(self, item: InputRow, request: RunRequest, result: BatchResult, run: tuple[str, int]) -> BatchResult:
        """Run a line, and write its image.

        Args:
            request: the line's run.
            result: the line's result so far.
            run: the id of the run, and how many runs the line has had with it.
        """
        run_id, run_count = run
        record, image = await self._record(request, run_id), None
        if record.image is not None:
            file = f"{item.id}{RESULT_SUFFIXES.get(record.image.media_type, '')}"
            await export(record, self.dependencies.blobs, self.out / file, overwrite=True)
            image = BatchImage(path=file, **record.image.model_dump(exclude={"path"}))
        return result.model_copy(update={"run_count": run_count}).with_run(record, image)

    async def _record(self, request: RunRequest, run_id: str) -> RunRecord:
        """The record of a run that has ended, is resumed, or is started."""
        try:
            record = await read_record(self.dependencies, run_id)
        except UnknownRunError:
            return await last_record(await request.start(self._runner, run_id=run_id))
        if record.outcome is None:
            return await last_record(self._runner.resume(run_id))
        await relist_left(self.dependencies, run_id)
        return record


def manifest(
    started: BatchManifest | None, settings: Settings, options: Mapping[str, Any], folder: Path
) -> BatchManifest:
    """The name of a batch and the settings that it keeps; of one that goes on, with the options given now.

    Args:
        started: of the batch that is in the folder.

    Raises:
        UsageError: that was started with other settings.
    """
    if started is None:
        return BatchManifest(f"batch-{uuid.uuid4().hex[:8]}", settings_of(settings, options))
    now = settings_of(settings, options, started.settings["options"])
    if difference := started.differs(now):
        raise UsageError(f"the batch in {folder} was started with {difference}: leave that, or name another folder")
    return started


def settings_of(
    settings: Settings, options: Mapping[str, Any], earlier: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings of a batch: backends, library, and the options for all lines, those given now before those kept."""
    line_options = {name: value for name, value in options.items() if value is not None and name != "library"}
    return {
        "generator": settings.generator,
        "judge": settings.with_backends.judge,
        "library": options.get("library") or settings.library,
        "options": {**(earlier or {}), **_plain(line_options)},
    }


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they come back from JSON."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(options, default=plain_value))
    except TypeError as error:
        raise UsageError(f"an option of a batch has to be plain data: {error}") from error
    return plain
