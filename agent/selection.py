"""What a human is asked when references are chosen by hand, and what may be answered."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.types import Search


class Selection(BaseModel):
    """The answer: SHA-256 ids of the references to use, best first. None at all is an answer too."""

    model_config = ConfigDict(extra="forbid")

    chosen: list[str] = Field(default_factory=list, description="ids of the references to use, best first")


def offer(prompt: str, searches: Sequence[Search], limit: int) -> dict[str, Any]:
    """The question, JSON-able and without pixels: numbered candidates and how many may be taken."""
    offered = {
        candidate.image.sha256: {
            "id": candidate.image.sha256,
            "concept": search.query.concept.text,
            "searched_with": search.query.text,
            "similarity": round(candidate.similarity, 4),
            "title": candidate.title,
            "caption": candidate.caption,
            "licence": candidate.licence,
        }
        for search in searches
        for candidate in search.candidates
        if candidate.decision == "offered"
    }
    numbered = [{"number": number, **candidate} for number, candidate in enumerate(offered.values(), start=1)]
    return {"kind": "choose_references", "prompt": prompt, "limit": limit, "candidates": numbered}
