"""`langgraph dev` with `langgraph.json`, in a process of its own, and the commands of `docs/how-to/http-server.md`."""

import asyncio
import base64
import http.client
import io
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagerag import ImageRAG, RunStateError, UnknownRunError
from imagerag.agent.nodes import Nodes
from imagerag.graphs.generation import build_workflow
from imagerag.graphs.runs.reindexing import kept_runs
from imagerag.store.data_dir import DataDir
from imagerag.tools.sketch.catalogue import product_scene, products
from imagerag.tools.sketch.renderer import draw
from tests.server.serving import ROOT, ask, events

PORT_IN_DOCS = "127.0.0.1:2024"

HELD = "a red solid heart and a blue split crescent on a mint background"
"""What the painter cannot draw without the library."""


def status(address: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(address, timeout=30)
    error.value.close()
    return error.value.code


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is what the document types")
@pytest.mark.timeout(300)
def test_what_the_document_types_works(server: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "how-to" / "http-server.md").read_text(), re.S)
    script = "set -e\n" + "".join(blocks).replace(f"http://{PORT_IN_DOCS}", server)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "run.json").read_text())
    assert set(run) == {"result", "best", "attempts", "warnings"}
    assert run["warnings"] == []
    assert (run["result"]["outcome"], run["best"]) == ("aligned", 1)
    assert run["attempts"][1]["references"][0]["title"] == "Luna Lamp 7"
    with Image.open(tmp_path / "moon.png") as image:
        assert image.size == (256, 256)
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert (answer["result"]["outcome"], answer["by"]) == ("not_held", "both")
    assert answer["images"][0]["sha256"] == run["attempts"][1]["image"]["sha256"]
    mine = json.loads((tmp_path / "mine.json").read_text())
    sent = mine["attempts"][0]["references"][0]
    assert (sent["role"], sent["image"]["sha256"]) == ("subject", run["attempts"][1]["image"]["sha256"])


@pytest.mark.timeout(300)
def test_a_question_with_a_picture_on_a_thread(server: str, home: Path) -> None:
    thread = ask(f"{server}/threads", {})["thread_id"]
    photo = io.BytesIO()
    draw(product_scene(products()[0]), 200).convert("RGB").save(photo, "JPEG")
    mine = ask(f"{server}/images", photo.getvalue())
    question = {"assistant_id": "ask", "input": {"question": "What does this cost?", "images": [mine], "by": "image"}}
    answer = ask(f"{server}/threads/{thread}/runs/wait", question)
    assert answer["result"]["outcome"] == "answered"
    assert "Widget A" in answer["reply"]["text"]
    assert answer["images"][0]["sha256"] == mine["sha256"]
    assert base64.b64encode(photo.getvalue())[:60].decode() not in json.dumps(answer)
    follow = {"assistant_id": "ask", "input": {"question": "How many green products are there?"}}
    again = ask(f"{server}/threads/{thread}/runs/wait", follow)
    assert (again["result"]["outcome"], len(again["earlier"]), again["images"]) == ("answered", 2, [])
    wrong = {"assistant_id": "ask", "input": {"question": "what?", "by": "image"}}
    assert "needs an image" in ask(f"{server}/runs/wait", wrong)["__error__"]["message"]
    assert thread not in kept_runs(DataDir(home).checkpoints)


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
    assert done["result"]["outcome"] == "aligned"
    history = ask(f"{server}/threads/{thread}/history", {"limit": 1})
    assert history[0]["values"]["attempts"][0]["references"][0]["selected_by"] == "by_hand"
    with urllib.request.urlopen(f"{server}/images/{best['id']}", timeout=30) as answer:  # the library's own
        assert answer.headers["Content-Type"] == "image/png"


def test_its_shape_is_told_without_loading_anything(server: str) -> None:
    found = ask(f"{server}/assistants/search", {})
    assert {one["graph_id"] for one in found} == {"imagerag", "ask", "chat"}
    (assistant,) = (one for one in found if one["graph_id"] == "imagerag")
    told = ask(f"{server}/assistants/{assistant['assistant_id']}/schemas")
    assert "prompt" in told["input_schema"]["properties"]
    assert "max_rounds" in told["context_schema"]["properties"]
    assert {"attempts", "requirements", "searches"} <= set(told["state_schema"]["properties"])
    shape = ask(f"{server}/assistants/{assistant['assistant_id']}/graph")
    nodes = build_workflow(Nodes.for_diagram()).nodes
    drawn = {node["id"] for node in shape["nodes"]} - {"__default_error_handler__"}  # LangGraph's own
    assert drawn == {"__start__", "__end__", *nodes}
    assert {"source": "regenerate", "target": "critique"} in shape["edges"]


@pytest.mark.timeout(300)
def test_what_studio_reads_of_a_run_has_names_and_hashes_and_no_pixels(server: str, home: Path) -> None:
    thread = ask(f"{server}/threads", {})["thread_id"]
    modes = ["values", "updates", "debug"]
    asked = {"assistant_id": "imagerag", "input": {"prompt": HELD}, "stream_mode": modes}
    told = events(f"{server}/threads/{thread}/runs/stream", asked)
    steps = [node for kind, update in told if kind == "updates" for node in update]
    assert steps == [
        "generate", "critique", "extract_concepts", "write_captions", "retrieve", "shortlist", "regenerate",
        "critique", "finish",
    ]  # fmt: skip
    assert {"metadata", *modes} == {kind for kind, _ in told}
    assert {"checkpoint", "task", "task_result"} == {event["type"] for kind, event in told if kind == "debug"}
    end = [values for kind, values in told if kind == "values"][-1]
    assert (end["result"]["outcome"], end["best"]) == ("aligned", 1)
    history = ask(f"{server}/threads/{thread}/history", {"limit": 100})
    assert [state["next"] for state in reversed(history)] == [["__start__"], *([step] for step in steps), []]
    assert history[0]["values"]["prompt"] == HELD
    assert {name: history[0]["values"][name] for name in end} == end
    # From any of them it can be run again: nothing was changed, so the journal answers.
    redraw = next(state for state in history if state["next"] == ["regenerate"])
    again = {"assistant_id": "imagerag", "checkpoint_id": redraw["checkpoint"]["checkpoint_id"], "input": None}
    done = ask(f"{server}/threads/{thread}/runs/wait", again)
    assert [attempt["image"] for attempt in done["attempts"]] == [attempt["image"] for attempt in end["attempts"]]
    said = json.dumps([told, history, done]).encode()
    for attempt in end["attempts"]:
        assert attempt["image"]["sha256"].encode() in said
        with urllib.request.urlopen(f"{server}/images/{attempt['image']['sha256']}", timeout=30) as answer:
            data = answer.read()
        pieces = [base64.b64encode(data[at : at + 45]) for at in (0, 1, 2, len(data) // 2)]
        assert not [piece for piece in [*pieces, data[:8], b"data:image"] if piece in said]


@pytest.mark.timeout(300)
def test_a_served_run_is_listed_and_reported_like_any_other(server: str, home: Path) -> None:
    thread = ask(f"{server}/threads", {})["thread_id"]
    run = {"assistant_id": "imagerag", "input": {"prompt": "a red solid circle"}, "context": {"start": "retrieve"}}
    ask(f"{server}/threads/{thread}/runs/wait", run | {"context": {"select": True, "start": "retrieve"}})
    rag = ImageRAG(home=home)
    (entry,) = [entry for entry in asyncio.run(rag.runs.list()) if entry.run_id == thread]
    assert (entry.status, entry.prompt) == ("interrupted", "a red solid circle")
    with pytest.raises(UnknownRunError, match="or a server made it"):
        rag.runs.resume_sync(thread, choose=[1])
    resumed = {"assistant_id": "imagerag", "command": {"resume": {"chosen": []}}, "context": {"select": True}}
    done = ask(f"{server}/threads/{thread}/runs/wait", resumed)
    (entry,) = [entry for entry in asyncio.run(rag.runs.list()) if entry.run_id == thread]
    assert (entry.status, entry.outcome) == ("ended", done["result"]["outcome"])
    record = asyncio.run(rag.runs.get(thread))
    assert [attempt.image.sha256 for attempt in record.attempts] == [a["image"]["sha256"] for a in done["attempts"]]
    assert "a red solid circle" in asyncio.run(rag.runs.report(thread))
    for continue_run in (
        lambda: rag.runs.continue_sync(thread, prompt="a blue circle"),
        lambda: rag.runs.replay_sync(thread, 1),
    ):
        with pytest.raises(RunStateError, match="made by a server"):
            continue_run()


@pytest.mark.timeout(300)
def test_a_second_prompt_on_a_thread_is_a_run_of_its_own(server: str, home: Path) -> None:
    thread = ask(f"{server}/threads", {})["thread_id"]
    done = {}
    for prompt in ("a red solid circle", "a black solid hexagon"):
        run = {"assistant_id": "imagerag", "input": {"prompt": prompt}, "context": {"max_calls": 4, "deadline_s": 60}}
        done[prompt] = ask(f"{server}/threads/{thread}/runs/wait", run)
        (entry,) = [entry for entry in asyncio.run(ImageRAG(home=home).runs.list()) if entry.run_id == thread]
        assert entry.prompt == prompt
    first, second = done.values()
    assert second["attempts"][0]["prompt"] == "a black solid hexagon"
    assert first["attempts"][0]["image"] != second["attempts"][0]["image"]
    values = ask(f"{server}/threads/{thread}/state")["values"]
    assert "circle" not in json.dumps([values["requirements"], values["tracked_concepts"], values["attempts"]])
    record = asyncio.run(ImageRAG(home=home).runs.get(thread))
    assert (record.prompt, sum(record.calls.values())) == ("a black solid hexagon", len(values["calls"]))
    assert record.started_at is not None
    assert record.started_at > first["result"]["at"]


@pytest.mark.timeout(300)
def test_what_the_painter_does_not_know_is_said_in_the_answer(server: str) -> None:
    run = {"assistant_id": "imagerag", "input": {"prompt": "our office mascot"}, "context": {"max_rounds": 0}}
    assert "“mascot”" in ask(f"{server}/runs/wait", run)["warnings"][0]


@pytest.mark.parametrize(
    ("context", "told"),
    [
        ({"max_cals": 1}, "did you mean max_calls?"),
        ({"library": "mine"}, "IMAGERAG_LIBRARY"),
        ({"deadline_s": -1}, "deadline_s"),
        ({"max_calls": "many"}, "max_calls"),
    ],
)
def test_a_context_that_cannot_be_is_refused_by_name(server: str, context: dict[str, Any], told: str) -> None:
    run = {"assistant_id": "imagerag", "input": {"prompt": "a red solid circle"}}
    for sent in ({"context": context}, {"config": {"configurable": context}}):
        answer = ask(f"{server}/runs/wait", run | sent)
        assert answer["__error__"]["error"] == "UsageError"
        assert told in answer["__error__"]["message"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"promt": "a red solid circle"}, "did you mean prompt?"),
        ({"prompt": ""}, "the prompt is empty"),
        ({"prompt": "a" * 40_000}, "at most 32000"),
        ({"prompt": "a\0"}, "NUL byte"),
        ({"prompt": ["a red solid circle"]}, "prompt: it has to be text"),
        ({"prompt": "a red solid circle", "subjects": [{"image": "mine.png"}]}, "subjects.0.image"),
        ("a red solid circle", "an object of names"),
    ],
)
def test_an_input_that_cannot_be_is_refused_by_name(server: str, given: Any, told: str) -> None:
    answer = ask(f"{server}/runs/wait", {"assistant_id": "imagerag", "input": given})
    assert answer["__error__"]["error"] == "UsageError"
    assert told in answer["__error__"]["message"]


@pytest.mark.parametrize(
    ("context", "told"), [({"max_calls": 1}, "1 model calls"), ({"deadline_s": 0.000001}, "deadline")]
)
def test_budgets_are_kept(server: str, context: dict[str, Any], told: str) -> None:
    done = ask(f"{server}/runs/wait", {"assistant_id": "imagerag", "input": {"prompt": HELD}, "context": context})
    assert done["result"]["outcome"] == "budget_exhausted"
    assert told in done["result"]["reason"]


def test_a_prompt_written_into_a_threads_state_begins_a_run(server: str) -> None:
    thread = ask(f"{server}/threads", {})["thread_id"]
    run = {"assistant_id": "imagerag", "input": {"prompt": "a red solid circle"}}
    ask(f"{server}/threads/{thread}/runs/wait", run)
    written = {"values": {"prompt": "a black solid hexagon"}, "as_node": "__start__"}
    ask(f"{server}/threads/{thread}/state", written)
    done = ask(f"{server}/threads/{thread}/runs/wait", {"assistant_id": "imagerag", "input": None})
    assert [attempt["prompt"] for attempt in done["attempts"]] == ["a black solid hexagon"]
    again = {"assistant_id": "imagerag", "input": {"prompt": "a black solid hexagon"}, "context": {"max_rounds": 0}}
    assert len(ask(f"{server}/threads/{thread}/runs/wait", again)["attempts"]) == 1


def test_an_image_that_was_handed_in_is_judged_first(server: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(buffer, "PNG")
    image = ask(f"{server}/images", buffer.getvalue())
    run = {"assistant_id": "imagerag", "input": {"prompt": "a red solid circle", "initial_image": image}}
    done = ask(f"{server}/runs/wait", run | {"context": {"max_rounds": 0}})
    assert [(a["origin"], a["image"]["sha256"]) for a in done["attempts"]] == [("handed_in", image["sha256"])]
    assert done["result"]["outcome"] == "best_effort"


def test_images_that_cannot_be(server: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        ask(f"{server}/images", b"no image")
    assert error.value.code == 400
    error.value.close()
    assert status(f"{server}/images/{'0' * 64}") == 404
    assert status(f"{server}/images/..%2f..%2fstore.sqlite") == 404


def answered(server: str, path: str, headers: dict[str, str], *, method: str = "GET", body: bytes = b"") -> Any:
    """(status, headers, body) of a request as it is, its Host included."""
    connection = http.client.HTTPConnection(server.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


RUN = json.dumps({"assistant_id": "imagerag", "input": {"prompt": "a red solid circle of a web page"}}).encode()
FOREIGN = ("https://evil.example", "http://localhost:3000", "null", "https://smith.langchain.com.evil.example")


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_web_page_starts_no_run_and_reads_nothing(server: str, home: Path, origin: str) -> None:
    # "Simple" requests: a browser sends them without asking first.
    for path, body in (("/runs/wait", RUN), ("/threads", b"{}"), ("/images", b"x"), ("/store/items", b"{}")):
        sent = {"Origin": origin, "Content-Type": "text/plain"}
        status_, headers, said = answered(server, path, sent, method="POST", body=body)
        assert (status_, "access-control-allow-origin" in headers) == (403, False), said
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
    status_, headers, _ = answered(server, "/runs/wait", asks, method="OPTIONS")
    assert status_ == 403
    assert not [name for name in headers if name.startswith("access-control")]
    assert answered(server, "/openapi.json", {"Origin": origin})[0] == 403
    assert "of a web page" not in "".join(entry.prompt or "" for entry in asyncio.run(ImageRAG(home=home).runs.list()))


def test_a_page_loads_no_picture_of_this_server(server: str) -> None:
    asks = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert answered(server, f"/images/{'0' * 64}", asks)[0] == 403
    assert answered(server, "/ok", asks | {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"})[0] == 403
    assert answered(server, "/ok", asks | {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:2024", "127.0.0.1.evil.example", "192.168.1.7", ""])
def test_a_name_that_was_made_to_lead_here_is_not_answered(server: str, host: str) -> None:
    """DNS rebinding: the page's own name leads to this machine, and its requests come without a foreign origin."""
    for path in ("/ok", "/docs", f"/images/{'0' * 64}"):
        assert answered(server, path, {"Host": host})[0] in (400, 403)
    sent = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json"}
    status_, _, said = answered(server, "/runs/wait", sent, method="POST", body=RUN)
    assert status_ in (400, 403)
    assert b"attempts" not in said


@pytest.mark.parametrize("host", ["localhost", "LocalHost:9", "127.0.0.1", "[::1]"])
def test_this_machines_own_names_and_pages_are_answered(server: str, host: str) -> None:
    assert answered(server, "/ok", {"Host": host})[0] == 200
    assert answered(server, "/ok", {"Host": host, "Origin": f"http://{host}"})[0] == 200


def test_studio_is_on_the_list(server: str) -> None:
    studio = "https://smith.langchain.com"
    asks = {"Origin": studio, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    status_, headers, _ = answered(server, "/runs/wait", asks, method="OPTIONS")
    assert (status_, headers["access-control-allow-origin"]) == (200, studio)
    assert answered(server, "/ok", {"Origin": studio})[1]["access-control-allow-origin"] == studio


def test_no_result_is_sent_to_an_address_in_a_request(server: str) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(1)
        hook = f"http://127.0.0.1:{listening.getsockname()[1]}/hook"
        for webhook in (hook, "/store/items"):
            body = json.dumps(json.loads(RUN) | {"webhook": webhook}).encode()
            answered(server, "/runs/wait", {"Content-Type": "application/json"}, method="POST", body=body)
        with pytest.raises(TimeoutError):
            listening.accept()
