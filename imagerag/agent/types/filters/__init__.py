"""The filter language: `taken>=2024-05 and camera~"X100" and licence in (CC0-1.0, CC-BY-4.0) and not tag=draft`.

`parser` makes the tree of `conditions` from text, `expression` takes every form in which a filter may come, `literals`
says what a value can mean, `matching` decides for one image (what the expressions of a library must agree with), and
`keys` checks a filter against what a library holds.
"""

from imagerag.agent.types.filters.conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Has,
    Not,
    all_of,
    any_of,
    leaves,
    negation,
)
from imagerag.agent.types.filters.expression import FilterExpression, FilterInput, MaybeFilter, parse_filter

__all__ = [
    "AllOf",
    "AnyOf",
    "Comparison",
    "Condition",
    "FilterExpression",
    "FilterInput",
    "Has",
    "MaybeFilter",
    "Not",
    "all_of",
    "any_of",
    "leaves",
    "negation",
    "parse_filter",
]
