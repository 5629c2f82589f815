"""The graph of messages over HTTP, as front ends use it: LangGraph's SDK, agent-chat-ui, Agent Inbox, Studio."""

import asyncio
import base64
import json
import re
import shutil
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from imagerag import ImageRAG, RunRecord
from imagerag.graphs.runs.reindexing import kept_runs
from imagerag.store.blob_references import footprints
from imagerag.store.data_dir import DataDir
from imagerag.tools.testing.fakes import sample_image
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, tiny_png
from tests.server.serving import ROOT, ask, served

HELD = "a red solid heart and a blue split crescent on a mint background"
"""What the painter cannot draw without the library."""


@pytest.fixture
def client(server: str) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=server) as opened:
        yield opened


def said(client: SyncLangGraphClient, thread: str, content: Any, **options: Any) -> dict[str, Any]:
    """The values of a chat after a message; of one that waits, with its interrupt."""
    values = client.runs.wait(thread, "chat", input={"messages": [{"type": "human", "content": content}]}, **options)
    assert isinstance(values, dict)
    return values


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "\n".join(one["text"] for one in content if one["type"] == "text")


def fetched(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:
        data: bytes = answer.read()
    return data


def compared(record: RunRecord) -> Any:
    """A record as it is compared: two processes round similarities differently."""
    return json.loads(json.dumps(record.canonical().as_json()), parse_float=lambda text: round(float(text), 3))


@pytest.mark.timeout(300)
def test_a_message_becomes_the_run_that_the_command_line_makes(
    client: SyncLangGraphClient, server: str, home: Path
) -> None:
    thread = client.threads.create()["thread_id"]
    stream = client.runs.stream(
        thread, "chat", input={"messages": [{"role": "user", "content": HELD}]}, stream_mode=["custom", "values"]
    )
    events = [(part.event, part.data) for part in stream]
    told = [data for event, data in events if event == "custom"]
    assert [one["kind"] for one in told] == ["started", *["step"] * 9, "ended"]
    drawn = [one["image"] for one in told if one["image"]]
    assert [one["partial"] for one in drawn] == [False] * 3
    assert all(one["url"] == f"{server}/images/{one['sha256']}" for one in drawn)
    values = events[-1][1]
    reply = values["messages"][-1]
    image = reply["content"][1]
    assert (reply["type"], image["type"], image["mime_type"]) == ("ai", "image", "image/png")
    assert image["url"] == drawn[-1]["url"]
    assert fetched(image["url"]).startswith(b"\x89PNG")
    assert "**Aligned**" in text_of(reply)
    assert "- ✓ a blue split crescent" in text_of(reply)
    assert "Luna Lamp" in text_of(reply)
    rag = ImageRAG(preset="sketch", home=home)
    record = asyncio.run(rag.runs.get(values["run_id"]))
    assert reply["additional_kwargs"]["imagerag"] == {
        "run_id": record.run_id, "status": "ended", "outcome": "aligned", "image": image["url"][-64:],
    }  # fmt: skip
    again = asyncio.run(rag.generate(HELD, cache="reuse"))
    assert compared(record) == compared(again)
    assert thread not in kept_runs(DataDir(home).checkpoints)
    assert record.run_id in kept_runs(DataDir(home).checkpoints)


@pytest.mark.timeout(300)
def test_a_following_message_goes_on_from_the_run_before(client: SyncLangGraphClient, home: Path) -> None:
    thread = client.threads.create()["thread_id"]
    first = said(client, thread, "a red solid circle", context={"max_rounds": 1})
    second = said(client, thread, "on a mint background")
    assert second["run_id"] != first["run_id"]
    rag = ImageRAG(preset="sketch", home=home)
    record = asyncio.run(rag.runs.get(second["run_id"]))
    assert record.parent_run is not None
    assert record.parent_run.run_id == first["run_id"]
    assert (record.prompt, record.feedback) == ("a red solid circle", ["on a mint background"])
    assert "(your feedback)" in text_of(second["messages"][-1])
    assert [message["type"] for message in second["messages"]] == ["human", "ai", "human", "ai"]


@pytest.mark.timeout(300)
def test_images_of_a_message_are_subjects_and_in_no_checkpoint(
    client: SyncLangGraphClient, server: str, home: Path
) -> None:
    thread = client.threads.create()["thread_id"]
    data = sample_image("mine")
    encoded = base64.b64encode(data).decode()
    block = {"type": "image", "mimeType": "image/png", "data": encoded, "metadata": {"name": "my mug.png"}}
    values = said(client, thread, [{"type": "text", "text": "my mug and a red solid circle"}, block])
    sent = values["messages"][0]["content"][1]
    assert sent["url"].startswith(f"{server}/images/")
    assert fetched(sent["url"]) == data
    rag = ImageRAG(preset="sketch", home=home)
    record = asyncio.run(rag.runs.get(values["run_id"]))
    own = record.attempts[0].references[0]
    assert (own.role, own.concept, own.image.sha256) == ("subject", "my mug", sent["url"][-64:])
    seen = json.dumps([client.threads.get_state(thread), client.threads.get_history(thread, limit=100)])
    pieces = [encoded[at : at + 60] for at in (0, len(encoded) // 2)]
    assert not [piece for piece in pieces if piece in seen]
    assert own.image.sha256 in footprints(DataDir(home))[thread].blobs
    with closing(sqlite3.connect(DataDir(home).checkpoints)) as connection:
        rows = connection.execute("SELECT length(checkpoint) FROM checkpoints WHERE thread_id = ?", (thread,))
        assert max(size for (size,) in rows) < 16_000
    # The address that the message has now is an image for the next one, and so is an upload.
    uploaded = ask(f"{server}/images", data)
    again = said(
        client, thread, [{"type": "text", "text": "my mug"}, {"type": "image_url", "image_url": {"url": sent["url"]}}]
    )
    assert again["messages"][2]["content"][1]["extras"] == {**uploaded, "name": ""}


IGNORED = [{"type": "ignore", "args": None}]
ANSWERS: list[Any] = [
    [{"type": "accept", "args": None}],
    [{"type": "edit", "args": {"action": "choose_references", "args": {"references": "1"}}}],
    [{"type": "response", "args": "1"}],
    {"decisions": [{"type": "approve"}]},
]
"""What agent-chat-ui and Agent Inbox send for the first reference."""


@pytest.mark.timeout(300)
def test_choosing_by_hand_with_every_form_of_answer(client: SyncLangGraphClient, home: Path) -> None:
    rag = ImageRAG(preset="sketch", home=home)
    for answer in [*ANSWERS, IGNORED]:
        thread = client.threads.create()["thread_id"]
        options = {"select": True, "start": "retrieve", "max_rounds": 0}
        waiting = said(client, thread, "an orange split flower", context=options)
        question = waiting["__interrupt__"][0]["value"]
        assert question["action_request"] == {"action": "choose_references", "args": {"references": "1", "edit": ""}}
        assert set(question["config"]) == {"allow_accept", "allow_edit", "allow_respond", "allow_ignore"}
        assert all(question["config"].values())
        assert "Flora Pin" in question["description"]
        assert waiting["messages"][-1]["type"] == "ai"  # front ends show the interrupt below it
        if answer is ANSWERS[0]:
            wrong = client.runs.wait(thread, "chat", command={"resume": [{"type": "response", "args": "7 of them"}]})
            again = wrong["__interrupt__"][0]["value"]  # type: ignore[call-overload, index]
            assert "numbers from 1 to" in again["problem"]
            assert again["description"].startswith("**Not taken:")
            assert "**Not taken:**" in text_of(wrong["messages"][-1])  # type: ignore[call-overload, index]
        done = client.runs.wait(thread, "chat", command={"resume": answer})
        assert isinstance(done, dict)
        record = asyncio.run(rag.runs.get(done["run_id"]))
        chosen = [one.selected_by for attempt in record.attempts for one in attempt.references]
        assert chosen == ([] if answer is IGNORED else ["by_hand"])
        assert record.status == "ended"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is what the document types")
@pytest.mark.timeout(300)
def test_the_assistant_of_the_document_chooses_by_hand(
    client: SyncLangGraphClient, server: str, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "how-to" / "front-ends.md").read_text("utf-8")
    (block,) = re.findall(r"```bash\n(.*?)```", page, re.S)
    subprocess.run(["bash", "-ec", block.replace("http://127.0.0.1:2024", server)], cwd=tmp_path, check=True)
    assistant = json.loads((tmp_path / "assistant.json").read_text())["assistant_id"]
    thread = client.threads.create()["thread_id"]
    question = {"messages": [{"role": "user", "content": HELD}]}
    waiting = client.runs.wait(thread, assistant, input=question)
    assert "Luna Lamp" in waiting["__interrupt__"][0]["value"]["description"]  # type: ignore[call-overload, index]


@pytest.mark.timeout(300)
def test_words_answer_an_open_question(client: SyncLangGraphClient) -> None:
    thread = client.threads.create()["thread_id"]
    waiting = said(client, thread, "an orange split flower", context={"select": True, "start": "retrieve"})
    asked = said(client, thread, "what are these?")["__interrupt__"][0]["value"]
    assert "'what are these?' are not numbers" in asked["problem"]
    done = said(client, thread, "1")
    assert done["run_id"] == waiting["run_id"]
    assert "**Aligned**" in text_of(done["messages"][-1])


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "messages of a person"),
        ([{"role": "user", "content": "  "}], "the prompt is empty"),
        ([{"role": "assistant", "content": "a red circle"}], "messages of a person"),
        ([{"content": "a red circle"}], "is a list of"),
        ([{"role": "user", "content": "a" * 40_000}], "at most 32000"),
        ([{"type": "image", "data": "AAAA"}], "not an image"),
        ([{"type": "image", "data": "no base64!"}], "neither base64"),
        ([{"type": "image"}], "neither base64 nor an address"),
        ([{"type": "image", "url": "https://images.example.org/cat.png"}], "addresses are not fetched"),
        ([{"type": "image", "url": f"/images/{'0' * 64}"}], "POST /images"),
        ([{"type": "file", "mimeType": "application/pdf", "data": "AAAA"}], "text and images"),
        ([{"type": "image", "data": "AAAA"}] * 17, "17 images are too many"),
    ],
)
def test_a_message_that_cannot_be_is_refused(
    client: SyncLangGraphClient, server: str, messages: list[Any], told: str
) -> None:
    if messages and "type" in messages[0]:
        messages = [{"role": "user", "content": [{"type": "text", "text": "a red circle"}, *messages]}]
    thread = client.threads.create()["thread_id"]
    run = {"assistant_id": "chat", "input": {"messages": messages}}
    answer = ask(f"{server}/threads/{thread}/runs/wait", run)
    assert answer["__error__"]["error"] == "UsageError"
    assert told in answer["__error__"]["message"]
    assert not client.threads.get_state(thread)["values"]


def test_studio_is_told_where_an_option_belongs(client: SyncLangGraphClient) -> None:
    schemas = {}
    for one in client.assistants.search():
        schemas[one["graph_id"]] = client.assistants.get_schemas(one["assistant_id"])
    nodes = {one["id"] for one in client.assistants.get_graph("imagerag")["nodes"]}
    options = schemas["imagerag"]["context_schema"]["properties"]  # type: ignore[index]
    assert options["threshold"]["langgraph_nodes"] == ["retrieve", "shortlist"]
    assert all(set(option.get("langgraph_nodes", [])) <= nodes for option in options.values())
    assert all(option["description"] for option in options.values())
    chat = schemas["chat"]["context_schema"]["properties"]  # type: ignore[index]
    assert chat.keys() == options.keys()
    assert all(option["langgraph_nodes"] == ["draw"] for option in chat.values())
    assert schemas["chat"]["input_schema"]["properties"]["messages"]["langgraph_type"] == "messages"  # type: ignore[index]


@pytest.mark.timeout(300)
def test_the_graph_of_runs_tells_its_steps_too(client: SyncLangGraphClient, server: str) -> None:
    thread = client.threads.create()["thread_id"]
    stream = client.runs.stream(thread, "imagerag", input={"prompt": "a red solid circle"}, stream_mode="custom")
    told = [part.data for part in stream if part.event == "custom"]
    assert [(one["kind"], one["node"]) for one in told] == [
        ("step", "generate"),
        ("step", "critique"),
        ("step", "finish"),
    ]
    assert {one["run_id"] for one in told} == {thread}
    image = told[0]["image"]
    assert fetched(image["url"]).startswith(b"\x89PNG")
    assert [one["image"] for one in told[1:]] == [None, None]


@pytest.fixture(scope="module")
def services() -> Iterator[MockOpenAIServer]:
    """The models of the second server."""
    with MockOpenAIServer() as loopback:
        yield loopback
    assert loopback.errors == []


@pytest.fixture(scope="module")
def drawing_server(services: MockOpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose generator sends partial images, reached under a name of its own, that fetches addresses."""
    variables = {
        "IMAGERAG_PRESET": "openai",
        "IMAGERAG_GENERATOR": f"openai:gpt-image-2@{services.base_url}",
        "IMAGERAG_JUDGE": f"openai:m@{services.base_url}",
        "IMAGERAG_PUBLIC_URL": "https://images.example.org/",
        "IMAGERAG_ALLOW_URLS": "1",
    }
    with served(tmp_path_factory.mktemp("drawing") / "home", **variables) as address:
        yield address


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("graph", "given"),
    [("imagerag", {"prompt": "a heart"}), ("chat", {"messages": [{"role": "user", "content": "a heart"}]})],
)
def test_partial_images_are_events_with_addresses_and_no_bytes(
    drawing_server: str, services: MockOpenAIServer, graph: str, given: dict[str, Any]
) -> None:
    partials = (tiny_png(f"one {graph}"), tiny_png(f"two {graph}"))
    services.enqueue("images.generate", MockResponse(images=(tiny_png(f"done {graph}"),), partials=partials))
    context = {"partial_images": 2, "max_rounds": 0}
    with get_sync_client(url=drawing_server) as client:
        thread = client.threads.create()["thread_id"]
        parts = list(client.runs.stream(thread, graph, input=given, context=context, stream_mode=["custom", "updates"]))
    told = [part.data for part in parts if part.event == "custom"]
    progress = [one for one in told if one["kind"] == "progress"]
    assert [(one["node"], one["step"], one["of"], one["text"]) for one in progress] == [
        ("generate", 1, 2, "draw: step 1 of 2"), ("generate", 2, 2, "draw: step 2 of 2"),
    ]  # fmt: skip
    assert [one["image"]["partial"] for one in progress] == [True, True]
    for one, data in zip(progress, partials, strict=True):
        sha256 = one["image"]["sha256"]
        assert one["image"]["url"] == f"https://images.example.org/images/{sha256}"
        assert fetched(f"{drawing_server}/images/{sha256}") == data
    seen = json.dumps([part.data for part in parts])
    assert not [data for data in partials if base64.b64encode(data)[:40].decode() in seen]


def test_an_address_is_fetched_where_the_server_allows_it(drawing_server: str) -> None:
    """It is a private one, which no policy allows: so the message is the fetcher's own."""
    block = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/cat.png"}}
    content = [{"type": "text", "text": "a heart"}, block]
    run = {"assistant_id": "chat", "input": {"messages": [{"role": "user", "content": content}]}}
    assert "127.0.0.1" in ask(f"{drawing_server}/runs/wait", run)["__error__"]["message"]


@pytest.mark.timeout(300)
def test_what_models_say_word_by_word_is_no_message(drawing_server: str, services: MockOpenAIServer) -> None:
    asked = services.count()
    with get_sync_client(url=drawing_server) as client:
        thread = client.threads.create()["thread_id"]
        given = {"messages": [{"role": "user", "content": "a heart"}]}
        options = {"max_rounds": 0, "seed": 7}
        stream = client.runs.stream(thread, "chat", input=given, context=options, stream_mode=["messages-tuple"])
        told = [part.data[0] for part in stream if part.event == "messages"]
    assert services.count() > asked + 1  # drawn and judged
    assert [(one["type"], one["id"][-6:]) for one in told] == [("ai", "-reply")]


@pytest.mark.timeout(300)
def test_a_run_that_is_cancelled_is_recorded_so_and_the_chat_goes_on(
    drawing_server: str, services: MockOpenAIServer
) -> None:
    services.enqueue("images.generate", MockResponse(delay_s=60), MockResponse(images=(tiny_png("after"),)))
    with get_sync_client(url=drawing_server) as client:
        thread = client.threads.create()["thread_id"]
        asked = services.count()
        run = client.runs.create(thread, "chat", input={"messages": [{"role": "user", "content": "a boat"}]})
        while services.count() == asked:
            time.sleep(0.05)
        client.runs.cancel(thread, run["run_id"], wait=True)
        done = said(client, thread, "a ship", context={"max_rounds": 0})
    assert [message["type"] for message in done["messages"]] == ["human", "human", "ai"]
    assert "write what is to be different" in text_of(done["messages"][-1])
