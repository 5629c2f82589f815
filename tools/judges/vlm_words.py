"""The words of an answer, before they are read: made clean, made comparable, and told from a refusal."""

import re
import unicodedata

from imagerag.agent.errors import RefusalError

_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n(.*?)\n?[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)


def clean(text: str) -> str:
    """The answer itself: valid Unicode, without the thoughts some models put before it, without spare space."""
    valid = text.encode("utf-8", "replace").decode("utf-8")
    return _THOUGHT.sub("", valid).replace("\ufeff", "").strip()


def unfenced(text: str) -> str:
    """What is inside the code fence, when the whole text is one (or a fence in a fence); otherwise the text."""
    said = clean(text)
    for _ in range(3):
        fence = _FENCE.fullmatch(said)
        if fence is None:
            break
        said = fence.group(2).strip()
    return said


def fold(text: str) -> str:
    """Lower case, without accents, with straight apostrophes: for comparing, never for keeping."""
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


def declines(text: str) -> bool:
    """Whether the model declined for reasons of content policy (and did not just fail to see or name something)."""
    said = fold(unfenced(text))
    head = _HEAD.match(said)
    if head and (_TO_SERVE.match(said, head.end()) or "decline" in head.group() or _POLICY.search(said)):
        return True
    about_us = re.match(r"\W*(?:this|your|the) (?:request|prompt|content|image|picture)\b", said)
    return bool((about_us and _POLICY.search(said)) or _FOREIGN_REFUSAL.match(said))


def cannot(text: str) -> bool:
    """Whether the model said that it could not do it, for whatever reason."""
    return bool(_HEAD.match(fold(unfenced(text))))


def check_refusal(text: str) -> None:
    """Raise when the model declined.

    Raises:
        RefusalError: content policy.
    """
    if declines(text):
        raise RefusalError(f"the judge declined: {clean(text)[:300]}")
