"""Retrieval for answering: what is similar to the question, what the metadata says, and what was just spoken of."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imagerag.agent.first_words import first_words
from imagerag.agent.ports import Filter, Hit, ReferenceLibrary, capabilities_of, queries_of
from imagerag.agent.qa.image_retrieval import SimilarImages, reaches, similar_images
from imagerag.agent.qa.metadata_query.parser import content_words
from imagerag.agent.qa.metadata_query.query import query_metadata
from imagerag.agent.qa.ports import Answerer, ListableLibrary
from imagerag.agent.qa.source_reranking import SourceReranker
from imagerag.agent.qa.types import (
    MAX_CITATIONS,
    MAX_ROWS,
    ConversationTurn,
    HasMetadata,
    MatchReason,
    MetadataResult,
    RetrievedImage,
    SearchBy,
)
from imagerag.agent.retrieval.hit_check import checked_threshold
from imagerag.agent.retrieval.search_queries import add_nearer, search_texts, search_words
from imagerag.agent.types import RunConfig
from imagerag.formatting.messages import searched_with

DEPTH: Final = 100
"""How many of the nearest images are known by their similarity; `RunConfig.candidates` of them can be sources."""


@dataclass(frozen=True)
class RetrievedContext:
    """Retrieved images: accepted ones first, numbered from 1, then those that are not similar enough."""

    sources: tuple[RetrievedImage, ...]
    finding: MetadataResult | None
    threshold: float | None
    notes: tuple[str, ...]
    image_threshold: float | None = None


@dataclass(frozen=True)
class Retriever:
    """Finds sources for one question.

    An image is accepted when its similarity to the question's words or to its images reaches the threshold, when a
    look-up in the metadata of the whole library names it, or when the answer before spoke of it. A look-up is made in
    libraries of up to `MAX_ROWS` images that can list them.

    Attributes:
        question_images: those that the question comes with, as every model takes them.
        by: what is searched with.
        order: what puts images that are near enough to the words into another order; None leaves them by similarity.
    """

    library: ReferenceLibrary
    answerer: Answerer
    config: RunConfig
    question_images: Sequence[bytes] = ()
    by: SearchBy = "words"
    order: SourceReranker | None = None

    async def gather(self, question: str, earlier: Sequence[ConversationTurn]) -> RetrievedContext:
        """Find sources; `earlier` are the thread's questions to the same library, oldest first."""
        notes: list[str] = []
        image_matches = await self._alike(notes)
        rows = await self._rows(notes)
        hits: list[Hit] = []
        if self.by != "image":
            hits = await self._hits(question, earlier[-1].question if earlier else None, notes)
        # Of several libraries each image brings the threshold of its own.
        threshold = self._threshold() if any(hit.threshold is None for hit in hits) else None
        similar = {hit.image.sha256: min(1.0, max(-1.0, float(hit.similarity))) for hit in hits}
        finding = await self._look_up(question, rows, earlier, similar, image_matches) if rows is not None else None
        rows_by_id = {row.image.sha256: row for row in rows or ()}
        named_ids = finding.ids if finding and self.by != "image" else ()
        similar |= await self._similarities(question, [sha for sha in named_ids if sha not in similar])
        nearest = hits[: self.config.candidates]
        near = [hit for hit in nearest if reaches(hit, similar[hit.image.sha256], threshold, self.config)]
        if self.order is not None and near:
            near, unread = await self.order.ordered(question, near)
            notes += [unread] if unread else []
        accepted_images = self._accepted(near, rows_by_id, finding, earlier, similar, image_matches)
        image_ids = {one.image.sha256 for one in accepted_images}
        rest = [
            _retrieved_image(hit, similar, "image") for hit in image_matches.hits if hit.image.sha256 not in image_ids
        ]
        image_ids |= {one.image.sha256 for one in rest}
        rest += [_retrieved_image(hit, similar, "similarity") for hit in nearest if hit.image.sha256 not in image_ids]
        numbered = [one.model_copy(update={"number": n}) for n, one in enumerate(accepted_images, start=1)]
        parts = [
            one.model_copy(update={"image_similarity": image_matches.similar.get(one.image.sha256)})
            for one in (*numbered, *rest)
        ]
        return RetrievedContext(tuple(parts), finding, threshold, tuple(notes), image_matches.threshold)

    async def _alike(self, notes: list[str]) -> SimilarImages:
        if not self.question_images or self.by == "words":
            return SimilarImages()
        image_matches = await similar_images(
            self.library,
            self.question_images,
            config=self.config,
            by=self.by,
            filter=self._filter(),
            looks=capabilities_of(self.answerer).needs_images,
        )
        notes.extend(image_matches.notes)
        return image_matches

    def _accepted(
        self,
        near: Sequence[Hit],
        rows: Mapping[str, HasMetadata],
        finding: MetadataResult | None,
        earlier: Sequence[ConversationTurn],
        similar: Mapping[str, float],
        image_matches: SimilarImages,
    ) -> list[RetrievedImage]:
        """Accepted images, the most telling first: what is like the question's own image before all else.

        A model that looks decides for itself what a follow-up is about, so it is shown again what was spoken of.
        """
        looks = capabilities_of(self.answerer).needs_images
        room = self.config.candidates if looks else max(self.config.candidates, MAX_CITATIONS)
        spoken = [one for one in (earlier[-1].sources if earlier and looks else ()) if self._still_there(one, rows)]
        carried = [one.model_copy(update={"number": None, "by": "earlier"}) for one in spoken[: max(1, room // 2)]]
        looked_up = [
            _retrieved_image(rows[sha], similar, "metadata") for sha in (finding.ids if finding else ()) if sha in rows
        ]
        nearest = [_retrieved_image(hit, similar, "similarity") for hit in near]
        sure = finding is not None and (finding.clear or not looks)
        ordered = [*carried, *looked_up, *nearest] if sure else [*carried, *nearest, *looked_up]
        similar_images = [_retrieved_image(hit, similar, "image") for hit in image_matches.passing]
        first = max(1, room // 2) if ordered else room
        ordered = [*similar_images[:first], *ordered, *similar_images[first:]]
        distinct: dict[str, RetrievedImage] = {}
        for one in ordered:
            distinct.setdefault(one.image.sha256, one)
        return list(distinct.values())[:room]

    def _still_there(self, one: RetrievedImage, rows: Mapping[str, HasMetadata]) -> bool:
        """Whether an image is still in the library and passes this question's filters, as far as that can be told."""
        config = self.config
        return one.image.sha256 in rows if rows else not (config.filter or config.tags or config.licences)

    async def _rows(self, notes: list[str]) -> Sequence[HasMetadata] | None:
        if not isinstance(self.library, ListableLibrary):
            return None
        rows, total = await self.library.listed(filter=self._filter(), limit=MAX_ROWS)
        if total <= MAX_ROWS:
            return rows
        notes.append(
            f"{total} images are too many to look the answer up in their metadata ({MAX_ROWS} at most): similarity "
            "alone was used; narrow it with `filter`, `tags` or `licences`"
        )
        return None

    async def _hits(self, question: str, before: str | None, notes: list[str]) -> list[Hit]:
        """The nearest images, best first.

        Encoders know captions, not questions: it is searched with the words that say something, too. A follow-up is
        searched with the question before it.
        """
        text = self._fitting(question)
        if len(text.split()) < len(question.split()):
            notes.append(f"the question is longer than the encoder reads: it was searched with “{text[:200]}”")
        hybrid = self.config.hybrid
        own = () if hybrid else queries_of(self.library, question)
        texts = list(own) or [text, *([bare] if (bare := content_words(text)) not in ("", text) else [])]
        if own:
            notes.append(searched_with(own))
        if before and self.library.count_tokens(both := f"{before} {question}") <= self.library.context_length:
            texts.append(both)
        best: dict[str, Hit] = {}
        places: dict[str, int] = {}
        depth = max(DEPTH, self.config.candidates)
        for text_hits in await search_texts(self.library, texts, k=depth, filter=self._filter(), hybrid=hybrid):
            add_nearer(best, text_hits)
            for place, hit in enumerate(text_hits):
                places[hit.image.sha256] = min(place, places.get(hit.image.sha256, place))

        def rank(hit: Hit) -> tuple[int, float, str]:
            """By similarity; an image that words found, or another encoder, by its place in the lists."""
            placed = hybrid or hit.threshold is not None
            return places[hit.image.sha256] if placed else 0, -hit.similarity, hit.image.sha256

        return sorted(best.values(), key=rank)

    async def _similarities(self, question: str, ids: Sequence[str]) -> dict[str, float]:
        """The similarity of images that are not among the nearest."""
        if not ids:
            return {}
        only = replace(self._filter(), only=frozenset(ids))
        hits = await search_words(self.library, self._fitting(question), k=len(ids), filter=only)
        return {hit.image.sha256: min(1.0, max(-1.0, float(hit.similarity))) for hit in hits}

    async def _look_up(
        self,
        question: str,
        rows: Sequence[HasMetadata],
        earlier: Sequence[ConversationTurn],
        similar: Mapping[str, float],
        image_matches: SimilarImages,
    ) -> MetadataResult | None:
        """Query the metadata; only of images like the question's, where nothing else is searched with."""
        if self.by == "image":
            rows = [row for row in rows if row.image.sha256 in image_matches.ids]
            if not rows:
                return None
        last = earlier[-1] if earlier else None
        return await asyncio.to_thread(
            query_metadata,
            question,
            rows,
            synonyms=self.answerer.synonyms,
            # What is like the image comes first, by how like it is.
            similarity={**similar, **{sha: 2 + image_matches.similar[sha] for sha in image_matches.ids}},
            before=last.question if last else None,
            spoken_of=[one.image.sha256 for one in last.sources] if last else (),
            similar_images=image_matches.ids if self.question_images and self.by != "words" else None,
        )

    def _fitting(self, text: str) -> str:
        """As many of a text's first words as the library's encoder reads, one at least."""
        return first_words(text, lambda part: self.library.count_tokens(part) <= self.library.context_length)

    def _filter(self) -> Filter:
        return Filter.of_run(self.config)

    def _threshold(self) -> float | None:
        if self.config.threshold == "off":
            return None
        return checked_threshold(self.library) if self.config.threshold == "auto" else self.config.threshold


def _retrieved_image(row: HasMetadata, similar: Mapping[str, float], by: MatchReason) -> RetrievedImage:
    return RetrievedImage.of(row, similarity=similar.get(row.image.sha256), by=by)
