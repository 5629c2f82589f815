"""The images of a run that are sent to models: which ones, and their bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imagerag.agent import concept_tracker
from imagerag.agent.errors import BlobError
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.images.encoding import encode
from imagerag.agent.images.regions import shown_crop
from imagerag.agent.intents import Likeness, needs_likeness
from imagerag.agent.ports import BlobStore, ImagePart, ReferenceLibrary
from imagerag.agent.retrieval.search_queries import read_images
from imagerag.agent.state import RunState
from imagerag.agent.threads import in_thread
from imagerag.agent.types import ImageRef, Region, Revision, RunConfig, Subject, UsedReference
from imagerag.agent.types.runs import ReferenceCrop

LARGE: Final = 0.5
"""Share of an image's area from which a region in it is sent as the whole image by default."""


@dataclass(frozen=True, kw_only=True)
class ImageParts:
    """Reads images as models take them.

    Attributes:
        library: where references lie; None where there is none.
    """

    blobs: BlobStore
    library: ReferenceLibrary | None

    async def image(self, image: ImageRef) -> ImagePart:
        """An image of the run."""
        data, media_type = await self.blobs.encode_for_model(image.sha256)
        return ImagePart(data=data, media_type=media_type)

    async def keep(self, sha256: str) -> None:
        """Keep an image of the library among the run's own: its file may be gone when the run is shown or resumed.

        Raises:
            BlobError: it is not to be had any more; says what became of its file.
        """
        try:
            await self.blobs.get(sha256)
        except BlobError:
            if self.library is None:
                raise
            await self.blobs.put(await self.library.image_bytes(sha256))

    async def missing(self, to_keep: Sequence[str], to_read: Sequence[str] = ()) -> dict[str, str]:
        """Keep images of the library, and read others; SHA-256 → what became of the file of each that is missing."""
        errors: dict[str, str] = {}
        for sha256 in to_keep:
            try:
                await self.blobs.get(sha256)
            except BlobError as error:
                errors[sha256] = str(error)
        if self.library is None:
            return errors
        images = dict.fromkeys((*errors, *(sha256 for sha256 in to_read if sha256 not in to_keep)))
        for sha256, got in (await read_images(self.library, list(images))).items():
            if isinstance(got, BlobError):
                errors[sha256] = str(got)
            elif errors.pop(sha256, None) is not None:
                await self.blobs.put(got)
        return errors

    async def encoded_of_library(self, sha256: str) -> tuple[bytes, str]:
        """An image as models take it, and its media type; one of the library that is not kept yet is kept.

        Raises:
            BlobError: it is neither here nor in the library.
        """
        try:
            return await self.blobs.encode_for_model(sha256)
        except BlobError:
            await self.keep(sha256)
            return await self.blobs.encode_for_model(sha256)

    async def cropped(self, reference: UsedReference, policy: ReferenceCrop) -> UsedReference:
        """A reference with the crop that is sent instead of the whole image, if one is; the run keeps both.

        Raises:
            BlobError: the image is neither here nor in the library.
        """
        if reference.region is None or reference.crop is not None or not sends_region(reference.region, policy):
            return reference
        data, _ = await self.encoded_of_library(reference.image.sha256)
        crop = await self.blobs.put(await in_thread(encoded_crop, data, reference.region))
        return reference.model_copy(update={"crop": crop})

    async def reference(self, reference: UsedReference) -> ImagePart:
        """A reference, or an image of the user's own, with what it stands for and its mask."""
        run_owns = reference.role != "reference" or reference.crop is not None
        own = self.blobs.encode_for_model if run_owns else self.encoded_of_library
        data, media_type = await own(reference.sent.sha256)
        return ImagePart(
            data=data,
            media_type=media_type,
            role=reference.role,
            likeness=reference.likeness,
            concept=reference.concept,
            caption=reference.caption,
            mask=(await self.blobs.encode_for_model(reference.mask.sha256))[0] if reference.mask else None,
        )


def sends_region(region: Region, policy: ReferenceCrop) -> bool:
    """Whether a region is sent instead of its image."""
    return policy == "region" or (policy == "auto" and region.area < LARGE)


def encoded_crop(data: bytes, region: Region) -> bytes:
    """The region of an image with a margin, as PNG; the same bytes for the same image. Blocks."""
    return encode(shown_crop(open_rgb(data), region), "image/png")


def subjects_of(state: RunState, likeness: Likeness = "never") -> list[UsedReference]:
    """The user's own images, as references that are always sent; over HTTP they come as plain JSON.

    An image of an earlier run that is changed after feedback comes first, in place of one to edit: it was made of that.
    """
    revision, subjects = state.get("revision"), map(Subject.model_validate, state.get("subjects") or [])
    edited = [Revision.model_validate(revision).reference] if revision else []
    return edited + [
        UsedReference(
            image=own.image,
            mask=own.mask,
            role=own.intent,
            likeness=needs_likeness(likeness, kind="content", role=own.intent),
            selected_by="by_hand" if own.of_library else "given",
            concept=own.name,
            title=own.title,
            source=own.source,
            author=own.author,
            licence=own.licence,
            web=own.web,
        )
        for own in subjects
        if not (edited and own.intent == "edit")
    ]


def always_sent(state: RunState, likeness: Likeness = "never") -> list[UsedReference]:
    """Images sent with every drawing: the user's own images, and the references that were pinned."""
    return [*subjects_of(state, likeness), *(state.get("kept_images") or [])]


def reference_room(state: RunState, config: RunConfig, *, takes: int) -> int:
    """Number of references that a generator takes beside the images that are always sent."""
    return max(0, config.reference_limit(takes) - len(always_sent(state)))


def references_to_send(
    state: RunState, selected: Sequence[UsedReference], *, room: int, likeness: Likeness
) -> list[UsedReference]:
    """Images that are always sent, then those chosen for what is missing, then those that helped, within `room`."""
    references = [*always_sent(state, likeness), *selected]
    known_shas = {reference.image.sha256 for reference in references} | set(state.get("excluded_images") or [])
    helpful = concept_tracker.resolving_references(state.get("tracked_concepts") or [], state.get("attempts") or [])
    more = [reference for reference in helpful if reference.image.sha256 not in known_shas]
    return [*references, *more[: room - len(selected)]]
