"""Messages as makers of chats write them: words and images are read, all else is refused before it is stored."""

import base64
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from imagerag.agent.errors import UsageError
from imagerag.chat.messages import MessageReader, own_images, split, text_of
from imagerag.files.access_policy import InputPolicy
from imagerag.store.images.blob_store import FileBlobStore
from imagerag.tools.testing.fakes import sample_image

DATA = sample_image("mine")
ENCODED = base64.b64encode(DATA).decode()
TEXT = {"type": "text", "text": "my mug"}


@pytest.fixture
def reader(tmp_path: Path) -> MessageReader:
    return MessageReader(blobs=FileBlobStore(tmp_path), inputs=InputPolicy(roots=(tmp_path,)))


@pytest.mark.parametrize(
    ("block", "name"),
    [
        ({"type": "image", "base64": ENCODED, "mime_type": "image/png"}, ""),
        ({"type": "image", "source_type": "base64", "data": ENCODED, "mime_type": "image/png"}, ""),
        (
            {"type": "image", "mimeType": "image/png", "data": ENCODED, "metadata": {"name": "my mug.v2.png"}},
            "my mug.v2",
        ),
        (
            {"type": "file", "mimeType": "image/png", "data": ENCODED, "metadata": {"filename": "/home/me/mug.png"}},
            "mug",
        ),
        ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{ENCODED}"}}, ""),
        ({"type": "image_url", "image_url": f"data:image/png;charset=utf-8;base64,{ENCODED}"}, ""),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ENCODED}}, ""),
    ],
)
async def test_every_form_of_an_image_is_kept_and_named_by_address(
    reader: MessageReader, block: dict[str, Any], name: str
) -> None:
    (message,) = await reader.read([{"role": "user", "content": [TEXT, block]}])
    (own,) = own_images(message)
    assert (own.name, text_of(message)) == (name, "my mug")
    assert await reader.blobs.get(own.image.sha256) == DATA
    assert ENCODED[:40] not in str(message)
    # What was read is read again: an edited message comes back as it was written.
    (again,) = await reader.read([message])
    assert own_images(again) == [own]


@pytest.mark.parametrize(
    "messages",
    [
        "a red circle",
        {"role": "user", "content": "a red circle"},
        ("user", "a red circle"),
        ["a red circle"],
        [HumanMessage("a red circle", additional_kwargs={"secret": 1})],
        [{"type": "human", "content": [{"type": "text", "text": "a red"}, " circle"]}],
    ],
)
async def test_words_are_read_from_every_form_of_messages(reader: MessageReader, messages: Any) -> None:
    (message,) = await reader.read(messages)
    assert text_of(message).split() == ["a", "red", "circle"]
    assert message.additional_kwargs == {}


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([AIMessage("a red circle")], "messages of a person"),
        ([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}], "messages of a person"),
        ([{"role": "user", "content": [{"type": "audio", "data": ENCODED}, TEXT]}], "not 'audio'"),
        ([{"role": "user", "content": [TEXT, {"type": "image", "url": "file:///etc/passwd"}]}], "neither base64"),
        ([{"role": "user", "content": [TEXT, {"type": "image", "url": "/etc/passwd"}]}], "neither base64|not an image"),
        ([{"role": "user", "content": [TEXT, {"type": "image", "url": ["x"]}]}], "neither base64 nor an address"),
        ([{"role": "user", "content": [{"type": "image", "data": ENCODED}]}], "the prompt is empty"),
        (7, "is a list of"),
    ],
)
async def test_what_is_no_message_is_refused(reader: MessageReader, messages: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        await reader.read(messages)
    assert not list(reader.blobs.root.rglob("??/*"))  # type: ignore[attr-defined]


async def test_a_forged_hash_does_not_count(reader: MessageReader) -> None:
    (message,) = await reader.read([{"role": "user", "content": [TEXT, {"type": "image", "data": ENCODED}]}])
    _, (block,) = split(message.content)
    other = await reader.blobs.put(sample_image("another"))
    forged = {**block, "extras": {**block["extras"], "sha256": other.sha256}}
    (read,) = await reader.read([{"role": "user", "content": [TEXT, forged]}])
    assert own_images(read) == own_images(message)
