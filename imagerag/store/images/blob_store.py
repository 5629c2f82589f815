"""Store of image bytes, in files named by their SHA-256."""

import asyncio
import os
import re
import uuid
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

from imagerag.agent.errors import BlobError, ImageRAGError
from imagerag.agent.images.decoding import decode
from imagerag.agent.images.encoding import converted, encode_for_model
from imagerag.agent.threads import in_thread
from imagerag.agent.types import ImageRef
from imagerag.store.file_lock import waiting_lock
from imagerag.store.images.image_info import ImageInfo, image_info
from imagerag.store.storage_errors import storage_error, storage_errors

_REMEMBERED: Final = 4096


class FileBlobStore:
    """Stores image bytes once, as `ab/cdef…` under a folder.

    Safe for any number of processes: a file appears complete or not at all, and two writers of one hash write the same
    bytes. The status time of a file is the time of the last put or touch: recent files are never removed, even if
    nothing refers to them yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._accepted: dict[str, str] = {}
        """SHA-256 → media type of images that every model accepts as they are: they are not decoded each time."""

    def path(self, sha256: str) -> Path:
        """The path of the bytes with that hash, whether they exist or not.

        Raises:
            BlobError: not 64 lower-case hexadecimal digits, so it names no blob (and no other file either).
        """
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise BlobError(f"{sha256!r} is not a SHA-256; a blob is named by 64 lower-case hexadecimal digits")
        return self.root / sha256[:2] / sha256[2:]

    async def keep(self, data: bytes) -> str:
        """Store bytes that are not a readable image; returns their path."""
        path = self.path(sha256(data).hexdigest())
        await asyncio.to_thread(self._write, path, data)
        return str(path)

    async def put(self, data: bytes) -> ImageRef:
        """Store `data` and describe the image. Putting the same bytes again only touches the file, unless it is
        damaged.

        Raises:
            UsageError: not a readable image, or too large a one.
            StorageError: the disk is full, or cannot be written.
        """
        return await in_thread(self._put, data)

    async def put_viewable(self, data: bytes) -> tuple[ImageRef, ImageRef]:
        """Store `data`, and a converted copy if not every browser shows it as it is meant.

        Returns:
            The image, and the one to show, which is the same if any browser shows it.

        Raises:
            UsageError, StorageError: as `put`.
        """
        return await in_thread(self._put_viewable, data)

    async def get(self, sha256: str) -> bytes:
        """The bytes, verified against the hash.

        Raises:
            BlobError: missing or damaged; names the hash and the path.
        """
        return await asyncio.to_thread(self._get, sha256)

    def encode_for_model(self, sha256: str) -> Coroutine[Any, Any, tuple[bytes, str]]:
        """The image in a form that every model accepts: upright PNG, JPEG or WebP, with its media type.

        Raises:
            BlobError: missing or damaged.
        """
        if media_type := self._accepted.get(sha256):
            return self._get_as(media_type, sha256)
        return in_thread(self._encode_for_model, sha256)

    async def _get_as(self, media_type: str, digest: str) -> tuple[bytes, str]:
        return await asyncio.to_thread(self._get, digest), media_type

    def _encode_for_model(self, digest: str) -> tuple[bytes, str]:
        data = self._get(digest)
        encoded, media_type = encode_for_model(data)
        if encoded is data:
            self._accept(digest, media_type)
        return encoded, media_type

    def touch(self, sha256s: Iterable[str]) -> None:
        """Mark images as about to be used, so that `remove_unused` keeps them; missing ones are left out."""
        with self._locked(alone=False):
            for path in map(self.path, sha256s):
                _touch(path)

    def remove_unused(self, unused: Mapping[str, float]) -> dict[str, int]:
        """Delete images that nothing refers to.

        Args:
            unused: SHA-256 → time (of `time.time`); an image that was put or touched later is about to be used, and
                stays.

        Returns:
            SHA-256 → number of bytes of the deleted images.
        """
        removed_sizes: dict[str, int] = {}
        with self._locked(alone=True):
            for digest, until in unused.items():
                path = self.path(digest)
                with suppress(FileNotFoundError), storage_errors(path, "cannot remove"):
                    status = path.stat()
                    if max(status.st_mtime, status.st_ctime) <= until:
                        path.unlink()
                        removed_sizes[digest] = status.st_size
        return removed_sizes

    @contextmanager
    def _locked(self, *, alone: bool) -> Iterator[None]:
        """Exclude removal and use from each other: no file is touched between the check of its age and its removal."""
        try:
            file = waiting_lock(self.root.with_name(f".{self.root.name}.lock"), alone=alone)
        except ImageRAGError:
            if alone:
                raise
            file = None  # a read-only home, from which nothing is removed either
        try:
            yield
        finally:
            if file is not None:
                os.close(file)

    def _put_viewable(self, data: bytes) -> tuple[ImageRef, ImageRef]:
        info = image_info(data, thumbnail=False)
        image = self._put(data, info)
        return image, image if info.for_every_viewer else self._put(converted(decode(data).image)[0])

    def _put(self, data: bytes, info: ImageInfo | None = None) -> ImageRef:
        info = info or image_info(data, thumbnail=False)
        image, path = info.image, self.path(info.image.sha256)
        with self._locked(alone=False):
            if path.is_file() and _holds(path, data):
                _touch(path)
            else:
                self._write(path, data)
        if info.for_every_model:
            self._accept(image.sha256, image.media_type)
        return image

    def _accept(self, digest: str, media_type: str) -> None:
        if len(self._accepted) >= _REMEMBERED:
            self._accepted.clear()
        self._accepted[digest] = media_type

    def _write(self, path: Path, data: bytes) -> None:
        with storage_errors(path, "cannot write"):
            write_atomically(path, data)

    def _get(self, digest: str) -> bytes:
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise BlobError(f"the image {digest} is missing: there is no file {path}") from None
        except OSError as error:
            failure = storage_error(error, path, f"the image {digest} cannot be read:")
            raise failure or BlobError(f"the image {digest} cannot be read: {path}: {error.strerror}") from error
        verify(data, digest, where=str(path))
        return data


def _touch(path: Path) -> None:
    """Set the status time of a file to now, and keep its modification time."""
    with suppress(OSError):  # missing, or in a read-only home
        status = path.stat()
        if os.name == "posix":
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        else:
            os.utime(path)


_HEXADECIMAL = re.compile(rb"[0-9a-f][0-9a-f/]{63,}")


def sha256s_in(data: bytes) -> set[str]:
    """All hashes in serialized data that may refer to a blob, by hash or by path."""
    digests: set[str] = set()
    for match in _HEXADECIMAL.finditer(data):
        digits = match.group().replace(b"/", b"").decode()
        digests.update(digits[at : at + 64] for at in range(len(digits) - 63))
    return digests


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:  # unreadable bytes are written again
        return False


def verify(data: bytes, digest: str, *, where: str) -> None:
    """Check bytes against the SHA-256 under which they are stored.

    Raises:
        BlobError: they differ; names the hash and the source of the bytes.
    """
    actual = sha256(data).hexdigest()
    if actual != digest:
        raise BlobError(f"the image {digest} is damaged: the bytes in {where} have the SHA-256 {actual}")


def write_atomically(path: Path, data: bytes, *, flush: bool = True) -> None:
    """Write a file that is complete or absent, whenever the process or the machine stops.

    Args:
        flush: write it to the disk at once; without that, which is many times as fast, a power cut may leave it empty.
    """
    with atomic_file(path, flush=flush) as file:
        file.write(data)


@contextmanager
def atomic_file(path: Path, *, flush: bool = True) -> Iterator[BinaryIO]:
    """A file to write to in the block; it is complete or absent, as with `write_atomically`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp: its files are readable by their owner alone, while images follow the user's umask.
    fresh = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        with fresh.open("xb") as file:
            yield file
            if flush:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    if flush:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Flush the folder, so that the new name survives a power cut; a no-op where folders cannot be opened (Windows)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
