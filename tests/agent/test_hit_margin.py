"""The margin of a hit agrees with whether it counts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.ports import Hit
from imagerag.agent.types import ImageRef

COSINE = st.integers(-100, 100).map(lambda value: value / 100)
IMAGE = ImageRef(sha256="0" * 64, media_type="image/png", width=9, height=9)


def hit(**values: object) -> Hit:
    return Hit(image=IMAGE, vector=np.ones(1, dtype=np.float32), **values)  # type: ignore[arg-type]


@given(similarity=COSINE, threshold=COSINE, caption=st.none() | COSINE, caption_threshold=st.none() | COSINE)
def test_a_hit_counts_where_its_margin_is_not_negative(
    similarity: float, threshold: float, caption: float | None, caption_threshold: float | None
) -> None:
    found = hit(
        similarity=similarity,
        threshold=threshold,
        caption_similarity=caption,
        caption_threshold=caption_threshold if caption is not None else None,
        found_by=("image",),
    )
    assert (found.margin >= 0) == found.reaches(None)


@given(similarity=COSINE, threshold=COSINE, caption=COSINE)
def test_in_a_search_by_captions_the_threshold_is_that_of_captions(
    similarity: float, threshold: float, caption: float
) -> None:
    found = hit(similarity=similarity, threshold=threshold, caption_similarity=caption)
    assert (found.margin >= 0) == found.reaches(None, by_caption=True)


def test_without_a_threshold_the_margin_is_what_is_reached() -> None:
    assert hit(similarity=0.3).margin == 0.3
    assert hit(similarity=0.3, caption_similarity=0.7).margin == 0.7
    assert hit(similarity=0.3, caption_similarity=0.7, found_by=("words",)).margin == 0.3
