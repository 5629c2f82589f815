"""Modules of the package's optional extras: check that one is installed, and import it."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from imagerag.agent.errors import MissingExtraError


def is_installed(module: str) -> bool:
    """Whether a module can be imported; it is not loaded, but the packages that it is in are."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def require_extra(module: str, what: str, extra: str) -> None:
    """Check that an optional module is installed, without loading it.

    Args:
        what: the feature that needs it, for the message.
        extra: the extra of imagerag that installs it.

    Raises:
        MissingExtraError: it is not installed.
    """
    if not is_installed(module):
        raise MissingExtraError(what, extra)


def import_extra(module: str, what: str, extra: str) -> Any:
    """Import an optional module.

    Args:
        module: its full name, for instance `scipy.stats`.
        what: the feature that needs it, for the message.
        extra: the extra of imagerag that installs it.

    Raises:
        MissingExtraError: it, or a module that it needs, is not installed.
    """
    require_extra(module.partition(".")[0], what, extra)
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(what, extra) from error
