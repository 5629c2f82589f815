"""Comparison of descriptions with their images by the library's encoder.

A cosine of CLIP says little by itself: some texts are near to every image. So the confidence of a text is its rank: the
share of the library's other images that are less similar to it than its own image. 1 is a text that fits its image
better than any other, 0.5 one that has nothing to do with it. Images that show the same thing as the own one are no
rivals. It says nothing about details that the encoder does not see.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.first_words import first_words
from imagerag.agent.ports import embed_texts
from imagerag.agent.types import DescribedElement
from imagerag.store.library.description_columns import described_ids
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.vector_table import sorted_ids, vectors_of_ids
from imagerag.store.library.schema import ImageRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

RIVALS: Final = 1_000
"""Other images that a text is compared with at most: the first ones by SHA-256, a fair sample."""

FEWEST: Final = 8
"""Below so many other images no confidence is measured: it would be a matter of chance."""


SAME: Final = 0.97
"""Cosine from which on two images show the same thing, in a library that has no threshold of its own yet."""


AT_ONCE: Final = 64
"""Descriptions that are measured again and written in one commit."""


async def check_descriptions_again(library: Library) -> None:
    """Measure the confidences of all descriptions of a library again, as after a migration to another encoder.

    Raises:
        BackendError: the encoder failed; earlier commits stay.
    """
    described = await library.table.read(lambda: described_ids(library.table.lance))
    check = DescriptionCheck(library)
    for at in range(0, len(described), AT_ONCE):
        rows = await library.rows(described[at : at + AT_ONCE])
        await library.update_descriptions(await check.checked([row for row in rows if row.description]))


class DescriptionCheck:
    """Compares descriptions with images; the sample of other images is read once.

    Args:
        library: the library of the images.
    """

    def __init__(self, library: Library) -> None:
        self._library = library

    @cached_property
    def _rivals(self) -> "tuple[list[str], Vectors]":
        ids = sorted_ids(self._library)[: RIVALS + 1]
        return ids.to_pylist(), vectors_of_ids(self._library, ids)

    async def checked(self, rows: Sequence[ImageRecord]) -> list[ImageRecord]:
        """The rows with the confidences of their descriptions and key elements.

        Raises:
            BackendError: the encoder failed.
        """
        if not rows:
            return []
        ids, _ = await self._library.table.read(lambda: self._rivals)
        records = await self._library.table.records(["id", "vector"], [row.id for row in rows])
        own = {record["id"]: record["vector"] for record in records}
        texts = [text for row in rows for text in _texts_of(row)]
        vectors = await embed_texts(self._library.embedder, [self._fitting(text) for text in texts])
        with_confidences, at = [], 0
        for row in rows:
            count = len(_texts_of(row))
            shares = self._shares(vectors[at : at + count], own.get(row.id), ids.index(row.id) if row.id in ids else -1)
            with_confidences.append(_with_confidences(row, shares))
            at += count
        return with_confidences

    def _shares(self, texts: "Vectors", image: Any, place: int) -> list[float | None]:
        """Share of the rivals that are less similar to each text than the image; ties count half."""
        import numpy as np

        if image is None:  # removed meanwhile
            return [None] * len(texts)
        own = np.asarray(image, dtype=np.float32)
        _, rivals = self._rivals
        others = np.arange(len(rivals)) != place
        others &= rivals @ own < (self._library.image_threshold or SAME)
        if others.sum() < FEWEST:
            return [None] * len(texts)
        cosines, reached = texts @ rivals[others].T, (texts @ own)[:, None]
        shares = (cosines < reached).mean(axis=1) + 0.5 * (cosines == reached).mean(axis=1)
        return [float(share) for share in shares]

    def _fitting(self, text: str) -> str:
        """The first words of a text that the encoder reads."""
        embedder = self._library.embedder
        return first_words(text, lambda part: embedder.count_tokens(part) <= embedder.context_length)


def _texts_of(row: ImageRecord) -> list[str]:
    elements = row.description_details.key_elements if row.description_details else ()
    return [row.description, *(one.text for one in elements)]


def _with_confidences(row: ImageRecord, shares: Sequence[float | None]) -> ImageRecord:
    details = row.description_details
    if details is None:
        return replace(row, description_confidence=shares[0])
    elements = tuple(
        DescribedElement(text=one.text, confidence=share)
        for one, share in zip(details.key_elements, shares[1:], strict=True)
    )
    new_details = details.model_copy(update={"key_elements": elements})
    return replace(row, description_confidence=shares[0], description_details=new_details)
