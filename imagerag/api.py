"""The Python front door: `ImageRAG`."""

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from imagerag.agent.errors import BlobError, ImageRAGError, UsageError
from imagerag.agent.types import ImageRef, Knobs, Setup, Subject
from imagerag.inputs import Image, make_knobs, parse_size, read_image, run_sync, told
from imagerag.libraries import Libraries

if TYPE_CHECKING:
    from imagerag.agent.record import RunRecord
    from imagerag.graphs.estimate import Estimate
    from imagerag.graphs.events import RunEvent
    from imagerag.graphs.runner import Runner
    from imagerag.store.runs import RunEntry


class ImageRAG(Libraries):
    """Draws what was asked for, looks at it, finds what is missing in the user's own pictures, and draws again.

    Args:
        preset: a bundle of backends that belong together; "sketch" is embedded and offline.
        generator: spec of what draws, `provider:model[@base_url]`.
        judge: spec of what looks.
        embedder: spec of the encoder for new libraries; a library that exists knows its own.
        library: name of the library references come from.
        home: folder for libraries, images and runs.

    What is not given comes from the environment (`IMAGERAG_PRESET`, `IMAGERAG_LIBRARY`, …), then `imagerag.toml`,
    then the preset.

    Raises:
        UsageError: an unknown preset or setting.
    """

    @cached_property
    def runner(self) -> "Runner":
        """What runs the graph; for those who need more than this class offers."""
        from imagerag.graphs.runner import Runner

        return Runner(wiring=self.wiring)

    async def generate(self, prompt: str, **options: Any) -> "RunRecord":
        """Draw, judge, retrieve and redraw until the judge agrees or the rounds are spent.

        Args:
            prompt: what to draw.
            options: as `stream` takes them.

        Returns:
            The run's record: `outcome`, `reason`, `image`, every attempt and every candidate. A run that was asked to
            `select` comes back with `status="interrupted"` and its `question`; answer it with `resume`.

        Raises:
            UsageError: something asked for cannot be. What goes wrong later is an outcome, never an exception.
        """
        return await _last(self.stream(prompt, **options))

    def generate_sync(self, prompt: str, **options: Any) -> "RunRecord":
        """`generate`, for programs without an event loop. Works inside one too (a notebook), in a thread of its own."""
        return run_sync(self.generate(prompt, **options))

    async def stream(
        self,
        prompt: str,
        *,
        library: str | None = None,
        subjects: Sequence[Image | tuple[str, Image]] = (),
        initial_image: Image | None = None,
        max_rounds: int = 3,
        max_references: int | None = None,
        threshold: float | Literal["auto", "off"] = "auto",
        candidates: int = 8,
        judge_mode: Literal["fused", "stepwise"] = "fused",
        start: Literal["draft", "retrieve"] = "draft",
        select: bool = False,
        seed: int = 0,
        size: str | tuple[int, int] | None = None,
        where: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
        licences: Sequence[str] = (),
        journal: Literal["record", "reuse", "replay"] = "record",
        max_calls: int | None = None,
        max_cost_usd: float | None = None,
        deadline_s: float | None = None,
        run_id: str | None = None,
    ) -> AsyncGenerator["RunEvent"]:
        """The same as `generate`, event by event. Leaving the loop early cancels the run.

        Args:
            prompt: what to draw.
            library: where references come from, when not the one this object was made with.
            subjects: the user's own images (path or bytes, or a pair of name and image) that are to be in the picture.
            initial_image: an image to start from instead of drawing the first.
            max_rounds: redrawings at most, 0 to 20.
            max_references: images sent with the prompt at most, subjects included, 1 to 16.
            threshold: cosine in [-1, 1] a reference must reach; "auto" is the library's calibrated one.
            candidates: library images looked at per search, 1 to 100.
            judge_mode: one structured question per attempt, or the paper's three.
            start: draw first, or retrieve for the prompt first.
            select: wait for a human to choose among the references that passed.
            seed: where the generator honours one.
            size: "WxH" or a pair, in pixels.
            where: metadata a reference must have; tags and licences likewise.
            journal: "reuse" takes answers that other runs paid for; "replay" makes no call at all, and fails where
                nothing was recorded.
            max_calls: model calls at most.
            max_cost_usd: US dollars at most; no call is made whose price is not known. 0 allows what is free.
            deadline_s: seconds at most.
            run_id: an id of one's own, instead of a new one.

        Raises:
            UsageError: something asked for cannot be.
        """
        knobs = make_knobs(
            max_rounds=max_rounds,
            max_references=max_references,
            threshold=threshold,
            candidates=candidates,
            judge_mode=judge_mode,
            start=start,
            select=select,
            seed=seed,
            size=parse_size(size),
            where=dict(where or {}),
            tags=tuple(tags),
            licences=tuple(licences),
            journal=journal,
            max_calls=max_calls,
            max_cost_usd=max_cost_usd,
        )
        setup = self._setup(library, knobs, deadline_s)
        given = [item if isinstance(item, tuple) else ("", item) for item in subjects]
        kept = [Subject(image=await self._keep(image), name=name) for name, image in given]
        initial = await self._keep(initial_image) if initial_image is not None else None
        run = self.runner.start(prompt, setup, subjects=kept, initial_image=initial, run_id=run_id)
        async with aclosing(run) as events:
            async for event in events:
                yield event

    async def estimate(
        self,
        prompt: str,
        *,
        library: str | None = None,
        subjects: Sequence[Image | tuple[str, Image]] = (),
        initial_image: Image | None = None,
        size: str | tuple[int, int] | None = None,
        deadline_s: float | None = None,
        **options: Any,
    ) -> "Estimate":
        """What a run with these options can come to in calls and money; nothing is asked and nothing is spent.

        Args:
            prompt: what would be drawn.
            options: those of `stream` that are not named here.

        Raises:
            UsageError: something asked for cannot be.
        """
        from imagerag.graphs.estimate import estimate_setup
        from imagerag.graphs.runner import checked_prompt

        given = {name: value for name, value in options.items() if value is not None and name != "run_id"}
        setup = self._setup(library, make_knobs(size=parse_size(size), **given), deadline_s)
        return await estimate_setup(
            self.wiring,
            setup,
            prompt=checked_prompt(prompt),
            subjects=len(subjects),
            initial_image=initial_image is not None,
        )

    async def resume(self, run_id: str, *, choose: Sequence[str | int] | None = None) -> "RunRecord":
        """Continue a run that was killed, or answer one that waits for a choice.

        Args:
            run_id: the run's id, or the start of it.
            choose: the references to use, by number or id; an empty list takes none.

        Raises:
            UnknownRunError: no such run.
            RunStateError: it has ended, or waits for a choice and got none.
        """
        return await _last(self.stream_resume(run_id, choose=choose))

    def resume_sync(self, run_id: str, *, choose: Sequence[str | int] | None = None) -> "RunRecord":
        """`resume`, for programs without an event loop."""
        return run_sync(self.resume(run_id, choose=choose))

    async def stream_resume(
        self, run_id: str, *, choose: Sequence[str | int] | None = None
    ) -> AsyncGenerator["RunEvent"]:
        """`resume`, event by event."""
        entry = await self.wiring.runs.get(run_id)
        async with aclosing(self.runner.resume(entry.run_id, choose=choose)) as events:
            async for event in events:
                yield event

    async def record(self, run_id: str) -> "RunRecord":
        """The record of a run, wherever it stands. The start of its id is enough."""
        entry = await self.wiring.runs.get(run_id)
        return await self.runner.record(entry.run_id)

    async def runs(
        self, limit: int | None = 20, *, outcome: str | None = None, text: str | None = None
    ) -> "list[RunEntry]":
        """The runs made so far, newest first."""
        return await self.wiring.runs.list(limit, outcome=outcome, text=text)

    async def save(self, record: "RunRecord", path: str | Path) -> "RunRecord":
        """Write a run's picture to a file, and beside it `NAME.json`: the run, and whose pictures are in it.

        Returns:
            The record, its image's path now that file.

        Raises:
            UsageError: the file cannot be written, or its suffix is of another format than the picture.
        """
        from imagerag.export import export

        return await export(record, self.wiring.blobs, Path(path))

    async def image_bytes(self, sha256: str) -> bytes:
        """The bytes of an image of a run, verified against their hash."""
        return await self.wiring.blobs.get(sha256)

    async def pictures(self, record: "RunRecord") -> dict[str, bytes]:
        """The bytes of every picture a run speaks of, by SHA-256: attempts and candidates. Lost ones are left out."""
        library = None
        if record.searches and record.setup and record.setup.library:
            with suppress(ImageRAGError):  # removed since, or its encoder gone: the run's own pictures are still there
                library = await self.open_library(record.setup.library)
        found: dict[str, bytes] = {}
        offered = [candidate.image for search in record.searches for candidate in search.candidates]
        sent = [reference.image for attempt in record.attempts for reference in attempt.references]
        for image in [*(attempt.image for attempt in record.attempts), *sent, *offered]:
            with suppress(BlobError):
                found[image.sha256] = await self.image_bytes(image.sha256)
            if image.sha256 not in found and library is not None:
                with suppress(BlobError):
                    found[image.sha256] = await library.image_bytes(image.sha256)
        return found

    async def contact_sheet(self, record: "RunRecord") -> bytes:
        """One picture (PNG) that tells a whole run."""
        from imagerag.sheet import contact_sheet

        pictures = await self.pictures(record)
        sheet = await asyncio.to_thread(contact_sheet, record.as_json(), pictures.__getitem__)
        out = io.BytesIO()
        await asyncio.to_thread(sheet.save, out, "PNG")
        return out.getvalue()

    def _setup(self, library: str | None, knobs: Knobs, deadline_s: float | None) -> Setup:
        try:
            return Setup(
                generator=self.settings.generator,
                judge=self.settings.judge,
                library=library or self.settings.library,
                knobs=knobs,
                deadline_s=deadline_s,
            )
        except ValidationError as error:
            raise UsageError(told(error)) from error

    async def _keep(self, image: Image) -> ImageRef:
        return await self.wiring.blobs.put(await asyncio.to_thread(read_image, image))


async def _last(events: AsyncIterator["RunEvent"]) -> "RunRecord":
    record = None
    async for event in events:
        record = event.record or record
    assert record is not None, "a run's last event carries its record"
    return record
