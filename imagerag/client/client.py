"""The Python front door: `ImageRAG`."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from imagerag.agent.errors import UsageError
from imagerag.agent.types import PATIENCE_S, RunConfig, RunSpec
from imagerag.client.run_actions import GoingOn, last_record
from imagerag.files.inputs import Image, image_sources, keep_image, make_knobs, parse_size, run_sync
from imagerag.files.source_images import SourceImages

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord
    from imagerag.batch.input_rows import Source
    from imagerag.batch.results import BatchResult
    from imagerag.graphs.cost_estimate import Estimate
    from imagerag.graphs.runs.events import RunEvent


class ImageRAG(GoingOn):
    """Draws what was asked for, looks at it, finds what is missing in the user's own pictures, and draws again.

    Args:
        preset: a bundle of backends that belong together; "sketch" is embedded and offline.
        generator: spec of what draws, `provider:model[@base_url]`.
        judge: spec of what looks.
        answerer: spec of what answers questions; by default the judge.
        embedder: spec of the encoder for new libraries; a library that exists knows its own.
        library: name of the library references come from.
        reranker: spec of what puts candidates that passed into another order: "vlm" (the judge picks), "bm25" (the
            words of captions, titles and tags). None, the default, leaves them by similarity.
        home: folder for libraries, images and runs.

    What is not given comes from the environment (`IMAGERAG_PRESET`, `IMAGERAG_LIBRARY`, …), then `imagerag.toml`,
    then the preset.

    Raises:
        UsageError: an unknown preset or setting.
    """

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
        return await last_record(self.stream(prompt, **options))

    def generate_sync(self, prompt: str, **options: Any) -> "RunRecord":
        """`generate`, for programs without an event loop. Works inside one too (a notebook), in a thread of its own."""
        return run_sync(self.generate(prompt, **options))

    def stream(
        self,
        prompt: str,
        *,
        library: str | None = None,
        subjects: Sequence[Image | tuple[str, Image]] = (),
        edit: Image | tuple[str, Image] | None = None,
        edit_library: str | None = None,
        mask: Image | None = None,
        initial_image: Image | None = None,
        max_rounds: int = 3,
        max_references: int | None = None,
        references_per_concept: int | None = None,
        threshold: float | Literal["auto", "off"] = "auto",
        candidates: int = 8,
        hybrid: bool = False,
        judge_mode: Literal["fused", "stepwise"] = "fused",
        start: Literal["draft", "retrieve"] = "draft",
        likeness: Literal["auto", "always", "never"] = "auto",
        select: bool = False,
        seed: int = 0,
        size: str | tuple[int, int] | None = None,
        partial_images: int = 0,
        mask_feather: int = 0,
        where: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
        licences: Sequence[str] = (),
        journal: Literal["record", "reuse", "replay"] = "record",
        max_calls: int | None = None,
        max_cost_usd: float | None = None,
        assume_cost_usd_per_call: float | None = None,
        deadline_s: float | None = None,
        patience_s: float | None = None,
        run_id: str | None = None,
    ) -> AsyncGenerator["RunEvent"]:
        """The same as `generate`, event by event. Leaving the loop early cancels the run.

        Args:
            prompt: what to draw.
            library: where references come from, when not the one this object was made with; several with commas
                between them ("photos,photos-siglip") are searched as one, each by its own encoder and threshold.
            subjects: the user's own images (path or bytes, or a pair of name and image) that are to be in the picture.
            edit: an image of the user's own that is changed as the prompt says, the rest of it kept; alone, or with
                library references that say how things look. For generators that can.
            edit_library: the same with a picture of the library, by its id.
            mask: a PNG as large as the picture to edit (or the first subject), below 4 MB: it changes only where this
                is transparent. What the generator changes elsewhere is put back. For generators that take one.
            initial_image: an image to start from instead of drawing the first.
            max_rounds: redrawings at most, 0 to 20.
            max_references: images sent with the prompt at most, subjects included, 1 to 16.
            references_per_concept: references for each missing concept at most, 1 to 16; None is what is set, else 1.
            threshold: cosine in [-1, 1] a reference must reach; "auto" is the library's calibrated one.
            candidates: library images looked at per search, 1 to 100.
            hybrid: rank by the words of captions and titles too, beside similarity; the threshold stays one of
                similarity.
            judge_mode: one structured question per attempt, or the paper's three.
            start: draw first, or retrieve for the prompt first.
            likeness: which pictures that are sent must be recognisable as the very same: subjects and what is tagged as
                a product, person, mascot or logo ("auto"), all but those for a style, or none.
            select: wait for a human to choose among the references that passed.
            seed: where the generator honours one.
            size: "WxH" or a pair, in pixels.
            partial_images: unfinished pictures to be told of ("progress" events) while one is drawn, 0 to 3, where the
                generator can; they cost tokens.
            mask_feather: pixels over which what is new fades into the old, inwards from the edge of the mask.
            where: metadata a reference must have; tags and licences likewise.
            journal: "reuse" takes answers that other runs paid for; "replay" makes no call at all, and fails where
                nothing was recorded.
            max_calls: model calls at most.
            max_cost_usd: US dollars at most; no call is made whose price is not known. 0 allows what is free.
            assume_cost_usd_per_call: US dollars that a call counts as whose price is not known: more than it costs. The
                record says how much was assumed.
            deadline_s: seconds at most.
            patience_s: seconds that a call waits at most for a service that says when to ask again; None is 120.
            run_id: an id of one's own, instead of a new one.

        Raises:
            UsageError: something asked for cannot be.
        """
        each = self.settings.references_per_concept if references_per_concept is None else references_per_concept
        knobs = make_knobs(
            max_rounds=max_rounds,
            max_references=max_references,
            references_per_concept=each,
            threshold=threshold,
            candidates=candidates,
            hybrid=hybrid,
            judge_mode=judge_mode,
            start=start,
            likeness=likeness,
            select=select,
            seed=seed,
            size=parse_size(size),
            partial_images=partial_images,
            mask_feather=mask_feather,
            where=dict(where or {}),
            tags=tuple(tags),
            licences=tuple(licences),
            journal=journal,
            max_calls=max_calls,
            max_cost_usd=max_cost_usd,
            assume_cost_usd_per_call=assume_cost_usd_per_call,
            patience_s=PATIENCE_S if patience_s is None else patience_s,
        )
        from imagerag.graphs.mask_validation import check_edits
        from imagerag.graphs.runs.event_stream import EventStream

        setup = self._setup(library, knobs, deadline_s)
        own = SourceImages(subjects=subjects, edit=edit, edit_library=edit_library, mask=mask)

        async def started() -> AsyncGenerator["RunEvent"]:
            if own.edits:
                check_edits(self.wiring.generator(setup.generator))
            kept = await own.kept(self.wiring, setup)
            initial = await keep_image(self.wiring.blobs, initial_image) if initial_image is not None else None
            return self.runner.start(prompt, setup, subjects=kept, initial_image=initial, run_id=run_id)

        return EventStream(started)

    async def estimate(
        self,
        prompt: str,
        *,
        library: str | None = None,
        subjects: Sequence[Image | tuple[str, Image]] = (),
        edit: Image | tuple[str, Image] | None = None,
        edit_library: str | None = None,
        mask: Image | None = None,
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
        from imagerag.graphs.cost_estimate import estimate_setup
        from imagerag.graphs.validation import validate_prompt

        own = SourceImages(subjects=subjects, edit=edit, edit_library=edit_library, mask=mask)
        await own.check()
        given = {"references_per_concept": self.settings.references_per_concept}
        given |= {name: value for name, value in options.items() if value is not None and name != "run_id"}
        setup = self._setup(library, make_knobs(size=parse_size(size), **given), deadline_s)
        return await estimate_setup(
            self.wiring,
            setup,
            prompt=validate_prompt(prompt),
            subjects=len(own),
            edits=own.edits,
            initial_image=initial_image is not None,
            mask=mask is not None,
        )

    async def batch(
        self,
        source: "Source",
        out: str | Path,
        *,
        resume: bool = False,
        retry_failed: bool = False,
        concurrency: int = 4,
        max_cost_usd: float | None = None,
        allow_outside: bool = False,
        **options: Any,
    ) -> AsyncGenerator["BatchResult"]:
        """Run many prompts, a few at a time; each result once it is on the disk, in the order in which they come.

        Args:
            source: a file (`.jsonl`, `.csv`, `.txt`), or prompts and mappings (`id`, `prompt`, options of `generate`).
            out: the batch's folder: `results.jsonl`, and a picture with its sidecar for every line.
            resume: go on with the batch in `out`, if there is one; what has a result is left as it is.
            retry_failed: on going on, run lines that failed once more.
            concurrency: runs at once, 1 to 64.
            max_cost_usd: US dollars at most for the whole batch.
            allow_outside: the file may name pictures outside of its folder.
            options: for all lines that do not say otherwise, as `generate` takes them; `max_run_cost_usd` for each run.

        Leaving the loop early leaves the batch to be resumed.

        Raises:
            UsageError: an input, a folder or an option that cannot be; nothing was run then.
            BudgetExceededError: the budget does not allow the next run; after all results.
        """
        from imagerag.batch.runner import BatchRunner

        batch = BatchRunner(
            self,
            source,
            Path(out),
            options=options,
            resume=resume,
            retry_failed=retry_failed,
            concurrency=concurrency,
            max_cost_usd=max_cost_usd,
            allow_outside=allow_outside,
        )
        async with aclosing(batch.run()) as results:
            async for result in results:
                yield result

    def batch_sync(self, source: "Source", out: str | Path, **options: Any) -> "list[BatchResult]":
        """`batch`, for programs without an event loop: all results at once."""

        async def all_of_it() -> "list[BatchResult]":
            return [result async for result in self.batch(source, out, **options)]

        return run_sync(all_of_it())

    def _setup(self, library: str | None, knobs: RunConfig, deadline_s: float | None) -> RunSpec:
        try:
            return RunSpec(
                generator=self.settings.generator,
                judge=self.settings.judge,
                library=library or self.settings.library,
                reranker=self.settings.reranker or None,
                knobs=knobs,
                deadline_s=deadline_s,
            )
        except ValidationError as error:
            raise UsageError(image_sources(error)) from error
