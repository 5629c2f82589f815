"""What all pages of one server share."""

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagerag.assistants.tool_result import RunLimits
from imagerag.files.access_policy import InputPolicy
from imagerag.http_server.access import HttpOptions
from imagerag.ui.run_tasks import RunTasks

if TYPE_CHECKING:
    from imagerag.client.client import ImageRAG


@dataclass(kw_only=True)
class UiState:
    """The state of a server. What must outlive it is in the data directory, not here.

    Attributes:
        rag: runs and libraries.
        http: who may connect.
        inputs: files and addresses that the page may name.
        limits: limits of each run, whatever is entered in the page.
        tasks: the runs that are under way here.
        followers: pages that follow a run.
        language: of the page; None is the browser's.
        secret: signs cookies and CSRF tokens.
    """

    rag: "ImageRAG"
    http: HttpOptions = field(default_factory=HttpOptions)
    inputs: InputPolicy = field(default_factory=InputPolicy)
    limits: RunLimits = field(default_factory=RunLimits)
    tasks: RunTasks = field(default_factory=RunTasks)
    followers: int = 0
    language: str | None = None
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
