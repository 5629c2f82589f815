"""A ZIP archive as a stream of bytes: one file at a time is held in memory, and nothing is written to disk."""

import io
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.agent.threads import in_thread

CHUNK: Final = 256 * 1024
"""Bytes of a chunk at most."""


class _Unread(io.RawIOBase):
    """The bytes that were written and not read yet. ZIP archives can be written to what cannot seek."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        self._buffer += view
        return len(view)

    def read_all(self) -> bytes:
        """Everything so far, which is not held any more."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


async def zip_stream(files: AsyncIterable[tuple[str, bytes]]) -> AsyncGenerator[bytes]:
    """An archive of files, in chunks of at most `CHUNK` bytes; the same files give the same bytes.

    Args:
        files: paths with `/` between their parts, and contents. The next one is read when the one before is sent.
    """
    unread = _Unread()
    with ZipFile(unread, "w") as archive:
        async for name, data in files:
            await in_thread(archive.writestr, _entry(name), data)
            for chunk in _chunks(unread.read_all()):
                yield chunk
    for chunk in _chunks(unread.read_all()):
        yield chunk


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name)  # dated 1980, whenever it is made
    entry.compress_type = ZIP_STORED if name.endswith(tuple(RESULT_SUFFIXES.values())) else ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _chunks(data: bytes) -> list[bytes]:
    return [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
