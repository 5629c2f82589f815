"""Human-in-the-loop selection of references: the question, and valid answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.types import Search


class Selection(BaseModel):
    """The answer: SHA-256 ids of the references to use, best first. None at all is an answer too.

    One of the images can be edited instead: it is changed as the prompt says, and the references inform that.
    """

    model_config = ConfigDict(extra="forbid")

    chosen: list[str] = Field(default_factory=list, description="ids of the references to use, best first")
    edit: str | None = Field(default=None, description="id of the image that is to be edited")


def offered_candidates(
    prompt: str, searches: Sequence[Search], limit: int, *, may_edit: bool = False
) -> dict[str, Any]:
    """The question, JSON-able and without pixels: numbered candidates and how many may be taken.

    Args:
        may_edit: whether one of them may be edited instead of informing a new image.
    """
    offered = {
        candidate.image.sha256: {
            "id": candidate.image.sha256,
            "concept": search.query.concept.text,
            "searched_with": search.query.text,
            "similarity": candidate.similarity,
            "title": candidate.title,
            "caption": candidate.caption,
            "licence": candidate.licence,
            **({"author": candidate.author, "web": candidate.web.model_dump()} if candidate.web else {}),
            **({"region": candidate.region.model_dump()} if candidate.region else {}),
        }
        for search in searches
        for candidate in search.candidates
        if candidate.decision == "offered"
    }
    numbered = [{"number": number, **candidate} for number, candidate in enumerate(offered.values(), start=1)]
    return {"kind": "choose_references", "prompt": prompt, "limit": limit, "may_edit": may_edit, "candidates": numbered}


def validate_selection(question: Mapping[str, Any], selection: Sequence[str], edit: str | None = None) -> str:
    """Validation error for a selection, or an empty string."""
    offered = {str(candidate["id"]) for candidate in question["candidates"]}
    if edit is not None and not question.get("may_edit"):
        return "no image can be edited here: the generator cannot, or the run has images of its own; choose references"
    if edit is not None and edit in selection:
        return "one image is to be edited and to inform: name it once"
    selection = [*selection, *([edit] if edit is not None else [])]
    if unknown := [sha[:80] for sha in selection if sha not in offered]:
        return f"not offered: {', '.join(unknown[:4])}; choose from 1 to {len(offered)}, or none"
    distinct, limit = len(set(selection)), int(question["limit"])
    return f"{distinct} are too many: at most {limit} can be sent with the prompt" if distinct > limit else ""
