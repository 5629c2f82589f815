"""A person's messages as they come in: the words are the prompt, the images are the person's own.

Front ends send images in base64. They are kept in the blob store before LangGraph sees the input, and the message that
is written into checkpoints names them by address and hash.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final, cast

from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage, convert_to_messages

from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.ports import BlobStore
from imagerag.agent.threads import in_thread
from imagerag.agent.types import ImageRef
from imagerag.files.access_policy import InputPolicy
from imagerag.formatting.quoting import line
from imagerag.graphs.configuration.public_url import image_url
from imagerag.graphs.validation import validate_prompt
from imagerag.tools.url_fetcher import FetchError

MOST_IMAGES: Final = 16
"""Images of one message: no generator takes more."""
_KEPT: Final = re.compile(r"(?:image://|(?:https?://[^/?#]+)?/images/)([0-9a-f]{64})")
"""An image that the server has: its id, or the address under which it shows it."""
_DATA: Final = re.compile(r"data:[\w.+/-]*(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)
_EXTRAS: Final = "extras"
_NAME: Final = "name"


@dataclass(frozen=True, kw_only=True)
class OwnImage:
    """An image of a message, as it is in the blob store, and the name of its file, without its ending."""

    image: ImageRef
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class MessageReader:
    """Reads messages.

    Attributes:
        blobs: where their images are kept.
        inputs: which addresses may be fetched; files of the server never.
    """

    blobs: BlobStore
    inputs: InputPolicy

    async def read(self, messages: Any, *, others: bool = False) -> list[AnyMessage]:
        """The messages of an input, images replaced by their addresses.

        Args:
            others: let messages pass that are not a person's, as they are.

        Raises:
            UsageError: not messages of a person, no words, or an image that cannot be taken.
        """
        several = isinstance(messages, Sequence) and not isinstance(messages, str | tuple)
        try:
            given = convert_to_messages(messages if several else [messages])
        except Exception as error:  # whatever LangChain raises for what is no message
            raise UsageError(
                f'`messages` is a list of {{"role": "user", "content": …}}: {line(str(error), 200)}'
            ) from error
        if not others and not (given and all(isinstance(one, HumanMessage) for one in given)):
            raise UsageError('a chat goes on with messages of a person: [{"role": "user", "content": "what to draw"}]')
        return [await self._message(one) if isinstance(one, HumanMessage) else cast("AnyMessage", one) for one in given]

    async def _message(self, message: BaseMessage) -> AnyMessage:
        text, blocks = split(message.content)
        validate_prompt(text)
        if len(blocks) > MOST_IMAGES:
            raise UsageError(f"{len(blocks)} images are too many: a message takes {MOST_IMAGES} at most")
        images = [await self._image(block) for block in blocks]
        content: list[str | dict[Any, Any]] = [{"type": "text", "text": text}, *images]
        # Nothing else of the message is kept: it may hold anything.
        return HumanMessage(content=content if images else text, id=message.id)

    async def _image(self, block: Mapping[str, Any]) -> dict[str, Any]:
        image, name = await self.blobs.put(await self._bytes(_address(block))), _name(block)
        return {
            "type": "image",
            "url": image_url(image.sha256),
            "mime_type": image.media_type,
            _EXTRAS: {**image.model_dump(mode="json"), _NAME: name},
        }

    async def _bytes(self, address: str) -> bytes:
        if kept := _KEPT.fullmatch(address):
            try:
                return await self.blobs.get(kept[1])
            except BlobError as error:
                raise UsageError(f"there is no image {kept[1]} here: upload it with POST /images") from error
        if address.startswith(("http://", "https://")):
            if not self.inputs.urls:
                raise UsageError(
                    "addresses are not fetched here (IMAGERAG_ALLOW_URLS=1 turns it on): send the image itself"
                )
            try:
                return await self.inputs.read(address)
            except FetchError as error:
                raise UsageError(f"an image of the message cannot be fetched: {error}") from error
        encoded = _DATA.sub("", address, count=1)
        if len(encoded) > MAX_BYTES * 4 // 3 + 4:
            raise UsageError(f"an image has more than the {MAX_BYTES >> 20} MB that are read")
        try:
            return await in_thread(lambda: base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError) as error:
            raise UsageError("an image of the message is neither base64 nor an http address") from error


def split(content: Any) -> tuple[str, list[Mapping[str, Any]]]:
    """Content of a message: its text, and its blocks of images.

    Raises:
        UsageError: a block of another kind: a document, audio.
    """
    if isinstance(content, str):
        return content, []
    texts, images = [], []
    for block in content:
        kind = "text" if isinstance(block, str) else block.get("type")
        if kind == "text":
            texts.append(block if isinstance(block, str) else str(block.get("text") or ""))
        elif kind in ("image", "image_url") or (kind == "file" and _media_type(block).startswith("image/")):
            images.append(block)
        else:
            raise UsageError(f"a message takes text and images, not {line(str(kind), 40)!r}")
    return "\n".join(filter(None, texts)), images


def own_images(message: BaseMessage) -> list[OwnImage]:
    """The images of a message that `MessageReader` has read."""
    _, blocks = split(message.content)
    found = []
    for block in blocks:
        extras = dict(cast("Mapping[str, Any]", block[_EXTRAS]))
        found.append(OwnImage(name=extras.pop(_NAME), image=ImageRef.model_validate(extras)))
    return found


def text_of(message: BaseMessage) -> str:
    """The words of a message."""
    return split(message.content)[0]


def _media_type(block: Mapping[str, Any]) -> str:
    return str(block.get("mimeType") or block.get("mime_type") or "")


def _address(block: Mapping[str, Any]) -> str:
    """Where the image of a block is: base64, or an address. Every maker of chats has a form of its own.

    Raises:
        UsageError: nowhere.
    """
    url, source = block.get("image_url"), block.get("source")
    places = [
        url.get("url") if isinstance(url, Mapping) else url,
        *([source.get("data"), source.get("url")] if isinstance(source, Mapping) else []),
        *(block.get(name) for name in ("base64", "data", "url")),
    ]
    address = next((place for place in places if place), None)
    if not isinstance(address, str):
        raise UsageError("an image of the message has neither base64 nor an address")
    return address


def _name(block: Mapping[str, Any]) -> str:
    """The name of the file an image came from, without its ending; empty where nobody says."""
    extras = block.get(_EXTRAS)
    if isinstance(extras, Mapping) and extras.get(_NAME):  # as this module has written it
        return line(str(extras[_NAME]), 80)
    places = [one for one in (block, block.get("metadata")) if isinstance(one, Mapping)]
    named = [one.get(key) for one in places for key in (_NAME, "filename")]
    return line(PurePath(str(next(filter(None, named), ""))).stem, 80)
