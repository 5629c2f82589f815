"""Encoding of several images, of which some may be too much for the encoder."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.agent.ports import Embedder, embed_passages
from imagerag.agent.ports.embedder import row_for_each

T = TypeVar("T")

Encode = Callable[[Sequence[T]], Awaitable[Any]]
"""A method of an encoder."""

log = logging.getLogger(__name__)


async def vectors_or_reasons(encode: Encode[T], images: Sequence[T]) -> list[Any]:
    """The vector of each image, or the reason for none: an image that the encoder fails on does not affect the others.

    Args:
        encode: returns a vector for each of some images.

    Raises:
        Exception: what the encoder raised, if it failed at each of several.
    """
    if not images:
        return []
    failure: Exception | None = None
    try:
        return list(await encode(images))
    except UsageError as error:
        why = str(error)
    except ImageRAGError:  # an unavailable service, for instance, fails for all
        raise
    except Exception as error:
        log.debug("the encoder failed at %d images", len(images), exc_info=True)
        failure, why = error, f"the encoder failed at it: {type(error).__name__}: {error}"
    if len(images) == 1:
        return [why]
    results = [vector for one in images for vector in await vectors_or_reasons(encode, [one])]
    if failure and all(isinstance(one, str) for one in results):  # no image is at fault
        raise failure
    return results


def one_row_each(encode: Encode[T], encoder: str) -> Encode[T]:
    """A method of an encoder whose result is checked by `row_for_each`.

    Args:
        encoder: its spec.
    """

    async def checked(part: Sequence[T]) -> Any:
        return row_for_each(await encode(part), len(part), encoder)

    return checked


async def passage_vectors_or_reasons(embedder: Embedder, texts: Sequence[str]) -> list[Any]:
    """The vector of each text that is searched, such as a caption, or the reason for none."""

    async def encode(part: Sequence[str]) -> Any:
        return await embed_passages(embedder, part)

    return await vectors_or_reasons(encode, texts)
