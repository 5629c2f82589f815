"""Modular pipelines of diffusers (FLUX.3), with the interface of its other pipelines.

A modular pipeline is a tree of blocks and the components that they share. Only blocks of diffusers are built: those
of a repository are code, which is never run. diffusers logs a component that cannot be loaded, and goes on without it;
here each is loaded alone, so that its error is raised.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

from imagerag.agent.errors import BackendError
from imagerag.tools.generators.diffusers.weight_sources import INDEXES, check_components, library

_UPSAMPLER: Final = "prompt_upsampler"
"""Block, and its language model, that expands a prompt to a long caption, as FLUX.3 was trained on."""

_LOGS: Final = (
    "diffusers.modular_pipelines.modular_pipeline",
    "diffusers.guiders.guider_utils",
    "transformers.processing_utils",
)
"""Loggers that print the traceback of an exception that is raised anyway, and warnings about diffusers' own calls."""

OnStepEnd = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


def is_modular(kind: Any) -> bool:
    """Whether a class is a modular pipeline."""
    return isinstance(kind, type) and issubclass(kind, library().ModularPipeline)


def block_arguments(blocks: Any) -> frozenset[str]:
    """Names of the arguments of calls of a modular pipeline with these blocks."""
    guided = any(spec.name == "guider" for spec in blocks.expected_components)
    names = {name for name in blocks.input_names if name}
    return frozenset(names | {"callback_on_step_end", "generator"} | ({"guidance_scale"} if guided else set()))


class ModularPipe:
    """A loaded modular pipeline.

    Args:
        kind: its class in diffusers.
        repo: repository id or directory.
        upsampler: whether it expands prompts, if it can.

    Attributes:
        arguments: names of the arguments of a call.
    """

    def __init__(self, kind: Any, repo: str, *, upsampler: bool) -> None:
        self._after_step: OnStepEnd | None = None
        self._manager = library().ComponentsManager()
        index = kind.load_config(repo)
        check_components(repo, index)
        self._blocks = kind(pretrained_model_name_or_path=repo, modular_config_dict=index).blocks
        if not upsampler:
            self._blocks.sub_blocks.pop(_UPSAMPLER, None)
        self.arguments = block_arguments(self._blocks)
        for loop in _loops(self._blocks):
            loop.sub_blocks["step_end"] = _block(self._step_end)
        self._pipe = kind(
            blocks=self._blocks,
            pretrained_model_name_or_path=repo,
            modular_config_dict=index,
            components_manager=self._manager,
        )

    @classmethod
    def from_pretrained(cls, kind: Any, repo: str, *, upsampler: bool, **options: Any) -> "ModularPipe":
        """Load a pipeline and its components.

        Args:
            kind: its class in diffusers.
            repo: repository id or directory.
            upsampler: whether to load the prompt upsampler, if it has one.
            options: arguments of `from_pretrained` of its models, as `dtype`.

        Raises:
            BackendError: its index does not name a component that it needs.
        """
        with _quiet_logs():
            pipe = cls(kind, repo, upsampler=upsampler)
            pipe.load(repo, options)
        return pipe

    def load(self, repo: str, options: Mapping[str, Any]) -> None:
        """Load all components.

        Raises:
            BackendError: the index does not name one that is needed.
        """
        specs = [self._pipe.get_component_spec(name) for name in self._pipe.pretrained_component_names]
        lacks = [spec.name for spec in specs if not spec.pretrained_model_name_or_path]
        if lacks:
            hint = (
                ". With ?upsampler=false, prompts are not expanded" if any(_UPSAMPLER in name for name in lacks) else ""
            )
            raise BackendError(f"{repo}: its {INDEXES[1]} names no {', '.join(lacks)}{hint}", retryable=False)
        self._pipe.update_components(**{spec.name: _load(spec, options) for spec in specs})

    def __call__(
        self, *, callback_on_step_end: OnStepEnd | None = None, guidance_scale: float | None = None, **inputs: Any
    ) -> Any:
        """Generate images.

        Args:
            callback_on_step_end: as in other pipelines. Also called with step -1 before each token of the upsampler.
            guidance_scale: guidance scale for the prompt; None is the pipeline's own.

        Returns:
            An object with `images`, and `prompt`: the expanded prompt, None where it was not expanded.
        """
        with self._calling(callback_on_step_end), _quiet_logs():
            if guidance_scale is not None:
                guider = self._pipe.get_component_spec("guider").create(guidance_scale=guidance_scale)
                self._pipe.update_components(guider=guider)
            state = self._pipe(**inputs)
        prompt = state.get("prompt") if _UPSAMPLER in self._blocks.sub_blocks else None
        return SimpleNamespace(images=state.get("images"), prompt=prompt)

    def set_progress_bar_config(self, **config: Any) -> None:
        """Configure the progress bars of all loops; the pipeline's own method does not reach nested ones."""
        for loop in _loops(self._blocks):
            loop.set_progress_bar_config(**config)

    def to(self, device: str) -> None:
        """Move all components to a device."""
        self._pipe.to(device)

    def enable_model_cpu_offload(self, *, device: str) -> None:
        """Keep components in main memory, and move each to the device while it runs."""
        self._manager.enable_auto_cpu_offload(device=device)

    def enable_sequential_cpu_offload(self, *, device: str) -> None:
        """Keep components in main memory, and move one layer at a time to the device."""
        import torch
        from diffusers.hooks.group_offloading import apply_group_offloading

        for part in self._pipe.components.values():
            if isinstance(part, torch.nn.Module):
                apply_group_offloading(
                    part,
                    onload_device=torch.device(device),
                    offload_device=torch.device("cpu"),
                    offload_type="leaf_level",
                )

    def maybe_free_model_hooks(self) -> None:
        """Nothing: hooks of the components manager move a component away when another needs its memory."""

    def _step_end(self, components: Any, state: Any, i: int, **_times: Any) -> tuple[Any, Any]:
        """Run as the last block of each step of a loop: call the callback."""
        if self._after_step is not None:
            self._after_step(self, i, None, {})
        return components, state

    @contextmanager
    def _calling(self, callback: OnStepEnd | None) -> Iterator[None]:
        """Context of one call with its callback. The upsampler writes thousands of tokens before the first step."""
        writer, hook = getattr(self._pipe, _UPSAMPLER, None), None

        def before_token(*_inputs: Any) -> None:
            self._step_end(None, None, -1)

        if callback is not None and writer is not None:
            hook = writer.register_forward_pre_hook(before_token)
        self._after_step = callback
        try:
            yield
        finally:
            self._after_step = None
            if hook is not None:
                hook.remove()


def _block(call: Callable[..., Any]) -> Any:
    """A block that calls a function. Its class needs diffusers, and so is made here."""
    body = {"description": "Report a step.", "__call__": lambda _self, *args, **named: call(*args, **named)}
    return type("StepEnd", (library().ModularPipelineBlocks,), body)()


def _loops(blocks: Any) -> Iterator[Any]:
    """All loops in a tree of blocks."""
    for block in getattr(blocks, "sub_blocks", {}).values():
        if hasattr(block, "loop_step"):
            yield block
        else:
            yield from _loops(block)


def _load(spec: Any, options: Mapping[str, Any]) -> Any:
    """Load a component. A tokenizer takes no options of models: it would write them into its files."""
    import torch

    kind = spec.type_hint
    is_model = kind is None or issubclass(kind, torch.nn.Module)
    safe = {"trust_remote_code": False} if kind is not None and kind.__module__.startswith("transformers.") else {}
    return spec.load(**(options if is_model else {}), **safe)


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """Context in which the loggers of `_LOGS` print nothing."""
    logs = [log for log in map(logging.getLogger, _LOGS) if not log.disabled]
    for log in logs:
        log.disabled = True
    try:
        yield
    finally:
        for log in logs:
            log.disabled = False
