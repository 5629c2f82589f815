"""The check of a library: recall, rates of its thresholds, a verdict and what to do, for each way to search it."""

from itertools import chain
from typing import Final, Literal

from pydantic import Field

from imagerag.agent.errors import LibraryError
from imagerag.agent.retrieval.search_queries import split_name
from imagerag.agent.threads import in_thread
from imagerag.agent.types import FrozenModel, Similarity
from imagerag.store.library.check.caption_way import TextToCaption
from imagerag.store.library.check.hybrid_way import Hybrid
from imagerag.store.library.check.rates import Ranking, Share, ranked
from imagerag.store.library.check.verdicts import CheckVerdict, LibraryFacts, advice_of, sentence_of, verdict_of
from imagerag.store.library.check.ways import (
    CheckSize,
    ImageToImage,
    MeasuredWay,
    TextToImage,
    Way,
    WayMeasurement,
)
from imagerag.store.library.library import Library
from imagerag.store.library.threshold_update import content_at, language_of
from imagerag.store.library.thresholds.content import captioned, content_hash

WAYS: Final[tuple[MeasuredWay, ...]] = (TextToImage(), TextToCaption(), Hybrid(), ImageToImage())
"""All ways, in the order of reports."""


class WayCheck(FrozenModel):
    """How well one way to search a library works.

    Attributes:
        way: what is searched with, and what it is compared with.
        summary: the verdict in one sentence.
        advice: what to do.
        queries: how many were searched with that have a match.
        ranking: ranks of the right images; None without queries.
        threshold: the library's own, a cosine; None where it has none.
        held_out: what the rates were measured on. "captions": the library's own threshold, on captions that its
            calibration has not seen. "halves": a threshold calibrated on each half of the queries, on the other half.
            None where there are too few queries.
        accept_rate: share of the queries with a match whose match reaches the threshold.
        reject_rate: share of the queries without a match that nothing reaches the threshold for.
        reject_rates: the same by kind. Of texts: `near`, captions with one word changed; `left_out`, captions whose own
            images are ignored; `unrelated`. Of images: `other_images`, the nearest other image of each.
    """

    way: Way
    verdict: CheckVerdict
    summary: str
    advice: tuple[str, ...] = ()
    queries: int
    ranking: Ranking | None = None
    threshold: Similarity | None = None
    held_out: Literal["captions", "halves"] | None = None
    accept_rate: Share | None = None
    reject_rate: Share | None = None
    reject_rates: dict[str, Share] = Field(default_factory=dict)


class LibraryCheck(FrozenModel):
    """How well a library can be searched.

    Attributes:
        embedder: spec of its encoder.
        images: number of images; `captions`: of those with a caption.
        language: of the captions, a BCP 47 tag; "" where it does not show.
        ways: one entry for each way to search it.
        measured_on: what the library held (`content.content_hash`).
    """

    library: str
    embedder: str
    images: int
    captions: int
    language: str = ""
    ways: tuple[WayCheck, ...]
    measured_on: str = ""


async def check_library(library: Library, size: CheckSize, *, better_embedder: str = "") -> LibraryCheck:
    """Search a library for what it holds and for what it does not, each way that it can be searched.

    Args:
        library: calibrated.
        size: how much is encoded.
        better_embedder: spec of an encoder to recommend.

    Raises:
        LibraryError: the library is empty, or has not been calibrated.
        BackendError: the encoder failed.
    """
    if library.metadata.threshold is None:
        raise LibraryError(f"library {library.name!r} is empty or not calibrated: there is nothing to check")
    content = await content_at(library.table)
    facts = LibraryFacts(
        name=split_name(library.name)[0],
        embedder=library.metadata.spec,
        language=await in_thread(language_of, content.columns),
        better_embedder=better_embedder,
    )
    measured = [(way.name, await way.measure(library, content, size)) for way in WAYS]
    return LibraryCheck(
        library=library.name,
        embedder=facts.embedder,
        images=len(content),
        captions=(await in_thread(captioned, content.columns)).num_rows,
        language=facts.language,
        ways=tuple(_way_check(name, measurement, facts) for name, measurement in measured if measurement is not None),
        measured_on=await in_thread(content_hash, content.columns, content.with_regions),
    )


def _way_check(way: Way, measured: WayMeasurement, facts: LibraryFacts) -> WayCheck:
    ranking = ranked(measured.found, measured.right) if measured.found else None
    decisions = measured.decisions
    accept = Share.of(decisions.accepted) if decisions else None
    by_kind = {kind: Share.of(flags) for kind, flags in decisions.rejected.items()} if decisions else {}
    reject = Share.of(chain.from_iterable(decisions.rejected.values())) if decisions else None
    verdict = verdict_of(ranking, accept, reject, connected=measured.connected, claimed=measured.threshold is not None)
    return WayCheck(
        way=way,
        verdict=verdict,
        summary=sentence_of(way, verdict, ranking, accept, reject),
        advice=advice_of(way, verdict, facts),
        queries=len(measured.found),
        ranking=ranking,
        threshold=measured.threshold,
        held_out=measured.held_out if decisions else None,
        accept_rate=accept,
        reject_rate=reject,
        reject_rates={kind: share for kind, share in by_kind.items() if share.n},
    )
