"""Verdicts on the ways to search a library, and what to do about each."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from imagerag.agent.caption_language import language_name
from imagerag.formatting.check_labels import ADVICE, SENTENCES
from imagerag.formatting.interface_terms import FILE, PATH, SPEC, python_call
from imagerag.formatting.numbers import percent
from imagerag.store.library.check.rates import Ranking, Share
from imagerag.store.library.check.ways import Way

GOOD_ACCEPT: Final = 0.90
GOOD_REJECT: Final = 0.95
"""Shares that calibration aims at: of queries with a match that pass, and of those without one that do not."""

USABLE_ACCEPT: Final = 0.80
USABLE_REJECT: Final = 0.80
"""Shares from which on a threshold is of use."""

FOUND: Final = 0.8
"""Share of queries with a right image among the first ten from which a ranking is of use without a threshold."""


class CheckVerdict(StrEnum):
    """How well one way to search a library works.

    Attributes:
        GOOD: the threshold accepts 90 % of what matches and rejects 95 % of what does not.
        USABLE: it accepts 80 % and rejects 80 %.
        RANKS_ONLY: right images are among the first ten, but no threshold tells them from others.
        CANNOT_TELL_APART: the encoder cannot tell right images from others.
        NOT_CONNECTED: captions are hardly nearer to their own images than to others.
        TOO_FEW: there are too few captions or images to measure it.
    """

    GOOD = "good"
    USABLE = "usable"
    RANKS_ONLY = "ranks_only"
    CANNOT_TELL_APART = "cannot_tell_apart"
    NOT_CONNECTED = "not_connected"
    TOO_FEW = "too_few"


@dataclass(frozen=True, kw_only=True)
class LibraryFacts:
    """What the advice on a library depends on.

    Attributes:
        embedder: spec of its encoder.
        language: of its captions, a BCP 47 tag; "" is unknown.
        better_embedder: spec of an encoder to recommend; "" where none is known.
    """

    name: str
    embedder: str
    language: str = ""
    better_embedder: str = ""

    @property
    def other_language(self) -> str:
        """The English name of the captions' language where the encoder was trained with English ones; else ""."""
        foreign = self.language not in ("", "en") and is_english_only(self.embedder)
        return language_name(self.language) if foreign else ""


def verdict_of(
    ranking: Ranking | None, accept: Share | None, reject: Share | None, *, connected: bool, claimed: bool
) -> CheckVerdict:
    """The verdict on a way.

    Args:
        accept, reject: held out; None where there are too few queries.
        connected: whether captions are nearer to their own images than to others.
        claimed: whether the library has a threshold for this way.
    """
    if ranking is None or accept is None or reject is None or accept.value is None or reject.value is None:
        return CheckVerdict.TOO_FEW
    if not connected:
        return CheckVerdict.NOT_CONNECTED
    if claimed and accept.value >= GOOD_ACCEPT and reject.value >= GOOD_REJECT:
        return CheckVerdict.GOOD
    if claimed and accept.value >= USABLE_ACCEPT and reject.value >= USABLE_REJECT:
        return CheckVerdict.USABLE
    first_ten = ranking.recall_10.value
    return CheckVerdict.RANKS_ONLY if first_ten and first_ten >= FOUND else CheckVerdict.CANNOT_TELL_APART


def sentence_of(
    way: Way, verdict: CheckVerdict, ranking: Ranking | None, accept: Share | None, reject: Share | None
) -> str:
    """A verdict in one sentence, with the rates it is derived from."""
    images = verdict is CheckVerdict.TOO_FEW and way == "image_to_image"
    recall = _percent(ranking.recall_10 if ranking else None)
    sentence = SENTENCES["too_few_images" if images else verdict.value]
    return sentence.format(accept=_percent(accept), reject=_percent(reject), found=recall)


def advice_of(way: Way, verdict: CheckVerdict, facts: LibraryFacts) -> tuple[str, ...]:
    """What to do, in terms of the Python API; nothing about a good way."""
    if verdict is CheckVerdict.GOOD:
        return ()
    if verdict is CheckVerdict.TOO_FEW:
        return (_more(way, facts),)
    if way in ("text_to_caption", "hybrid"):
        other = python_call("libraries.index", PATH, library=facts.name, caption_embedder=SPEC)
        return (ADVICE["caption_encoder"].format(call=other),)
    advice = [_other_encoder(facts)]
    if way == "text_to_image" and verdict is CheckVerdict.NOT_CONNECTED and not facts.other_language:
        advice.append(ADVICE["content"].format(call=_captions(facts)))
    if way == "text_to_image" and verdict in (CheckVerdict.RANKS_ONLY, CheckVerdict.CANNOT_TELL_APART):
        ocr = python_call("libraries.index", PATH, library=facts.name, ocr=True)
        advice.append(ADVICE["ocr"].format(call=ocr))
    if verdict is CheckVerdict.RANKS_ONLY:
        advice.append(ADVICE["no_threshold"])
    if verdict in (CheckVerdict.USABLE, CheckVerdict.CANNOT_TELL_APART):
        advice.append(ADVICE["own_threshold"])
    return tuple(advice)


def is_english_only(spec: str) -> bool:
    """Whether an encoder is known to be trained with English captions: an open_clip model that is not multilingual. Of
    a model from a folder or from the hub nothing is known."""
    name = spec.lower()
    return name.startswith(("open_clip", "sketch")) and not any(word in name for word in _NOT_ENGLISH)


_NOT_ENGLISH: Final = (
    "siglip2", "xlm", "nllb", "mt5", "i18n", "multilingual", "mexma", "jina", "worldwide", "local-dir", "hf-hub",
)  # fmt: skip
"""Parts of the names of open_clip's multilingual models, and of unknown ones."""


def _percent(share: Share | None) -> str:
    return "none" if share is None or share.value is None else percent(share.value)


def _other_encoder(facts: LibraryFacts) -> str:
    better = facts.better_embedder if facts.better_embedder != facts.embedder else ""
    migrate = python_call("libraries.migrate", facts.name, embedder=better or SPEC)
    if facts.other_language:
        return ADVICE["multilingual"].format(language=facts.other_language, call=migrate)
    return ADVICE["encoder"].format(call=migrate)


def _more(way: Way, facts: LibraryFacts) -> str:
    if way != "image_to_image":
        return ADVICE["captions"].format(call=_captions(facts))
    return ADVICE["images"].format(call=python_call("libraries.index", PATH, library=facts.name))


def _captions(facts: LibraryFacts) -> str:
    return python_call("libraries.index", PATH, library=facts.name, manifest=FILE)
