"""The filter language: text to a tree. Its grammar is LALR(1), read by lark with a lexer that knows what may come.

That lexer is why values need no quotes: where a value has to come, `https://a/b?c=d` is one, and "and" ends it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import FilterError
from imagerag.agent.pointed_text import pointed
from imagerag.agent.types.filters.conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Has,
    Not,
    all_of,
    any_of,
    negation,
)
from imagerag.agent.types.filters.literals import inner_star
from imagerag.agent.visible_text import is_blank

if TYPE_CHECKING:
    from lark import Lark, Token

LONGEST: Final = 10_000
"""Characters of a filter that is text."""

DEEPEST: Final = 50
"""Conditions inside each other."""

GRAMMAR: Final = r"""
?start: disjunction
?disjunction: conjunction (_OR conjunction)*
?conjunction: inverse (_AND inverse)*
?inverse: _NOT inverse -> inverted | _OPEN disjunction _CLOSE | condition
?condition: key OPERATOR value -> compared
    | key EQUAL value -> compared
    | key EQUAL NOTHING -> absent
    | key _IN _OPEN _listed (_COMMA _listed)* _CLOSE -> listed
    | key _NOT _IN _OPEN _listed (_COMMA _listed)* _CLOSE -> unlisted
    | key _BETWEEN value _AND value -> between
    | _HAS key -> present
?key: NAME | TEXT
_listed: LISTED | TEXT
value: VALUE MORE* | TEXT

OPERATOR.2: "<=" | ">=" | "<" | ">" | "!~" | "~"
EQUAL.2: "==" | "=" | "!=" | "<>"
TEXT.3: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/s
_OR.4: /or(?![^\s()])/i
_AND.4: /and(?![^\s()])/i
_NOT.4: /not(?![^\s()])/i
_IN.4: /in(?![^\s()])/i
_BETWEEN.4: /between(?![^\s()"'])/i
_HAS.4: /has(?=[\s"'])/i
NOTHING.4: /(none|null)(?![^\s()])/i
NAME: /[^\s()"'=<>!~,]+/
VALUE: /[^\s()"'=<>!~,][^\s()]*/
MORE: /[^\s()"'=<>!~,][^\s()"'=<>~]*/
LISTED: /[^\s(),"'][^(),]*/
_OPEN: "("
_CLOSE: ")"
_COMMA: ","
%ignore /\s+/
"""

_NAMES: Final = {
    "_AND": '"and"', "_OR": '"or"', "_NOT": '"not"', "_HAS": '"has"', "NAME": "a key", "VALUE": "a value",
    "LISTED": "a value", "_OPEN": '"("', "_CLOSE": '")"', "_COMMA": '","', "$END": "the end",
}  # fmt: skip
"""Terminals as a person knows them; those that say nothing new are left out."""

_JOINED: Final = re.compile(r"[=<>~].*\s(?:and|or)\s+[^\s()]+\s*$", re.IGNORECASE | re.DOTALL)
"""A word after "and" or "or", behind a value: it may belong to that value, and be no key."""

_JOINED_HINT: Final = 'a value with "and" or "or" in it is put in quotes: title="Salt and Pepper"'


@lru_cache(maxsize=256)
def parse(text: str) -> Condition:
    """The condition that a text says.

    Raises:
        FilterError: it cannot be read; the message points at the place, and says what was expected.
    """
    from lark.exceptions import UnexpectedInput

    if len(text) > LONGEST:
        raise FilterError(f"the filter has {len(text)} characters; at most {LONGEST} are read")
    if is_blank(text):
        raise FilterError("the filter is empty: write KEY=VALUE, for instance licence=CC0-1.0")
    try:
        tree: Any = _parser().parse(text)
    except UnexpectedInput as error:
        raise _wrong(text, error) from None
    except _NotHereError as error:
        raise _pointed(text, error.at, str(error)) from None
    if _depth(tree) > DEEPEST:
        raise FilterError(f"the filter has more than {DEEPEST} conditions inside each other")
    condition: Condition = tree
    return condition


@lru_cache(maxsize=1)
def _parser() -> "Lark":
    from lark import Lark, Transformer, v_args

    @v_args(inline=True)
    class Tree(Transformer):  # type: ignore[type-arg]
        """Makes the tree while the text is read: nothing is walked, however deep it is."""

        def TEXT(self, token: "Token") -> "Token":  # noqa: N802
            return token.update(value=re.sub(r"\\([\"'\\])", r"\1", token[1:-1]))

        def LISTED(self, token: "Token") -> "Token":  # noqa: N802
            return token.update(value=token.strip())

        def value(self, *words: "Token") -> "Token":
            return words[0].update(value=" ".join(words))

        def compared(self, key: str, op: str, value: "Token") -> Condition:
            return _compared(str(key), op, value)

        def absent(self, key: str, op: str, _: str) -> Condition:
            has = Has(has=str(key))
            return has if op in ("!=", "<>") else negation(has)

        def listed(self, key: str, *values: str) -> Condition:
            return Comparison(key=str(key), op="=", values=tuple(map(str, values)))

        def unlisted(self, key: str, *values: str) -> Condition:
            return negation(self.listed(key, *values))

        def between(self, key: str, low: "Token", high: "Token") -> Condition:
            return all_of([_compared(str(key), ">=", low), _compared(str(key), "<=", high)])

        def present(self, key: str) -> Condition:
            return Has(has=str(key))

        def inverted(self, condition: Condition) -> Condition:
            return negation(condition)

        def conjunction(self, *parts: Condition) -> Condition:
            return all_of(parts)

        def disjunction(self, *parts: Condition) -> Condition:
            return any_of(parts)

    return Lark(GRAMMAR, parser="lalr", transformer=Tree())


class _NotHereError(Exception):
    """A value that cannot be, with where it stands."""

    def __init__(self, at: int, words: str) -> None:
        super().__init__(words)
        self.at = at


def _compared(key: str, op: str, value: "Token") -> Condition:
    plain: Any = {"==": "=", "!=": "=", "<>": "=", "!~": "~"}.get(op, op)
    if plain == "~" and (star := inner_star(value)) is not None:
        raise _NotHereError((value.start_pos or 0) + star, "a * stands for anything, first or last in a value only")
    comparison = Comparison(key=key, op=plain, values=(str(value),))
    return negation(comparison) if op in ("!=", "<>", "!~") else comparison


def _depth(condition: Condition) -> int:
    """Depth of nested conditions, counted level by level."""
    depth, level = 0, [condition]
    while level:
        depth += 1
        level = [part for one in level for part in _parts(one)]
    return depth


def _parts(condition: Condition) -> Sequence[Condition]:
    match condition:
        case AllOf(all_of=parts) | AnyOf(any_of=parts):
            return parts
        case Not():
            return [condition.negated]
    return ()


def _wrong(text: str, error: Any) -> FilterError:
    """The error that names what was expected at this place."""
    token = getattr(error, "token", None)
    ended = token is not None and token.type == "$END"
    at = len(text.rstrip()) if ended else error.pos_in_stream
    if text[at : at + 1] in ("'", '"') and token is None:
        return _pointed(text, at, "this quote is not closed")
    expected = set(getattr(error, "accepts", None) or getattr(error, "allowed", None) or error.expected)
    if "OPERATOR" in expected:
        hint = _JOINED_HINT if _JOINED.search(text[:at]) else ""
        return _pointed(text, at, "expected = != < <= > >= ~ in or between, as in KEY=VALUE", hint)
    names = list(dict.fromkeys(_NAMES[name] for name in _NAMES if name in expected))
    message = f"expected {', '.join(names[:-1])}{' or ' if names[1:] else ''}{names[-1]}" if names else "cannot be read"
    hint = "a value with such characters is put in quotes" if "MORE" in expected and not ended else ""
    return _pointed(text, at, message, hint)


def _pointed(text: str, at: int, words: str, hint: str = "") -> FilterError:
    return FilterError(pointed("filter", text, at, words, hint))
