"""Embedder behind an OpenAI-compatible server: `openai:MODEL[?OPTIONS][@URL]`.

Texts go to `/embeddings` as `input`, images in the chat form that vLLM adds to that endpoint (`messages`), one per
request. A vision-language model is sent texts in that form, too, because it was trained with it. Whether a model sees
images is known from its name, or said (`?images=clip`, `?images=messages`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from imagerag.agent.control_tokens import all_neutralised
from imagerag.agent.errors import BackendError, UsageError
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.port_validation import no_image_vectors
from imagerag.agent.ports import FREE, Capabilities, EmbedderIdentity, PriceEstimator
from imagerag.agent.threads import in_thread, run_in_own_loop
from imagerag.tools.credentials import Variable
from imagerag.tools.embedders.served_images import data_url, prepared
from imagerag.tools.embedders.served_models import QUERY, STORED, ImageForm, image_form, served_model
from imagerag.tools.embedders.served_vectors import read_vectors
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.openai.errors import map_openai_errors
from imagerag.tools.openai.refused_options import refused_option
from imagerag.tools.openai.retries import with_retries
from imagerag.tools.public_addresses import is_this_machine
from imagerag.tools.spec import BackendSpec, with_options
from imagerag.tools.spec_options import Choice, Number, Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Vectors = NDArray[np.float32]

OPTIONS: Final[Mapping[str, Reader]] = {
    "key_env": Variable(),
    "batch": Number(int, least=1, most=2048),
    "concurrency": Number(int, least=1, most=256),
    "context": Number(int, least=8),
    "dimensions": Number(int, least=1),
    "images": Choice("no", "clip", "messages", "qwen3-vl"),
    "input_type": bool,
    "length": Number(int, least=1),
    "longest_side": Number(int, least=64, most=8192),
    "passage_prefix": str,
    "query_prefix": str,
    "timeout_s": Number(float, least=0.1),
}
"""Options of a spec, after `?`: `openai:MODEL?query_prefix=query:+&passage_prefix=passage:+@URL`.

`dimensions` asks the server for shorter vectors (Matryoshka); `length` is what it gives by itself, found by a request
if it is not said. `input_type=true` tells the server which texts are queries, for servers that add prefixes."""

_BYTES_PER_TOKEN: Final = 3
"""Of UTF-8. Tokenizers behind a server are not known; few need more tokens than this."""


class OpenAIEmbedder:
    """Embeds texts, and images if the model sees them, with a model behind a server.

    Shared by any number of runs and event loops. A failed request is repeated where the service says that it helps.
    Calls are not journalled, and what they cost is in no budget: a search costs one short text.

    Args:
        model: the server's name for it.
        account: address and key.
        batch: texts per request.
        concurrency: requests at once, in one event loop.
        context: tokens of a text that are read; by default as known of the model.
        dimensions: length of vectors that the server is asked for; None leaves it to the server.
        images: how images are sent; by default as known of the model.
        input_type: send `input_type`, "query" or "passage".
        length: length of its vectors; by default as known of the model, otherwise found by a request.
        longest_side: images are scaled down to it, in pixels.
        query_prefix, passage_prefix: put before texts that search, and texts that are searched.
        timeout_s: for a whole response, in seconds.
    """

    def __init__(
        self,
        model: str,
        account: OpenAICredentials | None = None,
        *,
        batch: int = 64,
        concurrency: int = 8,
        context: int | None = None,
        dimensions: int | None = None,
        images: ImageForm | None = None,
        input_type: bool = False,
        length: int | None = None,
        longest_side: int = 1024,
        query_prefix: str = "",
        passage_prefix: str = "",
        timeout_s: float = 60.0,
    ) -> None:
        self.model, self.account = model, account or OpenAICredentials.of()
        model_facts = served_model(model)
        self.images: ImageForm = images or image_form(model)
        self.context_length = context or model_facts.context
        self.image_side = longest_side
        self._length = dimensions or length or model_facts.length
        self._dimensions, self._input_type, self._batch = dimensions, input_type, batch
        self._query_prefix, self._passage_prefix = query_prefix, passage_prefix
        self._timeout_s, self._concurrency = timeout_s, concurrency
        self._given: dict[str, object] = {
            "dimensions": dimensions, "images": images, "input_type": input_type or None, "context": context,
            "longest_side": longest_side if longest_side != 1024 else None, "query_prefix": query_prefix or None,
            "passage_prefix": passage_prefix or None, "batch": batch if batch != 64 else None,
        }  # fmt: skip
        self._base64 = True
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    @classmethod
    def from_spec(cls, spec: BackendSpec) -> "OpenAIEmbedder":
        """`openai:MODEL[?OPTIONS][@URL]`.

        Raises:
            SpecError: no model is named, or an invalid option; valid ones are in `OPTIONS`.
        """
        settings = spec.model_settings(OPTIONS)
        embedder = cls(spec.model, OpenAICredentials.of_spec(spec), **settings)
        embedder._given["key_env"] = spec.key_env
        return embedder

    @property
    def name(self) -> str:
        """`openai:MODEL`, with the address if it is not OpenAI's, without secrets."""
        return self.account.named_as("openai", self.model)

    @cached_property
    def identity(self) -> EmbedderIdentity:
        """Identity of its vectors; the address is no part of it. Asks the server for their length if nobody said it.

        Raises:
            BackendError: the server does not answer.
        """
        if self._length is None:
            self._length = run_in_own_loop(self._served_length, name="imagerag-embeddings")
        length = None if self._dimensions or self._length == served_model(self.model).length else self._length
        query = f"?{urlencode(self.account.query)}" if self.account.query else ""
        images = "no images" if self.images == "no" else f"images as {self.images} up to {self.image_side} px"
        prefixes = [repr(one) for one in (self._query_prefix, self._passage_prefix) if one]
        typed = ["input_type"] if self._input_type else []
        return EmbedderIdentity(
            spec=with_options(self.name + query, {**self._given, "length": length}),
            model=self.model,
            weights="those of the server",
            preprocess=", ".join([images, *(["texts after " + " and ".join(prefixes)] if prefixes else []), *typed]),
            dimension=self._length,
        )

    @property
    def capabilities(self) -> Capabilities:
        """Whether it sees images, and that a server on this machine is free."""
        local = is_this_machine(self.account.host)
        return Capabilities(tariff=FREE if local else PriceEstimator(), embeds_images=self.images != "no")

    def count_tokens(self, text: str) -> int:
        """An estimate: the tokenizer behind the server is not known."""
        return len(text.encode()) // _BYTES_PER_TOKEN + 2

    async def embed_texts(self, texts: Sequence[str]) -> "Vectors":
        """float32 [len(texts), dimension], rows of norm 1, of texts that search.

        Raises:
            BackendError: the server does not answer, or not with usable vectors.
        """
        return await self._texts(texts, self._query_prefix, "query")

    async def embed_passages(self, texts: Sequence[str]) -> "Vectors":
        """The same of texts that are searched, such as captions."""
        return await self._texts(texts, self._passage_prefix, "passage")

    async def embed_images(self, images: Sequence[bytes]) -> "Vectors":
        """Encoded images as float32 [len(images), dimension], rows of norm 1.

        Raises:
            SpecError: the model sees no images.
            UsageError: an image cannot be read; the message says which.
            BackendError: the server does not answer, or not with usable vectors.
        """
        if self.images == "no":
            raise no_image_vectors(self.name)

        async def prepare(at: int) -> bytes:
            try:
                return await in_thread(lambda: self.prepare(open_rgb(images[at], side=self.image_side)))
            except UsageError as error:
                raise UsageError(f"image {at}: {error}") from error

        return await self.embed_prepared([await prepare(at) for at in range(len(images))])

    def prepare(self, image: "Image") -> bytes:
        """An RGB image as it is sent: a JPEG of at most `longest_side` pixels."""
        return prepared(image, self.image_side)

    async def embed_prepared(self, images: Sequence[bytes]) -> "Vectors":
        """Images of `prepare` as float32 [len(images), dimension], rows of norm 1."""
        if self.images == "no":
            raise no_image_vectors(self.name)
        contents = [[{"type": "image_url", "image_url": {"url": data_url(image)}}] for image in images]
        return await self._all([(self._chat(parts, STORED), 1) for parts in contents])

    async def _texts(self, texts: Sequence[str], prefix: str, kind: str) -> "Vectors":
        neutral_texts = [prefix + text for text in all_neutralised(list(texts))]
        if self.images in ("no", "clip"):
            parts = [neutral_texts[at : at + self._batch] for at in range(0, len(neutral_texts), self._batch)]
            return await self._all([({"input": part, **self._typed(kind)}, len(part)) for part in parts])
        instruction = QUERY if kind == "query" else STORED
        requests = [
            ({**self._chat([{"type": "text", "text": text}], instruction), **self._typed(kind)}, 1)
            for text in neutral_texts
        ]
        return await self._all(requests)

    def _typed(self, kind: str) -> dict[str, Any]:
        return {"input_type": kind} if self._input_type else {}

    def _chat(self, content: list[dict[str, Any]], instruction: str) -> dict[str, Any]:
        """One input as a conversation."""
        if self.images != "qwen3-vl":
            return {"messages": [{"role": "user", "content": content}]}
        return {
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": instruction}]},
                {"role": "user", "content": content},
                {"role": "assistant", "content": [{"type": "text", "text": ""}]},
            ],
            "continue_final_message": True,
            "add_special_tokens": True,
        }

    async def _all(self, requests: Sequence[tuple[dict[str, Any], int]]) -> "Vectors":
        """The vectors of several requests, in order; after an error the others are not awaited."""
        import numpy as np

        room = self._rooms.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._concurrency))

        async def one(body: dict[str, Any], count: int) -> "Vectors":
            async with room:
                return await with_retries(lambda: self._vectors(body, count))

        tasks = [asyncio.ensure_future(one(*request)) for request in requests]
        try:
            rows = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return np.concatenate(rows) if rows else np.empty((0, self.identity.dimension), np.float32)

    async def _vectors(self, body: Mapping[str, Any], count: int) -> "Vectors":
        vectors = read_vectors(await self._posted(body), count, self.name)
        if self._length is not None and vectors.shape[1] != self._length:
            raise BackendError(
                f"{self.name} gave vectors of {vectors.shape[1]} numbers where {self._length} are expected: it serves "
                "another model now, or does not shorten its vectors (dimensions)",
                retryable=False,
            )
        return vectors

    async def _posted(self, body: Mapping[str, Any]) -> object:
        """The parsed response. Base64 is asked for until the server refuses it: it is exact, and a quarter as long."""
        sized = {"dimensions": self._dimensions} if self._dimensions else {}
        while True:
            encoding = "base64" if self._base64 else "float"
            whole = {"model": self.model, **body, **sized, "encoding_format": encoding}
            refused: list[str] = []
            try:
                return await map_openai_errors(
                    self.name,
                    self._send(whole, refused),
                    timeout_s=self._timeout_s,
                    secrets=self.account.secrets,
                )
            except BackendError:
                if "encoding_format" not in refused or not self._base64:
                    raise
                self._base64 = False

    async def _send(self, whole: Mapping[str, Any], refused: list[str]) -> object:
        """Send a request; notes in `refused` which option an error is about."""
        client = self.account.client(self.name, self._timeout_s)
        try:
            return await client.post("/embeddings", cast_to=object, body=whole)
        except Exception as error:
            if option := refused_option(error, ("encoding_format",), {}):
                refused.append(option)
            raise

    async def _served_length(self) -> int:
        (vector,) = await self._texts(["a"], self._query_prefix, "query")
        return len(vector)
