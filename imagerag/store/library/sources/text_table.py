"""Images in the rows of CSV, JSON lines and JSON, as base64."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.store.library.metadata.field_names import with_caption
from imagerag.store.library.metadata.image_metadata import read_metadata
from imagerag.store.library.metadata.sidecars import SidecarMetadata
from imagerag.store.library.sources.base64_images import beside_image, decoded_image, image_column
from imagerag.store.library.sources.forward_reader import ForwardReader
from imagerag.store.library.sources.manifest_rows import read_rows
from imagerag.store.library.sources.members import Member, Problem
from imagerag.store.library.sources.source_suffixes import JSON, SEPARATED
from imagerag.store.text_files import clean

_FIRST: Final = 100

ImageRow = tuple[int, str, Mapping[str, Any]]
"""Its line, the column that has the image, and all columns."""


class TextTable:
    """A manifest with images in it as a source of images; a member is a row, by its line."""

    linked = False
    whole = True
    columns: Mapping[str, str] = {}

    def __init__(self, path: Path, lines: Sequence[int]) -> None:
        self.path, self.status = path, path.stat()
        self.problems: list[Problem] = []
        self._lines = lines
        self._reader = ForwardReader(self._read)

    @cached_property
    def members(self) -> list[Member]:
        """One for each row that has an image in it."""
        stem = clean(self.path.stem)
        return [Member(self, str(line), f"{stem} {line}", 0, at) for at, line in enumerate(self._lines)]

    def read(self, member: Member) -> bytes:
        """The bytes of a row's image. Raises as `Source.read`."""
        _, column, record = self._row(member)
        return decoded_image(record[column])

    def sidecar_metadata(self, member: Member) -> SidecarMetadata:
        """The metadata in the other columns of a row."""
        _, column, record = self._row(member)
        return SidecarMetadata.of_row(read_metadata(with_caption(beside_image(record, column))))

    def _row(self, member: Member) -> ImageRow:
        try:
            row = self._reader.get(member.position)
        except UsageError as error:
            raise ValueError(str(error)) from None
        if str(row[0]) != member.name:
            raise ValueError("it is no longer where it was")
        return row

    def _read(self, start: int) -> Iterator[tuple[int, int, ImageRow]]:
        for at, row in islice(enumerate(image_rows(self.path)), start, None):
            yield at, len(str(row[2][row[1]])) + 1024, row


def image_rows(path: Path) -> Iterator[ImageRow]:
    """The rows of a manifest that have an image in them.

    Raises:
        UsageError: it cannot be read.
    """
    for line, record in read_rows(path, lambda _: False):
        if not isinstance(record, str) and (column := image_column(record)) is not None:
            yield line, column, record


def holds_images(path: Path) -> bool:
    """Whether a file is a manifest, and one of its first rows has an image in it."""
    if path.suffix.lower() not in (*SEPARATED, *JSON) or not path.is_file():
        return False
    with suppress(UsageError):
        records = (record for _, record in islice(read_rows(path, lambda _: False), _FIRST))
        return any(not isinstance(one, str) and image_column(one) is not None for one in records)
    return False
