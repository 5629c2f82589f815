"""imagerag: draws what you asked for, looks at it, finds what is missing in your own images, and draws again.

Names load when they are first used, so that `import imagerag` stays fast.
"""

import logging
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
    from imagerag.agent.qa.qa_record import AnswerRecord
    from imagerag.agent.qa.types import AnswerOutcome
    from imagerag.agent.run_record import RunRecord
    from imagerag.agent.types import Attempt, Outcome, Verdict
    from imagerag.assistants.langchain_tools import as_tools
    from imagerag.assistants.tool_result import RunLimits
    from imagerag.client.client import ImageRAG
    from imagerag.files.access_policy import InputPolicy
    from imagerag.files.run_request import BatchOptions, CommonRunOptions, RunOptions
    from imagerag.graphs.runs.events import RunEvent
    from imagerag.store.library.indexing.uploads import UploadedImage

__version__ = "0.1.0"

logging.getLogger("imagerag").addHandler(logging.NullHandler())  # quiet until somebody listens

_HOMES = {
    "AnswerOutcome": "imagerag.agent.qa.types",
    "AnswerRecord": "imagerag.agent.qa.qa_record",
    "Attempt": "imagerag.agent.types",
    "RunLimits": "imagerag.assistants.tool_result",
    "BatchOptions": "imagerag.files.run_request",
    "CommonRunOptions": "imagerag.files.run_request",
    "EmbeddingMismatchError": "imagerag.agent.errors",
    "ImageRAG": "imagerag.client.client",
    "ImageRAGError": "imagerag.agent.errors",
    "InputPolicy": "imagerag.files.access_policy",
    "Outcome": "imagerag.agent.types",
    "RunEvent": "imagerag.graphs.runs.events",
    "RunOptions": "imagerag.files.run_request",
    "RunRecord": "imagerag.agent.run_record",
    "RunStateError": "imagerag.agent.errors",
    "UnknownLibraryError": "imagerag.agent.errors",
    "UnknownRunError": "imagerag.agent.errors",
    "UploadedImage": "imagerag.store.library.indexing.uploads",
    "UsageError": "imagerag.agent.errors",
    "Verdict": "imagerag.agent.types",
    "as_tools": "imagerag.assistants.langchain_tools",
}

__all__ = [
    "AnswerOutcome",
    "AnswerRecord",
    "Attempt",
    "BatchOptions",
    "CommonRunOptions",
    "EmbeddingMismatchError",
    "ImageRAG",
    "ImageRAGError",
    "InputPolicy",
    "Outcome",
    "RunEvent",
    "RunLimits",
    "RunOptions",
    "RunRecord",
    "RunStateError",
    "UnknownLibraryError",
    "UnknownRunError",
    "UploadedImage",
    "UsageError",
    "Verdict",
    "__version__",
    "as_tools",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
