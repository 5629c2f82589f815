"""Calls on an error: a node that fails returns no update that could hold the calls it made."""

from typing import TypeVar

from imagerag.agent.types import ModelCall

Failure = TypeVar("Failure", bound=Exception)


def attach_calls(calls: list[ModelCall], error: Failure) -> Failure:
    """The error, carrying the calls its node made: a node that fails returns no update that could."""
    error.__dict__["calls"] = calls
    return error


def calls_from_error(error: BaseException) -> list[ModelCall]:
    """The calls that a failed node made before it failed."""
    calls: list[ModelCall] = error.__dict__.get("calls", [])
    return calls
