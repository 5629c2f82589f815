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
    Revision,
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
from imagerag.agent.types.descriptions import (
    LOW_CONFIDENCE,
    DescribedElement,
    DescriptionDetails,
    DescriptionEstimate,
    caption_or_description,
    is_low,
    marked,
)
from imagerag.agent.types.provenance import RejectedImage, WebProvenance, WebSearch
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
from imagerag.agent.types.searches import (
    Candidate,
    Cause,
    Decision,
    FoundBy,
    ListName,
    OmittedByFilter,
    Query,
    Search,
    TrackedConcept,
)
from imagerag.agent.types.sizes import NamedSize, Resolution, parse_size
from imagerag.agent.types.web_sources import WebSource

__all__ = [
    "BUILT_IN_LIBRARY",
    "LOW_CONFIDENCE",
    "PATIENCE_S",
    "Attempt",
    "Candidate",
    "Cause",
    "Concept",
    "Decision",
    "DescribedElement",
    "DescriptionDetails",
    "DescriptionEstimate",
    "Document",
    "FoundBy",
    "FrozenModel",
    "ImageRef",
    "ListName",
    "MaskCheck",
    "ModelCall",
    "NamedSize",
    "OmittedByFilter",
    "Outcome",
    "ParentRun",
    "Progress",
    "Query",
    "Region",
    "RejectedImage",
    "Requirement",
    "RequirementCheck",
    "Resolution",
    "Revision",
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
    "WebProvenance",
    "WebSearch",
    "WebSource",
    "assumed_cost",
    "caption_or_description",
    "cost_of_calls",
    "earlier_names",
    "is_low",
    "marked",
    "parse_size",
    "unsettled_cost",
]
