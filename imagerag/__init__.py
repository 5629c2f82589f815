"""imagerag: draws what you asked for, looks at it, finds what is missing in your own pictures, and draws again.

Names load when they are first used, so that `import imagerag` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagerag.agent.errors import (
        EmbeddingMismatchError,
        ImageRAGError,
        RunStateError,
        UnknownLibraryError,
        UnknownRunError,
        UsageError,
    )
    from imagerag.agent.record import RunRecord
    from imagerag.agent.types import Attempt, Outcome, Verdict
    from imagerag.api import ImageRAG
    from imagerag.graphs.events import RunEvent

__version__ = "0.1.0"

_HOMES = {
    "Attempt": "imagerag.agent.types",
    "EmbeddingMismatchError": "imagerag.agent.errors",
    "ImageRAG": "imagerag.api",
    "ImageRAGError": "imagerag.agent.errors",
    "Outcome": "imagerag.agent.types",
    "RunEvent": "imagerag.graphs.events",
    "RunRecord": "imagerag.agent.record",
    "RunStateError": "imagerag.agent.errors",
    "UnknownLibraryError": "imagerag.agent.errors",
    "UnknownRunError": "imagerag.agent.errors",
    "UsageError": "imagerag.agent.errors",
    "Verdict": "imagerag.agent.types",
}

__all__ = [
    "Attempt",
    "EmbeddingMismatchError",
    "ImageRAG",
    "ImageRAGError",
    "Outcome",
    "RunEvent",
    "RunRecord",
    "RunStateError",
    "UnknownLibraryError",
    "UnknownRunError",
    "UsageError",
    "Verdict",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
