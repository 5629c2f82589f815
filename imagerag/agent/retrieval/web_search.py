"""Searches of the web in a run: for what no library of the user's own has, counted and journalled like model calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imagerag.agent.calls.costs import estimator_of
from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.ports import (
    Capabilities,
    Filter,
    Hit,
    ReferenceLibrary,
    WebImages,
    WebLibrary,
    estimator_of_all,
    web_libraries_of,
)
from imagerag.agent.ports.web import MAX_RUN_BYTES
from imagerag.agent.retrieval.candidate_selection import candidates_of
from imagerag.agent.retrieval.hit_check import checked_hits
from imagerag.agent.state import SearchTask
from imagerag.agent.types import Candidate, RunConfig, Search, WebSearch
from imagerag.formatting.numbers import counted

ROLE: Final = "web.search"
ASKED: Final = 8
"""Searches of one round that ask the web; what a run can come to has an end, however much is missing."""
_NAMED: Final = 3


@dataclass(frozen=True, kw_only=True)
class WebSearcher:
    """Adds what the web has to a search in which no image of the user's own passed.

    Attributes:
        libraries: asked in this order, until one has an image that passes.
        calls: through which they are asked.
    """

    libraries: Sequence[WebLibrary]
    calls: ModelCaller
    config: RunConfig

    async def extended(self, search: Search, hits: Sequence[Hit], task: SearchTask) -> tuple[Search, Sequence[Hit]]:
        """The search and its hits with what the web has; as they are where an image of the user's own passed.

        Args:
            hits: what the candidates were made of, in their order.
            task: the search in its round.

        Raises:
            BudgetExceededError, ReplayMissError: as `ModelCaller.execute`.
        """
        if not self.libraries or _passes(search.candidates):
            return search, hits
        place, count = task.get("place") or (0, 1)
        if place >= ASKED:
            return search.noted(f"the web was not asked: only {ASKED} searches of a round are"), hits
        passed_over = frozenset(task["passed_over"])
        byte_budget = task.get("web_bytes", bytes_of_round([], count))
        candidates, all_hits = list(search.candidates), list(hits)
        for library in self.libraries:
            if _passes(candidates):
                break
            answer = await self._answer(library, search, byte_budget)
            byte_budget -= answer.downloaded_bytes
            more = await self._hits(library, answer, search, passed_over)
            new = _candidates(more, search, self.config)
            candidates, all_hits = [*candidates, *new], [*all_hits, *more]
            summary = _summary(library, search, answer)
            search = search.noted(_search_line(summary, new)).model_copy(update={"web": (*search.web, summary)})
        return search.model_copy(update={"candidates": tuple(candidates)}), all_hits

    async def _answer(self, library: WebLibrary, search: Search, max_bytes: int) -> WebImages:
        words = search.query.concept.text
        # Another round that searches for the same is another call: a search does not know what the run asked before.
        content = {"prompt": words, "images": [], "round": search.round}
        return await self.calls.execute(
            ROLE, library.identity, WebImages, content, lambda: library.fetch(words, max_bytes=max_bytes)
        )

    async def _hits(
        self, library: WebLibrary, answer: WebImages, search: Search, passed_over: frozenset[str]
    ) -> Sequence[Hit]:
        run_filter, config = Filter.of_run(self.config, exclude=passed_over), self.config
        count = max(config.candidates, config.references_per_concept)
        finding = library.hits_of(answer, search.query.text, k=count, filter=run_filter)
        hits = await checked_hits(library, finding)
        return hits if config.threshold == "auto" else [hit.without_thresholds() for hit in hits]


@dataclass(frozen=True)
class WebServices:
    """The services of a run, for their prices: any of them may be asked in a search."""

    libraries: Sequence[WebLibrary]

    @classmethod
    def of(cls, library: ReferenceLibrary | None) -> "WebServices":
        """Those of a run's library."""
        return cls(web_libraries_of(library))

    def searcher(self, calls: ModelCaller, config: RunConfig) -> WebSearcher:
        """What asks them in one search."""
        return WebSearcher(libraries=self.libraries, calls=calls, config=config)

    @property
    def capabilities(self) -> Capabilities:
        """Capabilities: the prices of all."""
        return Capabilities(tariff=estimator_of_all([estimator_of(library) for library in self.libraries]))


def bytes_of_round(searches: Sequence[Search], count: int) -> int:
    """Bytes that each of a round's searches may download: an equal share of what is left of the run's.

    Args:
        searches: the run's so far.
        count: of the searches that are made at once.
    """
    downloaded = sum(one.downloaded_bytes for search in searches for one in search.web)
    return max(0, MAX_RUN_BYTES - downloaded) // max(1, count)


def _passes(candidates: Sequence[Candidate]) -> bool:
    return any(candidate.decision is None for candidate in candidates)


def _candidates(hits: Sequence[Hit], search: Search, config: RunConfig) -> tuple[Candidate, ...]:
    threshold = config.threshold if isinstance(config.threshold, float) else None
    return candidates_of(
        hits,
        threshold=threshold,
        near_duplicate=config.near_duplicate,
        likeness=config.likeness,
        kind=search.query.concept.kind,
    )


def _summary(library: WebLibrary, search: Search, answer: WebImages) -> WebSearch:
    return WebSearch(
        library=library.name,
        words=search.query.concept.text,
        fetched=len(answer.images),
        rejected=answer.rejected,
        downloaded_bytes=answer.downloaded_bytes,
        error=answer.error,
    )


def _search_line(search: WebSearch, candidates: Sequence[Candidate]) -> str:
    """What became of a search of the web, in a line."""
    if search.error:
        return f"{search.library} found nothing: {search.error}"
    parts = [f"{search.library} was asked for {search.words!r}: {counted(len(candidates), 'image')}"]
    if search.rejected:
        reasons = list(dict.fromkeys(one.reason for one in search.rejected))
        reason_list = ", ".join(reasons[:_NAMED]) + (" …" if len(reasons) > _NAMED else "")
        parts.append(f"{len(search.rejected)} not let in ({reason_list})")
    return ", ".join(parts)
