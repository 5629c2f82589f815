"""The lists of origins and hosts, as they are set up in the environment; the server itself is in `tests/server`."""

import json
from typing import Any

import pytest
from starlette.types import Scope

from imagerag.graphs.configuration.origin_guard import AllowedOrigins, OriginGuard

VARIABLES = ("CORS_CONFIG", "LANGGRAPH_HTTP", "CORS_ALLOW_ORIGINS", "IMAGERAG_ALLOWED_HOSTS")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def scope(method: str = "GET", **headers: str) -> Scope:
    sent = {"host": "127.0.0.1:2024", **{name.replace("_", "-"): value for name, value in headers.items()}}
    listed = [(name.encode(), value.encode()) for name, value in sent.items()]
    return {"type": "http", "scheme": "http", "method": method, "root_path": "", "headers": listed}


def allows(**headers: str) -> bool:
    return not AllowedOrigins.from_environment().why_not(scope(**headers))


def test_without_any_list_no_page_but_its_own_is_answered() -> None:
    assert allows()
    assert allows(origin="http://127.0.0.1:2024")
    for origin in ("https://smith.langchain.com", "http://127.0.0.1:3000", "https://127.0.0.1:2024", "null", ""):
        assert not allows(origin=origin)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LANGGRAPH_HTTP", json.dumps({"cors": {"allow_origins": ["https://app.example/"]}})),
        ("LANGGRAPH_HTTP", json.dumps({"cors": {"allow_origin_regex": r"https://app\.example"}})),
        ("CORS_CONFIG", json.dumps({"allow_origins": ["https://app.example"]})),
        ("CORS_ALLOW_ORIGINS", "https://other.example, https://app.example"),
        ("CORS_ALLOW_ORIGINS", "*"),
    ],
)
def test_pages_are_listed_where_the_server_reads_them(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert allows(origin="https://app.example")
    assert allows(sec_fetch_site="cross-site", sec_fetch_dest="image", referer="https://app.example/page")
    if value != "*":
        assert not allows(origin="https://app.example.evil.example")
        assert not allows(sec_fetch_site="cross-site", sec_fetch_dest="image", referer="https://evil.example/")


def test_further_hosts_are_listed_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not allows(host="pictures.lan:2024")
    monkeypatch.setenv("IMAGERAG_ALLOWED_HOSTS", "Pictures.lan, 192.168.1.7 [fd00::7]:2024")
    for host in ("pictures.lan", "pictures.lan:80", "192.168.1.7:2024", "[fd00:0::7]:99", "localhost"):
        assert allows(host=host)
    assert not allows(host="192.168.1.8")


def test_two_hosts_or_none_are_not_answered() -> None:
    allowed = AllowedOrigins()
    two = scope()
    two["headers"] = [*two["headers"], (b"host", b"evil.example")]
    none = scope()
    none["headers"] = []
    assert allowed.why_not(two)
    assert allowed.why_not(none)


def test_a_followed_link_is_no_page_of_another_site() -> None:
    followed = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert allows(**followed)
    assert not allows(**followed, method="POST")
    assert not allows(**followed | {"sec_fetch_dest": "iframe"})
    assert allows(sec_fetch_site="none")
    assert allows(sec_fetch_site="same-origin")


async def test_a_websocket_is_judged_too_and_the_servers_own_requests_are_not() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def send(message: Any) -> None:
        seen.append(message["type"])

    async def receive() -> Any:
        raise AssertionError

    guard = OriginGuard(app, AllowedOrigins())
    foreign = scope(origin="https://evil.example")
    await guard({**foreign, "type": "websocket"}, receive, send)
    await guard(foreign, receive, send)
    assert seen == ["websocket.close", "http.response.start", "http.response.body"]
    await guard({**foreign, "root_path": "/noauth"}, receive, send)
    await guard({"type": "lifespan"}, receive, send)
    assert seen[3:] == ["http", "lifespan"]
