"""Recall, MRR and nDCG of the library's searches, for cases that name the images that would help."""

import re
from collections.abc import Mapping, Sequence, Set
from math import log2
from pathlib import PurePath
from typing import Final

from imagerag.agent.types import Candidate, Search
from imagerag.evals.metrics.base import DIGITS, Sample
from imagerag.evals.result_record import Score
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord

KEYS: Final = ("label", "class", "species", "category")
"""Metadata that names what an image shows."""


class RetrievalScore:
    """`retrieval`: scores over the labels of the case.

    An image shows a label when its caption, a tag, its class in the metadata or its source folder contains the label,
    without regard to case and punctuation. For each label the best of the run's searches counts.

    Scores: `retrieval.precision@1` and `@k` (share of the first candidates that show the label),
    `retrieval.recall@1` and `@k` (share of the labels with a hit), `retrieval.mrr`, `retrieval.ndcg`, and
    `retrieval.used`: share of the labels for which a right image was sent to the generator.
    """

    spec = "retrieval"
    needs_image = False

    async def measure(self, sample: Sample) -> Mapping[str, Score]:
        """Compute the scores; none for an arm that did not search or a case without labels."""
        labels, searches = sample.case.truth.labels, sample.result.searches
        if not labels or not searches:
            return {}
        names = await names_of(sample)
        ranks = [min(rank_of(label, search.candidates, names) for search in searches) for label in labels]
        finite_ranks = [rank for rank in ranks if rank < float("inf")]
        reference_ids = {
            reference.image.sha256
            for attempt in sample.result.attempts
            for reference in attempt.references
            if reference.role == "reference"
        }
        right = [any(folded(label) in names.get(sha256, ()) for sha256 in reference_ids) for label in labels]
        scores = {
            "retrieval.recall@1": sum(rank == 1 for rank in ranks) / len(labels),
            "retrieval.recall@k": len(finite_ranks) / len(labels),
            "retrieval.precision@1": sum(share_of(label, searches, names, 1) for label in labels) / len(labels),
            "retrieval.precision@k": sum(share_of(label, searches, names) for label in labels) / len(labels),
            "retrieval.mrr": sum(1 / rank for rank in finite_ranks) / len(labels),
            "retrieval.ndcg": sum(1 / log2(1 + rank) for rank in finite_ranks) / len(labels),
            "retrieval.used": sum(right) / len(labels),
        }
        return {name: round(value, DIGITS) for name, value in scores.items()}


def rank_of(label: str, candidates: Sequence[Candidate], names: Mapping[str, Set[str]]) -> float:
    """The rank of the first candidate that shows a label, from 1; infinite when none does."""
    folded_label = folded(label)
    places = (at for at, one in enumerate(candidates, start=1) if folded_label in names[one.image.sha256])
    return float(next(places, float("inf")))


def share_of(label: str, searches: Sequence[Search], names: Mapping[str, Set[str]], first: int | None = None) -> float:
    """The share of a search's first candidates (all of them) that show a label; of several searches the best."""
    folded_label = folded(label)
    shares = [
        sum(folded_label in names[one.image.sha256] for one in first_candidates) / len(first_candidates)
        for search in searches
        if (first_candidates := search.candidates[:first])
    ]
    return max(shares, default=0.0)


async def names_of(sample: Sample) -> dict[str, frozenset[str]]:
    """The texts of each candidate: in the run's record, and in its library's row where that can be opened."""
    candidates = {c.image.sha256: c for search in sample.result.searches for c in search.candidates}
    name = sample.result.setup.library
    library = await sample.dependencies.library(name) if name else None
    rows = {row.id: row for row in await library.rows(sorted(candidates))} if isinstance(library, Library) else {}
    return {sha256: _names(candidate, rows.get(sha256)) for sha256, candidate in candidates.items()}


def _names(candidate: Candidate, row: ImageRecord | None) -> frozenset[str]:
    texts = [candidate.caption, candidate.title]
    if candidate.source:
        texts.append(PurePath(candidate.source).parent.name)
    if row is not None:
        texts += [*row.tags, *(str(row.metadata[key]) for key in KEYS if row.metadata.get(key))]
    return frozenset(folded(text) for text in texts if text)


def row_names(row: ImageRecord) -> frozenset[str]:
    """The texts of a library row: caption, title, tags, class, and the source folder."""
    texts = [row.caption, row.title, *row.tags, *(str(row.metadata[key]) for key in KEYS if row.metadata.get(key))]
    if row.source:
        texts.append(PurePath(row.source).parent.name)
    return frozenset(folded(text) for text in texts if text)


def folded(text: str) -> str:
    """Normalise a name: without case, punctuation, leading numbers (as in `001.Black_footed_Albatross`) and article."""
    bare = re.sub(r"^\d+[._]\s*", "", text.casefold())
    words = re.findall(r"\w+", bare.replace("_", " "))
    return " ".join(words[1:] if words[:1] in (["a"], ["an"], ["the"]) else words)
