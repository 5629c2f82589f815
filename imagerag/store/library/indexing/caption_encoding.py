"""Encode the captions of a library. Images are not touched, and no caption is encoded twice."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import EmbeddingMismatchError, MissingExtraError, SpecError, UntrustedError
from imagerag.agent.ports import Embedder
from imagerag.store.library.caption_vectors import (
    captions_without_vector,
    use_caption_encoder,
    write_caption_vectors,
)
from imagerag.store.library.encoding import passage_vectors_or_reasons
from imagerag.store.library.indexing.exported_captions import take_caption_vectors
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.row_writing import Progress
from imagerag.store.library.library import Library
from imagerag.store.library.sources.exported_table import ExportedTable
from imagerag.store.library.thresholds.content import is_unit
from imagerag.store.library.write_buffer import WriteBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    EncodedCaption = tuple[str, NDArray[np.float32]]

AT_ONCE: Final = 512
"""Captions that are encoded together."""


async def use_caption_embedder(library: Library, embedder: Embedder | None) -> None:
    """Let a library have caption vectors of an encoder, or none; vectors of another one are deleted."""
    await library.table.prepare()
    await library.table.read(lambda: use_caption_encoder(library.table, embedder.identity if embedder else None))
    await library.read_metadata()


async def encode_new_captions(
    library: Library,
    report: IndexReport,
    progress: Progress | None = None,
    exports: Sequence[ExportedTable] = (),
) -> None:
    """Encode the captions that have no vector yet, if the library has a caption encoder.

    A caption that the encoder fails on is listed in the report's notes. If the encoder itself is not available, that is
    a warning: the images are indexed nevertheless.

    Args:
        progress: called after every batch with captions done and captions in all.
        exports: what was indexed; vectors that they have are not made again.

    Raises:
        BackendError: the encoder failed; earlier commits stay.
    """
    await library.read_metadata()
    if library.metadata.caption_encoder is None:
        return
    try:
        embedder = library.caption_embedder()
    except (EmbeddingMismatchError, MissingExtraError, SpecError, UntrustedError) as error:
        report.warnings.append(f"captions of library {library.name!r} that are new have no vector: {error}")
        return
    with report.timed("captions"):
        await take_caption_vectors(library, embedder, exports, report)
        count, failed = await encode_captions(library, embedder, progress)
    report.captions_encoded += count
    report.notes += [
        (await library.source_or_id(one), f"its caption has no vector: {why}") for one, why in failed.items()
    ]


async def encode_captions(
    library: Library, embedder: Embedder, progress: Progress | None = None
) -> tuple[int, dict[str, str]]:
    """Encode the captions that have no vector yet.

    Args:
        embedder: the encoder of the library's captions.

    Returns:
        How many were encoded, and id → reason of those that the encoder fails on.
    """
    failed: dict[str, str] = {}
    count = done = 0

    async def write(encoded: "Mapping[str, EncodedCaption]") -> None:
        nonlocal count
        count += await _write(library, embedder, encoded)

    while texts := await _missing(library, failed):
        async with WriteBuffer(write, _size_of, library.tidy) as buffer:
            for at in range(0, len(texts), AT_ONCE):
                part = dict(list(texts.items())[at : at + AT_ONCE])
                await buffer.add(await _encoded(embedder, part, failed))
                if progress:
                    progress(done + at + len(part), done + len(texts))
        done += len(texts)
    return count, failed


def _size_of(encoded: "EncodedCaption") -> int:
    text, vector = encoded
    return len(text) + vector.nbytes


async def _missing(library: Library, failed: Collection[str]) -> dict[str, str]:
    return await library.table.read(lambda: captions_without_vector(library.table.lance, failed))


async def _encoded(embedder: Embedder, texts: Mapping[str, str], failed: dict[str, str]) -> "dict[str, EncodedCaption]":
    import numpy as np

    encoded = dict[str, "EncodedCaption"]()
    results = await passage_vectors_or_reasons(embedder, list(texts.values()))
    for (one, text), vector in zip(texts.items(), results, strict=True):
        if isinstance(vector, str) or not is_unit(float(np.linalg.norm(vector))):
            failed[one] = vector if isinstance(vector, str) else "the encoder gave no usable vector for it"
        else:
            encoded[one] = text, np.asarray(vector, dtype=np.float32)
    return encoded


async def _write(library: Library, embedder: Embedder, encoded: "Mapping[str, EncodedCaption]") -> int:
    import numpy as np

    texts = {one: text for one, (text, _) in encoded.items()}
    vectors = np.stack([vector for _, vector in encoded.values()])
    return await library.table.write(
        lambda: write_caption_vectors(library.table.lance, embedder.identity, texts, vectors)
    )
