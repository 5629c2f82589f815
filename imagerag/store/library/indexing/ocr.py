"""Read the words in the images of a library by OCR. Nothing is encoded again, and no image is read twice."""

from collections.abc import Collection, Sequence
from typing import Final

from imagerag.agent.errors import LibraryDamagedError
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.ports import OcrReader
from imagerag.agent.threads import in_thread
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.row_writing import Progress
from imagerag.store.library.library import Library
from imagerag.store.library.schema import present
from imagerag.store.library.write_buffer import WriteBuffer
from imagerag.store.text_files import clean

AT_ONCE: Final = 32
"""Images after which progress is told; one takes about a second to read."""


async def read_words(
    library: Library, ids: Collection[str], reader: OcrReader, report: IndexReport, progress: Progress | None = None
) -> None:
    """Read the words in those of the images that have not been read, and write them into their rows.

    An image that cannot be read is listed in the report's notes, and tried again by the next call. If it is stopped,
    the next call reads the rest.

    Args:
        progress: called after every batch with images done and images in all.
    """
    unread = await _unread(library, ids)
    async with WriteBuffer(library.update_ocr, lambda reading: len(reading[0]), library.tidy) as buffer:
        for at in range(0, len(unread), AT_ONCE):
            part = unread[at : at + AT_ONCE]
            readings = await _read_some(library, part, reader, report)
            await buffer.add(readings)
            report.ocr_read += len(readings)
            report.ocr_words += sum(bool(text) for text, _ in readings.values())
            if progress:
                progress(at + len(part), len(unread))


async def _read_some(
    library: Library, ids: Sequence[str], reader: OcrReader, report: IndexReport
) -> dict[str, tuple[str, float]]:
    readings: dict[str, tuple[str, float]] = {}
    for sha256 in ids:
        try:
            readings[sha256] = await in_thread(_read, await library.image_bytes(sha256), reader)
        except LibraryDamagedError:
            raise
        except Exception as error:  # whatever is wrong with one image, the others are read
            report.notes.append((await library.source_or_id(sha256), f"its words could not be read: {error}"))
    return readings


async def _unread(library: Library, ids: Collection[str]) -> list[str]:
    """The images among `ids` that are in the library and have not been read, sorted."""
    columns = await library.table.read(lambda: present(library.table.lance, ("id", "ocr_confidence")))
    records = await library.table.records(columns, sorted(ids))
    return sorted(record["id"] for record in records if record.get("ocr_confidence") is None)


def _read(data: bytes, reader: OcrReader) -> tuple[str, float]:
    reading = reader.read(open_rgb(data))
    return clean(reading.text), reading.confidence
