"""What a human is asked when references are chosen by hand, and what may be answered."""

from collections.abc import Mapping, Sequence
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
            "similarity": candidate.similarity,
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


def objection(question: Mapping[str, Any], chosen: Sequence[str]) -> str:
    """Why a choice cannot be carried out as it is; empty when it can. Nothing of it is left out in silence."""
    offered = {str(candidate["id"]) for candidate in question["candidates"]}
    if unknown := [sha[:80] for sha in chosen if sha not in offered]:
        return f"not offered: {', '.join(unknown[:4])}; choose from 1 to {len(offered)}, or none"
    distinct, limit = len(set(chosen)), int(question["limit"])
    return f"{distinct} are too many: at most {limit} can be sent with the prompt" if distinct > limit else ""
