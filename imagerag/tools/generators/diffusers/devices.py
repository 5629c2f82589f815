"""Device, dtype and thread of the models in this process."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.errors import BackendError, UsageError
from imagerag.agent.extras import import_extra

if TYPE_CHECKING:
    import torch

Offload = Literal["none", "model", "sequential"]
"""Offloading to main memory: none, all but one component, or all but one layer (slow)."""

DTYPES: Final = ("float32", "float16", "bfloat16")


@cache
def worker() -> ThreadPoolExecutor:
    """The single thread that loads and runs large models: two at a time would only compete for memory and cores."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="imagerag-model")


def choose_device(device: str | None, extra: str = "diffusers") -> str:
    """`device`, else CUDA, else Apple's GPU, else the CPU.

    Raises:
        MissingExtraError: torch is not installed.
        UsageError: the device is not available.
    """
    torch = import_extra("torch", "a model in this process", extra)
    if device is None:
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.partition(":")[0], True):
        raise UsageError(f"there is no {device} device here: leave the device out, or set device=cpu")
    return device


def choose_dtype(name: str | None, device: str) -> Any:
    """A torch dtype: `name`, else bfloat16 where the hardware computes it natively, float16 on older GPUs, float32.

    Raises:
        UsageError: not one of `DTYPES`.
    """
    import torch

    if name is not None:
        if name not in DTYPES:
            raise UsageError(f"dtype must be one of {', '.join(DTYPES)}, not {name!r}")
        return getattr(torch, name)
    if device.startswith("cuda"):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    if device.startswith("mps"):
        return torch.bfloat16
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32


@contextmanager
def seeded(device: str, seed: int | None) -> "Iterator[torch.Generator | None]":
    """A torch generator for a seed, on the CPU so that all devices use the same noise; None without a seed.

    Also seeds the process's global generators, and restores them: OmniGen draws its references' latents from them, and
    a language model its tokens.
    """
    import torch

    if seed is None:
        yield None
        return
    with torch.random.fork_rng(devices=[torch.device(device)] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield torch.Generator("cpu").manual_seed(seed)


@contextmanager
def quiet(*libraries: str) -> Iterator[None]:
    """Hide progress bars for weights read from disk, in "diffusers" or "transformers"; downloads still show theirs."""
    logs: list[Any] = [import_module(f"{library}.utils.logging") for library in libraries]
    with_progress_bar = [log for log in logs if log.is_progress_bar_enabled()]
    for log in with_progress_bar:
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log in with_progress_bar:
            log.enable_progress_bar()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means exhausted memory. CUDA has an exception class for it, other devices only a message."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)


def out_of_memory(who: str, advice: str) -> BackendError:
    """Error for exhausted memory."""
    return BackendError(f"{who} ran out of memory: {advice}", retryable=False)


def free() -> None:
    """Empty CUDA's cache, so that a smaller attempt fits. The failed attempt's objects must be released before."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
