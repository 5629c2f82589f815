"""Embedder on any open_clip model, on CPU or CUDA, loaded on first use."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from imagerag.agent.control_tokens import all_neutralised, neutralised
from imagerag.agent.errors import BackendError, SpecError, UsageError
from imagerag.agent.images.decoding import SMALLEST_SIDE, open_rgb
from imagerag.agent.ports import EmbedderIdentity
from imagerag.agent.threads import in_thread
from imagerag.tools.embedders import weights
from imagerag.tools.embedders.openclip_import import open_clip_for
from imagerag.tools.embedders.openclip_model import LoadedModel, Precision, load_model
from imagerag.tools.embedders.preprocess import preprocessing
from imagerag.tools.embedders.text_batching import TextEncoder
from imagerag.tools.huggingface_hub import hub
from imagerag.tools.spec import with_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from imagerag.tools.embedders.openclip_onnx import OnnxModel

    Vectors = NDArray[np.float32]

_DECODED: Final = 4  # concurrently, for one call
_IMAGES: Final = 32  # per batch; a larger batch is not faster on a CPU, and delays texts that wait for the worker
_EXAMPLES: Final = ("a photo of a red fox in the snow", "two cats on a sofa", "a", "the plan of a house, 1920")
"""Texts that an exported text tower is checked with."""
Runtime = Literal["torch", "onnx"]


class OpenClipEmbedder:
    """Embeds texts and images with one open_clip model.

    One worker thread (and the threads that it waits for) does all torch work of a process, so that event loops are not
    blocked and models do not compete for cores. Vectors are float32 of norm 1, whatever the model's precision.

    Args:
        model: `NAME/TAG`, `NAME/FILE`, `NAME/TAG=FILE` or `local-dir:DIR`, see `weights.find`.
        spec: the registry's spec of the model; by default `open_clip:` and the model.
        precision: "auto" selects bf16 if the hardware computes it natively and the model is large enough to benefit;
            with ONNX Runtime, it is fp32. "int8" is for ONNX Runtime, and its vectors are those of another encoder.
        runtime: "torch", or "onnx" for ONNX Runtime on the CPU.
        device: "cpu", "cuda", …; by default CUDA where there is one.
        quick_gelu: turn QuickGELU on or off, for weight files that do not name their activation.
        keep: number of encoded texts that are cached.

    Raises:
        SpecError: open_clip has no such model, or the runtime no such precision.
        UsageError: a file or folder does not exist.
    """

    def __init__(
        self,
        model: str,
        *,
        spec: str | None = None,
        precision: Precision | Literal["int8"] = "auto",
        runtime: Runtime = "torch",
        device: str | None = None,
        quick_gelu: bool | None = None,
        keep: int = 8192,
    ) -> None:
        self._model, self._spec, self._quick_gelu = model, spec, quick_gelu
        self._precision, self._runtime, self._device = precision, runtime, device
        if precision == ("bf16" if runtime == "onnx" else "int8"):
            raise SpecError(f"precision={precision} is not one of runtime={runtime}: int8 is of onnx, bf16 of torch")
        self._loading, self._tokenizing = Lock(), Lock()
        self._loaded: LoadedModel | OnnxModel | None = None
        self._texts = TextEncoder(self._encode_texts, _worker, keep=keep)

    @cached_property
    def _source(self) -> weights.Source:
        return weights.find(self._model, quick_gelu=self._quick_gelu)

    @cached_property
    def identity(self) -> EmbedderIdentity:
        """Identity of its vectors. Known without loading the model; a weight file is read to hash it."""
        precision = self._precision if self._precision != "auto" else None
        options = {"runtime": "onnx" if self._runtime == "onnx" else None, "precision": precision}
        identity = self._source.identity(self._spec or with_options(f"open_clip:{self._source.spec}", options))
        return replace(identity, weights=f"{identity.weights} in int8") if precision == "int8" else identity

    @cached_property
    def context_length(self) -> int:
        """Maximum number of tokens of a text, start and end markers included."""
        return self._source.context_length

    def logit_scale(self) -> float:
        """The factor of cosines in the loss that the model was trained with: 100 for CLIP. Loads the model."""
        return self._load().scale

    def count_tokens(self, text: str) -> int:
        """Number of tokens of `text`, start and end markers included, without open_clip's truncation."""
        tokenizer, text = self._tokenizer, neutralised(text)
        with self._tokenizing:  # not all tokenizers are thread-safe
            if hasattr(tokenizer, "sot_token_id"):
                return len(tokenizer.encode(text)) + 2
            return len(tokenizer.tokenizer(tokenizer.clean_fn(text))["input_ids"])

    async def embed_texts(self, texts: Sequence[str]) -> "Vectors":
        """float32 [len(texts), dimension], rows of norm 1. Concurrent calls are encoded as one batch."""
        return _stacked(await self._texts.rows(texts), self.identity.dimension)

    async def embed_images(self, images: Sequence[bytes]) -> "Vectors":
        """Encoded images as float32 [len(images), dimension], rows of norm 1.

        Raises:
            UsageError: an image cannot be read; the message says which.
        """
        loop = asyncio.get_running_loop()
        rows: list[Vectors] = []
        ready = asyncio.ensure_future(self._prepare_batch(images, 0))
        try:
            for start in range(0, len(images), _IMAGES):
                batch = await ready
                ready = asyncio.ensure_future(self._prepare_batch(images, start + _IMAGES))  # concurrently
                rows.extend(await loop.run_in_executor(_worker(), self._encode_images, batch))
        finally:
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)
        return _stacked(rows, self.identity.dimension)

    @property
    def image_side(self) -> int:
        """The shorter side to which an image is decoded."""
        return max(SMALLEST_SIDE, self._source.side)

    def prepare(self, image: "Image") -> Any:
        """Preprocess an RGB image for the model: float32 tensor [3, height, width]."""
        return self._preprocess(image)

    async def embed_prepared(self, images: Sequence[Any]) -> "Vectors":
        """Tensors of `prepare` as float32 [len(images), dimension], rows of norm 1."""
        loop, rows = asyncio.get_running_loop(), list[Any]()
        for start in range(0, len(images), _IMAGES):
            batch = list(images[start : start + _IMAGES])
            rows.extend(await loop.run_in_executor(_worker(), self._encode_images, batch))
        return _stacked(rows, self.identity.dimension)

    async def _prepare_batch(self, images: Sequence[bytes], start: int) -> list[Any]:
        """Decode and scale the next images.

        Raises:
            UsageError: an image cannot be read; the others are not awaited.
        """
        room = asyncio.Semaphore(_DECODED)

        async def prepare(at: int) -> Any:
            async with room:
                return await in_thread(self._prepare, images[at], at)

        places = range(start, min(start + _IMAGES, len(images)))
        tasks = [asyncio.ensure_future(prepare(at)) for at in places]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    def _prepare(self, data: bytes, index: int) -> Any:
        try:
            return self.prepare(open_rgb(data, side=self.image_side))
        except UsageError as error:
            raise UsageError(f"image {index}: {error}") from error

    @cached_property
    def _preprocess(self) -> Any:
        return preprocessing(self._source.preprocess)

    @cached_property
    def _tokenizer(self) -> Any:
        # Never run code from a folder; if this is left out, transformers asks on the terminal.
        safe = {"trust_remote_code": False} if self._source.model_config["text_cfg"].get("hf_tokenizer_name") else {}
        try:
            with hub(self._source.model_config["text_cfg"].get("hf_tokenizer_name")):
                return open_clip_for(self._source.model_config).get_tokenizer(self._source.name, **safe)
        except Exception as error:
            raise BackendError(
                f"the tokenizer of {self._source.name} could not be loaded ({error}). Without a network, put the model "
                "with its tokenizer files into a folder and name that: open_clip:local-dir:FOLDER",
                retryable=False,
            ) from error

    def _encode_images(self, batch: list[Any]) -> "Vectors":
        import torch

        return self._load().images(torch.stack(batch))

    def _encode_texts(self, texts: list[str]) -> "Vectors":
        return self._load().texts(self._tokens(texts))

    def _tokens(self, texts: Sequence[str]) -> Any:
        tokenizer = self._tokenizer
        with self._tokenizing:
            return tokenizer(all_neutralised(texts))

    def _load(self) -> "LoadedModel | OnnxModel":
        with self._loading:
            if self._loaded is None:
                self._loaded = self._model_in_memory()
            return self._loaded

    def _model_in_memory(self) -> "LoadedModel | OnnxModel":
        if self._runtime == "torch":
            return load_model(self._source, cast(Precision, self._precision), self._device)
        from imagerag.tools.embedders.openclip_onnx import load_onnx

        return load_onnx(self._source, "int8" if self._precision == "int8" else "fp32", self._tokens(_EXAMPLES))


def _stacked(rows: "Sequence[Vectors]", dimension: int) -> "Vectors":
    import numpy as np

    return np.stack(rows) if rows else np.empty((0, dimension), np.float32)


@cache
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="imagerag-clip")
