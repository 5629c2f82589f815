"""One image from the generator: what it is asked with, what is told while it draws, what is kept."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imagerag.agent.calls.call_context import ProgressCallback
from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.calls.response_check import checked_response
from imagerag.agent.errors import UnreadableImageError, UsageError
from imagerag.agent.feedback import requested
from imagerag.agent.images.mask_compositing import MaskedImage, composite_mask
from imagerag.agent.lone_surrogates import valid_text
from imagerag.agent.ports import (
    BlobStore,
    GeneratedImage,
    GeneratedImageRef,
    ImageGenerator,
    ImagePart,
    capabilities_of,
)
from imagerag.agent.prompts import reference_prompt
from imagerag.agent.size_translation import size_for
from imagerag.agent.state import RunState, next_round
from imagerag.agent.threads import in_thread
from imagerag.agent.types import (
    Attempt,
    ImageRef,
    NamedSize,
    Progress,
    Revision,
    RunConfig,
    SamplingParams,
    Size,
    UsedReference,
)
from imagerag.agent.types.web_sources import MAX_SOURCES

_MAX_REVISED = 32_000
"""Characters of a reworded prompt that are kept: as many as a prompt may have."""

_KEPT = (
    "cost_usd",
    "usage",
    "prompt",
    "served_by",
    "fallback_errors",
    "size",
    "references_sent",
    "sources",
)


def _revised(generated: GeneratedImage) -> str | None:
    """The reworded prompt, as text that can be stored."""
    revised = generated.revised_prompt
    return None if revised is None else valid_text(revised[:_MAX_REVISED])


@dataclass(frozen=True, kw_only=True)
class ImageGeneration:
    """Asks the generator for one image, and tells how far it is.

    Attributes:
        node: on whose behalf.
        part: gets a reference's bytes.
        tell: takes what is to be seen of it meanwhile: the node, and its `Progress`.
    """

    generator: ImageGenerator
    blobs: BlobStore
    config: RunConfig
    node: str
    part: Callable[[UsedReference], Awaitable[ImagePart]]
    tell: Callable[[Mapping[str, Any]], None]

    async def attempt(self, calls: ModelCaller, state: RunState, references: Sequence[UsedReference]) -> Attempt:
        """Draw the run's next attempt.

        Raises:
            RefusalError, BackendError, BudgetExceededError, ReplayMissError: as `draw`.
        """
        attempts = state.get("attempts") or []
        prompt = reference_prompt(self.generator.template, _instruction(state, references), references)
        variation = SamplingParams(seed=self._seed(attempts, references))
        generated = await self.draw(calls, prompt, references, variation)
        return Attempt(
            index=len(attempts),
            round=next_round(state),
            prompt=generated.prompt or prompt,
            image=generated.image,
            original=generated.original,
            mask=generated.mask,
            references=tuple(references[: generated.references_sent]),
            size=generated.size,
            sources=generated.sources[:MAX_SOURCES],
            generator=generated.served_by or self.generator.identity,
            variation=variation,
            revised_prompt=generated.revised_prompt,
            fallback_errors=generated.fallback_errors,
        )

    def _seed(self, attempts: Sequence[Attempt], references: Sequence[UsedReference]) -> int:
        """The run's seed; another one where the very same was drawn before, which would come out the same again."""
        images = [reference.sent for reference in references]
        again = sum([one.sent for one in attempt.references] == images for attempt in attempts)
        return (self.config.seed + again) % 2**32

    def draw(
        self, calls: ModelCaller, prompt: str, references: Sequence[UsedReference], variation: SamplingParams
    ) -> Coroutine[Any, Any, GeneratedImageRef]:
        """Draw, unless the journal has the image.

        Raises:
            RefusalError, BackendError: as the generator raises them.
            BudgetExceededError, ReplayMissError: as `ModelCaller.make` raises them.
        """

        size = self._size(references)

        async def ask() -> GeneratedImageRef:
            parts = await asyncio.gather(*map(self.part, references))
            try:
                returned = await self.generator.generate(prompt, parts, variation=variation, size=size)
                generated = checked_response(returned, GeneratedImage, self.generator.identity)
                if (
                    size is not None and not capabilities_of(self.generator).members
                ):  # a fallback says itself what was sent
                    generated = replace(generated, size=size)
                original, shown = await self._keep(generated)
            except UnreadableImageError as error:
                unread = error
            else:
                masked = await self._masked(generated, references)
                if masked is not None and masked.data is not None:
                    shown = await self.blobs.put(masked.data)
                return GeneratedImageRef(
                    image=shown,
                    original=original if shown != original else None,
                    mask=masked.check if masked else None,
                    revised_prompt=_revised(generated),
                    **{name: getattr(generated, name) for name in _KEPT},
                )
            raise await self._with_kept_bytes(unread)

        content = self._content(prompt, references, size)
        return calls.execute(
            "generate",
            self.generator.identity,
            GeneratedImageRef,
            content,
            ask,
            variation,
            progress=self._progress_callback(),
        )

    async def _masked(self, generated: GeneratedImage, references: Sequence[UsedReference]) -> MaskedImage | None:
        """The image held within the first image's mask; None without one."""
        if not references or references[0].mask is None:
            return None
        part, feather = await self.part(references[0]), self.config.mask_feather
        assert part.mask is not None, "its mask was sent along"
        return await in_thread(
            composite_mask, generated.data, part.data, part.mask, size=generated.size, feather=feather
        )

    def _size(self, references: Sequence[UsedReference]) -> Size | None:
        """The size to send; a resolution alone keeps the shape of an image that is edited."""
        size = self.config.size
        if size is None:
            return None
        if isinstance(size, NamedSize) and references and references[0].role == "edit":
            edited = references[0].sent
            try:
                size = size.in_shape(edited.width, edited.height)
            except ValueError as error:
                raise UsageError(f"{error}: give `size=WxH`") from error
        return size_for(self.generator, size)

    def _content(self, prompt: str, references: Sequence[UsedReference], size: Size | None) -> dict[str, Any]:
        """Content of the request. A mask is named only where there is one: earlier calls have no such key."""
        masks = [
            [reference.image.sha256, reference.mask.sha256] for reference in references if reference.mask is not None
        ]
        return {
            "prompt": prompt,
            "images": [[one.role, one.sent.sha256, one.concept, one.caption] for one in references],
            "size": str(size) if size else None,
            **({"masks": masks} if masks else {}),
            **({"mask_feather": self.config.mask_feather} if masks and self.config.mask_feather else {}),
        }

    def _progress_callback(self) -> ProgressCallback:
        count = self.config.partial_images

        async def partial(data: bytes, number: int) -> None:
            self._tell(Progress(step=number + 1, of=count, image=await self.blobs.put(data)))

        return ProgressCallback(
            partial_images=count,
            step=lambda done, total: self._tell(Progress(step=done, of=total)),
            partial=partial,
        )

    def _tell(self, progress: Progress) -> None:
        self.tell({"node": self.node, "progress": progress.model_dump(mode="json")})

    async def _keep(self, generated: GeneratedImage) -> tuple[ImageRef, ImageRef]:
        """What came, and what is shown and judged."""
        try:
            return await self.blobs.put_viewable(generated.data)
        except UsageError as error:
            who = generated.served_by or self.generator.identity
            unread = UnreadableImageError(f"{who} gave back no image: {error}", data=generated.data)
            raise unread.with_cost(generated.cost_usd, generated.usage) from error

    async def _with_kept_bytes(self, unread: UnreadableImageError) -> UnreadableImageError:
        """The error, when what came is kept: it was paid for, and may be readable by other means."""
        if not unread.data:
            return unread
        where = await self.blobs.keep(unread.data)
        kept = UnreadableImageError(f"{unread}; it was paid for, and what came is kept: {where}", data=unread.data)
        return kept.with_cost(unread.cost_usd, unread.usage)


def _instruction(state: RunState, references: Sequence[UsedReference]) -> str:
    """What to draw; where an image of an earlier run is changed, what to change in it."""
    revision = state.get("revision")
    changes = revision and any(one.selected_by == "parent_run" for one in references)
    return Revision.model_validate(revision).instruction if changes else requested(state)
