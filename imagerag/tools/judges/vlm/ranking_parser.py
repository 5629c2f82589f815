"""Parse preferences (the better of two images) and rankings (the candidates that fit)."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator

from imagerag.agent.errors import JudgeReplyError
from imagerag.tools.judges.vlm.chat_protocol import Schema
from imagerag.tools.judges.vlm.response_parsing import model_of
from imagerag.tools.judges.vlm.structured_verdict import STRING, strict_object
from imagerag.tools.model_text import fold, unfenced

PREFERENCE: Final = Schema(
    "preference", strict_object(reason=STRING, better={"type": "string", "enum": ["first", "second", "neither"]})
)
RANKING: Final = Schema(
    "ranking", strict_object(reason=STRING, ranking={"type": "array", "items": {"type": "integer"}})
)

_BETTER: Final[Mapping[str, Literal["first", "second", "neither"]]] = {
    **dict.fromkeys(("1", "image 1", "picture 1", "first image", "first picture", "the first", "first"), "first"),
    **dict.fromkeys(("2", "image 2", "picture 2", "second image", "second picture", "the second", "second"), "second"),
    **dict.fromkeys(("tie", "equal", "both", "none", "0", "neither"), "neither"),
}
_NUMBERS: Final = re.compile(r"\[?\s*(\d{1,4}(?:[\s,]+\d{1,4})*)?\s*\]?\.?")


class _Preference(BaseModel):
    better: Annotated[
        Literal["first", "second", "neither"],
        BeforeValidator(lambda value: _BETTER.get(_plain(str(value)), value)),
    ]


class _Ranking(BaseModel):
    ranking: list[int]


def parse_preference(text: str) -> Literal["first", "second", "neither"]:
    """Parse which of two images is preferred, from JSON or a bare word.

    Raises:
        RefusalError: content policy.
        JudgeReplyError: the response names neither of them.
    """
    bare = _BETTER.get(_plain(unfenced(text)))
    return bare or model_of(text, _Preference).better


def parse_ranking(text: str, count: int) -> list[int]:
    """Parse a ranking of `count` candidates, best first, as indices from 0; from JSON or bare numbers from 1.

    Raises:
        RefusalError: content policy.
        JudgeReplyError: no numbers, or one without a candidate.
    """
    reply = unfenced(text)
    bare = bool(reply and _NUMBERS.fullmatch(reply))
    numbers = list(map(int, re.findall(r"\d+", reply))) if bare else model_of(text, _Ranking).ranking
    if not all(1 <= number <= count for number in numbers):
        raise JudgeReplyError(f"the judge chose numbers outside 1 to {count}: {json.dumps(numbers)}", raw=text)
    return [number - 1 for number in dict.fromkeys(numbers)]


def _plain(text: str) -> str:
    return fold(text).strip(" .!*\"'")
