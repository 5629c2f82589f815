"""Clean a model's text, normalise it for comparison, and detect refusals."""

import re
import unicodedata
from typing import Any

from imagerag.agent.errors import RefusalError
from imagerag.agent.lone_surrogates import valid_text
from imagerag.tools.reasoning_tags import answer_in, is_json

_WRAPPER = r"answer|final_?answer|final|response|output|solution|conclusion"
_WRAPPED = re.compile(rf"<({_WRAPPER})>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_WRAPPING = re.compile(
    rf"</?(?:{_WRAPPER})>|<\|(?:begin|end)_of_(?:box|solution|answer)\|>|<\|(?:START|END)_(?:RESPONSE|TEXT)\|>", re.I
)
"""Markers that some models put before the answer, after their reasoning."""
_TURN = r"(?:<\|[^<>|\s]{1,40}\|>|<｜[^<>｜\s]{1,40}｜>|</?s>|<(?:end_of_turn|start_of_turn|eos|bos|pad)>|<turn\|>)"
_TURN_ENDS = re.compile(rf"\A(?:\s*{_TURN})+|{_TURN}(?:\s*(?:assistant|model)?\s*(?:{_TURN}|\Z))*\s*\Z")
"""Tokens that begin and end a turn, which some servers leave in the text."""
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n(.*?)\n?[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)


def clean(text: str) -> str:
    """The answer itself: valid Unicode, without reasoning before it and without surplus space.

    Empty if the text holds only reasoning: see `silence`.
    """
    valid = valid_text(text).replace("\ufeff", "")
    if is_json(valid):
        return valid.strip()
    answer = _TURN_ENDS.sub("", answer_in(valid).strip())
    wrapped = _WRAPPED.findall(answer)
    return _WRAPPING.sub("", wrapped[0][1] if len(wrapped) == 1 else answer).strip()


def text_of_field(value: Any) -> Any:
    """A text field of a model's JSON, cleaned: null is empty; what is no text is left for validation to refuse."""
    return "" if value is None else clean(value) if isinstance(value, str) else value


def silence(text: str) -> str:
    """Description of a text in which `clean` finds no answer."""
    return "it is reasoning only, and no answer follows it" if text.strip() else "it is empty"


def unfenced(text: str) -> str:
    """The content of a code fence (or a fence in a fence) that spans the whole text; otherwise the text."""
    cleaned = clean(text)
    for _ in range(3):
        fence = _FENCE.fullmatch(cleaned)
        if fence is None:
            break
        cleaned = fence.group(2).strip()
    return cleaned


def fold(text: str) -> str:
    """Lower case, without accents, with straight apostrophes: for comparison only."""
    straight = re.sub("[‘’ʼ`´]", "'", text)
    decomposed = unicodedata.normalize("NFKD", straight.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


_SORRY = r"(?:(?:i'm |i am |we're )?(?:so |very )?sorry|unfortunately|apologies|i apologi[sz]e|no|as an ai[^,.]*)"
_CAN_NOT = (
    r"(?:(?:i|we)(?:'m| am|'re| are)? )?"
    r"(?:unable|not able|cannot|can't|cant|can not|could not|couldn't|won't|will not|must decline|decline)(?![\w-])"
)
_HEAD = re.compile(rf"\W*(?:{_SORRY}\W+(?:but\W+)?)*{_CAN_NOT}")
_TO_SERVE = re.compile(
    r"\W*(?:to |be able to )*(?:help|assist|comply|engage|fulfil|participate|answer (?:this|that)|"
    r"do (?:this|that)\b|continue with|support (?:this|that)|discuss|process (?:this|that)|decline)"
)
_POLICY = re.compile(
    r"(?:content|usage|safety|use) (?:polic|guideline)"
    r"|(?:violat|against|conflict)\w*\b.{0,40}\b(?:polic|guideline|terms)"
)
_FOREIGN_REFUSAL = re.compile(
    r"ich kann (?:dabei|ihnen|dir|das|hierbei)?[^.]{0,40}nicht (?:helfen|weiterhelfen|unterstutzen)"
    r"|je ne peux pas (?:vous |t'|t' )?aider|no puedo (?:ayudar|asistir)|nao posso (?:ajudar|auxiliar)"
    r"|non posso (?:aiutar|assister)|не могу (?:вам )?(?:с этим )?помочь"
    r"|(?:抱歉|对不起|很抱歉)[^。]{0,20}(?:无法|不能)[^。]{0,12}(?:帮|协助|满足|提供)"
    r"|" + re.escape(fold("お手伝いできません")) + r"|" + re.escape(fold("お答えできません"))
)


def is_refusal(text: str) -> bool:
    """Whether the model refused for reasons of content policy (and did not just fail to see or name something)."""
    normalized = fold(unfenced(text))
    head = _HEAD.match(normalized)
    if head and (_TO_SERVE.match(normalized, head.end()) or "decline" in head.group() or _POLICY.search(normalized)):
        return True
    about_us = re.match(r"\W*(?:this|your|the) (?:request|prompt|content|image|picture)\b", normalized)
    return bool((about_us and _POLICY.search(normalized)) or _FOREIGN_REFUSAL.match(normalized))


def cannot(text: str) -> bool:
    """Whether the model said that it could not do it, for any reason."""
    return bool(_HEAD.match(fold(unfenced(text))))


def check_refusal(text: str) -> None:
    """Raise if the model refused.

    Raises:
        RefusalError: content policy.
    """
    if is_refusal(text):
        raise RefusalError(f"the judge declined: {clean(text)[:300]}")
