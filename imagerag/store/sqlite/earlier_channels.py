"""Channels of runs and conversations that were named otherwise in earlier versions, so that their steps can be read."""

from collections.abc import Mapping
from typing import Any, Final

_RENAMED: Final = {"ending": "result", "ledger": "tracked_concepts"}

_OURS: Final = "run_key"
"""A channel of every run and conversation; another graph in the same file may have an `ending` of its own."""


def is_of_imagerag(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a stored checkpoint is one of a run or conversation."""
    return _OURS in checkpoint["channel_versions"]


def renamed(channels: Mapping[str, Any]) -> dict[str, Any]:
    """Values or versions of channels, by their names of today."""
    return {channel_name(name): value for name, value in channels.items()}


def channel_name(name: str) -> str:
    """The name of today."""
    return _RENAMED.get(name, name)
