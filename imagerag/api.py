"""The Python front door: `ImageRAG`."""

import asyncio
import io
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError

from imagerag.agent.errors import BlobError, ImageRAGError, UnknownLibraryError, UsageError
from imagerag.agent.types import BUILT_IN_LIBRARY, ImageRef, Knobs, Setup, Size, Subject
from imagerag.graphs.settings import Settings, resolve

if TYPE_CHECKING:
    from imagerag.agent.ports import Hit
    from imagerag.agent.record import RunRecord
    from imagerag.graphs.estimate import Estimate
    from imagerag.graphs.events import RunEvent
    from imagerag.graphs.runner import Runner
    from imagerag.graphs.wiring import Wiring
    from imagerag.store.ingest import IndexReport
    from imagerag.store.library import Library
    from imagerag.store.runs import RunEntry

Image = str | Path | bytes
Answer = TypeVar("Answer")


class ImageRAG:
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

    def __init__(
        self,
        *,
        preset: str | None = None,
        generator: str | None = None,
        judge: str | None = None,
        embedder: str | None = None,
        library: str | None = None,
        home: str | Path | None = None,
    ) -> None:
        self.settings: Settings = resolve(
            preset=preset,
            generator=generator,
            judge=judge,
            embedder=embedder,
            library=library,
            home=str(home) if home is not None else None,
        )

    @cached_property
    def runner(self) -> "Runner":
        """What runs the graph; for those who need more than this class offers."""
        from imagerag.graphs.runner import Runner

        return Runner(wiring=self.wiring)

    @cached_property
    def wiring(self) -> "Wiring":
        """What runs are made of: backends, libraries, images, the list of runs."""
        from imagerag.graphs.wiring import Wiring
        from imagerag.store.home import Home

        return Wiring(Home.find(self.settings.home))

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

    async def image_bytes(self, sha256: str) -> bytes:
        """The bytes of an image of a run, verified against their hash."""
        return await self.wiring.blobs.get(sha256)

    async def index(
        self,
        *paths: str | Path,
        library: str | None = None,
        embedder: str | None = None,
        manifest: str | Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "IndexReport":
        """Put the images of files and folders into a library, which is made when there is none of that name.

        Args:
            paths: files, and folders with everything below them.
            library: which one, when not the one this object was made with.
            embedder: spec of the encoder for a new library; one that exists knows its own.
            manifest: JSON lines or CSV that says more of the images (caption, tags, licence, …).
            progress: called after every batch with files done and files in all.

        Returns:
            How many were added, updated, unchanged, and what was skipped and why.

        Raises:
            UsageError: a path or the manifest does not exist.
            EmbeddingMismatchError: the library exists and was made with another encoder than `embedder`.
        """
        from imagerag.store.ingest import index

        if (library or self.settings.library) == BUILT_IN_LIBRARY:
            raise UsageError(f"{BUILT_IN_LIBRARY!r} is the built-in catalogue, redrawn when it has to be: name another")
        opened = await self.open_library(library, embedder=embedder, create=True)
        return await index(paths, opened, manifest=manifest, progress=progress)

    async def search(
        self,
        query: str | None = None,
        *,
        image: Image | None = None,
        library: str | None = None,
        k: int = 8,
        where: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
        licences: Sequence[str] = (),
        hybrid: bool = False,
    ) -> "list[Hit]":
        """The `k` library images most similar to a text or to an image, best first, whatever the threshold.

        Args:
            query: a text; or give `image`.
            library: which one, when not the one this object was made with.
            where: metadata a hit must have; tags and licences likewise.
            hybrid: rank by the words of captions and titles too.

        Raises:
            UsageError: neither a text nor an image, or both; or `hybrid` with an image.
            UnknownLibraryError: there is none of that name.
        """
        from imagerag.agent.ports import Filter

        if (query is None) == (image is None):
            raise UsageError("search with a text or with an image, one of them")
        if image is not None and hybrid:
            raise UsageError("a hybrid search needs words: an image has none")
        opened = await self.open_library(library)
        wanted = Filter(where=dict(where or {}), tags=tuple(tags), licences=tuple(licences))
        if image is not None:
            data = await asyncio.to_thread(read_image, image)
            return list(await opened.search_by_image(data, k=k, filter=wanted))
        return list(await opened.search(query or "", k=k, filter=wanted, hybrid=hybrid))

    async def open_library(
        self, name: str | None = None, *, embedder: str | None = None, create: bool = False
    ) -> "Library":
        """Open a library, with the encoder it was made with unless another is named.

        Args:
            name: which one, when not the one this object was made with.
            embedder: insist on this encoder.
            create: make an empty one when there is none.

        Raises:
            UnknownLibraryError: there is none of that name, and none was to be made.
            EmbeddingMismatchError: it was made with another encoder than `embedder`.
        """
        from imagerag.store.library import Library

        name = name or self.settings.library
        if not name:
            raise UsageError("say which library: --library NAME")
        wiring = self.wiring
        try:
            opened = await wiring.open_library(name)
        except UnknownLibraryError:
            if not create:
                raise
            return await Library.create_or_open(wiring.home, name, wiring.embedder(embedder or self.settings.embedder))
        if embedder is None or embedder == opened.passport.spec:
            return opened
        return await Library.open(wiring.home, name, wiring.embedder(embedder))

    async def libraries(self) -> list[str]:
        """The names of the libraries there are, sorted."""
        from imagerag.store.library import list_libraries

        return await asyncio.to_thread(list_libraries, self.wiring.home)

    async def remove_library(self, name: str) -> None:
        """Delete a library with everything in it; the files it was indexed from stay.

        Raises:
            UnknownLibraryError: there is none of that name.
        """
        from imagerag.store.library import remove

        await asyncio.to_thread(remove, self.wiring.home, name)

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
            raise UsageError(_plain(error)) from error

    async def _keep(self, image: Image) -> ImageRef:
        return await self.wiring.blobs.put(await asyncio.to_thread(read_image, image))


def make_knobs(**values: Any) -> Knobs:
    """Knobs from plain values.

    Raises:
        UsageError: a value out of its range; one line that names it.
    """
    try:
        return Knobs(**values)
    except ValidationError as error:
        raise UsageError(_plain(error)) from error


def parse_size(size: str | tuple[int, int] | Size | None) -> Size | None:
    """A size from "WxH" or a pair of pixels.

    Raises:
        UsageError: not a size between 16 and 8192 pixels a side.
    """
    if size is None or isinstance(size, Size):
        return size
    try:
        width, height = (int(side) for side in (size.lower().split("x") if isinstance(size, str) else size))
        return Size(width=width, height=height)
    except (ValueError, TypeError) as error:
        raise UsageError(f"not a size: {size!r}; give WIDTHxHEIGHT, 16 to 8192 pixels a side") from error


def read_image(image: Image) -> bytes:
    """Image bytes from bytes or a file.

    Raises:
        UsageError: no such file.
    """
    if isinstance(image, bytes):
        return image
    try:
        return Path(image).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the image {str(image)!r}: {error.strerror or error}") from error


def run_sync(answer: "Awaitable[Answer]") -> Answer:
    """Wait for an answer without being in an event loop, or, inside one, in a thread with a loop of its own."""

    async def awaited() -> Answer:
        return await answer

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(awaited())
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(asyncio.run(awaited()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="imagerag")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]


async def _last(events: AsyncIterator["RunEvent"]) -> "RunRecord":
    record = None
    async for event in events:
        record = event.record or record
    assert record is not None, "a run's last event carries its record"
    return record


def _plain(error: ValidationError) -> str:
    problems = (f"{'.'.join(str(part) for part in p['loc'][:1])}: {p['msg']}" for p in error.errors())
    return "; ".join(dict.fromkeys(problems))
