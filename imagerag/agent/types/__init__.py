"""The values a run is made of.

All are frozen pydantic models that forbid unknown fields, so that they round-trip exactly through a checkpoint
and a typo is an error. None of them holds image bytes: an image is an `ImageRef`, its bytes live in the blob store.
"""

from imagerag.agent.types.attempts import Attempt, Check, Concept, MaskCheck, Requirement, UsedReference, Verdict
from imagerag.agent.types.base import ImageRef, Progress, Scalar, Sha256, Similarity, Size, Value, Variation
from imagerag.agent.types.calls import Call, assumed_cost, cost_of_calls, unsettled_cost
from imagerag.agent.types.runs import (
    BUILT_IN_LIBRARY,
    PATIENCE_S,
    Ending,
    Knobs,
    Lineage,
    Outcome,
    RunContext,
    Setup,
    Subject,
)
from imagerag.agent.types.searches import Candidate, Cause, Decision, LedgerEntry, LeftOut, Query, Search

__all__ = [
    "BUILT_IN_LIBRARY",
    "PATIENCE_S",
    "Attempt",
    "Call",
    "Candidate",
    "Cause",
    "Check",
    "Concept",
    "Decision",
    "Ending",
    "ImageRef",
    "Knobs",
    "LedgerEntry",
    "LeftOut",
    "Lineage",
    "MaskCheck",
    "Outcome",
    "Progress",
    "Query",
    "Requirement",
    "RunContext",
    "Scalar",
    "Search",
    "Setup",
    "Sha256",
    "Similarity",
    "Size",
    "Subject",
    "UsedReference",
    "Value",
    "Variation",
    "Verdict",
    "assumed_cost",
    "cost_of_calls",
    "unsettled_cost",
]
