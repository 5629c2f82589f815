"""The images that a caller hands in, each with its intent: one to edit, or subjects that appear in a new image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.threads import in_thread
from imagerag.agent.types import RunSpec, Subject
from imagerag.files.inputs import Image, keep_image, named_images, naming, read_image

if TYPE_CHECKING:
    from imagerag.graphs.dependencies import Dependencies


@dataclass(frozen=True, kw_only=True)
class SourceImages:
    """Source images of a request.

    Attributes:
        subjects: images that are to be in the result, with or without a name.
        edit: the image that is to be changed.
        edit_library: the id of a library image that is to be changed.
        mask: where the edited image, or the first subject, may change.
    """

    subjects: Sequence[Image | tuple[str, Image]] = ()
    edit: Image | tuple[str, Image] | None = None
    edit_library: str | None = None
    mask: Image | None = None

    def __post_init__(self) -> None:
        """See that the intents go together.

        Raises:
            UsageError: they do not; the message says what to leave out.
        """
        from imagerag.graphs.mask_validation import one_intent

        if self.edit is not None and self.edit_library is not None:
            raise UsageError("`edit` and `edit_library` name two images to edit: leave one of them out")
        if self.edits and self.subjects:
            raise UsageError(one_intent(1, len(self.subjects)))
        if self.mask is not None and not self.edits and not self.subjects:
            raise UsageError("a mask says where an image may be edited: name the image too (`edit=FILE`)")

    @property
    def edits(self) -> bool:
        """Whether an image is to be changed."""
        return self.edit is not None or self.edit_library is not None

    def __len__(self) -> int:
        return len(self.subjects) + self.edits

    async def store(self, dependencies: "Dependencies", setup: RunSpec) -> list[Subject]:
        """All of them, kept in the blob store.

        Raises:
            UsageError: one that cannot be read, a mask that does not fit, or no such image in the library.
        """
        images = self._named_images
        if self.edit_library is not None:
            own = [await self._of_library(self.edit_library, dependencies, setup)]
        else:
            if self.mask is not None:
                await in_thread(check, self.mask, images[0][1])
            intent: Literal["edit", "subject"] = "edit" if self.edits else "subject"
            own = [
                Subject(image=await keep_image(dependencies.blobs, one), name=name, intent=intent)
                for name, one in images
            ]
        if self.mask is not None:
            own[0] = own[0].model_copy(update={"mask": await keep_image(dependencies.blobs, self.mask)})
        return own

    async def check(self) -> None:
        """See that the images can be read, and that the mask fits the one that is edited, before anything is kept.

        Raises:
            UsageError: it does not, or one of them cannot be read; or what names a library image is no id.
        """
        from imagerag.graphs.edit_source import sha256_of

        images = self._named_images
        if self.edit_library is not None:
            sha256_of(self.edit_library)
        for _, image in images:
            await in_thread(readable, image)
        if self.mask is not None and images:
            await in_thread(check, self.mask, images[0][1])

    @property
    def _named_images(self) -> list[tuple[str, Image]]:
        return [*named_images(self.subjects), *named_images([self.edit] if self.edit is not None else [])]

    async def _of_library(self, name: str, dependencies: "Dependencies", setup: RunSpec) -> Subject:
        from imagerag.graphs.edit_source import edited_of_library

        library = await dependencies.library(setup.library) if setup.library else None
        own = await edited_of_library(name, library, dependencies.blobs)
        if self.mask is not None:
            await in_thread(check, self.mask, await dependencies.blobs.get(own.image.sha256))
        return own


def readable(image: Image) -> bytes:
    """The bytes of an image, checked.

    Raises:
        UsageError: no such file, or not an image that can be read.
    """
    from imagerag.store.images.image_info import inspect

    data = read_image(image)
    with naming(image):
        inspect(data)
    return data


def check(mask: Image, original: Image) -> None:
    """See that a mask fits an image.

    Raises:
        UsageError: it does not, or one of them cannot be read.
    """
    from imagerag.store.images.masks import check_mask

    check_mask(readable(mask), readable(original))
