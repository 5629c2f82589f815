"""What all pages of one server share."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from imagerag.assistants.tool_result import RunLimits
from imagerag.files.access_policy import InputPolicy
from imagerag.http_server.access import HttpOptions
from imagerag.store.data_dir import DataDir
from imagerag.ui.library_tasks import LibraryTasks
from imagerag.ui.run_tasks import RunTasks
from imagerag.ui.thumbnail_cache import ThumbnailCache

if TYPE_CHECKING:
    from imagerag.client.client import ImageRAG

SECRET_BYTES: Final = 32


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
        library_tasks: work on libraries that is under way here.
        thumbnails: of the pages that are looked at.
        language: of the page; None is the browser's.
        secret: signs cookies and CSRF tokens.
    """

    rag: "ImageRAG"
    http: HttpOptions = field(default_factory=HttpOptions)
    inputs: InputPolicy = field(default_factory=InputPolicy)
    limits: RunLimits = field(default_factory=RunLimits)
    tasks: RunTasks = field(default_factory=RunTasks)
    followers: int = 0
    library_tasks: LibraryTasks = field(default_factory=LibraryTasks)
    thumbnails: ThumbnailCache = field(default_factory=ThumbnailCache)
    language: str | None = None
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(SECRET_BYTES), repr=False)


def kept_secret(home: DataDir) -> bytes:
    """The secret of a data directory, made when there is none: pages that are open outlive a restart.

    Where it cannot be written or read, pages have to be loaded again then.
    """
    path, secret = home.page_key, b""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "wb") as opened:
                opened.write(secrets.token_bytes(SECRET_BYTES))
        secret = path.read_bytes()
    # Of two servers that start at once, the second one may read what the first one has not written yet.
    return secret if len(secret) == SECRET_BYTES else secrets.token_bytes(SECRET_BYTES)
