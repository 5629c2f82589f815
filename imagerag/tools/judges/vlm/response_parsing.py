"""Parse a model's text: pure functions that return a result or raise an error.

Three rules hold throughout. Only an explicit yes is a yes ("No, the e*yes* are wrong", "Yesterday…" and "yes but no"
are not). A refusal ends a run, so it needs positive evidence: "I can't help with that" is one; a bare "I'm unable to…"
means that the model failed, and the request is retried. Only `JudgeReplyError` and `RefusalError` are raised, whatever
the text.
"""

import json
import re
from typing import Final, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from imagerag.agent.errors import JudgeReplyError
from imagerag.agent.types import Concept
from imagerag.formatting.messages import invalid
from imagerag.tools.judges.vlm.json_parsing import objects_in
from imagerag.tools.model_text import cannot, check_refusal, clean, fold, is_refusal, silence, unfenced

__all__ = [
    "cannot",
    "captions",
    "clean",
    "concepts",
    "fold",
    "is_refusal",
    "list_items",
    "model_of",
    "unfenced",
    "verdict",
]

Model = TypeVar("Model", bound=BaseModel)

LONGEST_CONCEPT: Final = 240
"""Characters; a longer line is prose, not a short concept."""

# --- yes and no -----------------------------------------------------------------------------------------------------


def _each(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_YES: Final = _each("yes yep yeah ja oui si sim tak evet да ναι نعم はい ええ 是 是的 对 对的 符合 네 예")
_NO: Final = _each("no nope nein non nee nej nao nie hayır нет οχι لا いいえ いや 不是 不 否 没有 아니요 아니오 아니")
_OPEN_NO: Final = (
    "不符合",
    "不匹配",
    *(f"not {how}" for how in _each("quite really entirely fully completely exactly")),
)


def _any(words: tuple[str, ...]) -> str:
    return "|".join(re.escape(fold(word)) for word in sorted(words, key=len, reverse=True))


_LABEL = (
    r"(?:(?:the |my |final )*(?:answer|verdict|decision|result|antwort|reponse|respuesta)\s*(?:is|ist|est|es)?\W+)?"
)
_END = r"(?!\w|[-']\w)"
_LEAD = re.compile(rf"\W*{_LABEL}(?:(?P<yes>{_any(_YES)}){_END}|(?P<no>{_any(_NO)}){_END}|(?P<open>{_any(_OPEN_NO)}))")
_STANDING = (
    r"(?:^|(?<=\W))(?:{words})(?=\s*(?:$|[^\w\s'-]|-\s))|\b(?:but|and|or|aber|oder|und|mais|pero)\s+(?:{words})\b"
)
_STANDING_YES = re.compile(_STANDING.format(words=_any(_YES)))
_STANDING_NO = re.compile(_STANDING.format(words=_any(_NO)))
_HARMLESS = re.compile(
    r"\b(?:no|not any|without(?: any)?|nothing(?: is)?)\s+"
    r"(?:doubt|differences?|issues?|problems?|mismatch(?:es)?|errors?|discrepanc(?:y|ies)|missing)\b(?:\s+\w*elements?)?"
)
_HEDGE = re.compile(
    r"\b(?:but|however|except\w*|although|though|partial\w*|partly|mostly|almost|somewhat|aside|apart|aber|jedoch|mais|"
    r"pero|mas|maar|но|not|no|never|neither|missing|misses|lack\w*|without|wrong|incorrect|absent|fails?|maybe|perhaps|"
    r"nicht|kein\w*|fehl\w*|pas|manqu\w*|falt\w*|не|нет)\b|n't\b|但|不|没|しかし|"
    + _any(("でも", "ただし", "ない", "하지만"))
)
_NO_OF_NOTHING = re.compile(
    r"\s+(?:doubt|differences?|issues?|problems?|mismatch|errors?|discrepanc|missing|objection|idea|opinion|answer|image)"
)


def verdict(text: str) -> bool:
    """Parse a yes or a no.

    The answer may be in a code fence, behind "Answer:", alone on the last line, in a JSON object, or a common word of
    another language. A yes that is taken back or limited in the same sentence ("yes but no", "Yes, but the hat is
    missing") is no yes.

    Raises:
        RefusalError: content policy.
        JudgeReplyError: neither an explicit yes nor an explicit no.
    """
    reply = unfenced(text)
    check_refusal(reply)
    if reply.startswith("{"):
        return _json_verdict(reply, text)
    folded = fold(reply)
    lines = folded.splitlines() or [""]
    for part in (folded, lines[-1]):
        lead = _LEAD.match(part)
        if lead:
            return _settled(lead, part[lead.end() :], text)
    why = "it said that it could not" if cannot(reply) else "it answered neither yes nor no" if reply else silence(text)
    raise JudgeReplyError(f"the judge's answer is no verdict: {why}", raw=text)


def _settled(lead: re.Match[str], rest: str, text: str) -> bool:
    if not lead["yes"]:
        if _STANDING_YES.search(rest) or (lead["no"] == "no" and _NO_OF_NOTHING.match(rest)):
            raise JudgeReplyError("the judge's answer can be read both ways", raw=text)
        return False
    only_english = lead["yes"] in ("yes", "yep", "yeah") or re.match(r"\s*(?:$|[^\w\s])", rest)
    plain = _HARMLESS.sub(" ", rest)
    if not only_english or _STANDING_NO.search(rest) or _HEDGE.search(plain):
        raise JudgeReplyError("the judge's yes is taken back or limited in the same answer", raw=text)
    return True


def _json_verdict(reply: str, text: str) -> bool:
    for parsed_object in objects_in(reply):
        for name in ("aligned", "answer", "verdict", "matches", "match"):
            value = parsed_object.get(name)
            if isinstance(value, bool):
                return value
            if isinstance(value, str) and not value.lstrip().startswith(("{", "`", "~")):
                return verdict(value)
    raise JudgeReplyError("the judge's JSON holds no verdict", raw=text)


# --- JSON -----------------------------------------------------------------------------------------------------------


def model_of(text: str, model: type[Model]) -> Model:
    """Parse the only object of this shape in a text: bare, in a code fence, or inside prose.

    Raises:
        RefusalError: content policy.
        JudgeReplyError: no such object, or several that differ.
    """
    fitting: list[Model] = []
    reply = unfenced(text)
    problem = "there is no JSON object in it" if reply else silence(text)
    for fields in objects_in(reply):
        try:
            value = model.model_validate(fields)
        except ValidationError as error:
            problem = invalid(error, most=1)
            continue
        if value not in fitting:
            fitting.append(value)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        problem = "it holds several objects that differ"
    else:
        check_refusal(text)
    raise JudgeReplyError(f"the judge's answer is not what was asked for: {problem}", raw=text)


# --- lists ----------------------------------------------------------------------------------------------------------

_BULLET = re.compile(r"^\s*(?:[-*•–—·▪◦‣●]\s+|[•▪◦‣●]|\(?\d{1,2}[.):、]\)?\s*|#+\s+)+")
_EMPHASIS = re.compile(r"\*\*|__|^\*(?=\S)|(?<=\S)\*$")
_HEADING = re.compile(r"^(?:missing )?(?P<kind>content|style|likeness)(?: aspects| concepts| elements)?\s*:?\s*$")
_KIND = re.compile(
    r"^(?:(?P<kind>content|style|likeness)(?: concept| aspect)?\s*[:–—-]"
    r"|[\[(](?P<marked>content|style|likeness)[\])]\s*:?)\s*(?=\S)",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"^(?:the )?(?:missing|missing concepts?|concepts?|differences?)(?: are| is)?\s*:\s*(?=\S)", re.I
)
_NOTHING = re.compile(
    r"\W*(?:none|nothing|n/a|no (?:missing|differences?)|there (?:is|are) no\w* (?:missing|differences?))\b[^\n]*$"
)


def list_items(text: str) -> list[str]:
    """Items of a list in lines, bullets, numbers or JSON, without their marks; an introductory line is left out.

    Raises:
        JudgeReplyError: the text is empty.
    """
    reply = unfenced(text)
    if not reply:
        raise JudgeReplyError(f"the judge's answer cannot be used: {silence(text)}", raw=text)
    listed = _json_list(reply)
    if listed is not None:
        return listed
    lines = [line for line in reply.splitlines() if line.strip() and not line.lstrip().startswith(("```", "~~~"))]
    if (
        len(lines) > 1
        and lines[0].rstrip().rstrip("*").endswith((":", "："))
        and not _HEADING.match(fold(_bare(lines[0])))
    ):
        lines = lines[1:]
    return [bare for line in lines if (bare := _bare(line))]


_Kind = Literal["content", "style", "likeness"]


def _kind(word: str) -> _Kind:
    kinds: dict[str, _Kind] = {"style": "style", "likeness": "likeness"}
    return kinds.get(fold(word), "content")


def concepts(text: str) -> tuple[Concept, ...]:
    """Concepts in a response, one per line, "style:" or "content:" before each or over several; without duplicates.

    Empty if the model said that there are none or that it cannot name any; the caller then retries.

    Raises:
        RefusalError: content policy.
        JudgeReplyError: no list of concepts: prose, a bare yes or no, or nothing at all.
    """
    check_refusal(text)
    if cannot(text) or _NOTHING.fullmatch(fold(unfenced(text))):
        return ()
    kind: _Kind = "content"
    by_text: dict[str, Concept] = {}
    for line in list_items(text):
        heading = _HEADING.match(fold(line))
        if heading:
            kind = _kind(heading["kind"])
            continue
        own = _KIND.match(line)
        of = _kind(own["kind"] or own["marked"]) if own else kind
        words = _LABELLED.sub("", _KIND.sub("", line)).strip(" \t\"'“”").rstrip(".;,")
        if len(words) > LONGEST_CONCEPT or fold(words) in (*_YES, *_NO):
            raise JudgeReplyError("the judge's answer is not a list of concepts", raw=text)
        if re.search(r"\w", words):
            by_text.setdefault(fold(words), Concept(text=words, kind=of))
    if not by_text:
        raise JudgeReplyError("the judge's answer names no concept", raw=text)
    return tuple(by_text.values())


def captions(text: str, count: int) -> tuple[str, ...]:
    """One caption per requested concept, in order.

    Raises:
        RefusalError: content policy.
        JudgeReplyError: not as many captions as concepts, so that they cannot be assigned.
    """
    check_refusal(text)
    if cannot(text):
        raise JudgeReplyError("the judge said that it could not write captions", raw=text)
    lines = [line.strip(' \t"“”') for line in list_items(text)]
    if count == 1 and len(lines) > 1 and not any(_BULLET.match(line) for line in unfenced(text).splitlines()):
        lines = [" ".join(lines)]
    if len(lines) != count or not all(lines):
        raise JudgeReplyError(f"the judge wrote {len(lines)} captions for {count} concepts", raw=text)
    return tuple(lines)


def _json_list(reply: str) -> list[str] | None:
    if not reply.startswith(("[", "{")):
        return None
    try:
        data = json.loads(reply, strict=False)
    except (ValueError, RecursionError):
        return None
    if isinstance(data, dict):
        data = next((value for value in data.values() if isinstance(value, list)), None)
    if not isinstance(data, list) or not all(isinstance(item, str) for item in data):
        return None
    return [clean(item) for item in data if item.strip()]


def _bare(line: str) -> str:
    return _EMPHASIS.sub("", _BULLET.sub("", line)).strip()
