"""Many MCP clients at once against one server process and a provider on this machine; some of them vanish.

6 clients for a few seconds here; `STORM=full python -m pytest -s` on this file makes it 20 for two
minutes and prints what happened and how much memory the server held.
"""

import asyncio
import os
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp import Client

from imagerag import ImageRAG
from imagerag.agent.errors import UnknownRunError
from imagerag.agent.types import Outcome
from imagerag.graphs.runs.records import read_record
from imagerag.store.run_index import RunEntry
from imagerag.tools.testing.mock_openai import MockOpenAIServer

MODES = ("legacy", "2026-07-28")
WORDS = "a boat under a blue star"


async def one_client(url: str, number: int, until: float, told: Counter[str], ids: list[str]) -> None:
    """Draws, starts, asks and cancels until time is up; every answer must have a name."""
    async with Client(url, mode=MODES[number % 2]) as client:
        turn = 0
        while time.monotonic() < until:
            turn += 1
            asked = {"prompt": f"{WORDS} {number} {turn}", "max_rounds": 1}
            if turn % 3:
                answer = await client.call_tool("generate_image", asked)
            else:
                begun = await client.call_tool("start_image", asked)
                run_id = begun.structured_content["run_id"]
                if turn % 2:
                    await client.call_tool("cancel_run", {"run_id": run_id})
                answer = await client.call_tool("run_result", {"run_id": run_id, "wait_s": 50})
            report = answer.structured_content
            assert report, answer.content[0].text
            told[str(report["outcome"])] += 1
            ids.append(report["run_id"])


async def one_that_vanishes(url: str, number: int) -> None:
    """Begins a call and a run, and is gone in the middle of both, without a word."""
    async with Client(url, mode=MODES[number % 2]) as client:
        await client.call_tool("start_image", {"prompt": f"{WORDS} left behind {number}"})
        call = asyncio.create_task(client.call_tool("generate_image", {"prompt": f"{WORDS} given up {number}"}))
        await asyncio.sleep(0.2)
        call.cancel()


@pytest.mark.timeout(600)
async def test_many_clients_at_once(storm: Any, tmp_path: Path) -> None:
    clients, seconds = (20, 120.0) if storm.full else (6, 4.0)
    with MockOpenAIServer(storm.answer, latency_s=0.05) as provider:
        process, url = await serve(tmp_path, provider.base_url)
        server, memory = psutil.Process(process.pid), list[int]()
        told, ids = Counter[str](), list[str]()
        until = time.monotonic() + seconds
        try:
            watch = asyncio.create_task(watched(server, memory, seconds / 12))
            async with asyncio.timeout(seconds + 120):
                await asyncio.gather(*(one_client(url, n, until, told, ids) for n in range(clients)))
                await asyncio.gather(*(one_that_vanishes(url, n) for n in range(4)))
            await all_ended(tmp_path, within_s=60)  # when the lease of what the vanished began is over
            watch.cancel()
            count = provider.count()
            await asyncio.sleep(1)  # twenty answers' time
            assert provider.count() == count, "somebody still spends"
        finally:
            process.terminate()
            errors = (await process.communicate())[1].decode()
            print(errors)
        assert provider.errors == []
    runs = await ImageRAG(home=tmp_path).runs.list(None)
    half = memory[len(memory) // 2 :]
    print(f"\n{clients} clients, {seconds:g} s: {sum(told.values())} answers {dict(told)}; {count} provider requests")
    print(f"{len(runs)} runs on record, {dict(Counter(str(run.outcome) for run in runs))}")
    print(f"server RSS in MB: {[size >> 20 for size in memory]}")
    assert "Traceback" not in errors, errors
    assert set(told) <= {str(outcome) for outcome in Outcome}
    assert len(ids) == len(set(ids)) == sum(told.values())
    assert all(run.status == "ended" and run.outcome for run in runs)
    assert max(half) - min(half) < 64 << 20, "memory grows"


async def all_ended(home: Path, *, within_s: float) -> None:
    """Wait until every run is listed as ended, and name those that are not, with what their records say."""
    rag, until = ImageRAG(home=home), time.monotonic() + within_s
    while going := [run for run in await rag.runs.list(None) if run.status != "ended"]:
        if time.monotonic() > until:
            pytest.fail(f"not ended after {within_s:g} s:\n" + "\n".join([await standing(rag, run) for run in going]))
        await asyncio.sleep(0.1)


async def standing(rag: ImageRAG, run: RunEntry) -> str:
    """A run that is not listed as ended, in one line."""
    try:
        found = await read_record(rag.dependencies, run.run_id)
        record = f"{found.status} {found.outcome}, calls {found.calls}"
    except UnknownRunError as error:
        record = str(error)
    made = "is" if await rag.runs.is_under_way(run.run_id) else "is not"
    return f"{run.run_id} {run.prompt!r}: listed as {run.status}, record: {record}; it {made} being made"


async def watched(server: psutil.Process, memory: list[int], every_s: float) -> None:
    while True:
        memory.append(server.memory_info().rss)
        await asyncio.sleep(every_s)


async def serve(home: Path, provider: str) -> tuple[asyncio.subprocess.Process, str]:
    """A server process on a free port, and where it listens."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "imagerag",
            "mcp",
            "--http",
            "--port",
            "0",
            "--idle-timeout-s",
            "2",
            "--max-concurrency",
            "8",
        ),
        *("--preset", "openai", "--generator", f"localai:m@{provider}", "--judge", f"openai:m@{provider}"),
        env={**os.environ, "IMAGERAG_HOME": str(home), "OPENAI_API_KEY": "sk-none"},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=home,
    )
    assert process.stderr
    async with asyncio.timeout(60):
        line = (await process.stderr.readline()).decode()
    found = re.search(r"http://\S+", line)
    assert found, line
    return process, found[0]
