"""Vectors of captions in exports, which may be a stranger's: taken where a sample of them is what the encoder gives."""

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from imagerag.agent.ports import Embedder
from imagerag.agent.threads import in_thread
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.caption_vectors import captions_without_vector, write_caption_vectors
from imagerag.store.library.encoding import passage_vectors_or_reasons
from imagerag.store.library.indexing.exported_vectors import SAME, SAMPLE
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.library import Library
from imagerag.store.library.sources.exported_table import ExportedTable
from imagerag.store.text_files import clean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Exported = tuple[str, str, NDArray[np.float32]]

AT_ONCE: Final = 512
"""Vectors that are written in one commit."""

_ANEW: Final = "its captions were encoded anew"


async def take_caption_vectors(
    library: Library, embedder: Embedder, exports: Sequence[ExportedTable], report: IndexReport
) -> None:
    """Write the vectors that exports have of captions without a vector, if they are of the library's encoder.

    An export whose vectors are not those of its encoder, or cannot be read, becomes a note.

    Args:
        embedder: the encoder of the library's captions.

    Raises:
        BackendError: the encoder failed.
    """
    for export in exports:
        if export.caption_embedder != embedder.identity or not await _are_missing(library):
            continue
        try:
            sample = await in_thread(_sample, export.caption_vectors())
            why = await _difference(sample, embedder)
            if not why:
                await _write(library, embedder, export.caption_vectors())
        except (ValueError, OSError) as error:
            why = f"its vectors of captions cannot be read: {error}"
        if why:
            report.notes.append((clean(str(export.path)), why))


async def _are_missing(library: Library) -> bool:
    return bool(await library.table.read(lambda: captions_without_vector(library.table.lance)))


def _sample(rows: "Iterator[Exported]") -> "list[Exported]":
    """`SAMPLE` of the rows, each with the same chance."""
    sample: list[Exported] = []
    for at, row in enumerate(rows):
        if at < SAMPLE:
            sample.append(row)
        elif (place := random.randrange(at + 1)) < SAMPLE:
            sample[place] = row
    return sample


async def _difference(sample: "Sequence[Exported]", embedder: Embedder) -> str:
    """Reason why an export's vectors are not used; "" where a sample of them is as the encoder's."""
    vectors = await passage_vectors_or_reasons(embedder, [text for _, text, _ in sample]) if sample else []
    false = sum(
        not isinstance(own, str) and not float(own @ exported_vector) >= SAME
        for (_, _, exported_vector), own in zip(sample, vectors, strict=True)
    )
    if not false:
        return ""
    return f"{false} of {len(sample)} of its vectors of captions are not those of its encoder: {_ANEW}"


async def _write(library: Library, embedder: Embedder, rows: "Iterator[Exported]") -> None:
    import numpy as np

    while part := await in_thread(lambda: list(islice(rows, AT_ONCE))):
        records = await library.table.records(["id", CAPTION_VECTOR], [one for one, _, _ in part])
        missing = {record["id"] for record in records if record[CAPTION_VECTOR] is None}
        captions = {one: (text, vector) for one, text, vector in part if one in missing}
        if captions:
            texts = {one: text for one, (text, _) in captions.items()}
            vectors = np.stack([vector for _, vector in captions.values()])
            await library.table.write(
                lambda texts=texts, vectors=vectors: write_caption_vectors(  # type: ignore[misc]
                    library.table.lance, embedder.identity, texts, vectors
                )
            )
