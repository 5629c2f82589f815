"""`langgraph dev` with `langgraph.json` in a process of its own, and how tests talk to it."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.http_serving import free_port

ROOT = Path(__file__).parents[2]


@contextmanager
def served(home: Path, **variables: str) -> Iterator[str]:
    """The address of a server that raises where anything blocks its event loop, and revives no unknown types.

    Args:
        home: its home; the server keeps its threads beside it, not in the repository.
        variables: further ones of its environment.
    """
    folder, port = home.parent, free_port()
    config = json.loads((ROOT / "langgraph.json").read_text()) | {"dependencies": [str(ROOT)]}
    (folder / "langgraph.json").write_text(json.dumps(config))
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("IMAGERAG_", "LANGSMITH_", "LANGCHAIN_", "OPENAI_"))
    }
    # What would be said to anybody outside goes to a proxy that is not there, and would be in the log as an error.
    nobody = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    told = {
        "IMAGERAG_HOME": str(home),
        "LANGGRAPH_STRICT_MSGPACK": "true",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "NO_COLOR": "1",
        "NO_PROXY": "127.0.0.1",
        **variables,
    }
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            command, cwd=folder, env={**kept, **nobody, **told}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/ok", child, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            child.wait(30)
    said = (folder / "log").read_text("utf-8", "replace")
    assert "Blocking" not in said, said[-5000:]
    assert "ConnectError" not in said, said[-5000:]
    for entry in re.split(
        r"\n(?=(?:\x1b\[\d+m)*\d{4}-\d\d-\d\dT)", said
    ):  # what was refused is logged as it was raised
        assert "Traceback" not in entry or "imagerag.agent.errors.UsageError: " in entry, entry[-5000:]
    assert "msgpack" not in said, said[-5000:]


def wait_for(address: str, child: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up and child.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5)
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(log.read_text("utf-8", "replace"))


def ask(address: str, body: Any = None) -> Any:
    """A JSON answer; a POST where there is a body."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def events(address: str, body: Any) -> list[tuple[str, Any]]:
    """What a stream tells: each event's kind and what it holds."""
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        text = answer.read().decode().replace("\r\n", "\n")
    found = [dict(line.split(": ", 1) for line in part.split("\n") if ": " in line) for part in text.split("\n\n")]
    return [(event["event"], json.loads(event["data"])) for event in found if "data" in event]
