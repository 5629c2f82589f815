"""Trust decisions of the user: settings files and specs. Stored in the user's configuration folder.

Each decision is a small file named by a digest, so concurrent processes never overwrite each other's decisions. A
settings file is trusted with its exact content: a changed file needs to be trusted again.
"""

import logging
import os
from hashlib import sha256
from pathlib import Path
from typing import Final

from imagerag.agent.environment import environment_value
from imagerag.agent.errors import UsageError

ENVIRONMENT: Final = "IMAGERAG_CONFIG"

_LOG: Final = logging.getLogger(__name__)


def config_folder() -> Path:
    """`IMAGERAG_CONFIG`, else the platform's user configuration folder; never a folder named in data."""
    if folder := environment_value(ENVIRONMENT):
        return Path(folder).expanduser().absolute()
    from platformdirs import user_config_path

    return user_config_path("imagerag", appauthor=False).absolute()


def is_trusted_file(path: Path, content: bytes) -> bool:
    """Whether the user trusted this file with this very content."""
    return _of_file(path, content).is_file()


def trust_file(path: Path, content: bytes) -> None:
    """Trust a file as it is now.

    Raises:
        UsageError: that cannot be written down.
    """
    _keep(_of_file(path, content), str(path.resolve()))


def is_named(spec: str) -> bool:
    """Whether the user has named this spec before."""
    return _of_spec(spec).is_file()


def trust_spec(spec: str) -> None:
    """Allow data to name this spec from now on.

    Raises:
        UsageError: that cannot be written down.
    """
    if not is_named(spec):
        _keep(_of_spec(spec), spec)


def note_named(spec: str) -> None:
    """As `trust_spec`, for a spec that the user just used; write errors are ignored, and trust is requested again
    later."""
    try:
        trust_spec(spec)
    except UsageError as error:
        _LOG.debug("%s", error)


def _of_file(path: Path, content: bytes) -> Path:
    digest = sha256(os.fsencode(path.resolve()) + b"\0" + content).hexdigest()
    return config_folder() / "trusted" / "files" / digest


def _of_spec(spec: str) -> Path:
    return config_folder() / "trusted" / "specs" / sha256(spec.encode()).hexdigest()


def _keep(place: Path, what: str) -> None:
    from imagerag.store.images.blob_store import write_atomically

    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(place, f"{what}\n".encode())
    except OSError as error:
        raise UsageError(f"{place} cannot be written: {error.strerror or error}; set {ENVIRONMENT}") from error
