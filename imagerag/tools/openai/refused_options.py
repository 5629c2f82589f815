"""Find which option of a request a server refuses; for generators and judges.

A server that refuses an option responds with a 4xx status, and names the option in `param`, in the `loc` of a
validation error, or in its message. Such a response costs nothing, and a request without the option can help.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from imagerag.tools.error_bodies import ErrorBody, body_of, told_in_good_answer

STATUSES: Final = frozenset({400, 404, 405, 415, 422, 501})
"""404 only if its message is about supported features (OpenRouter: "No endpoints found that support tool use")."""

_REFUSING: Final = re.compile(
    r"not?\s+(?:be\s+)?(?:support|permit|allow|accept|recogni[sz]|implement|enabl|availab|valid|expect)"
    r"|n't\s+(?:support|allow|accept|recogni[sz]e)|un(?:support|recogni[sz]|expect|known|permit)|invalid|illegal"
    r"|extra\s+(?:inputs?|fields?|data)|additional\s+propert|no\s+such|incompatible|only\s+supported|must\s+be"
    r"|does\s+not\s+(?:exist|have)|supported\s+values|only\s+(?:takes?|accepts?|support)",
    re.I,
)
"""Error texts that refuse an option."""

_PLAIN_WORDS: Final = frozenset({"size", "quality", "background", "seed", "user", "stream", "n", "moderation", "mask"})
"""Options whose names are ordinary words: they must be quoted as an option, not merely occur."""

_AS_OPTION: Final = (
    r"""(?:invalid|unsupported|unknown|unrecogni[sz]ed|unexpected)\s+{name}\b|"""
    r"""[`'"“‘]{name}[`'"”’]|\b{name}\s*[:=]|\b{name}\s+(?:parameter|argument|field|property|option|value)"""
    r"""|\b{name}\s+(?:is\s+not|isn't|not\s)"""
    r"""|(?:parameter|argument|field|property|option|input|keyword)s?:?\s+[`'"]?{name}\b"""
)


def refused_option(
    error: BaseException, sent_names: Collection[str], names: Mapping[str, Collection[str]]
) -> str | None:
    """The option that an error refuses, among those sent; None for other errors.

    Args:
        sent_names: options that can be left out.
        names: other names that servers use for them.
    """
    if not may_refuse(error):
        return None
    body = body_of(error)
    for option in sent_names:
        spellings = {option, *names.get(option, ())}
        if any(spellings & set(re.split(r"[.\[\]]+", place.lower())) for place in body.where):
            return option
    return next(
        (option for option in sent_names if any(_names_option(n, body) for n in (option, *names.get(option, ())))), None
    )


def may_refuse(error: BaseException) -> bool:
    """Whether an error can be about an option at all."""
    status: Any = getattr(error, "status_code", None)
    if told_in_good_answer(error):
        return True
    return status in STATUSES and (status != 404 or "support" in body_of(error).whole.lower())


def _names_option(name: str, body: ErrorBody) -> bool:
    words = body.words
    if not _REFUSING.search(words):
        return False
    if name in _PLAIN_WORDS:
        return bool(re.search(_AS_OPTION.format(name=name), words, re.I))
    return bool(re.search(rf"(?<![A-Za-z]){re.escape(name)}", words, re.I))
