"""`langgraph dev`, as `langgraph.json` sets it up, in a process of its own; what `docs/http.md` types at it."""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PORT_IN_DOCS = "127.0.0.1:2024"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sketch_home: Path) -> Iterator[str]:
    """The address of a server, which raises where anything blocks its event loop."""
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    shutil.copytree(sketch_home, folder / "home")
    # The server keeps its threads beside the file it is given: not in the repository.
    config = json.loads((ROOT / "langgraph.json").read_text()) | {"dependencies": [str(ROOT)]}
    (folder / "langgraph.json").write_text(json.dumps(config))
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("IMAGERAG_", "LANGSMITH_", "LANGCHAIN_", "OPENAI_"))
    }
    # What would be said to anybody outside goes to a proxy that is not there, and would be in the log as an error.
    nobody = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    told = {
        "IMAGERAG_HOME": str(folder / "home"),
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "NO_COLOR": "1",
        "NO_PROXY": "127.0.0.1",
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
    assert "Traceback" not in said, said[-5000:]


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


def status(address: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(address, timeout=30)
    error.value.close()
    return error.value.code


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is what the document types")
@pytest.mark.timeout(300)
def test_what_the_document_types_works(server: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "http.md").read_text(), re.S)
    script = "set -e\n" + "".join(blocks).replace(f"http://{PORT_IN_DOCS}", server)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "run.json").read_text())
    assert set(run) == {"ending", "best", "attempts"}
    assert (run["ending"]["outcome"], run["best"]) == ("aligned", 1)
    assert run["attempts"][1]["references"][0]["title"] == "Luna Lamp 7"
    with Image.open(tmp_path / "moon.png") as image:
        assert image.size == (256, 256)
    mine = json.loads((tmp_path / "mine.json").read_text())
    sent = mine["attempts"][0]["references"][0]
    assert (sent["role"], sent["image"]["sha256"]) == ("subject", run["attempts"][1]["image"]["sha256"])


@pytest.mark.timeout(300)
def test_choosing_by_hand_on_a_thread(server: str) -> None:
    thread = ask(f"{server}/threads", {})["thread_id"]
    run = {
        "assistant_id": "imagerag",
        "input": {"prompt": "an orange split flower"},
        "context": {"select": True, "start": "retrieve"},
    }
    waiting = ask(f"{server}/threads/{thread}/runs/wait", run)
    question = waiting["__interrupt__"][0]["value"]
    assert question["kind"] == "choose_references"
    state = ask(f"{server}/threads/{thread}/state")
    assert (state["next"], state["values"]["prompt"]) == (["select"], "an orange split flower")
    best = question["candidates"][0]
    resumed = {"assistant_id": "imagerag", "command": {"resume": {"chosen": ["f" * 64]}}, "context": run["context"]}
    again = ask(f"{server}/threads/{thread}/runs/wait", resumed)["__interrupt__"][0]["value"]
    assert again.pop("problem").startswith("not offered: ffff")
    assert again == question
    resumed["command"] = {"resume": {"chosen": [best["id"]]}}
    done = ask(f"{server}/threads/{thread}/runs/wait", resumed)
    assert done["ending"]["outcome"] == "aligned"
    history = ask(f"{server}/threads/{thread}/history", {"limit": 1})
    assert history[0]["values"]["attempts"][0]["references"][0]["choice"] == "by_hand"
    with urllib.request.urlopen(f"{server}/images/{best['id']}", timeout=30) as answer:  # the library's own
        assert answer.headers["Content-Type"] == "image/png"


def test_its_shape_is_told_without_loading_anything(server: str) -> None:
    schemas = ask(f"{server}/assistants/search", {})
    shape = ask(f"{server}/assistants/{schemas[0]['assistant_id']}/schemas")
    assert "prompt" in shape["input_schema"]["properties"]
    assert "max_rounds" in shape["context_schema"]["properties"]


def test_an_image_that_was_handed_in_is_judged_first(server: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(buffer, "PNG")
    image = ask(f"{server}/images", buffer.getvalue())
    run = {"assistant_id": "imagerag", "input": {"prompt": "a red solid circle", "initial_image": image}}
    done = ask(f"{server}/runs/wait", run | {"context": {"max_rounds": 0}})
    assert [(a["origin"], a["image"]["sha256"]) for a in done["attempts"]] == [("handed_in", image["sha256"])]
    assert done["ending"]["outcome"] == "best_effort"


def test_images_that_cannot_be(server: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        ask(f"{server}/images", b"no image")
    assert error.value.code == 400
    error.value.close()
    assert status(f"{server}/images/{'0' * 64}") == 404
    assert status(f"{server}/images/..%2f..%2fstore.sqlite") == 404
