"""One search of the library, with what its filters kept out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from imagerag.agent.ports import Filter, Hit
from imagerag.agent.retrieval.candidate_selection import candidates_of, omitted_by_filter, relaxed_filters
from imagerag.agent.retrieval.hit_check import checked_threshold
from imagerag.agent.retrieval.search_batcher import SearchBatcher
from imagerag.agent.retrieval.search_queries import explain_filter, search_words
from imagerag.agent.types import OmittedByFilter, Query, RunConfig, Search


@dataclass(frozen=True, kw_only=True)
class LibrarySearch:
    """Searches a library as a run's config says; without a library nothing is found.

    Attributes:
        batcher: of the library; the searches that share it are made together.
    """

    batcher: SearchBatcher | None
    config: RunConfig

    async def run(self, query: Query, *, passed_over: frozenset[str], round: int) -> tuple[Search, Sequence[Hit]]:
        """Search once: every candidate with whether it reaches the threshold, and the hits they are of."""
        config = self.config
        run_filter = Filter.of_run(config, exclude=passed_over)
        hits = await self._hits(query.text, run_filter)
        threshold = self._threshold(hits)
        candidates = candidates_of(
            hits,
            threshold=threshold,
            near_duplicate=config.near_duplicate,
            likeness=config.likeness,
            kind=query.concept.kind,
        )
        library = self.batcher.library if self.batcher else None
        passed = any(candidate.decision is None for candidate in candidates)
        search = Search(
            round=round,
            query=query,
            candidates=candidates,
            threshold=threshold,
            hybrid=config.hybrid,
            left_out=() if passed else await self._left_out(query, run_filter, hits),
            no_match="" if hits else await explain_filter(library, replace(run_filter, exclude=frozenset())),
        )
        return search, hits

    async def _left_out(self, query: Query, run_filter: Filter, hits: Sequence[Hit]) -> tuple[OmittedByFilter, ...]:
        """Results that the filters left out, where nothing that they let through passed."""
        if self.batcher is None:
            return ()
        omitted: list[OmittedByFilter] = []
        for by, relaxed in relaxed_filters(run_filter):
            if by == "filters" and any(one.passing for one in omitted):
                break  # one filter alone makes the difference
            others = await self._hits(query.text, relaxed)
            if one := omitted_by_filter(by, hits, others, threshold=self._threshold(others)):
                omitted.append(one)
        return tuple(omitted)

    async def _hits(self, text: str, run_filter: Filter) -> Sequence[Hit]:
        if self.batcher is None:
            return []
        # At least as many candidates as references are wanted.
        count = max(self.config.candidates, self.config.references_per_concept)
        if self.config.hybrid:
            hits = await search_words(self.batcher.library, text, k=count, filter=run_filter, hybrid=True)
        else:
            hits = await self.batcher.search(text, k=count, filter=run_filter)
        # A threshold of the user's own, or none, goes for all libraries.
        return hits if self.config.threshold == "auto" else [hit.without_thresholds() for hit in hits]

    def _threshold(self, hits: Sequence[Hit]) -> float | None:
        """The cosine that those of `hits` must reach which bring none of their own; None takes any."""
        if self.config.threshold == "off" or self.batcher is None:
            return None
        if self.config.threshold != "auto":
            return self.config.threshold
        # An empty library has no threshold to ask for, and needs none.
        return checked_threshold(self.batcher.library) if any(hit.threshold is None for hit in hits) else None
