"""Error messages for arguments of tools, in one line."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from imagerag.agent.pointed_text import without_caret
from imagerag.assistants.argument_types import SHAPES
from imagerag.formatting.messages import named, wrong
from imagerag.formatting.quoting import line


def refusal(error: ValidationError) -> str:
    """Problems of the arguments, in one line; values are not repeated, they can be anything."""
    problems = []
    for problem in error.errors(include_url=False):
        place = line(".".join(str(part) for part in problem["loc"]), 60)
        words = _wrong(problem["type"], problem["msg"], problem.get("input"), problem.get("ctx") or {})
        problems.append(named(place, line(without_caret(words), 160)))
    messages = list(dict.fromkeys(problems))
    return "; ".join(messages[:3]) + (f"; and {len(messages) - 3} more" if len(messages) > 3 else "")


def _wrong(kind: str, message: str, value: object, context: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden":
        return "there is no such argument"
    if kind == "missing":
        return "it is needed"
    if kind == "string_pattern_mismatch":
        return SHAPES[context["pattern"]]
    return wrong(kind, message, value, context, repeat=False)
