"""Encoders of transformers in this process: `transformers:ORG/NAME[@COMMIT]` or `transformers:/DIR`.

Checked against transformers 5.23, whose own classes load the models; no code of a model's repository is run.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Protocol

from imagerag.agent.errors import BackendError, SpecError, UsageError, first_line
from imagerag.agent.images.decoding import SMALLEST_SIDE, open_rgb
from imagerag.agent.ports import EmbedderIdentity
from imagerag.agent.ports.embedder import CLIP_SCALE
from imagerag.agent.threads import in_thread
from imagerag.tools.embedders.openclip_model import threads_for
from imagerag.tools.embedders.qwen3_vl import Qwen3VL
from imagerag.tools.embedders.text_batching import TextEncoder
from imagerag.tools.embedders.transformers_source import Source, find
from imagerag.tools.embedders.two_towers import TwoTowers
from imagerag.tools.generators.diffusers.devices import DTYPES, free, is_out_of_memory, out_of_memory, worker
from imagerag.tools.huggingface_hub import hub
from imagerag.tools.judges.vlm.transformers_loading import (
    SAFE,
    check_attention,
    check_local,
    load_weights,
    loading,
)
from imagerag.tools.spec import with_options
from imagerag.tools.spec_options import Choice, Number, Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from imagerag.tools.spec import BackendSpec

    Vectors = NDArray[np.float32]

OPTIONS: Final[Mapping[str, Reader]] = {
    "device": str,
    "dtype": Choice(*DTYPES),
    "dimensions": Number(int, least=1),
    "instruction": str,
    "longest_side": Number(int, least=64, most=8192),
    "patches": Number(int, least=16, most=4096),
}
"""Options of a spec, after `?`. `dimensions`, `instruction` and `longest_side` are of Qwen3-VL-Embedding, `patches` of
SigLIP 2 NaFlex."""

_OF_KIND: Final[Mapping[str, tuple[str, ...]]] = {
    "towers": ("patches",), "qwen3-vl": ("dimensions", "instruction", "longest_side"),
}  # fmt: skip
_SMALLER: Final = "take a smaller model, set dtype=bfloat16, or an option for smaller images (longest_side, patches)"


class Architecture(Protocol):
    """How a kind of model reads texts and images.

    Attributes:
        images_at_once: images of a batch.
        texts_at_once: texts of a batch.
        dimension: length of a vector.
        context_length: tokens of a text that it reads, markers included.
    """

    images_at_once: int
    texts_at_once: int
    dimension: int
    context_length: int

    @property
    def preprocess(self) -> str: ...
    @property
    def image_side(self) -> int: ...
    def count_tokens(self, text: str) -> int: ...
    def prepare(self, image: "Image") -> Any: ...
    def encode_texts(self, model: Any, texts: Sequence[str], *, query: bool) -> Any: ...
    def encode_images(self, model: Any, images: Sequence[Any]) -> Any: ...
    def logit_scale(self, model: Any) -> float | None: ...


class TransformersEmbedder:
    """Embeds texts and images with one model, loaded on first use. Vectors are float32 of norm 1.

    The thread of large models does all its work, so that event loops are not blocked.

    Args:
        model: `ORG/NAME`, `ORG/NAME@REVISION` or a directory.
        device: "cpu", "cuda", "mps"; None takes the best there is.
        dtype: "float32", "float16" or "bfloat16"; None takes what the device computes fast.
        keep: number of encoded queries that are cached.
        options: those of the model's kind, see `OPTIONS`.
    """

    def __init__(
        self, model: str, *, device: str | None = None, dtype: str | None = None, keep: int = 8192, **options: Any
    ) -> None:
        self._model, self._device, self._dtype, self._options = model, device, dtype, options
        self._loading = Lock()
        self._loaded: Any = None
        self._queries = TextEncoder(lambda texts: self._encode_texts(texts, query=True), worker, keep=keep)
        self._passages = TextEncoder(lambda texts: self._encode_texts(texts, query=False), worker, keep=0)

    @cached_property
    def _source(self) -> Source:
        return find(self._model)

    @cached_property
    def _architecture(self) -> Architecture:
        source, folder = self._source, str(self._source.folder)
        own = {name: value for name, value in self._options.items() if value is not None}
        for name in own:
            if name not in _OF_KIND[source.kind]:
                others = ", ".join(_OF_KIND[source.kind])
                raise SpecError(f"transformers:{source.name} has no option {name!r}; of this kind of model: {others}")
        with loading(source.spec) as transformers, hub(folder):
            check_attention(transformers, folder)
            config = transformers.AutoConfig.from_pretrained(folder, **SAFE)
            if source.kind == "towers":
                tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **SAFE)
                pixels = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", **SAFE)
            else:
                processor = transformers.AutoProcessor.from_pretrained(folder, **SAFE)
        if source.kind == "towers":
            return TwoTowers(config, tokenizer, pixels, **own)
        return Qwen3VL(config, processor, **own)

    @cached_property
    def identity(self) -> EmbedderIdentity:
        """Identity of its vectors. Known without loading the model; a directory's weight files are read to hash them.

        Raises:
            SpecError: no such model, or an option of another kind of model.
            BackendError: its configuration cannot be downloaded or read.
        """
        source, architecture = self._source, self._architecture
        return EmbedderIdentity(
            spec=with_options(
                f"transformers:{source.spec}", {"device": self._device, "dtype": self._dtype, **self._options}
            ),
            model=source.model,
            weights=source.weights,
            preprocess=architecture.preprocess,
            dimension=architecture.dimension,
        )

    @property
    def context_length(self) -> int:
        """Number of tokens of a text that are read, markers and instruction included."""
        return self._architecture.context_length

    def logit_scale(self) -> float:
        """The factor of cosines in the model's loss; that of CLIP where it names none. Loads the model."""
        with self._loading:
            scale = self._architecture.logit_scale(self._weights())
        return CLIP_SCALE if scale is None else scale

    def count_tokens(self, text: str) -> int:
        """Number of tokens of `text`, markers and instruction included."""
        return self._architecture.count_tokens(text)

    async def embed_texts(self, texts: Sequence[str]) -> "Vectors":
        """float32 [len(texts), dimension], rows of norm 1, of texts that search."""
        return self._stacked(await self._queries.rows(texts))

    async def embed_passages(self, texts: Sequence[str]) -> "Vectors":
        """The same of texts that are searched, such as captions."""
        return self._stacked(await self._passages.rows(texts))

    async def embed_images(self, images: Sequence[bytes]) -> "Vectors":
        """Encoded images as float32 [len(images), dimension], rows of norm 1.

        Raises:
            UsageError: an image cannot be read; the message says which.
        """

        def prepare(at: int) -> Any:
            try:
                return self.prepare(open_rgb(images[at], side=self.image_side))
            except UsageError as error:
                raise UsageError(f"image {at}: {error}") from error

        rows: list[Vectors] = []
        for start in range(0, len(images), self._architecture.images_at_once):
            places = range(start, min(start + self._architecture.images_at_once, len(images)))
            rows.extend(await self.embed_prepared([await in_thread(prepare, at) for at in places]))
        return self._stacked(rows)

    @property
    def image_side(self) -> int:
        """The shorter side that an image is decoded for, in pixels."""
        return max(SMALLEST_SIDE, self._architecture.image_side)

    def prepare(self, image: "Image") -> Any:
        """An RGB image as the model takes it."""
        return self._architecture.prepare(image)

    async def embed_prepared(self, images: Sequence[Any]) -> "Vectors":
        """Images of `prepare` as float32 [len(images), dimension], rows of norm 1."""
        loop, rows, size = asyncio.get_running_loop(), list[Any](), self._architecture.images_at_once
        for start in range(0, len(images), size):
            batch = list(images[start : start + size])
            rows.extend(await loop.run_in_executor(worker(), self._encode_images, batch))
        return self._stacked(rows)

    def _encode_images(self, batch: list[Any]) -> "Vectors":
        return self._computed(lambda model: self._architecture.encode_images(model, batch))

    def _encode_texts(self, texts: list[str], *, query: bool) -> "Vectors":
        import numpy as np

        # Sort by length, so that a short text is not padded to a long one.
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        rows, size = np.empty((len(texts), self._architecture.dimension), np.float32), self._architecture.texts_at_once
        for start in range(0, len(order), size):
            places = order[start : start + size]
            batch = [texts[at] for at in places]
            rows[places] = self._computed(
                lambda model, batch=batch: self._architecture.encode_texts(model, batch, query=query)
            )
        return rows

    def _computed(self, encode: Any) -> "Vectors":
        """Features of a forward pass as float32 rows of norm 1.

        Raises:
            BackendError: memory is exhausted, or the model fails.
        """
        import torch
        from torch.nn.functional import normalize

        model, failure = self._load(), None
        try:
            torch.set_num_threads(threads_for(model))
            with torch.inference_mode():
                vectors: Vectors = normalize(encode(model).float(), dim=-1).cpu().numpy()
                return vectors
        except Exception as error:
            failure = self._failure(error)
        free()
        raise failure  # outside of the handler, which would keep the model's tensors alive

    def _failure(self, error: Exception) -> BackendError:
        name = f"transformers:{self._source.name}"
        if is_out_of_memory(error):
            return out_of_memory(name, _SMALLER)
        return BackendError(f"{name} could not encode: {type(error).__name__}: {first_line(error)}", retryable=False)

    def _load(self) -> Any:
        with self._loading:
            return self._weights()

    def _weights(self) -> Any:
        if self._loaded is None:
            folder = str(self._source.fetch())
            self._loaded = load_weights(folder, "AutoModel", self._device, self._dtype, use_safetensors=True)
        return self._loaded

    def _stacked(self, rows: "Sequence[Vectors]") -> "Vectors":
        import numpy as np

        return np.stack(rows) if rows else np.empty((0, self._architecture.dimension), np.float32)


def transformers_embedder(spec: "BackendSpec") -> TransformersEmbedder:
    """`transformers:MODEL`, with `OPTIONS` after a `?`.

    Raises:
        SpecError: no model, an address, or an invalid option.
        MissingExtraError: transformers is not installed.
    """
    settings = spec.settings(OPTIONS)
    check_local(spec)
    return TransformersEmbedder(spec.model, **settings)
