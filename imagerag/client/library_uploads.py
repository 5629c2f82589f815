"""The part of `ImageRAG.libraries` that takes images by their bytes, as a page sends them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from imagerag.client.argument_checks import check_arguments
from imagerag.client.library_opening import LibraryOpening
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.store.library.indexing.uploads import UploadedImage, Uploads


@check_arguments
class LibraryUploads(LibraryOpening):
    """Takes images by their bytes. Where no library is named, it is the one that `ImageRAG` was made with."""

    async def add_images(
        self,
        images: "Sequence[UploadedImage]",
        *,
        library: str | None = None,
        settle: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> "Uploads":
        """Put images into a library by their bytes, which it keeps: they have no file that could be linked.

        One that cannot be read is left out and listed, the others are taken. Images that were removed from the library
        before are taken back.

        Args:
            images: bytes, with the name and the caption of each.
            settle: False leaves threshold and indexes as they are, for a caller who adds more: the last call does it.
            progress: called with images done and images in all.

        Returns:
            What the library knows of the images now, how many are new, and what was left out and why.

        Raises:
            UnknownLibraryError: there is none of that name.
            BackendError: the encoder failed.
        """
        from imagerag.store.library.indexing.uploads import add_uploads

        return await add_uploads(await self._open_to_change(library), images, settled=settle, progress=progress)

    add_images_sync = synchronous(add_images)
