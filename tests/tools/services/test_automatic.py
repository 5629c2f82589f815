"""`auto`: which backend it takes and why, what it takes when that one fails, and what a run's record keeps of it."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args

import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import SpecError
from imagerag.assistants.run_text import format_run
from imagerag.cli.run_text import summary
from imagerag.evals.harness.arms import parse_arms
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.description_options import DescribeOptions
from imagerag.store.data_dir import DataDir
from imagerag.tools import automatic, registry
from imagerag.tools.automatic import AUTO, ORDER, AutoRole, choose, expanded, reason_of
from imagerag.tools.local_servers import local_servers_now, seeing
from imagerag.tools.services.table import SERVICES
from imagerag.tools.testing.mock_openai import DefaultResponder, Fault, MockOpenAIServer
from tests.tools.wire import ALIGNED

LOCAL = [one for one in SERVICES.values() if not one.key_required]
TAGS = {
    "models": [
        {"name": "nomic-embed-text:latest", "capabilities": ["embedding"]},
        {"name": "gpt-oss:20b", "capabilities": ["completion", "tools"]},
        {"name": "qwen3-vl:8b", "capabilities": ["completion", "vision"]},
        {"name": "gemma3:4b", "capabilities": ["completion", "vision"]},
    ]
}


@pytest.fixture(autouse=True)
def nothing_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no server on the ports of the local ones, and no earlier choice."""
    monkeypatch.setattr(automatic, "_CHOSEN", {})
    others = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "GEMINI_API_KEY", "GOOGLE_API_KEY", "HTTP_PROXY", "http_proxy")
    for name in (*others, *(name for one in SERVICES.values() for name in (*one.keys, one.address_variable) if name)):
        monkeypatch.delenv(name, raising=False)
    for one in LOCAL:
        monkeypatch.setitem(SERVICES, one.name, replace(one, address="http://127.0.0.1:9/v1"))  # type: ignore[arg-type]


@contextmanager
def listing(pages: Mapping[str, bytes | None]) -> Iterator[str]:
    """A server whose pages are these; None never ends. Gives its address."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = pages.get(self.path, b"")
            self.send_response(200 if self.path in pages else 404)
            self.send_header("Content-Length", str(len(found) if found is not None else 10))
            self.end_headers()
            if found is None:
                over.wait(10)
            else:
                with suppress(OSError):
                    self.wfile.write(found)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def place(monkeypatch: pytest.MonkeyPatch, name: str, address: str) -> None:
    monkeypatch.setitem(SERVICES, name, replace(SERVICES[name], address=address))  # type: ignore[arg-type]


def test_nothing_there_is_an_error_that_lists_what_was_looked_for() -> None:
    for role in get_args(AutoRole):
        with pytest.raises(SpecError) as caught:
            choose(role)
        message = str(caught.value)
        assert message.startswith(f"auto finds no {role}: no key is set (OPENAI_API_KEY, ")
        for one in SERVICES.values():
            assert one.name == "azure" or all(key in message for key in (one.keys if one.key_required else ()))
        assert message.count("http://127.0.0.1:9/v1 does not answer") == len(LOCAL)
        assert f"`{role}=SPEC`" in message


@pytest.mark.parametrize("name", [name for name in ORDER if name in SERVICES and SERVICES[name].key_required])
def test_the_first_whose_key_is_set_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = SERVICES[name].keys[-1]
    monkeypatch.setenv(variable, "k")
    found = choose("judge")
    assert found.spec == f"{name}:{SERVICES[name].judge}"
    assert found.reason == f"auto is {found.spec} ({variable} is set)"
    assert expanded("judge", AUTO) == registry.make_judge(found.spec).identity == found.spec
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert choose("judge").spec.startswith("openai:gpt-5.6-terra")


def test_those_after_the_first_are_the_ones_with_a_known_price(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XAI_API_KEY", "GROQ_API_KEY", "HF_TOKEN", "OLLAMA_API_KEY"):
        monkeypatch.setenv(variable, "k")
    with listing({"/api/tags": json.dumps(TAGS).encode()}) as address:
        place(monkeypatch, "ollama", address)
        found = choose("judge")
        assert found.spec.split(",") == ["xai:grok-4.3", "groq:qwen/qwen3.8-27b", "ollama:qwen3-vl:8b"]
        assert (
            "if that fails, groq:qwen/qwen3.8-27b (GROQ_API_KEY is set), then ollama:qwen3-vl:8b (http" in found.reason
        )
        judge = registry.make_judge(found.spec)
    most = judge.capabilities.tariff.most(100, 1, None)  # type: ignore[attr-defined]
    assert most is not None
    assert most > 0


@pytest.mark.parametrize(
    ("name", "path", "body", "model"),
    [
        ("ollama", "/api/tags", TAGS, "qwen3-vl:8b"),
        ("ollama", "/api/tags", {"models": [{"name": "mistral:7b"}, {"name": "gemma3:4b"}]}, "gemma3:4b"),
        (
            "lmstudio",
            "/api/v1/models",
            {"models": [{"key": "openai/gpt-oss-20b", "capabilities": {"vision": False}},
                        {"key": "google/gemma-4-e4b", "capabilities": {"vision": True}}]},
            "google/gemma-4-e4b",
        ),
        ("vllm", "/v1/models", {"data": [{"id": "Qwen/Qwen3-VL-8B-Instruct", "object": "model"}]},
         "Qwen/Qwen3-VL-8B-Instruct"),
    ],
)  # fmt: skip
def test_a_local_server_is_taken_with_its_first_model_that_sees_images(
    name: str, path: str, body: object, model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with listing({path: json.dumps(body).encode()}) as address:
        place(monkeypatch, name, address)
        for role in get_args(AutoRole):
            found = choose(role)
            assert (found.spec, found.reason) == (f"{name}:{model}", f"auto is {name}:{model} ({address} answers)")
        dependencies = Dependencies(DataDir(tmp_path))
        made = (dependencies.judge(AUTO), dependencies.answerer(AUTO), dependencies.describer(AUTO))
        assert all(one.identity.startswith(f"{name}:{model}") for one in made)


def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with listing({"/api/tags": None, "/api/v1/models": b"x" * 3_000_000}) as address:
        place(monkeypatch, "ollama", address)
        place(monkeypatch, "lmstudio", address)
        found = {one.service.name: one for one in local_servers_now(0.3)}
    assert (found["ollama"].answers, found["ollama"].detail) == (False, "does not answer within 0.3 s")
    assert found["lmstudio"].models == ()


@pytest.mark.parametrize(
    "text",
    [
        b"", b"no json", b"[" * 100_000, b"[]", b"3", b'{"models": 3}', b'{"models": [3, null, {}]}',
        json.dumps({"models": [{"name": name, "capabilities": ["vision"]} for name in (
            "m,openai:gpt-5.6", "m@https://evil.example/v1", "m?key_env=HOME", "m m", "", "-m", "m" * 300, "m\n", "é")]}
        ).encode(),
    ],
)  # fmt: skip
def test_a_list_of_models_names_nothing_but_models(text: bytes) -> None:
    assert list(seeing(text)) == []


def test_what_is_named_beside_auto_is_used_where_it_finds_nothing_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert expanded("judge", "auto,sketch") == "sketch"
    assert reason_of("sketch") == "auto finds no judge, so what is named beside it is used"
    with pytest.raises(SpecError, match="auto finds no judge"):
        expanded("judge", "auto,on-refusal")
    monkeypatch.setenv("GROQ_API_KEY", "a key")
    both = expanded("judge", "auto,sketch")
    assert both == "groq:qwen/qwen3.8-27b,sketch"
    assert reason_of(both).startswith("auto is groq:qwen/qwen3.8-27b (GROQ_API_KEY is set)")


def test_auto_can_be_one_of_several_and_takes_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "k")
    assert expanded("judge", "auto,clip") == expanded("judge", "Auto,clip") == "groq:qwen/qwen3.8-27b,clip"
    assert expanded("judge", "openai:auto-model") == "openai:auto-model"
    for spec in ("auto:m", "auto?votes=3", "auto@http://127.0.0.1:9/v1"):
        with pytest.raises(SpecError, match="auto chooses the model itself"):
            expanded("judge", spec)


async def test_a_spent_quota_goes_to_the_next_and_the_run_keeps_what_was_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    responder = DefaultResponder(text=lambda request: ALIGNED)
    with MockOpenAIServer(responder) as spent, MockOpenAIServer(responder) as next_one:
        spent.enqueue("chat", *[Fault(kind="quota")] * 8)
        place(monkeypatch, "xai", spent.base_url)
        place(monkeypatch, "groq", next_one.base_url)
        monkeypatch.setenv("XAI_API_KEY", "k-1")
        monkeypatch.setenv("GROQ_API_KEY", "k-2")
        rag = ImageRAG(preset="sketch", judge=AUTO, library="", home=tmp_path)
        record = await rag.generate("a red circle")
        setup = record.setup
        assert setup is not None
        assert (record.outcome, setup.judge) == ("aligned", "xai:grok-4.3,groq:qwen/qwen3.8-27b")
        assert record.warnings[0].startswith("judge auto is xai:grok-4.3 (XAI_API_KEY is set); if that fails, groq:")
        judged = [call for call in record.call_log if call.role.startswith("judge.critique")]
        assert {call.backend for call in judged} == {"groq:qwen/qwen3.8-27b"}
        assert all("QuotaError: xai:grok-4.3" in call.note for call in judged)
        assert next_one.requests
        for told in (" ".join("\n".join(summary(record)).split()), format_run(record)):
            assert "judged by groq:qwen/qwen3.8-27b; QuotaError: xai:grok-4.3" in told, "who judged in place of whom"
        # What is there later does not matter to the run that is there: it asks nobody, and names the same.
        before = len(spent.requests) + len(next_one.requests)
        monkeypatch.setenv("OPENAI_API_KEY", "k-3")
        again = await ImageRAG(preset="sketch", judge=AUTO, home=tmp_path).runs.replay(record.run_id, 1)
        assert again.setup is not None
        assert again.setup.judge == setup.judge
        assert len(spent.requests) + len(next_one.requests) == before


async def test_an_estimate_with_auto_has_the_highest_cost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "k")
    rag = ImageRAG(preset="sketch", judge=AUTO, home=tmp_path)
    found = await rag.estimate("a red circle")
    assert {role.backend for role in found.roles if role.role.startswith("judge")} == {"groq:qwen/qwen3.8-27b"}
    assert found.max_cost_usd is not None
    assert found.expected_cost_usd is not None
    assert 0 < found.expected_cost_usd < found.max_cost_usd / 20
    assert rag.settings.judge == AUTO


def test_only_what_judges_looks_for_a_judge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without any backend, what does not judge works as ever."""
    rag: Any = ImageRAG(preset="sketch", judge=AUTO, home=tmp_path)
    assert rag.runs.list_sync() == []
    with pytest.raises(SpecError, match="auto finds no judge"):
        rag.estimate_sync("a red circle")


def test_answerers_and_describers_are_taken_in_the_same_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "k")
    spec = "groq:qwen/qwen3.8-27b"
    assert ImageRAG(preset="sketch", answerer=AUTO, home=tmp_path).questions.answerer == spec
    assert ImageRAG(preset="sketch", judge=AUTO, home=tmp_path).questions.answerer == spec
    assert DescribeOptions(describe=AUTO).describe == spec
    assert parse_arms(["full+judge=auto"])[0].setup == {"judge": spec}
