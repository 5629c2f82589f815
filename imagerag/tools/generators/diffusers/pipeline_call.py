"""One call of a loaded pipeline: its seed, its steps, cancellation and failures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from imagerag.tools.generators.diffusers.devices import free, seeded
from imagerag.tools.generators.diffusers.failures import check_image, drawing_error
from imagerag.tools.generators.diffusers.loading import Loaded

OnStep = Callable[[int, int], None]
"""Progress callback: (steps done, number of steps). Step 0 is no progress; a callback that raises ends the call."""


class StoppedError(Exception):
    """The call was cancelled."""


@dataclass(frozen=True)
class PipelineImage:
    """An image of a pipeline.

    Attributes:
        image: a PIL image.
        steps: denoising steps that were done.
        prompt: the prompt as the pipeline's own language model expanded it.
    """

    image: Any
    steps: int
    prompt: str | None = None


def call_pipeline(
    identity: str, loaded: Loaded, arguments: dict[str, Any], seed: int | None, on_step: OnStep
) -> PipelineImage:
    """Call a pipeline.

    Raises:
        StoppedError: the callback raised it.
        RefusalError: the safety checker replaced the image.
        BackendError: memory is exhausted, the pipeline failed, or its image is black.
    """
    total, steps = arguments.get("num_inference_steps") or 0, 0

    def after_step(pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        nonlocal steps
        steps = step + 1
        on_step(steps, total or getattr(pipe, "_num_timesteps", 0) or steps)
        return tensors

    if "callback_on_step_end" in loaded.arguments:
        arguments["callback_on_step_end"] = after_step
    failure = None
    try:
        with seeded(loaded.device, seed) as generator:
            answer = loaded.pipe(**arguments, generator=generator)
        image = answer.images[0]
    except StoppedError:
        loaded.pipe.maybe_free_model_hooks()
        raise
    except Exception as error:
        failure = drawing_error(identity, error)
    if failure is not None:  # raised outside of the handler, which would keep the pipeline's tensors alive
        loaded.pipe.maybe_free_model_hooks()
        free()
        raise failure
    flagged = getattr(answer, "nsfw_content_detected", None)
    check_image(identity, loaded, image, flagged=bool(flagged and any(flagged)))
    return PipelineImage(image, steps or total, getattr(answer, "prompt", None))
