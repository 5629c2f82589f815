"""Read an image file once: bytes, hash, thumbnail, input of the encoder, and embedded metadata."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import format_to_decode
from imagerag.agent.ports import Embedder, PreparingEmbedder
from imagerag.agent.ports.embedder import row_for_each
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

if TYPE_CHECKING:
    from imagerag.agent.ports.embedder import Vectors


@dataclass(frozen=True)
class DecodedFile:
    """The result of decoding a file.

    Attributes:
        data: bytes of the file, if they are still needed.
        prepared: input of an encoder that takes decoded images; None for other encoders.
    """

    info: ImageInfo
    data: bytes | None
    prepared: Any = None


@dataclass(frozen=True)
class ReadFile:
    """A file that was read, with its metadata.

    Attributes:
        title: fallback title.
        said: metadata from manifests and sidecars.
        described: identity of those manifests and sidecars.
        embedded: metadata in the file, if the library has not read it yet.
        decoded: None if the library holds an image with these bytes.
        exported: data of an exported library, if the file comes from one.
        oversized: names of objects and lists in its sidecars that are too long to be kept.
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
    oversized: tuple[str, ...] = ()

    @property
    def new_row(self) -> ImageRecord:
        """The row for an image that is new to the library."""
        assert self.decoded is not None, "only what was decoded becomes a row"
        row = ImageRecord(image=self.decoded.info.image, source=clean(str(self.path)), size_bytes=self.size_bytes)
        if self.exported:
            row = replace(row, described=self.exported.described, created=self.exported.created or row.created)
        row = self.describe(row)
        return row if row.title else with_origins(replace(row, title=self.title), self.embedded, self.title)

    def describe(self, row: ImageRecord) -> ImageRecord:
        """The row with metadata from manifests and sidecars, completed by the file's own."""
        row = self.raw.filling(self.said.applied_to(replace(row, taken=row.taken or self.embedded.taken)))
        row = replace(self.embedded.filling(row), described=with_sidecars(row.described, self.described))
        return with_origins(row, self.embedded)


def read_file(
    path: Path,
    scan: Scan,
    known_files: KnownFiles,
    encoder: PreparingEmbedder | None,
    *,
    keep_bytes: bool,
    decode: bool,
) -> ReadFile | str:
    """Read a file; returns the reason if it cannot be used.

    Args:
        known_files: images of the library, which need not be decoded.
        encoder: an encoder that takes decoded images; None for one that takes bytes.
        keep_bytes: whether the library stores a copy.
        decode: whether unknown files are decoded; otherwise they are only hashed.
    """
    try:
        try:
            entry, data = scan.read(path)
        except ValueError as error:
            return _with_raw(str(error), path, scan)
        digest = sha256(data).hexdigest()
        decoded = None
        if digest not in known_files.ids:
            if not decode:
                format_to_decode(data)
            keep = keep_bytes or not scan.links(path)
            decoded = _decoded(data, digest, encoder, keep_bytes=keep) if decode else None
        beside, exported = scan.sidecar_metadata_of(path), scan.exported(path)
        embeds = exported is None and (decoded is not None or digest in known_files.of_earlier)
        embedded = read_embedded(data) if embeds else ImageMetadata()
        return ReadFile(
            path=path,
            entry=entry,
            size_bytes=len(data),
            title=scan.title(path),
            sha256=digest,
            said=beside.description,
            raw=scan.raw_of(path),
            described="" if beside.problems else scan.described(path),  # unusable metadata is reported every time
            problems=(*beside.problems, *(f"of its own metadata, {one}" for one in embedded.left_out)),
            embedded=embedded,
            decoded=decoded,
            exported=exported,
            oversized=beside.oversized,
        )
    except OSError as error:
        return _with_raw(f"cannot be read: {error.strerror or error}", path, scan)
    except UsageError as error:
        return (None if path in scan.members else manifest_hint(path)) or _with_raw(str(error), path, scan)
    except Exception as error:  # an error in one file must not stop the reading of others
        return f"cannot be read: {type(error).__name__}: {error}"


def _with_raw(reason: str, path: Path, scan: Scan) -> str:
    """The reason, and the RAW that is one image with the file, as neither of the two is indexed."""
    raw = scan.raws.get(path)
    return f"{reason}; {clean(raw.name)} is left out with it: delete the one that is damaged" if raw else reason


async def encode_files(encoder: Embedder, files: Sequence[DecodedFile]) -> "Vectors":
    """The vectors of decoded files; what the encoder raises is raised."""
    if isinstance(encoder, PreparingEmbedder):
        vectors = await encoder.embed_prepared([one.prepared for one in files])
    else:
        vectors = await encoder.embed_images([one.data or b"" for one in files])
    return row_for_each(vectors, len(files), encoder.identity.spec)


def _decoded(data: bytes, digest: str, encoder: PreparingEmbedder | None, *, keep_bytes: bool) -> DecodedFile:
    info = image_info(data, side=encoder.image_side if encoder else None, digest=digest)
    prepared = encoder.prepare(info.decoded) if encoder and info.decoded is not None else None
    needed = keep_bytes or prepared is None
    return DecodedFile(replace(info, decoded=None), data if needed else None, prepared)
