"""A home with a run of every outcome, made by the real graph on fakes, and a browser where there is one."""

import asyncio
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import JudgeReplyError, RefusalError
from tests.graphs.conftest import Stage, make_stage
from tests.scripted_runs import scripted_spec

CAPTION = "a detailed picture of a heart"
HOSTILE = "<script>alert(1)</script> \"'><img src=x onerror=alert(2)> &amp; \u202eevil"

RUNS = (
    "aligned",
    "best_effort",
    "no_usable_reference",
    "refused",
    "budget_exhausted",
    "judge_unavailable",
    "failed",
    "cancelled",
    "interrupted",
    "killed",
)
"""The runs of the home, named by how they ended or where they stand."""


async def begin(stage: Stage, name: str, *, prompt: str = "a heart on a hill", until: str = "", **config: Any) -> None:
    """Run to the end, or leave when the node `until` has finished."""
    events = stage.runner.start(prompt, scripted_spec(**config), run_id=name)
    async for event in events:
        if until and event.node == until:
            break
    await events.aclose()


async def make_runs(root: Path) -> Path:
    stage = make_stage(root)
    stage.judge.enqueue(["a hexagon"])
    await begin(stage, "no_usable_reference")
    for place in range(10):
        stage.library.plant(CAPTION, similarity=0.9 - place / 10, title=f"Heart {place} {HOSTILE}")
    stage.judge.enqueue(["a heart"], [])
    await begin(stage, "aligned")
    stage.judge.enqueue(*(["a heart", HOSTILE] for _ in range(4)))
    await begin(stage, "best_effort", prompt=f"a heart, {HOSTILE}")
    stage.generator.enqueue(RefusalError(f"the service refuses: {HOSTILE}"))
    await begin(stage, "refused")
    stage.judge.enqueue(["a heart"])
    await begin(stage, "budget_exhausted", max_calls=2)
    stage.judge.enqueue(*(JudgeReplyError("no JSON", raw=f"I am sorry {HOSTILE}") for _ in range(2)))
    await begin(stage, "judge_unavailable")
    stage.judge.enqueue(ValueError("something broke"))
    await begin(stage, "failed")
    stage.judge.enqueue(["a heart"])
    await begin(stage, "cancelled", until="critique")
    stage.judge.enqueue(["a heart"])
    await begin(stage, "interrupted", select=True)
    stage.judge.enqueue(["a heart"])
    left = replace(stage, runner=replace(stage.runner, left_open=True))
    await begin(left, "killed", until="critique")
    return root


@pytest.fixture(scope="session")
def every_outcome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a run of every outcome, and of every way not to have ended. Read only."""
    return asyncio.run(make_runs(tmp_path_factory.mktemp("every-outcome")))


@pytest.fixture
def rag(every_outcome: Path) -> ImageRAG:
    return ImageRAG(home=every_outcome)


FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


def chromium() -> str | None:
    """A browser of that family, by any of its names."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """A headless browser, driven over its debugging protocol: enough of it to load a page and to ask it things."""

    def __init__(self, program: str, profile: Path) -> None:
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        told = profile / "DevToolsActivePort"
        give_up = time.monotonic() + 60
        while not (told.exists() and told.read_text().count("\n")):
            assert self.process.poll() is None, "the browser did not start"
            assert time.monotonic() < give_up, "the browser opened no port"
            time.sleep(0.05)
        self.port = int(told.read_text().split()[0])

    def look(self, page: Path, *, width: int, dark: bool) -> dict[str, Any]:
        """Load a page at a width in CSS pixels, and say what it is like."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json/list") as answer:
            (tab,) = [tab for tab in json.load(answer) if tab["type"] == "page"]
        return asyncio.run(self._look(tab["webSocketDebuggerUrl"], page, width, dark))

    async def _look(self, tab: str, page: Path, width: int, dark: bool) -> dict[str, Any]:
        from websockets.asyncio.client import connect

        async with connect(tab, max_size=None) as socket:
            session = _Session(socket)
            for domain in ("Page", "Runtime", "Log", "Network"):
                await session.ask(f"{domain}.enable")
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
            await session.ask("Emulation.setDeviceMetricsOverride", **size)
            scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            await session.ask("Emulation.setEmulatedMedia", features=scheme)
            await session.ask("Page.navigate", url=page.as_uri())
            await session.until("Page.loadEventFired")
            asked = await session.ask("Runtime.evaluate", expression=LOOK, returnByValue=True)
            return {**asked["result"]["value"], "events": session.events}

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)


LOOK = """({
  wide: document.documentElement.scrollWidth, room: window.innerWidth,
  paper: getComputedStyle(document.body).backgroundColor,
  broken: [...document.images].filter(i => i.loading !== 'lazy' && !(i.complete && i.naturalWidth)).length,
  over: [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, pre, details:not([open]) > *')
    && e.getBoundingClientRect().right > window.innerWidth + 1).map(e => e.outerHTML.slice(0, 120)),
})"""
"""What is asked of a page: whether it fits, its colour, pictures that do not show, and what sticks out."""


def assert_shown(seen: dict[str, Any], width: int, dark: bool) -> None:
    """What the browser saw fits, follows the colour scheme, complains of nothing, runs and fetches nothing foreign."""
    assert seen["wide"] <= seen["room"] == width
    assert seen["over"] == []
    assert seen["broken"] == 0
    assert seen["paper"] == ("rgb(22, 21, 19)" if dark else "rgb(250, 249, 246)")
    loud = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening")
    assert [told for told in seen["events"] if told["method"] in loud] == []
    asked = [e["params"]["request"]["url"] for e in seen["events"] if e["method"] == "Network.requestWillBeSent"]
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}


class _Session:
    def __init__(self, socket: Any) -> None:
        self.socket, self.number, self.events = socket, 0, []

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        await self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while (told := await self._next()).get("id") != self.number:
            pass
        assert "error" not in told, told
        return told["result"]

    async def until(self, event: str) -> None:
        while not any(told["method"] == event for told in self.events):
            await self._next()

    async def _next(self) -> dict[str, Any]:
        told = json.loads(await asyncio.wait_for(self.socket.recv(), 60))
        if "method" in told:
            self.events.append(told)
        return told


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("no chromium here: apt-get install chromium")
    found = Browser(program, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()
