"""Sentences that errors are made of: an unknown name with what it was near, and a value that cannot be.

Pydantic's own words never reach a person: what was wrong is said by its type.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import ValidationError

_SHOWN: Final = 60
"""Characters of a name that is not known."""

NOT_CALIBRATED: Final = "no threshold: the cosine of a combined query is not calibrated"
"""Why results of a search with several terms are neither accepted nor refused."""


def near(name: str, names: Iterable[str]) -> str:
    """The known name that was probably meant; empty where none is near."""
    spelled = {one.casefold(): one for one in names}
    matches = get_close_matches(name.casefold(), spelled, n=1, cutoff=0.6)
    return spelled[matches[0]] if matches else ""


def unknown(
    what: str, name: str, choices: Iterable[str], *, where: str = "", more: str = "", meant: Sequence[str] = ()
) -> str:
    """`no preset 'sketsh'; did you mean 'sketch'? There are: sketch, openai, local`.

    Args:
        what: the kind of thing, for instance "preset".
        name: what was written.
        choices: all there are.
        where: where it was written, for instance "imagerag.toml".
        more: what may be written instead beside the known ones.
        meant: what was probably meant; by default the choice of the most similar spelling.
    """
    names = list(choices)
    wording = f"{where}: " if where else ""
    wording += f"no {what} {name[:_SHOWN]!r}"
    guess = " or ".join(map(repr, [*meant] or [*filter(None, [near(name, names)])]))
    wording += f"; did you mean {guess}? " if guess else "; "
    # Without quotes, "there is only one" would not name it.
    listed = repr(names[0]) if names in (["one"], ["none"]) else ", ".join(names)
    if len(names) == 1:
        wording += f"there is only {listed}" if not guess else f"There is only {listed}"
    elif names:
        wording += f"there are: {listed}" if not guess else f"There are: {listed}"
    else:
        wording += "there are none"
    return f"{wording}; {more}" if more else wording


def invalid(error: "ValidationError", *, most: int = 3, inside: str = "") -> str:
    """Validation errors of values by name: `max_rounds: at most 20, not 21`.

    Args:
        most: problems that are named.
        inside: the part whose values are named without it: `seed`, not `config.seed`.
    """
    problems: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        place = ".".join(str(step) for step in problem["loc"] if not _is_branch(step)).removeprefix(f"{inside}.")
        value = problem.get("input")
        words = wrong(problem["type"], problem["msg"], value, problem.get("ctx") or {})
        if place in problems and any(map(_is_branch, problem["loc"])):
            earlier = problems[place].removesuffix(_but(value))
            words = problems[place] if words.removesuffix(_but(value)) in earlier else f"{earlier}, or {words}"
        elif place in problems:
            words = f"{problems[place]}; {words}"
        problems[place] = words
    parts = [named(place, words) for place, words in problems.items()]
    return "; ".join(parts[:most]) + (f"; and {len(parts) - most} more" if len(parts) > most else "")


def named(place: str, words: str) -> str:
    """What is wrong with a value, with the value's name, once.

    Args:
        place: the name; empty for the whole.
        words: what is wrong; may begin with the name.
    """
    inside, dot, name = place.rpartition(".")
    if words.startswith((f"{name}, ", f"{name}: ")):
        return f"{inside}{dot}{words}"
    return f"{place}: {words}" if place else words


def _is_branch(step: int | str) -> bool:
    """Whether a step of a place is pydantic's own name for the branch of a union that it tried."""
    return isinstance(step, str) and ("[" in step or step in _BRANCHES)


_BRANCHES: Final = frozenset({"str", "int", "float", "bool", "constrained-str", "constrained-float", "function-after"})

_TYPES: Final[Mapping[str, str]] = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "finite": "a number that is not infinite",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a table of names and values",
    "mapping": "a table of names and values",
    "model": "a table of names and values",
    "model_attributes": "a table of names and values",
    "none_required": "nothing (null)",
    "datetime": "a time, such as 2026-11-30T18:00",
    "url": "an address, such as http://localhost:8000",
    "bytes": "bytes",
    "path": "a path",
    "callable": "a function",
    "json": "JSON",
}
"""Names of types in pydantic's errors, by the part before `_type` or `_parsing`."""


def wrong(kind: str, message: str, value: object, context: Mapping[str, Any], *, repeat: bool = True) -> str:
    """The validation error of one value.

    Args:
        kind: the type of pydantic's error.
        message: pydantic's own words, which are kept of nothing but our own validators.
        value: the value.
        context: what it was compared with.
        repeat: say the value again, where it is short and plain.
    """
    but = _but(value) if repeat else ""
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind in _SAID:
        return _SAID[kind]
    if kind in ("is_instance_of", "is_subclass_of"):
        name = str(context.get("class")).rpartition(".")[2]
        return f"it has to be {_CLASSES.get(name, f'a {name}')}"
    if kind in _LIMITS:
        words, name = _LIMITS[kind]
        return f"{words} {_bound(context.get(name))}{but}"
    if kind in ("literal_error", "enum"):
        return f"one of {str(context.get('expected', '')).replace(' or ', ', ')}{but}"
    if kind in ("string_too_short", "too_short"):
        return "it is too short" if value else "it is empty"
    if kind == "string_too_long" and isinstance(value, str):
        return f"{len(value):,} characters are too many; at most {context['max_length']:,}"
    if kind == "too_long":
        return f"{context.get('actual_length', 'these')} are too many; at most {context['max_length']}"
    if kind == "string_pattern_mismatch":
        return f"it is not written as it has to be{but}"
    type_words = _TYPES.get(kind.removesuffix("_parsing_size").removesuffix("_parsing").removesuffix("_type"))
    if kind == "int_from_float":
        type_words = "a whole number"
    return (f"it has to be {type_words}" if type_words else "it cannot be that") + but


_CLASSES: Final[Mapping[str, str]] = {"Sequence": "a list", "Iterable": "a list", "Path": "a path"}

_SAID: Final[Mapping[str, str]] = {
    "extra_forbidden": "there is no such name",
    "missing": "it is missing",
    "sequence_str": "it has to be a list",
    "finite_number": "it has to be a number that is not infinite",
}

_LIMITS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
    "multiple_of": ("a multiple of", "multiple_of"),
}


def _bound(limit: object) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _but(value: object) -> str:
    """The value that was given, where it is short and plain."""
    if isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 40 and value.isprintable()):
        return f", not {value!r}"
    return ""


def searched_with(texts: Sequence[str]) -> str:
    """Note that a query was translated for the search; empty where it was not."""
    return f"searched with {' and '.join(f'“{text}”' for text in texts)}" if texts else ""
