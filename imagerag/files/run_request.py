"""A requested run: its options, checked, and what is made of them (`RunSpec`, images), for one run or for a batch."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from pydantic import ValidationError

from imagerag.agent.errors import UsageError
from imagerag.agent.size_translation import check_size
from imagerag.agent.threads import in_thread
from imagerag.agent.types import RunSpec, Size
from imagerag.agent.types.filters import FilterInput
from imagerag.files.inputs import Image, keep_image, make_run_config, make_size
from imagerag.files.source_images import SourceImages, readable
from imagerag.formatting.messages import invalid, unknown
from imagerag.graphs.configuration.settings import Settings

if TYPE_CHECKING:
    from imagerag.graphs.cost_estimate import Estimate
    from imagerag.graphs.dependencies import Dependencies
    from imagerag.graphs.runs.events import RunEvent
    from imagerag.graphs.runs.runner import Runner


class CommonRunOptions(TypedDict, total=False):
    """Options of single runs and of batches. None is the default, as is leaving one out.

    Attributes:
        library: where references come from, when not the one this object was made with; several with commas between
            them ("photos,photos-siglip") are searched as one, each by its own encoder and threshold.
        subjects: the user's own images (path or bytes, or a pair of name and image) that are to be in the image.
        edit: an image of the user's own that is changed as the prompt says, the rest of it kept; alone, or with
            library references that say how things look. For generators that can.
        edit_library: the same with an image of the library, by its id.
        mask: a PNG as large as the image to edit (or the first subject), below 4 MB: it changes only where this is
            transparent. What the generator changes elsewhere is put back. For generators that take one.
        initial_image: an image to start from instead of drawing the first.
        max_rounds: redrawings at most, 0 to 20; 3 by default.
        max_references: images sent with the prompt at most, subjects included, 1 to 16.
        references_per_concept: references for each missing concept at most, 1 to 16; by default what is set, else 1.
        threshold: cosine in [-1, 1] a reference must reach; "auto", the default, is the library's calibrated one.
        candidates: library images looked at per search, 1 to 100; 8 by default.
        hybrid: rank by captions and words too, beside similarity.
        judge_mode: one structured question per attempt ("fused", the default), or the paper's three ("stepwise").
        start: draw first ("generate", the default), or retrieve for the prompt first ("retrieve").
        likeness: which images that are sent must be recognisable as the very same: subjects and what is tagged as a
            product, person, mascot or logo ("auto", the default), all but those for a style, or none.
        reference_crop: what is sent of a library image of which a region was found: the region with a margin where it
            is less than half of the image ("auto", the default), always the region, or the whole image.
        seed: where the generator honours one; 0 by default.
        size: "WxH" or a pair, in pixels; or an aspect ratio ("16:9"), a resolution ("512", "1K", "2K", "4K"), or both
            ("16:9@2K"), which become the nearest size that the generator draws. By default what is set, else the
            generator's own; "auto" is its own.
        mask_feather: pixels over which what is new fades into the old, inwards from the edge of the mask.
        filter: what must hold of a reference, in the filter language (`taken>=2024-05 and not tag=draft`), or a mapping
            of keys to the values that they must equal.
        tags: tags a reference must have, all of them.
        licences: licences a reference may have.
        cache: "reuse" takes answers that other runs paid for; "replay" makes no call at all, and fails where nothing
            was recorded; "record" is the default.
        max_calls: model calls at most.
        assume_cost_usd_per_call: US dollars that a call counts as whose price is not known: more than it costs. The
            record says how much was assumed.
        deadline_s: seconds at most.
        patience_s: seconds that a call waits at most for a service that says when to ask again; 120 by default.
    """

    library: str | None
    subjects: Sequence[Image | tuple[str, Image]]
    edit: Image | tuple[str, Image] | None
    edit_library: str | None
    mask: Image | None
    initial_image: Image | None
    max_rounds: int
    max_references: int | None
    references_per_concept: int | None
    threshold: float | Literal["auto", "off"]
    candidates: int
    hybrid: bool
    judge_mode: Literal["fused", "stepwise"]
    start: Literal["generate", "retrieve"]
    likeness: Literal["auto", "always", "never"]
    reference_crop: Literal["auto", "region", "whole"]
    seed: int
    size: str | Sequence[int] | Size | None
    mask_feather: int
    filter: FilterInput | None
    tags: Collection[str]
    licences: Collection[str]
    cache: Literal["record", "reuse", "replay"]
    max_calls: int | None
    assume_cost_usd_per_call: float | None
    deadline_s: float | None
    patience_s: float | None


class RunOptions(CommonRunOptions, total=False):
    """Options of `ImageRAG.generate`, `stream` and `estimate`: those of `CommonRunOptions`, and these.

    Attributes:
        max_cost_usd: US dollars at most; no call is made whose price is not known. 0 allows what is free.
        select: wait for a human to choose among the references that passed.
        partial_images: unfinished images to be told of ("progress" events) while one is drawn, 0 to 3, where the
            generator can; they cost tokens. 0 by default.
    """

    max_cost_usd: float | None
    select: bool
    partial_images: int


class BatchOptions(CommonRunOptions, total=False):
    """Options of `ImageRAG.batch` for all lines that do not say otherwise: those of `CommonRunOptions`, and this.

    Attributes:
        max_run_cost_usd: US dollars at most for each run.
    """

    max_run_cost_usd: float | None


_IMAGES: Final = ("subjects", "edit", "edit_library", "mask")
_OTHERS: Final = ("library", "deadline_s", "initial_image")


@dataclass(frozen=True)
class RunRequest:
    """A run as it was asked for."""

    prompt: str
    setup: RunSpec
    images: SourceImages
    initial_image: Image | None = None

    @classmethod
    def of(cls, settings: Settings, prompt: str, options: Mapping[str, Any]) -> "RunRequest":
        """Make a request from `RunOptions`.

        Raises:
            UsageError: an option that does not exist, is out of its range, or does not go with another.
        """
        if surplus := sorted(options.keys() - RunOptions.__annotations__.keys()):
            raise UsageError(unknown("option", surplus[0], RunOptions.__annotations__, where="run"))
        values = {name: value for name, value in options.items() if value is not None}
        images = {name: values.pop(name) for name in _IMAGES if name in values}
        library, deadline_s, initial_image = (values.pop(name, None) for name in _OTHERS)
        config = {
            "references_per_concept": settings.references_per_concept,
            **values,
            "size": make_size(values.get("size", settings.size)),
            "filter": settings.where(values.get("filter")),
        }
        try:
            setup = RunSpec(
                generator=settings.generator,
                judge=settings.with_backends.judge,
                library=library or settings.library,
                reranker=settings.reranker or None,
                config=make_run_config(**config),
                deadline_s=deadline_s,
            )
        except ValidationError as error:
            raise UsageError(invalid(error)) from error
        return cls(prompt, setup, SourceImages(**images), initial_image)

    async def start(self, runner: "Runner", *, run_id: str | None = None) -> AsyncGenerator["RunEvent"]:
        """Keep the images, and give the events of the run that starts with the first one. Closing them cancels it.

        Raises:
            UsageError: an image cannot be read or kept, or the backends cannot do what was asked for.
        """
        from imagerag.graphs.mask_validation import check_draws, check_edits

        dependencies = runner.dependencies
        if self.images.edits:
            check_edits(dependencies.generator(self.setup.generator))
        elif self.setup.config.start == "generate" and self.initial_image is None:
            check_draws(dependencies.generator(self.setup.generator))
        if self.setup.config.size is not None:
            check_size(dependencies.generator(self.setup.generator), self.setup.config.size)
        subjects = await self.images.store(dependencies, self.setup)
        initial = None if self.initial_image is None else await keep_image(dependencies.blobs, self.initial_image)
        return runner.start(self.prompt, self.setup, subjects=subjects, initial_image=initial, run_id=run_id)

    async def estimate(self, dependencies: "Dependencies") -> "Estimate":
        """Upper bounds of the run's calls and cost. Nothing is asked and nothing is spent.

        Raises:
            UsageError: an image cannot be read, the library is not there, or the backends cannot do what was asked for.
        """
        from imagerag.graphs.cost_estimate import estimate_setup
        from imagerag.graphs.validation import validate_prompt

        await self.images.check()
        if self.initial_image is not None:
            await in_thread(readable, self.initial_image)
        return await estimate_setup(
            dependencies,
            self.setup,
            prompt=validate_prompt(self.prompt),
            subjects=len(self.images),
            edits=self.images.edits,
            initial_image=self.initial_image is not None,
            mask=self.images.mask is not None,
        )
