"""Read the vectors in a response of `/embeddings`, and refuse unusable ones."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import BackendError
from imagerag.tools.openai.errors import unreadable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


def read_vectors(answer: object, count: int, who: str) -> "Vectors":
    """float32 [count, length], rows of norm 1, in the order of the request.

    Args:
        answer: the parsed response, `{"data": [{"index": 0, "embedding": …}]}`, numbers or base64.
        count: how many were asked for.

    Raises:
        BackendError: another number of vectors, vectors of different lengths, or one without a direction.
    """
    import numpy as np

    data = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(data, list) or not all(isinstance(one, Mapping) for one in data):
        raise unreadable(who, "no list of vectors: does the address end in /v1?")
    if len(data) != count or sorted(_places(data)) != list(range(count)):
        raise unreadable(who, f"{len(data)} vectors for {count} inputs")
    rows = [_numbers(one.get("embedding"), who) for _, one in sorted(zip(_places(data), data, strict=True), key=_place)]
    if len({len(row) for row in rows}) > 1:
        raise unreadable(who, "vectors of different lengths")
    vectors = np.stack(rows)
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    for at, norm in enumerate(norms[:, 0]):
        if not np.isfinite(norm) or norm == 0:
            what = "of zeros" if norm == 0 else "that is no number everywhere"
            raise BackendError(f"{who} gave a vector {what} (input {at}): it cannot be searched", retryable=False)
    unit: Vectors = (vectors / norms).astype(np.float32)
    return unit


def _places(data: Sequence[Mapping[str, Any]]) -> list[int]:
    """The place of each vector; servers that number none give them in order."""
    indexes = [one.get("index") for one in data]
    return [at if number is None else number if isinstance(number, int) else -1 for at, number in enumerate(indexes)]


def _place(numbered: tuple[int, Any]) -> int:
    return numbered[0]


def _numbers(embedding: object, who: str) -> "Vectors":
    """One vector: a list of numbers, or little-endian float32 in base64."""
    import numpy as np

    try:
        if isinstance(embedding, str):
            row = np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
        else:
            row = np.asarray(embedding, dtype=np.float32)
    except (ValueError, TypeError, binascii.Error, OverflowError):
        row = np.empty(0, np.float32)
    if row.ndim != 1 or not len(row):
        raise unreadable(who, "a vector that is neither a list of numbers nor base64 of them")
    return row.astype(np.float32)
