"""Parse the options of a backend spec from text to the adapter's values.

An adapter keeps one table of them, option → reader, and hands it to `BackendSpec.settings`:

```python
OPTIONS = {"quality": Choice("low", "high"), "timeout_s": Number(float, least=0.1), "organisation": str}
```
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from imagerag.agent.errors import SpecError
from imagerag.formatting.messages import unknown


class Kind(Protocol):
    """Reader of one kind of value.

    Attributes:
        valid_values: description of valid values, to follow "must be".
    """

    @property
    def valid_values(self) -> str: ...

    def read(self, text: str) -> Any:
        """Parse the value.

        Raises:
            ValueError: the text is invalid.
        """
        ...


Reader = type[str] | type[int] | type[float] | type[bool] | Kind
"""A plain type is enough if all its values are valid."""


class Choice:
    """One of several words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    @property
    def valid_values(self) -> str:
        """The words."""
        return " or ".join(filter(None, [", ".join(self.words[:-1]), self.words[-1]]))

    def read(self, text: str) -> str:
        """Return the word."""
        if text not in self.words:
            raise ValueError(text)
        return text


class Words:
    """Several of the given words, joined by `+`: `temperature+seed`."""

    def __init__(self, *words: str) -> None:
        self.words = words

    @property
    def valid_values(self) -> str:
        """The words, and how to join them."""
        return f"one or more of {', '.join(self.words)}, joined by +"

    def read(self, text: str) -> tuple[str, ...]:
        """The words in the given order."""
        values = tuple(text.replace("+", " ").split())
        if not values or not set(values) <= set(self.words):
            raise ValueError(text)
        return values


class Hosts:
    """Host names, joined by `+`."""

    valid_values = "one or more host names, joined by +"

    def read(self, text: str) -> tuple[str, ...]:
        """The names in the given order, in lower case."""
        words = tuple(text.replace("+", " ").lower().split())
        if not words or not all(_HOST.fullmatch(name) for name in words):
            raise ValueError(text)
        return words


_HOST: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


@dataclass(frozen=True)
class Number:
    """A finite number from `least` to `most`."""

    kind: type[int] | type[float]
    least: float
    most: float = float("inf")

    @property
    def valid_values(self) -> str:
        """The kind of number, and its range."""
        limit = f"from {self.least:g} to {self.most:g}" if self.most < float("inf") else f"{self.least:g} or more"
        return f"{_NAMES[self.kind]}, {limit}"

    def read(self, text: str) -> float:
        """Parse the number."""
        value = self.kind(text)
        if not (self.least <= value <= self.most and abs(value) < float("inf")):
            raise ValueError(text)
        return value


_NAMES: Final[Mapping[type, str]] = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false",
}  # fmt: skip


def read_option(spec: str, name: str, text: str, readers: Mapping[str, Reader]) -> Any:
    """Parse the value of one option.

    Args:
        spec: the option's spec, for the message.
        readers: option → reader of its value.

    Raises:
        SpecError: an unknown option or an invalid value.
    """
    if not readers:
        raise SpecError(f"{spec!r}: it takes no options, and so no {name!r}")
    if name not in readers:
        raise SpecError(unknown("option", name, sorted(readers), where=repr(spec)))
    reader = readers[name]
    expected, parse = (
        (_NAMES[reader], _PLAIN[reader]) if isinstance(reader, type) else (reader.valid_values, reader.read)
    )
    try:
        return parse(text)
    except ValueError as error:
        raise SpecError(f"{spec!r}: {name} must be {expected}; not {text!r}") from error


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_PLAIN: Final[Mapping[type, Callable[[str], Any]]] = {str: str, int: int, float: float, bool: _truth}


def without_none(**values: Any) -> dict[str, Any]:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}
