"""Ports: the small async protocols that adapters implement, with domain types in and out.

Adapters in `tools/` and `store/` implement them structurally. Bytes pass through here, and only here: what a node
puts into the state is the `ImageRef` a `BlobStore` gave back.
"""

from imagerag.agent.ports.generator import (
    EDIT,
    GeneratedImage,
    ImageGenerator,
    ImagePart,
    ReferenceTemplate,
    can_edit,
    takes_mask,
)
from imagerag.agent.ports.judge import Judge, Lever, images_at_most, sees_references
from imagerag.agent.ports.library import (
    BlobStore,
    Embedder,
    EmbedderIdentity,
    Filter,
    Hit,
    ReferenceLibrary,
    Reranker,
    queries_of,
)
from imagerag.agent.ports.prices import FREE, Tariff, tariff_of_all
from imagerag.agent.ports.responses import Captions, Critique, Drawn, ImageCheck, Missing, Preference, Ranking, Reading

__all__ = [
    "EDIT",
    "FREE",
    "BlobStore",
    "Captions",
    "Critique",
    "Drawn",
    "Embedder",
    "EmbedderIdentity",
    "Filter",
    "GeneratedImage",
    "Hit",
    "ImageCheck",
    "ImageGenerator",
    "ImagePart",
    "Judge",
    "Lever",
    "Missing",
    "Preference",
    "Ranking",
    "Reading",
    "ReferenceLibrary",
    "ReferenceTemplate",
    "Reranker",
    "Tariff",
    "can_edit",
    "images_at_most",
    "queries_of",
    "sees_references",
    "takes_mask",
    "tariff_of_all",
]
