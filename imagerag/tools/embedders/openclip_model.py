"""Loading of an open_clip model, and its encoders."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.errors import BackendError
from imagerag.tools.embedders import weights
from imagerag.tools.embedders.openclip_import import open_clip_for, own_text_tower

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Precision = Literal["auto", "fp32", "bf16"]

_LARGE: Final = 20_000_000  # parameters; from here on bf16 and several threads are faster, below they are slower

_TEXTS: Final = 128  # per batch

_PART: Final = 8  # minimum number of images per parallel part of a batch; smaller matrix products are slower

_RANDOM: Final = frozenset({
    "normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_",
})  # fmt: skip
"""Functions and methods of torch that initialise a tensor with random numbers."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
        scale: the factor of cosines in the loss that it was trained with.
        trims: whether its text tower is causal, so that positions after the end marker need not be computed.
        threads: number of threads. For a small model one is best, because more of them wait for each other: on a busy
            machine it became 12 times slower.
    """

    model: Any
    device: str
    dtype: Any
    scale: float
    trims: bool
    threads: int

    @contextmanager
    def computing(self, parts: int = 1) -> Iterator[None]:
        """Context of a forward pass; entered only in the one worker thread, or in threads that it waits for.

        Args:
            parts: number of passes that share the threads.
        """
        import torch

        torch.set_num_threads(max(1, self.threads // parts))
        with torch.inference_mode():
            yield

    def images(self, images: "torch.Tensor") -> "Vectors":
        """Preprocessed images [n, 3, height, width] as float32 rows of norm 1."""
        return encode_images(self, images)

    def texts(self, tokens: "torch.Tensor") -> "Vectors":
        """Tokens [n, context] as float32 rows of norm 1."""
        return encode_texts(self, tokens)


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
        with _unfilled() if own_text_tower(source.model_config) else nullcontext():
            model = open_clip.create_model(
                source.name,
                pretrained=None if local else str(file),
                force_quick_gelu=source.quick_gelu,
                weights_only=True,
            )
    except Exception as error:
        raise BackendError(f"{file} does not hold weights for {source.name}: {error}", retryable=False) from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    threads = threads_for(model)  # also before a small model's passes change torch's default
    large = _size(model) >= _LARGE
    dtype = torch.bfloat16 if _wants_bf16(large, precision, device) else torch.float32
    trims = type(model) is open_clip.CLIP and model.text_pool_type == "argmax" and model.attn_mask is not None
    trims = trims and hasattr(model.text_projection, "shape")
    scale = float(model.logit_scale.detach().float().exp().mean())  # before it is rounded to bf16
    return LoadedModel(model.to(device, dtype).eval(), device, dtype, scale, trims, threads)


def threads_for(model: Any) -> int:
    """Number of threads for a model: for a small one, one is best."""
    threads = available_threads()
    return threads if _size(model) >= _LARGE else 1


def _size(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _unfilled() -> Any:
    """Context in which a new model's parameters stay uninitialised, because all are then overwritten by its weights.

    Random initialisation takes longer than reading the weights: of SigLIP 2's 256,000 words alone, five seconds. Only
    for models whose weights open_clip loads strictly: its own architectures, with or without an image tower of timm.
    """
    from torch.overrides import TorchFunctionMode

    class Unfilled(TorchFunctionMode):
        def __torch_function__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(function, "__name__", "") in _RANDOM:
                return args[0] if args else kwargs["tensor"]
            return function(*args, **(kwargs or {}))

    return Unfilled()


@cache
def available_threads() -> int:
    """Torch's default number of threads, read before anything changes it."""
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
    """Run the image tower; on a CPU, over parts of the images in parallel.

    Threads that share one matrix product busy-wait for each other: while the next images are decoded on one of two
    processors, both would be blocked, and the encoder would lose twice the decoding time. Parts do not wait for each
    other.
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
    finally:  # the count is per thread, but new threads, also other models', inherit the last one that was set
        torch.set_num_threads(loaded.threads)


@cache
def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(available_threads(), thread_name_prefix="imagerag-clip-part")


def encode_texts(loaded: LoadedModel, tokens: Any) -> "Vectors":
    """Run the text tower on tokens [n, context], in batches of texts of about the same length."""
    import numpy as np
    import torch

    # Sort by length, so that a short text is not padded to a long one.
    order = np.argsort((tokens != 0).sum(dim=1).numpy(), kind="stable")
    parts = [order[start : start + _TEXTS] for start in range(0, len(order), _TEXTS)]
    with loaded.computing():
        rows = [normalized(encode_tokens(loaded, tokens[torch.from_numpy(part)].to(loaded.device))) for part in parts]
    encoded: Vectors = np.concatenate(rows)[np.argsort(order, kind="stable")]
    return encoded


def encode_tokens(loaded: LoadedModel, tokens: Any) -> Any:
    """Run the text tower as open_clip's `CLIP.encode_text`, but only on the positions of the longest text.

    open_clip pads every text to the context length; with 77 positions that is several times the work.
    """
    if not loaded.trims:
        return loaded.model.encode_text(tokens)
    return encode_trimmed(loaded.model, trimmed(tokens), loaded.dtype)


def trimmed(tokens: Any) -> Any:
    """Tokens of a causal tower without the positions after the last end marker, which has the highest number."""
    return tokens[:, : int(tokens.argmax(dim=-1).max()) + 1]


def encode_trimmed(model: Any, tokens: Any, dtype: Any) -> Any:
    """Run a causal text tower on as many positions as there are tokens."""
    import torch

    length = tokens.shape[1]
    x = model.token_embedding(tokens).to(dtype) + model.positional_embedding[:length].to(dtype)
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    return x[torch.arange(x.shape[0], device=x.device), tokens.argmax(dim=-1)] @ model.text_projection


def normalized(features: Any) -> "Vectors":
    """Features as float32 rows of norm 1."""
    from torch.nn.functional import normalize

    vectors: Vectors = normalize(features.float(), dim=-1).cpu().numpy()
    return vectors
