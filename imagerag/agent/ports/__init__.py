"""Ports: the small async protocols that adapters implement, with domain types in and out.

Adapters in `tools/` and `store/` implement them structurally. Bytes pass through here, and only here: what a node
puts into the state is the `ImageRef` a `BlobStore` gave back.
"""

from imagerag.agent.ports.capabilities import (
    Capabilities,
    can_edit,
    capabilities_of,
    members_of,
    reranks_by_model,
)
from imagerag.agent.ports.describer import Describer, DescriptionCalls, ImageDescription
from imagerag.agent.ports.embedder import (
    Embedder,
    EmbedderIdentity,
    OptionalEmbedderMethods,
    PreparingEmbedder,
    embed_images,
    embed_passages,
    embed_texts,
    logit_scale_of,
    queries_of,
)
from imagerag.agent.ports.generator import EDIT, GeneratedImage, ImageGenerator, ImagePart, ReferenceTemplate
from imagerag.agent.ports.hits import MOST_WEIGHT, Filter, Hit, SearchTerm, TermSimilarity
from imagerag.agent.ports.judge import Judge, SamplingParameter
from imagerag.agent.ports.library import BlobStore, OptionalLibraryMethods, ReferenceLibrary, Reranker
from imagerag.agent.ports.ocr import OcrReader, OcrResult
from imagerag.agent.ports.prices import FREE, PriceEstimator, estimator_of_all
from imagerag.agent.ports.responses import (
    Captions,
    Critique,
    GeneratedImageRef,
    ImageCheck,
    MissingConcepts,
    ModelResponse,
    Preference,
    Ranking,
)
from imagerag.agent.ports.size_rules import SizeRules
from imagerag.agent.ports.web import (
    WebImage,
    WebImages,
    WebLibrary,
    is_web_library,
    own_library_of,
    web_libraries_of,
)

__all__ = [
    "EDIT",
    "FREE",
    "MOST_WEIGHT",
    "BlobStore",
    "Capabilities",
    "Captions",
    "Critique",
    "Describer",
    "DescriptionCalls",
    "Embedder",
    "EmbedderIdentity",
    "Filter",
    "GeneratedImage",
    "GeneratedImageRef",
    "Hit",
    "ImageCheck",
    "ImageDescription",
    "ImageGenerator",
    "ImagePart",
    "Judge",
    "MissingConcepts",
    "ModelResponse",
    "OcrReader",
    "OcrResult",
    "OptionalEmbedderMethods",
    "OptionalLibraryMethods",
    "Preference",
    "PreparingEmbedder",
    "PriceEstimator",
    "Ranking",
    "ReferenceLibrary",
    "ReferenceTemplate",
    "Reranker",
    "SamplingParameter",
    "SearchTerm",
    "SizeRules",
    "TermSimilarity",
    "WebImage",
    "WebImages",
    "WebLibrary",
    "can_edit",
    "capabilities_of",
    "embed_images",
    "embed_passages",
    "embed_texts",
    "estimator_of_all",
    "is_web_library",
    "logit_scale_of",
    "members_of",
    "own_library_of",
    "queries_of",
    "reranks_by_model",
    "web_libraries_of",
]
