"""Failures of a pipeline: exceptions, and unusable images."""

from typing import Any

from imagerag.agent.errors import BackendError, RefusalError, first_line
from imagerag.tools.generators.diffusers import images
from imagerag.tools.generators.diffusers.devices import is_out_of_memory, out_of_memory
from imagerag.tools.generators.diffusers.loading import SMALLER, Loaded


def drawing_error(identity: str, error: Exception) -> BackendError:
    """The final error for an exception of a pipeline."""
    if is_out_of_memory(error):
        return out_of_memory(identity, SMALLER)
    return BackendError(f"{identity} could not draw: {type(error).__name__}: {first_line(error)}", retryable=False)


def check_image(identity: str, loaded: Loaded, image: Any, *, flagged: bool) -> None:
    """Check that a pipeline's image is usable.

    Args:
        image: a PIL image.
        flagged: whether the pipeline reports that its safety checker replaced the image.

    Raises:
        RefusalError: the safety checker replaced the image.
        BackendError: the image is black, as float16 overflow makes it.
    """
    checker = getattr(loaded.pipe, "safety_checker", None) is not None
    black = not flagged and images.is_black(image)
    if flagged or (black and checker):
        raise RefusalError(f"{identity}: its safety checker took the image away")
    if black and str(loaded.dtype) == "torch.float16":
        hint = "drew a black image, as numbers too large for float16 do: set dtype=bfloat16 or dtype=float32"
        raise BackendError(f"{identity} {hint}", retryable=False)
