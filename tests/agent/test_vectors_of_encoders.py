"""What an encoder returns has a row for each text or image: none gets the vector of another."""

from typing import Any

import numpy as np
import pytest

from imagerag.agent.errors import LibraryError
from imagerag.agent.ports import embed_passages
from imagerag.agent.ports.embedder import row_for_each
from imagerag.store.library.caption_embedding import unit_vector
from imagerag.tools.testing.fakes import HashEmbedder


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        (None, r"mine gave an array of shape \(\) where 2 vectors belong"),
        (np.ones((1, 3)), r"shape \(1, 3\)"),
        (np.ones((3, 3)), r"shape \(3, 3\)"),
        (np.ones(6), r"shape \(6,\)"),
        ([[1.0], [1.0, 2.0]], "mine gave no array of numbers"),
        ({"a": 1}, "mine gave no array of numbers"),
        ([["a"], ["b"]], "mine gave no array of numbers"),
    ],
)
def test_an_array_of_another_shape_is_named(vectors: Any, told: str) -> None:
    with pytest.raises(LibraryError, match=told):
        row_for_each(vectors, 2, "mine")


def test_a_list_of_lists_is_an_array() -> None:
    rows = row_for_each([[1, 0], [0, 1]], 2, "mine")
    assert (rows.dtype, rows.shape) == (np.float32, (2, 2))


class OneMore(HashEmbedder):
    async def embed_texts(self, texts: Any) -> Any:
        return await super().embed_texts([*texts, "one more"])


async def test_captions_and_queries_get_their_own_vectors() -> None:
    with pytest.raises(LibraryError, match="where 1 vectors belong"):
        await embed_passages(OneMore(), ["a cat"])
    with pytest.raises(LibraryError, match="where 1 vectors belong"):
        unit_vector(await OneMore().embed_texts(["a cat"]), OneMore().identity, "a text")
