"""The values a run is made of.

All are frozen pydantic models that forbid unknown fields, so that they round-trip exactly through a checkpoint
and a typo is an error. None of them holds image bytes: an image is an `ImageRef`, its bytes live in the blob store.
"""

from imagerag.agent.types.attempts import (
    Attempt,
    Concept,
    MaskCheck,
    Requirement,
    RequirementCheck,
    UsedReference,
    Verdict,
)
from imagerag.agent.types.base import (
    Document,
    FrozenModel,
    ImageRef,
    Progress,
    SamplingParams,
    Scalar,
    Sha256,
    Similarity,
    Size,
    earlier_names,
)
from imagerag.agent.types.calls import ModelCall, assumed_cost, cost_of_calls, unsettled_cost
from imagerag.agent.types.regions import Region
from imagerag.agent.types.runs import (
    BUILT_IN_LIBRARY,
    PATIENCE_S,
    Outcome,
    ParentRun,
    RunConfig,
    RunContext,
    RunResult,
    RunSpec,
    SnapshotPins,
    Subject,
)
from imagerag.agent.types.searches import Candidate, Cause, Decision, OmittedByFilter, Query, Search, TrackedConcept

__all__ = [
    "BUILT_IN_LIBRARY",
    "PATIENCE_S",
    "Attempt",
    "Candidate",
    "Cause",
    "Concept",
    "Decision",
    "Document",
    "FrozenModel",
    "ImageRef",
    "MaskCheck",
    "ModelCall",
    "OmittedByFilter",
    "Outcome",
    "ParentRun",
    "Progress",
    "Query",
    "Region",
    "Requirement",
    "RequirementCheck",
    "RunConfig",
    "RunContext",
    "RunResult",
    "RunSpec",
    "SamplingParams",
    "Scalar",
    "Search",
    "Sha256",
    "Similarity",
    "Size",
    "SnapshotPins",
    "Subject",
    "TrackedConcept",
    "UsedReference",
    "Verdict",
    "assumed_cost",
    "cost_of_calls",
    "earlier_names",
    "unsettled_cost",
]
