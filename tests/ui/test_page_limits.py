"""What the page may spend, read and have called, and how much at once."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagerag import ImageRAG
from imagerag.assistants.tool_result import RunLimits
from imagerag.files.access_policy import InputPolicy
from imagerag.graphs.runs.events import RunEvent
from imagerag.ui.app import make_app
from imagerag.ui.guard import CSRF_HEADER, csrf_token
from imagerag.ui.pages.run import FOLLOWERS
from imagerag.ui.run_tasks import MOST
from imagerag.ui.state import UiState
from tests.conftest import copied
from tests.ui.conftest import client_of


@pytest.fixture(scope="module")
def rag(sketch_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRAG]:
    home = copied(sketch_home, tmp_path_factory.mktemp("limits") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGERAG_HOME", str(home))
        patch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef")
        yield ImageRAG(preset="sketch", home=home)


@pytest.fixture
def state(rag: ImageRAG) -> UiState:
    return UiState(rag=rag)


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({"generator": "openai:gpt-image-1@http://127.0.0.1:9/v1"}, "“Generator”"),
        ({"judge": "transformers:/etc/model"}, "“Judge”"),
        ({"library": "web:openverse"}, "search service"),
        ({"library": "pgvector:mine"}, "library of an installed package"),
        ({"seed": -1}, "Seed"),
        ({"seed": "many"}, "Seed"),
        ({"nonsense": 1}, "nonsense"),
        ({"mask": "../../etc/passwd"}, "Mask"),
        ({"images": [{"sha256": "0" * 64}]}, "0000"),
        ({"images": [{"sha256": "0" * 64, "library": "nowhere"}]}, "nowhere"),
        ({"images": [{"sha256": "0" * 64, "use": "edit"}] * 2}, "one image only"),
        ({"images": [{"sha256": "0" * 64}] * 17}, "images"),
        ({"prompt": " "}, "prompt is empty"),
    ],
)
async def test_what_the_page_may_not_name_is_refused_by_name(state: UiState, sent: dict[str, Any], named: str) -> None:
    for path in ("/runs", "/estimate"):
        answer = await client_of(state).post(path, json={"prompt": "a red circle", **sent})
        if path == "/runs" or "prompt" not in sent:
            assert answer.status_code in (400, 404), answer.text
            assert named in answer.json()["message"]
    assert state.tasks.active == []


async def test_a_run_is_within_the_limits_of_the_server(state: UiState) -> None:
    state.limits = RunLimits(max_rounds=1, max_calls=5, max_cost_usd=0.5, deadline_s=60)
    sent = {"prompt": "a red circle", "max_rounds": 9, "max_calls": 99, "max_cost_usd": 9, "deadline_s": 900}
    run = (await client_of(state).post("/runs", json=sent)).json()
    task = state.tasks.get(run["run_id"])
    assert task is not None
    while not task.ended:
        await task.change(task.changes, within_s=1)
    setup = (await state.rag.runs.get(run["run_id"])).setup
    assert setup is not None
    config = setup.config
    assert (config.max_rounds, config.max_calls, config.max_cost_usd, setup.deadline_s) == (1, 5, 0.5, 60)
    refused = await client_of(state).post("/runs", json={"prompt": "a", "assume_cost_usd_per_call": 0.000001})
    assert "unknown price" in refused.json()["message"]
    # A run that comes from this one is within them, too.
    for way in ("continue", "fork"):
        steer = {"assume_cost_usd_per_call": 0.000001, **({"step": 1} if way == "fork" else {})}
        for address in (way, f"{way}/estimate"):
            refused = await client_of(state).post(f"/runs/{run['run_id']}/{address}", json=steer)
            assert "unknown price" in refused.json()["message"], address


@pytest.mark.parametrize(("library", "searched"), [("", None), (None, "sketch"), ("sketch", "sketch")])
async def test_no_library_is_a_choice_too(state: UiState, library: str | None, searched: str | None) -> None:
    run = (await client_of(state).post("/runs", json={"prompt": "a red circle", "library": library})).json()
    task = state.tasks.get(run["run_id"])
    assert task is not None
    while not task.ended:
        await task.change(task.changes, within_s=1)
    setup = (await state.rag.runs.get(run["run_id"])).setup
    assert setup is not None
    assert setup.library == searched


async def test_a_run_that_was_begun_with_more_is_not_resumed_here(state: UiState) -> None:
    record = await state.rag.generate(
        "a teal checkered crescent and a red solid circle", select=True, start="retrieve", threshold="off"
    )
    assert record.status == "interrupted"
    state.limits = RunLimits(max_calls=2)
    answer = await client_of(state).post(f"/runs/{record.run_id}/resume", json={"choose": []})
    assert "“Calls at most” 2" in answer.json()["message"]


@pytest.mark.parametrize("source", ["/etc/passwd", "../outside.png", "outside.png", "https://example.org/a.png"])
async def test_files_outside_of_the_roots_and_addresses_are_not_read(
    state: UiState, tmp_path: Path, source: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "outside.png")
    Image.new("RGB", (8, 8)).save(root / "inside.png")
    (root / "outside.png").symlink_to(tmp_path / "outside.png")
    state.inputs = InputPolicy.of([root])
    refused = await client_of(state).post("/images/named", json={"source": source})
    assert refused.status_code == 400
    assert str(tmp_path / "outside") not in refused.text
    taken = await client_of(state).post("/images/named", json={"source": "inside.png"})
    assert (taken.status_code, taken.json()["width"]) == (201, 8)


async def test_bodies_and_runs_under_way_are_limited(state: UiState) -> None:
    refused = await client_of(state).post("/runs", content=b" " * 2_000_000)
    assert refused.json()["message"] == "at most 1.0 MB are read"
    assert (await client_of(state).post("/images", content=b"no image")).status_code == 400
    whole = io.BytesIO()
    Image.new("RGB", (20, 10)).save(whole, "PNG")
    assert (await client_of(state).post("/images", content=whole.getvalue())).json()["height"] == 10

    async def never() -> AsyncIterator[RunEvent]:
        await asyncio.Event().wait()
        yield

    for number in range(MOST):
        state.tasks.start(f"run-{number}", never())  # type: ignore[arg-type]
    answer = await client_of(state).post("/runs", json={"prompt": "one more"})
    assert "runs are under way" in answer.json()["message"]
    state.followers = FOLLOWERS
    assert (await client_of(state).get("/runs/run-0/events")).status_code == 503
    await state.tasks.close()


async def test_a_run_that_is_not_made_here_is_not_stopped_here(state: UiState) -> None:
    record = await state.rag.generate("a red circle", max_rounds=0)
    answer = await client_of(state).post(f"/runs/{record.run_id}/stop")
    assert (answer.status_code, "another process" in answer.json()["message"]) == (400, True)


@pytest.mark.parametrize(
    "address",
    [
        "/runs?until=9999-12-31",
        "/runs?since=0001-01-01",
        "/runs?after=x&after_created=0001-01-01T00:00:00%2B14:00",
        "/runs?after=x&after_created=9999-12-31T23:59:59-14:00",
        f"/batches?part=1&folder={{home}}&first={'9' * 30}",
        f"/batches?folder={{home}}&first={'9' * 5000}",
    ],
)
async def test_numbers_and_days_at_the_edge_are_no_failure_of_the_server(state: UiState, address: str) -> None:
    answer = await client_of(state).get(address.format(home=state.rag.dependencies.home.root))
    assert answer.status_code in (200, 400), answer.text


async def test_what_nobody_foresaw_is_answered_and_said(state: UiState, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise KeyError("nobody foresaw it")

    monkeypatch.setattr(type(state.rag.runs), "list", broken)
    async with client_of(state, raise_app_exceptions=False) as browser:
        script = await browser.get("/runs")
        person = await browser.get("/runs", headers={"accept": "text/html", "accept-language": "de"})
    assert (script.status_code, person.status_code) == (500, 500)
    assert script.json()["message"] == "The server failed (KeyError); its log says more."
    assert "Der Server ist gescheitert (KeyError)" in person.text


async def test_an_upload_that_breaks_off_is_no_failure_of_the_server(
    state: UiState, caplog: pytest.LogCaptureFixture
) -> None:
    app, heard = make_app(state), []
    received = iter([{"type": "http.request", "body": b"abc", "more_body": True}, {"type": "http.disconnect"}])
    headers = [(b"host", b"127.0.0.1:8770"), (CSRF_HEADER.encode(), csrf_token(state).encode())]
    scope = {"type": "http", "method": "POST", "path": "/images", "headers": headers, "query_string": b""}

    async def receive() -> Any:
        return next(received)

    async def send(message: Any) -> None:
        heard.append(message["type"])

    await app(scope, receive, send)
    assert heard[0] == "http.response.start"
    assert not caplog.records
