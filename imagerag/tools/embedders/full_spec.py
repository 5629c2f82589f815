"""Specs of encoders that people shorten."""

from imagerag.tools.registry import has_provider


def full_spec(spec: str) -> str:
    """The spec of an encoder with its provider; a bare `NAME/TAG` is one of open_clip."""
    return spec if has_provider("embedder", spec.partition(":")[0].lower()) else f"open_clip:{spec}"
