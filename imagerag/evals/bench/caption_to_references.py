"""Latency of finding the references for a caption and reading their bytes, beside encoding the caption alone.

The encoder is ViT-B-32 with random weights, which takes as long as with learned ones. The search uses the synthetic
library's own vectors. The bytes of a row are the text whose hash is the row's id.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.ports import Hit
from imagerag.evals.bench.embedder_precision import MODEL
from imagerag.evals.bench.timing import TimingRow, row
from imagerag.store.library.library import Library

if TYPE_CHECKING:
    from imagerag.evals.bench.synthetic_library import Vectors

REFERENCES: Final = 3
SECTION, ALONE, WHOLE = "library", "text encoding alone", "caption to references with bytes"


async def references(library: Library, repeats: int) -> list[TimingRow]:
    """Times of encoding a caption, and of encoding it, searching with it and reading the best images."""
    try:
        net, tokenize = await asyncio.to_thread(text_encoder)
    except ImportError as error:
        return [TimingRow(section=SECTION, name=WHOLE, value=None, unit="", note=f"not measured: {error}")]
    own, encoder = library.embedder, _Encoder(library.embedder, net, tokenize)
    alone, whole = list[float](), list[float]()
    for at in range(repeats + 1):
        for text in (f"a red car by a lake, view {at}", f"a wooden boat under a bridge, view {at}"):
            hits = await library.search(text, k=REFERENCES)
            await asyncio.to_thread(_copy, library, hits)
            library.embedder = encoder
            try:
                began = time.perf_counter()
                await encoder.embed_texts([text])
                between = time.perf_counter()
                search_hits = await library.search(text, k=REFERENCES)
                await library.read_images([hit.image.sha256 for hit in search_hits])
                ended = time.perf_counter()
            finally:
                library.embedder = own
            if at:  # warm-up: the first call is always slower
                alone.append(between - began)
                whole.append(ended - between)
    return [row(SECTION, ALONE, alone), row(SECTION, WHOLE, whole, against=(ALONE, alone), note="aim 1.4")]


def text_encoder() -> tuple[Any, Any]:
    """A network with random weights, and its tokenizer."""
    import open_clip

    return open_clip.create_model(MODEL, pretrained=None).eval(), open_clip.get_tokenizer(MODEL)


def _copy(library: Library, hits: Sequence[Hit]) -> None:
    for hit in hits:
        library.table.images.write(hit.image.sha256, f"row {hit.title.removeprefix('Object ')}".encode())


class _Encoder:
    """Encodes texts with a network, but returns the vectors of another encoder."""

    def __init__(self, vectors: Any, net: Any, tokenize: Any) -> None:
        self._vectors, self._net, self._tokenize = vectors, net, tokenize

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vectors, name)

    async def embed_texts(self, texts: Sequence[str]) -> "Vectors":
        """Encode with the network for its time, and return the other encoder's vectors."""
        await asyncio.to_thread(partial(self._encode, list(texts)))
        vectors: Vectors = await self._vectors.embed_texts(texts)
        return vectors

    def _encode(self, texts: list[str]) -> None:
        import torch

        with torch.inference_mode():
            self._net.encode_text(self._tokenize(texts), normalize=True)
