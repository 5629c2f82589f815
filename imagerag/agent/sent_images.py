"""The images of a run that are sent to models: which ones, and their bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from imagerag.agent import concept_tracker
from imagerag.agent.errors import BlobError
from imagerag.agent.intents import Likeness, needs_likeness
from imagerag.agent.ports import BlobStore, ImagePart, ReferenceLibrary
from imagerag.agent.retrieval.search_queries import read_images
from imagerag.agent.state import RunState
from imagerag.agent.types import ImageRef, RunConfig, Subject, UsedReference


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

    async def missing(self, kept: Sequence[str], read: Sequence[str] = ()) -> dict[str, str]:
        """Keep images of the library, and read others; SHA-256 → what became of the file of each that is missing."""
        found: dict[str, str] = {}
        for sha256 in kept:
            try:
                await self.blobs.get(sha256)
            except BlobError as error:
                found[sha256] = str(error)
        if self.library is None:
            return found
        wanted = dict.fromkeys((*found, *(sha256 for sha256 in read if sha256 not in kept)))
        for sha256, got in (await read_images(self.library, list(wanted))).items():
            if isinstance(got, BlobError):
                found[sha256] = str(got)
            elif found.pop(sha256, None) is not None:
                await self.blobs.put(got)
        return found

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

    async def reference(self, reference: UsedReference) -> ImagePart:
        """A reference, or an image of the user's own, with what it stands for and its mask."""
        own = self.blobs.encode_for_model if reference.role != "reference" else self.encoded_of_library
        data, media_type = await own(reference.image.sha256)
        return ImagePart(
            data=data,
            media_type=media_type,
            role=reference.role,
            likeness=reference.likeness,
            concept=reference.concept,
            caption=reference.caption,
            mask=(await self.blobs.encode_for_model(reference.mask.sha256))[0] if reference.mask else None,
        )


def subjects_of(state: RunState, likeness: Likeness = "never") -> list[UsedReference]:
    """The user's own images, as references that are always sent; over HTTP they come as plain JSON."""
    return [
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
        )
        for own in map(Subject.model_validate, state.get("subjects") or [])
    ]


def always_sent(state: RunState, likeness: Likeness = "never") -> list[UsedReference]:
    """Images sent with every drawing: the user's own images, and the references that were pinned."""
    return [*subjects_of(state, likeness), *(state.get("kept_images") or [])]


def reference_room(state: RunState, config: RunConfig, *, takes: int) -> int:
    """Number of references that a generator takes beside the images that are always sent."""
    return max(0, config.reference_limit(takes) - len(always_sent(state)))


def references_to_send(
    state: RunState, chosen: Sequence[UsedReference], *, room: int, likeness: Likeness
) -> list[UsedReference]:
    """Images that are always sent, then those chosen for what is missing, then those that helped, within `room`."""
    sent = [*always_sent(state, likeness), *chosen]
    known = {reference.image.sha256 for reference in sent} | set(state.get("excluded_images") or [])
    helpful = concept_tracker.resolving_references(state.get("tracked_concepts") or [], state.get("attempts") or [])
    kept = [reference for reference in helpful if reference.image.sha256 not in known]
    return [*sent, *kept[: room - len(chosen)]]
