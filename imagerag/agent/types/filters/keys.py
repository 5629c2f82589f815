"""The keys that filters know without a library, and whether a filter can be asked of what a library holds."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from imagerag.agent.errors import FilterError
from imagerag.agent.types.filters.conditions import Comparison, Condition, Has, key_as_typed, leaves
from imagerag.agent.types.filters.literals import Kind, flag_of, number_of, pattern_of, period_of
from imagerag.formatting.interface_terms import PATH, SPEC, python_call
from imagerag.formatting.messages import unknown

BUILT_IN: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("title", "caption", "source", "author", "licence", "camera", "lens", "place", "language",
                     "ocr", "description", "described_by",
                     "media_type", "id"), Kind.TEXT),
    **dict.fromkeys(("width", "height", "size_bytes", "latitude", "longitude", "ocr_confidence",
                     "description_confidence"), Kind.NUMBER),
    **dict.fromkeys(("taken", "created"), Kind.TIME),
    "tags": Kind.TAGS,
}  # fmt: skip
"""Columns of libraries, by the key they are filtered with. Not every library has all of them
(`OPTIONAL`); in others these may be metadata keys."""

ALIASES: Final[Mapping[str, str]] = {"tag": "tags", "license": "licence", "sha256": "id"}
_WRITTEN: Final = {"tags": "tag"}
"""How a message names a column."""

METADATA: Final = "metadata."
"""Before a metadata key that is called like a column."""

_UNREAD: Final = "filter: OCR has read no image of this library yet: " + python_call("libraries.index", PATH, ocr=True)
_UNDESCRIBED: Final = "filter: no image of this library has been described by a model yet: " + python_call(
    "libraries.index", PATH, describe=SPEC
)
OPTIONAL: Final[Mapping[str, str]] = {
    **dict.fromkeys(("ocr", "ocr_confidence"), _UNREAD),
    **dict.fromkeys(("description", "described_by", "description_confidence"), _UNDESCRIBED),
}
"""Columns that only some libraries have → what a message says where a library lacks them."""

_LISTED: Final = 30
"""Keys that a message names."""

_HOLDS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.TEXT: ("text", "a text"), Kind.NUMBER: ("numbers", "a number"), Kind.FLAG: ("true and false", "true or false"),
    Kind.TIME: ("dates", "a date (2024, 2024-05, 2024-05-03, 2024-05-03T10:00)"), Kind.TAGS: ("tags", "a tag"),
}  # fmt: skip


def column_of(key: str) -> str | None:
    """The built-in column that a key may name; None for what can only be metadata."""
    name = ALIASES.get(key, key)
    return name if name in BUILT_IN else None


def metadata_key(key: str) -> str:
    """The metadata key that a key names where it names no column."""
    return key.removeprefix(METADATA)


def check_condition(
    condition: Condition, kinds: Callable[[str], Collection[Kind]], keys: Collection[str], holds: Callable[[str], str]
) -> None:
    """See that a library can be asked this.

    Args:
        kinds: what the library holds under a key; nothing for one that it does not know.
        keys: all that it knows.
        holds: values that it holds under a key, for a message.

    Raises:
        FilterError: there is no such key, or what a value is compared with holds none of its kind.
    """
    for leaf in leaves(condition):
        key = leaf.has if isinstance(leaf, Has) else leaf.key
        key_kinds = kinds(key)
        if not key_kinds:
            raise FilterError(OPTIONAL.get(key) or _unknown(key, keys))
        problems = [_problem(leaf, value, key_kinds) for value in leaf.values] if isinstance(leaf, Comparison) else []
        if problem := next(filter(None, problems), ""):
            values = holds(key)
            raise FilterError(f"filter: {problem}" + (f"; {key} is {values}" if values else ""))


def _unknown(key: str, keys: Collection[str]) -> str:
    names = [_WRITTEN.get(one) or key_as_typed(f"{METADATA}{one}" if one in ALIASES else one) for one in keys]
    first_names = sorted(names)[:_LISTED]
    more = f"and {len(names) - len(first_names)} more" if len(names) > len(first_names) else ""
    guess_from = [*first_names, *(one for one in names if one not in first_names)]
    return unknown("key", key, guess_from if not more else first_names, where="filter", more=more)


def _problem(leaf: Comparison, value: str, key_kinds: Collection[Kind]) -> str:
    """The reason why a value cannot be compared with a key's kinds; empty where it can."""
    kinds = " and ".join(dict.fromkeys(_HOLDS[kind][0] for kind in key_kinds))
    if not value and leaf.op == "=":
        return ""
    if leaf.op == "~":
        if Kind.TAGS in key_kinds:
            return _tag_problem(value)
        return "" if Kind.TEXT in key_kinds else f"~ looks into text, and {leaf.key} holds {kinds}"
    if leaf.op != "=" and set(key_kinds) <= {Kind.TAGS, Kind.FLAG}:
        return f"{leaf.key} holds {kinds}, which have no order"
    if Kind.TEXT in key_kinds or Kind.TAGS in key_kinds:
        return ""
    fits = {Kind.NUMBER: number_of(value), Kind.FLAG: flag_of(value), Kind.TIME: period_of(value)}
    if any(fits.get(kind) is not None for kind in key_kinds):
        return ""
    return f"{value[:60]!r} is not {' or '.join(dict.fromkeys(_HOLDS[kind][1] for kind in key_kinds))}"


def _tag_problem(value: str) -> str:
    if any(pattern_of(value)[::2]) or any(letter in value for letter in ",[]"):
        return "~ takes a part of a tag, without a * at one end and without , [ or ]"
    return ""
