"""Score requirements in an image: cosines of phrases and their rivals in each crop."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from imagerag.agent.ports import Embedder, logit_scale_of
from imagerag.agent.ports.embedder import embed_texts
from imagerag.agent.threads import in_thread
from imagerag.agent.types import Requirement
from imagerag.tools.judges.clip.crops import Embed, Encode, Regions, crops_of, decoded_input

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Cosines = NDArray[np.float32]
    Vectors = NDArray[np.float32]

SLACK: Final = 2.0
"""How far below the best of the other objects a requirement may score, in the encoder's own units: cosines times the
scale that it was trained with. For CLIP, whose scale is 100, a cosine of 0.02."""

Rivals: TypeAlias = Callable[[str], Sequence[str]]
Wordings: TypeAlias = Callable[[Sequence[str], str], Sequence[str]]
"""(phrases, kind of requirement) → encoder input."""


class Unclear(str):
    """The reason why a requirement cannot be checked that can mean several things."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RegionScore:
    """Score of a requirement in its best crop.

    Attributes:
        similarity: cosine of the requirement with that crop.
        rival: the best other phrase in that crop; empty if none was compared.
        rival_similarity: cosine of the rival.
        view: "whole", or left,top,right,bottom in pixels.
        unchecked: reason why it cannot be checked in the image (it then counts as not met); empty if it can.
        words: evidence in words, if it does not follow from these numbers.
        lacking: what to search for, if it is not the text.
    """

    text: str
    met: bool
    similarity: float
    rival: str
    rival_similarity: float
    view: str
    unchecked: str = ""
    words: str = ""
    lacking: str = ""

    @property
    def unclear(self) -> bool:
        """Whether it cannot be checked because it can mean several things."""
        return isinstance(self.unchecked, Unclear)

    @property
    def evidence(self) -> str:
        """`0.83, next best 'a red solid oval' 0.61`."""
        if self.unclear:
            return self.unchecked
        if self.unchecked:
            return f"cannot be checked: {self.unchecked}"
        if self.words:
            return self.words
        rival = f", next best {self.rival!r} {self.rival_similarity:z.2f}" if self.rival else ""
        return f"{self.similarity:z.2f}{rival}"


@dataclass(frozen=True, kw_only=True)
class RegionScorer:
    """Encoder and scoring parameters. The fields are those of `ClipJudge`."""

    embedder: Embedder
    hard_negatives: Rivals
    others: Rivals
    wordings: Wordings
    regions: Regions
    around: float
    whole: bool
    margin: float
    slack: float | None
    floor: float
    unchecked: Callable[[Requirement], str]

    async def look(self, data: bytes, requirements: Sequence[Requirement]) -> list[RegionScore]:
        """One score per requirement. All crops are embedded in one batch, concurrently with all texts in another.

        Raises:
            UsageError: the image cannot be read.
        """
        searches = [self._prepared(requirement) for requirement in requirements]
        texts = [text for search in searches for text in search.texts]
        words, (names, images) = await asyncio.gather(embed_texts(self.embedder, texts), self._views(data))
        cosines = words @ images.T
        findings, at = [], 0
        for search in searches:
            findings.append(self._judge(search, cosines[at : at + len(search.texts)], names))
            at += len(search.texts)
        return findings

    async def _views(self, data: bytes) -> "tuple[list[str], Vectors]":
        """Names of an image's crops, and their vectors."""
        encode, embed = self._input
        views = await in_thread(crops_of, data, self.regions, encode=encode, around=self.around)
        return [view.name for view in views], await embed([view.data for view in views])

    @cached_property
    def _input(self) -> "tuple[Encode, Embed]":
        return decoded_input(self.embedder)

    @cached_property
    def _prepared(self) -> "Callable[[Requirement], _Search]":
        """`_search`, cached because repeated looks at the same requirement need it again."""
        return lru_cache(maxsize=512)(self._search)

    @cached_property
    def _slack(self) -> float:
        return SLACK / logit_scale_of(self.embedder) if self.slack is None else self.slack

    def _search(self, requirement: Requirement) -> "_Search":
        near = tuple(self.hard_negatives(requirement.text))
        far = tuple(self.others(requirement.text)) if requirement.kind == "content" else ()
        phrases = (requirement.text, *near, *far)
        texts = tuple(self.wordings(phrases, requirement.kind))
        return _Search(requirement, phrases, texts, len(near), self.unchecked(requirement))

    def _judge(self, search: "_Search", cosines: "Cosines", names: list[str]) -> RegionScore:
        import numpy as np

        own, rivals = cosines[0], cosines[1:]
        bar = np.full(len(names), self.floor, np.float32)
        allowed = np.where(np.arange(len(rivals)) < search.near, self.margin, -self._slack)
        if len(rivals):
            bar = np.maximum(bar, (rivals + allowed[:, None]).max(axis=0))
        places = self._places(search.requirement, len(names))
        view = max(places, key=lambda place: float(own[place] - bar[place]))
        rival = int(rivals[:, view].argmax()) if len(rivals) else None
        return RegionScore(
            text=search.requirement.text,
            met=bool(own[view] > bar[view]) and not search.unchecked,
            similarity=float(own[view]),
            rival=search.phrases[rival + 1] if rival is not None else "",
            rival_similarity=float(rivals[rival, view]) if rival is not None else 0.0,
            view=names[view],
            unchecked=search.unchecked,
        )

    def _places(self, requirement: Requirement, count: int) -> Sequence[int]:
        """Crops in which a requirement is searched: the whole image (the first one) for style, its parts for
        content."""
        if requirement.kind == "style" or count == 1:
            return (0,)
        return range(0 if self.whole else 1, count)


@dataclass(frozen=True, slots=True)
class _Search:
    """A requirement and its rivals, as phrases and as encoder input.

    Attributes:
        near: number of hard negatives; they are the first rivals.
        unchecked: reason why no image can show it; empty if one can.
    """

    requirement: Requirement
    phrases: tuple[str, ...]
    texts: tuple[str, ...]
    near: int
    unchecked: str
