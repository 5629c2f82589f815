"""Check of what a backend returned, before it is used or stored: an object of somebody's own may return anything.

A response that is none is an error of the backend, and never an entry of the journal: there it would come back with
every resume, long after its code is mended.
"""

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from math import isfinite
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from imagerag.agent.ports import GeneratedImage, ModelResponse
from imagerag.formatting.messages import invalid

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic import TypeAdapter

Response = TypeVar("Response", bound=ModelResponse | GeneratedImage)

_MOST_TOKENS: Final = 10**12
"""A larger count is no count, and does not fit where it is stored."""


def checked_response(response: object, kind: type[Response], backend: str) -> Response:
    """A copy of a response whose fields have their types. A cost or count that is none is unknown.

    Args:
        kind: the class of the response, as its port states it.
        backend: the backend's identity, for the message.

    Raises:
        TypeError: it is something else, or a field has another type; the message names the field.
    """
    from pydantic import ValidationError

    if not isinstance(response, kind):
        raise TypeError(f"{backend} returned {type(response).__name__}, and not {_article(kind)}")
    names = [field.name for field in fields(cast("DataclassInstance", kind))]
    values = {name: getattr(response, name) for name in names}
    values |= {name: known(values[name]) for name, known in _LENIENT.items() if name in values}
    try:
        checked: Response = adapter_of(kind).validate_python(values)
    except ValidationError as error:
        message = f"{backend} returned {_article(kind)} that cannot be used: {invalid(error)}"
        raise TypeError(message) from error
    return checked


_ADAPTERS: Final[dict[type[Any], "TypeAdapter[Any]"]] = {}


def adapter_of(kind: type[Any]) -> "TypeAdapter[Any]":
    """The adapter of a class; making one costs a hundred times what using it does."""
    from pydantic import TypeAdapter

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _article(kind: type[Any]) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


def known_cost(usd: object) -> float | None:
    """A cost in US dollars; None for what is none: a budget would never be spent with a negative cost, or with NaN."""
    if isinstance(usd, bool) or not isinstance(usd, Real | Decimal):
        return None
    cost = float(usd)
    return cost if isfinite(cost) and cost >= 0 else None


def token_counts(usage: object) -> dict[str, int]:
    """The counts in a usage that are some."""
    pairs = [(str(kind), _count(value)) for kind, value in usage.items()] if isinstance(usage, Mapping) else []
    return {kind: count for kind, count in pairs if count is not None}


def _requests(value: object) -> int:
    """A number of requests; one for what is none: a budget of calls would never be spent with a negative number."""
    count = _count(value)
    return 1 if count is None else count


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        return None
    count = int(value)
    return count if 0 <= count <= _MOST_TOKENS else None


def _media_type(name: object) -> str:
    """The media type; it decides nothing, because the bytes tell what they are."""
    return name if isinstance(name, str) else "image/png"


_LENIENT: Final = {"cost_usd": known_cost, "usage": token_counts, "requests": _requests, "media_type": _media_type}
"""Fields for which no paid response is turned down."""
