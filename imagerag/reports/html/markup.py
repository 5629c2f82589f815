"""HTML from values: what is not markup already is escaped, so that no caption and no prompt can be."""

import html
import re
import unicodedata
from collections.abc import Iterable
from typing import Final, TypeAlias


class Html(str):
    """Text that is markup."""

    __slots__ = ()


Child: TypeAlias = "Html | str | Iterable[Html | str] | None"

_VOID = frozenset({"br", "hr", "img", "meta"})


def tag(name: str, /, *children: Child, **attributes: str | bool | None) -> Html:
    """An element. `class_` is its class; an attribute that is None or False is left out, True stands alone."""
    told = "".join(_attribute(key, value) for key, value in attributes.items() if value not in (None, False))
    if name in _VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """Parts one after the other."""
    return Html("".join(_child(child) for child in children))


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    return escape(child) if isinstance(child, str) else join(*child)


def _attribute(key: str, value: str | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


_ODD: Final = re.compile(r"[^\n\t\x20-\x7e]")


def escape(text: str) -> Html:
    """Foreign text: escaped, without control signs, and without signs that turn the direction of what follows."""
    return Html(html.escape(_ODD.sub(_harmless, text), quote=True))


def _harmless(found: "re.Match[str]") -> str:
    sign = found[0]
    kind = unicodedata.category(sign)
    if kind == "Cs":
        return "\ufffd"
    return "" if kind == "Cc" or (kind == "Cf" and sign != "\u200d") else sign
