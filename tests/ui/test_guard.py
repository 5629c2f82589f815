"""Requests under foreign names, from foreign pages, forged, or without the token."""

from pathlib import Path

import httpx
import pytest

from imagerag import ImageRAG
from imagerag.http_server.access import HttpOptions
from imagerag.ui.app import make_app
from imagerag.ui.guard import csrf_token
from imagerag.ui.state import UiState
from tests.conftest import copied

TOKEN = "0123456789abcdefSECRET"


def client(home: Path, **options: object) -> tuple[httpx.AsyncClient, UiState]:
    state = UiState(rag=ImageRAG(preset="sketch", home=home), http=HttpOptions(**options))
    transport = httpx.ASGITransport(make_app(state))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8770"), state


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "127.0.0.1:8791@evil.example"}, 421),
        ({"Host": "[::1]:8770"}, 200),
        ({"Origin": "http://127.0.0.1:8770@evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ({}, 200),
    ],
)
async def test_foreign_names_and_pages_are_refused(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    own, _ = client(tmp_path)
    assert (await own.get("/", headers=headers)).status_code == status


async def test_what_changes_something_needs_the_pages_own_token(tmp_path: Path) -> None:
    own, state = client(tmp_path)
    sent = {"prompt": ""}
    assert (await own.post("/runs", json=sent)).status_code == 403
    assert (await own.post("/runs", json=sent, headers={"x-csrf-token": "x" * 64})).status_code == 403
    answer = await own.post("/runs", json=sent, headers={"x-csrf-token": csrf_token(state)})
    assert answer.status_code == 400  # an empty prompt: it came through


async def test_the_token_is_shown_once_and_a_cookie_stands_for_it(tmp_path: Path) -> None:
    own, _ = client(tmp_path, token=TOKEN)
    asked = await own.get("/runs", headers={"Accept": "text/html"})
    assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=/runs")
    filtered = await own.get("/runs?text=a%20%26%20b", headers={"Accept": "text/html"})
    led = await own.post(filtered.headers["location"], data={"token": TOKEN})
    assert led.headers["location"] == "/runs?text=a%20%26%20b"
    own.cookies.clear()
    assert (await own.get("/runs/x/body")).status_code == 401
    assert (await own.post("/login?next=/runs", data={"token": "wrong"})).status_code == 401
    assert (await own.post("/login?next=/runs", data={"token": "x" * 20_000})).status_code == 400
    entered = await own.post("/login?next=/runs", data={"token": TOKEN})
    assert entered.headers["location"] == "/runs"
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert TOKEN not in entered.headers["set-cookie"]
    assert (await own.get("/runs")).status_code == 200


@pytest.mark.parametrize("after", ["//evil.example", "https://evil.example", "/\\evil.example"])
async def test_nobody_is_led_elsewhere_after_the_token(tmp_path: Path, after: str) -> None:
    own, _ = client(tmp_path, token=TOKEN)
    answer = await own.post("/login", params={"next": after}, data={"token": TOKEN})
    assert answer.headers["location"] == "/"


async def test_every_answer_says_what_a_browser_may_load(sketch_home: Path, tmp_path: Path) -> None:
    own, _ = client(copied(sketch_home, tmp_path / "home"))
    for path in ("/", "/nothing", "/static/app.js", "/images/00"):
        headers = (await own.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
