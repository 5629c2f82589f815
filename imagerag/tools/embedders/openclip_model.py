"""An open_clip model in memory: loading it, and its text tower."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.errors import BackendError
from imagerag.tools.embedders import weights
from imagerag.tools.embedders.openclip_import import open_clip_for, plain

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Precision = Literal["auto", "fp32", "bf16"]

_LARGE: Final = 20_000_000  # parameters from which bf16 and several threads pay; a small model is slower with them

_PART: Final = 8  # images from which a part of a batch is worth its own pass: with fewer, a multiplication is slower

_RANDOM: Final = frozenset({
    "normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_",
})  # fmt: skip
"""Functions and methods of torch that fill a tensor with random numbers."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
        trims: its text tower is causal, so what follows the end marker need not be computed.
        threads: how many it computes with. For a small model more than one only wait for each other: on a busy
            machine that made it 12 times slower.
    """

    model: Any
    device: str
    dtype: Any
    trims: bool
    threads: int

    @contextmanager
    def computing(self, parts: int = 1) -> Iterator[None]:
        """Where a forward pass belongs; only ever entered in the one worker thread, or by what it waits for.

        Args:
            parts: how many passes share the threads.
        """
        import torch

        torch.set_num_threads(max(1, self.threads // parts))
        with torch.inference_mode():
            yield


def load_model(source: weights.Source, precision: Precision, device: str | None) -> LoadedModel:
    """Load a model.

    Raises:
        BackendError: the file holds no weights for it.
    """
    import torch

    open_clip = open_clip_for(source.model_config)
    local = source.name.startswith("local-dir:")
    file = weights.fetch(source)
    try:
        with _unfilled() if plain(source.model_config) else nullcontext():
            model = open_clip.create_model(
                source.name,
                pretrained=None if local else str(file),
                force_quick_gelu=source.quick_gelu,
                weights_only=True,
            )
    except Exception as error:
        raise BackendError(f"{file} does not hold weights for {source.name}: {error}", retryable=False) from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    large = sum(parameter.numel() for parameter in model.parameters()) >= _LARGE
    dtype = torch.bfloat16 if _wants_bf16(large, precision, device) else torch.float32
    trims = type(model) is open_clip.CLIP and model.text_pool_type == "argmax" and model.attn_mask is not None
    trims = trims and hasattr(model.text_projection, "shape")
    threads = _available_threads()  # of a small model, too: its passes change what torch would take
    return LoadedModel(model.to(device, dtype).eval(), device, dtype, trims, threads if large else 1)


def _unfilled() -> Any:
    """Where a new model's parameters are left as the memory was: its weights are read into all of them.

    To fill them with random numbers first takes as long as to read them. Only for models that open_clip refuses to
    load in part: its own, which it reads strictly.
    """
    from torch.overrides import TorchFunctionMode

    class Unfilled(TorchFunctionMode):
        def __torch_function__(self, function: Any, _: Any, given: Any = (), named: Any = None) -> Any:
            if getattr(function, "__name__", "") in _RANDOM:
                return given[0] if given else named["tensor"]
            return function(*given, **(named or {}))

    return Unfilled()


@cache
def _available_threads() -> int:
    """What torch would take by itself, read before anything changed it."""
    import torch

    return torch.get_num_threads()


def _wants_bf16(large: bool, precision: Precision, device: str) -> bool:
    import torch

    if precision != "auto":
        return precision == "bf16"
    if device.startswith("cuda"):
        native = bool(torch.cuda.is_bf16_supported(including_emulation=False))
    else:
        able = torch.cpu.get_capabilities()
        native = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return native and large


def encode_images(loaded: LoadedModel, images: "torch.Tensor") -> "Vectors":
    """Run the image tower, on a CPU over parts of the images side by side.

    Threads that share one multiplication wait busily for each other: while the next images are decoded on one of two
    processors, both would be held up, and the encoder lose twice what decoding takes. Parts wait for nothing.
    """
    import numpy as np
    import torch

    parts = max(1, min(loaded.threads, len(images) // _PART)) if loaded.device == "cpu" else 1

    def encoded(part: "torch.Tensor") -> "Vectors":
        with loaded.computing(parts):
            return normalized(loaded.model.encode_image(part.to(loaded.device, loaded.dtype)))

    if parts < 2:
        return encoded(images)
    try:
        return np.concatenate([*_side_by_side().map(encoded, images.tensor_split(parts))])
    finally:  # each thread has a number of its own, and a new one takes what was set last: other models' threads, too
        torch.set_num_threads(loaded.threads)


@cache
def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_available_threads(), thread_name_prefix="imagerag-clip-part")


def encode_tokens(loaded: LoadedModel, tokens: Any) -> Any:
    """Run the text tower, as open_clip's `CLIP.encode_text`, but on no more positions than the longest text has.

    open_clip pads every text to the context length; with 77 positions that is several times the work.
    """
    import torch

    model = loaded.model
    if not loaded.trims:
        return model.encode_text(tokens)
    ends = tokens.argmax(dim=-1)
    length = int(ends.max()) + 1
    x = model.token_embedding(tokens[:, :length]).to(loaded.dtype)
    x = x + model.positional_embedding[:length].to(loaded.dtype)
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    return x[torch.arange(len(x), device=x.device), ends] @ model.text_projection


def normalized(features: Any) -> "Vectors":
    """Features as float32 rows of norm 1."""
    from torch.nn.functional import normalize

    vectors: Vectors = normalize(features.float(), dim=-1).cpu().numpy()
    return vectors
