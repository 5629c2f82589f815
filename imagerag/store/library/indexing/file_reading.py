"""Reading an image file once: its bytes, its hash, its thumbnail, what an encoder wants, and what it says of itself."""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import format_to_decode
from imagerag.agent.ports import PreparingEmbedder
from imagerag.store.images.image_info import ImageInfo, image_info
from imagerag.store.library.indexing.scan import Scan
from imagerag.store.library.known_files import KnownFiles
from imagerag.store.library.metadata.embedded import read_embedded
from imagerag.store.library.metadata.image_metadata import ImageMetadata
from imagerag.store.library.metadata.text_origins import with_origins, with_sidecars
from imagerag.store.library.schema import FileEntry, ImageRecord
from imagerag.store.library.sources.exported_table import ExportedRow
from imagerag.store.library.sources.manifest_hint import manifest_hint
from imagerag.store.text_files import clean


@dataclass(frozen=True)
class DecodedFile:
    """What decoding a file gave.

    Attributes:
        data: its bytes, where somebody needs them still.
        prepared: for an encoder that takes decoded images; None for others.
    """

    info: ImageInfo
    data: bytes | None
    prepared: Any = None


@dataclass(frozen=True)
class ReadFile:
    """A file that was read and described.

    Attributes:
        title: what it is called where nothing gives it a title.
        said: by a manifest or sidecars.
        described: what these were.
        embedded: by the file itself, where the library has not read that yet.
        decoded: None where the library has an image with these bytes.
        exported: what an export of a library has of it, where it comes from one.
    """

    path: Path
    entry: FileEntry
    size_bytes: int
    title: str
    sha256: str
    said: ImageMetadata
    raw: ImageMetadata
    described: str
    problems: tuple[str, ...]
    embedded: ImageMetadata
    decoded: DecodedFile | None
    exported: ExportedRow | None = None

    @property
    def new_row(self) -> ImageRecord:
        """The row of an image that was not in the library."""
        assert self.decoded is not None, "only what was decoded becomes a row"
        row = ImageRecord(image=self.decoded.info.image, source=clean(str(self.path)), size_bytes=self.size_bytes)
        if self.exported:
            row = replace(row, described=self.exported.described, created=self.exported.created or row.created)
        row = self.describe(row)
        return row if row.title else with_origins(replace(row, title=self.title), self.embedded, self.title)

    def describe(self, row: ImageRecord) -> ImageRecord:
        """The row with what people said, and what the file says where nobody did."""
        row = self.raw.filling(self.said.applied_to(row))
        row = replace(self.embedded.filling(row), described=with_sidecars(row.described, self.described))
        return with_origins(row, self.embedded)


def read_file(
    path: Path, scan: Scan, known: KnownFiles, encoder: PreparingEmbedder | None, *, keep_bytes: bool, decode: bool
) -> ReadFile | str:
    """A file, or why it cannot be used.

    Args:
        known: what the library has, which need not be decoded.
        encoder: takes decoded images; None for one that takes bytes.
        keep_bytes: the library is to have a copy.
        decode: whether unknown files are decoded; only hashed otherwise.
    """
    try:
        try:
            entry, data = scan.read(path)
        except ValueError as error:
            return str(error)
        digest = sha256(data).hexdigest()
        decoded = None
        if digest not in known.ids:
            if not decode:
                format_to_decode(data)
            keep = keep_bytes or not scan.links(path)
            decoded = _decoded(data, digest, encoder, keep_bytes=keep) if decode else None
        beside, exported = scan.said_of(path), scan.exported(path)
        embeds = exported is None and (decoded is not None or digest in known.of_earlier)
        return ReadFile(
            path=path,
            entry=entry,
            size_bytes=len(data),
            title=scan.title(path),
            sha256=digest,
            said=beside.description,
            raw=scan.raw_of(path),
            described="" if beside.problems else scan.described(path),  # what could not be used is told every time
            problems=beside.problems,
            embedded=read_embedded(data) if embeds else ImageMetadata(),
            decoded=decoded,
            exported=exported,
        )
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except UsageError as error:
        return (None if path in scan.members else manifest_hint(path)) or str(error)
    except Exception as error:  # nothing about one file ends the reading of the others
        return f"cannot be read: {type(error).__name__}: {error}"


def _decoded(data: bytes, digest: str, encoder: PreparingEmbedder | None, *, keep_bytes: bool) -> DecodedFile:
    info = image_info(data, side=encoder.image_side if encoder else None, digest=digest)
    prepared = encoder.prepare(info.decoded) if encoder and info.decoded is not None else None
    needed = keep_bytes or prepared is None
    return DecodedFile(replace(info, decoded=None), data if needed else None, prepared)
