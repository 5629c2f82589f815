"""Loading of pipelines, once per process for all generators."""

import inspect
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

from imagerag.agent.errors import BackendError, ImageRAGError, MissingExtraError, first_line
from imagerag.tools.credentials import check_hub
from imagerag.tools.generators.diffusers.devices import (
    Offload,
    choose_device,
    choose_dtype,
    is_out_of_memory,
    out_of_memory,
    quiet,
)
from imagerag.tools.generators.diffusers.families import IPAdapter
from imagerag.tools.generators.diffusers.glm_image import adapt_encoder
from imagerag.tools.generators.diffusers.modular import ModularPipe, is_modular
from imagerag.tools.generators.diffusers.weight_sources import INDEXES, Source, check_index, is_here, library
from imagerag.tools.huggingface_hub import hub

SMALLER: Final = (
    "set offload=model (or offload=sequential, which is slow), draw a smaller size, or take a smaller model"
)

_LOADED: Final[dict[str, "Loaded"]] = {}
_LOCK: Final = Lock()


@dataclass(frozen=True)
class Loaded:
    """A loaded pipeline.

    Attributes:
        pipe: the diffusers pipeline.
        device, dtype: its device and dtype.
    """

    pipe: Any
    device: str
    dtype: Any

    @property
    def arguments(self) -> Set[str]:
        """Names of the arguments of a call."""
        if isinstance(self.pipe, ModularPipe):
            return self.pipe.arguments
        return inspect.signature(self.pipe.__call__).parameters.keys()


def load(
    source: Source, *, device: str | None, dtype: str | None, offload: Offload, options: Mapping[str, Any]
) -> Loaded:
    """The pipeline of a source, cached by its loading options. Loading takes minutes and gigabytes.

    Args:
        device, dtype: none selects the default, see `devices`.
        options: more arguments of `from_pretrained`.

    Raises:
        MissingExtraError: diffusers, or a package that this pipeline needs, is not installed.
        UsageError: the device is not available, or the dtype is invalid.
        BackendError: weights are missing, damaged, locked, or too large for the memory.
    """
    family, load_options = source.family, sorted({**source.family.load, **options}.items())
    key = repr((source.repo, family.pipeline, family.adapter, family.upsampler, device, dtype, offload, load_options))
    with _LOCK:
        if key not in _LOADED:
            _LOADED[key] = _load(source, device, dtype, offload, options)
        return _LOADED[key]


def ready(source: Source, device: str | None, dtype: str | None) -> str:
    """One line with the device of a source and whether its weights are present; loads and downloads nothing.

    Raises:
        MissingExtraError: diffusers is not installed.
        UsageError: the device is not available, or the dtype is invalid.
        BackendError: a directory without a pipeline.
    """
    version, place = library().__version__, choose_device(device)
    numbers = str(choose_dtype(dtype, place)).removeprefix("torch.")
    weights = [is_here(source.repo, *INDEXES)]
    if source.family.adapter is not None:
        adapter = source.family.adapter
        weights.append(is_here(adapter.repo, "/".join(adapter.load[n] for n in _FILE if n in adapter.load)))
    return "; ".join([f"diffusers {version} on {place} in {numbers}", *weights])


_FILE: Final = ("subfolder", "weight_name")


def unload() -> None:
    """Release all pipelines that this process loaded, and their memory."""
    import gc

    with _LOCK:
        _LOADED.clear()
    gc.collect()


def _load(
    source: Source, device: str | None, dtype: str | None, offload: Offload, options: Mapping[str, Any]
) -> Loaded:
    diffusers = library()
    place = choose_device(device)
    numbers = choose_dtype(dtype, place)
    kind = getattr(diffusers, source.family.pipeline or "DiffusionPipeline", None)
    if kind is None:
        raise BackendError(
            f"diffusers {diffusers.__version__} has no {source.family.pipeline}: pip install -U 'imagerag[diffusers]'",
            retryable=False,
        )
    load_arguments = {"use_safetensors": True, **source.family.load, **options}  # a pickle could run any code
    with _loading_errors(source.repo), hub(source.repo), quiet("diffusers", "transformers"):
        check_index(source.repo)
        check_hub(source.repo)
        pipe = _from_pretrained(kind, source, {"dtype": numbers, **load_arguments})
    if source.family.adapter is not None:
        with (
            _loading_errors(source.family.adapter.repo),
            hub(source.family.adapter.repo),
            quiet("diffusers", "transformers"),
        ):
            _adapt(pipe, source.family.adapter, numbers)
    pipe.set_progress_bar_config(disable=True)
    with _loading_errors(source.repo):
        _place(pipe, place, offload)
    return Loaded(pipe, place, numbers)


def _from_pretrained(kind: Any, source: Source, options: Mapping[str, Any]) -> Any:
    repo = str(Path(source.repo).expanduser())
    if is_modular(kind):
        return ModularPipe.from_pretrained(kind, repo, upsampler=source.family.upsampler, **options)
    pipe = kind.from_pretrained(repo, **{"trust_remote_code": False, **options})
    if type(pipe).__name__ == "GlmImagePipeline":
        adapt_encoder(pipe)
    return pipe


def _adapt(pipe: Any, adapter: IPAdapter, dtype: Any) -> None:
    repo = str(Path(adapter.repo).expanduser())
    load_options = {**adapter.load, **(adapter.local if Path(repo).is_dir() else {})}
    filled = {name: dtype if value == "{dtype}" else value.format(adapter=repo) for name, value in load_options.items()}
    pipe.load_ip_adapter(repo, **filled)


def _place(pipe: Any, device: str, offload: Offload) -> None:
    """Move a pipeline to its device; a CPU needs no offloading, because the weights are already in main memory."""
    if device == "cpu" or offload == "none":
        pipe.to(device)
    elif offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.enable_sequential_cpu_offload(device=device)


@contextmanager
def _loading_errors(repo: str) -> Iterator[None]:
    """Context that converts loading errors to messages that say what is missing, and what to type."""
    try:
        yield
    except ImageRAGError:
        raise
    except ImportError as error:
        raise MissingExtraError(f"the model {repo} ({error})", "diffusers") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise out_of_memory(f"loading {repo}", SMALLER) from error
        kind = type(error).__name__
        if kind == "GatedRepoError" or "gated" in str(error).lower():
            advice = "its makers want their licence accepted on its page first; then `hf auth login`, and try again"
        else:
            advice = (
                f"fetch it where there is a network (hf download {repo}), or name a directory that has it: "
                "diffusers:FAMILY=/DIR, with another IP-Adapter diffusers:FAMILY=/DIR+/ADAPTER"
            )
        why = f"{repo} could not be loaded ({kind}: {first_line(error)}). {advice}"
        raise BackendError(why, retryable=False) from error
