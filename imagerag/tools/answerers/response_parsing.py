"""Parse a model's answer: JSON if it followed the form, otherwise sentences with [numbers]."""

import re
from typing import Annotated, Any, Final

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field

from imagerag.agent.errors import JudgeReplyError
from imagerag.agent.qa.types import MAX_CITATIONS, Citation
from imagerag.tools.judges.vlm.chat_protocol import Schema
from imagerag.tools.judges.vlm.json_parsing import objects_in
from imagerag.tools.judges.vlm.response_parsing import model_of
from imagerag.tools.judges.vlm.structured_verdict import STRING, strict_object
from imagerag.tools.model_text import check_refusal, silence, text_of_field, unfenced

ANSWER: Final = Schema(
    "answer",
    strict_object(
        citations={"type": "array", "items": strict_object(source={"type": "integer"}, supports=STRING)},
        held={"type": "boolean"},
        answer=STRING,
    ),
)

_BRACKETED: Final = re.compile(r"\[((?:source\s*)?\d{1,4}(?:\s*,\s*(?:source\s*)?\d{1,4})*)\]", re.IGNORECASE)
_SENTENCE: Final = re.compile(r"[^.!?\n]+(?:[.!?]+(?=\s|$)|\n|$)?|[.!?\n]+")


def _number(value: Any) -> Any:
    """Parse a source number: `1`, `"1"`, `"[1]"` and `"SOURCE 1"` are the same."""
    if isinstance(value, str) and (match := re.search(r"\d{1,4}", value)):
        return int(match.group())
    return value


def _citations(value: Any) -> Any:
    """Parse a list of objects or bare numbers; empty if it is missing."""
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, dict) else {"source": item} for item in items[: 5 * MAX_CITATIONS]]


class _Cited(BaseModel):
    source: Annotated[int, BeforeValidator(_number)] = Field(
        validation_alias=AliasChoices("source", "number", "id", "source_number")
    )
    supports: Annotated[str, BeforeValidator(text_of_field)] = Field(
        default="", validation_alias=AliasChoices("supports", "support", "quote", "text", "evidence")
    )


class _Answer(BaseModel):
    answer: Annotated[str, BeforeValidator(text_of_field)] = Field(
        validation_alias=AliasChoices("answer", "text", "response")
    )
    held: bool | None = None
    citations: Annotated[list[_Cited], BeforeValidator(_citations)] = Field(
        default_factory=list, validation_alias=AliasChoices("citations", "cited", "sources", "references")
    )


class ParsedAnswer:
    """Answer of a model.

    Attributes:
        text: the answer's text.
        held: whether the sources contain the answer.
        cited: sources by number, non-existent ones included.
    """

    def __init__(self, text: str, in_library: bool, cited: tuple[Citation, ...]) -> None:
        self.text, self.held, self.cited = text, in_library, cited


def read_answer(reply: str, count: int) -> ParsedAnswer:
    """Parse an answer about sources 1 to `count`.

    An answer that claims to rest on the sources but cites none, or none that exists, is rejected: it could not be
    verified.

    Raises:
        RefusalError: content policy.
        JudgeReplyError: wrong form without citations, empty, or without a supporting source.
    """
    reply_text = unfenced(reply)
    answer = model_of(reply, _Answer) if any(True for _ in objects_in(reply_text)) else None
    text = (answer.answer if answer else reply_text).strip()
    if answer is None:
        check_refusal(reply_text)
    if not text:
        why = "it is empty" if reply_text else silence(reply)
        raise JudgeReplyError(f"the answer cannot be used: {why}", raw=reply)
    cited = [
        Citation(source=c.source, supports=c.supports) for c in (answer.citations if answer else []) if c.source > 0
    ]
    numbers = {citation.source for citation in cited}
    cited += [one for one in _bracketed(text) if one.source not in numbers and (not answer or one.source <= count)]
    in_library = bool(answer.held if answer and answer.held is not None else cited)
    if in_library and not any(citation.source <= count for citation in cited):
        raise JudgeReplyError("the answer names no source that supports it", raw=reply)
    if answer is None and not in_library:
        raise JudgeReplyError(
            "the answer is not what was asked for: no JSON object, and no source in brackets", raw=reply
        )
    return ParsedAnswer(text, in_library, tuple(cited) if in_library else tuple(c for c in cited if c.source <= count))


def _bracketed(text: str) -> list[Citation]:
    """Sources cited in brackets, each with the sentence that cites it."""
    sentences: dict[int, str] = {}
    for sentence in _SENTENCE.findall(text):
        for group in _BRACKETED.findall(sentence):
            for number in re.findall(r"\d+", group):
                if int(number) > 0:
                    sentences.setdefault(int(number), _BRACKETED.sub("", sentence).strip())
    return [Citation(source=number, supports=supports) for number, supports in sentences.items()]
