"""Every document that the command line prints keeps to the schema in `docs/schemas`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from imagerag import ImageRAG
from imagerag.evals.human_study.documents import ArmPreference
from imagerag.schemas import MODELS
from imagerag.tools.testing.fakes import ScriptedJudge, sample_image
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, tiny_png
from tests.cli.conftest import HELD, KNOWN, Imagerag

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((FOLDER / f"{name}.json").read_text("utf-8")))


def checked(document: dict[str, Any], name: str) -> dict[str, Any]:
    assert document["schema"] == f"imagerag.{name}/1"
    assert [f"{list(wrong.path)}: {wrong.message}" for wrong in validator(name).iter_errors(document)] == []
    return document


def test_what_is_printed_about_runs(imagerag: Imagerag, tmp_path: Path) -> None:
    def printed(name: str, *arguments: object) -> dict[str, Any]:
        return checked(json.loads(imagerag(*arguments).stdout), name)

    printed("estimate", "generate", KNOWN, "--dry-run", "--json")
    run = printed("run", "generate", KNOWN, "--json", "--out", "one.png")
    checked(json.loads((tmp_path / "one.png.json").read_text()), "sidecar")
    assert printed("run", "replay", "last", "--from", "1", "--json")["parent_run"]["run_id"] == run["run_id"]
    printed("estimate", "continue", "last", "--seed", "2", "--dry-run", "--json")
    printed("estimate", "replay", "last", "--from", "2", "--dry-run", "--json")
    changed = printed("run", "continue", "last", "--feedback", "make the square red", "--seed", "2", "--json")
    assert (changed["feedback"], changed["setup"]["config"]["seed"]) == (["make the square red"], 2)
    assert printed("run", "continue", "last", "--prompt", "a red solid circle", "--json")["parent_run"]
    waiting = printed("run", "generate", HELD, "--select", "--json")
    assert waiting["question"]
    ended = printed("run", "resume", waiting["run_id"], "--select", "1", "--json", "--out", "two.png")
    assert checked(json.loads((tmp_path / "two.png.json").read_text()), "sidecar")["references"]
    printed("run", "show", ended["run_id"], "--json")
    printed("runs", "runs", "--json")
    printed("diff", "diff", run["run_id"], ended["run_id"], "--json")
    printed("report", "report", run["run_id"], "--json", "--out", "r.html")
    printed("reports", "report", run["run_id"], ended["run_id"], "--json", "--out", str(tmp_path))
    printed("run-saved", "runs", "save", "last", "--out", "saved", "--json")
    printed("run-saved", "runs", "save", "last", "--out", "saved.zip", "--json")
    assert printed("runs", "runs", "mark", ended["run_id"], "--json")["runs"][0]["favourite"]
    printed("runs-removed", "runs", "prune", "--keep", "1", "--dry-run", "--json")
    assert printed("runs-removed", "runs", "remove", ended["run_id"], "--yes", "--json")["runs"]
    printed("error", "show", "no-such-run", "--json")
    printed("error", "generate", " ", "--json")


def test_what_is_printed_about_libraries(imagerag: Imagerag, tmp_path: Path) -> None:
    def printed(name: str, *arguments: object) -> dict[str, Any]:
        return checked(json.loads(imagerag(*arguments).stdout), name)

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "one.png").write_bytes(sample_image("one"))
    (tmp_path / "mine" / "two.png").write_bytes(b"no image")
    printed("similarity", "similarity", tmp_path / "mine" / "one.png", "a red circle", "--json")
    assert printed("index", "index", "mine", "--library", "mine", "--embedder", "sketch", "--json")["skipped"]
    assert printed("search", "search", "a red crescent", "-k", "2", "--json")["results"]
    printed("search", "search", "--image", "mine/one.png", "--library", "mine", "--json")
    printed("libraries", "library", "list", "--json")
    printed("library", "library", "info", "sketch", "--json")
    printed("threshold", "library", "calibrate", "mine", "--json")
    one = tmp_path / "mine" / "one.png"
    printed("library-images", "library", "add", "mine", one, "--caption", "a circle", "--json")
    printed("library-images", "library", "update", "mine", one, "--tag", "x", "--yes", "--json")
    printed("library-stats", "library", "stats", "mine", "--json")
    printed("library-unmatched", "library", "unmatched", "mine", "--json")
    printed("library-check", "library", "check", "mine", "--json")
    printed("library-verification", "library", "verify", "mine", "--json")
    printed("library-export", "library", "export", "mine", tmp_path / "mine.parquet", "--json")
    printed("library", "library", "optimize", "mine", "--json")
    printed("library-snapshots", "library", "snapshot", "create", "mine", "v1", "--json")
    printed("library-snapshots", "library", "snapshot", "list", "mine", "--json")
    printed("library-snapshots", "library", "snapshot", "restore", "mine", "v1", "--yes", "--json")
    assert printed("library", "library", "info", "mine@v1", "--json")["library"] == "mine@v1"
    assert printed("library-snapshots", "library", "snapshot", "remove", "mine", "v1", "--yes", "--json")["snapshots"]
    printed("library", "library", "rename", "mine", "yours", "--json")
    printed("library", "library", "rename", "yours", "mine", "--json")
    printed("library-images", "library", "remove", "mine", one, "--yes", "--json")
    printed("library-duplicates", "library", "dedupe", "mine", "--threshold", "0.97", "--json")
    printed("library", "library", "remove", "mine", "--whole-library", "--yes", "--json")
    printed("answer", "ask", "Which is the cheapest circular one?", "--json")
    thread = printed("answer", "ask", "Is there a dragon?", "--json")["thread_id"]
    assert len(printed("threads", "threads", "--json")["threads"]) == 2
    assert printed("thread", "threads", "show", thread, "--json")["turns"][0]["question"] == "Is there a dragon?"
    printed("threads-removed", "threads", "prune", "--keep", "1", "--dry-run", "--json")
    assert printed("threads-removed", "threads", "remove", "last", "--yes", "--json")["kept"] == 1


def test_what_is_printed_about_odd_libraries(imagerag: Imagerag, tmp_path: Path) -> None:
    """None has a caption, a date or a threshold; one is empty, one is a snapshot, and one cannot be read."""
    rag = ImageRAG(home=tmp_path / "home", embedder="sketch")
    (tmp_path / "one.png").write_bytes(sample_image("one"))
    for name in ("one", "damaged"):
        rag.libraries.index_sync(tmp_path / "one.png", library=name, check=False)
    rag.libraries.open_sync("empty", create=True)
    rag.libraries.snapshots.create_sync("v1", "one")
    for manifest in (tmp_path / "home" / "libraries" / "damaged.lance").rglob("*.manifest"):
        manifest.write_bytes(b"no table")
    for name in ("empty", "one", "one@v1"):
        for command, schema in (("info", "library"), ("stats", "library-stats")):
            checked(json.loads(imagerag("library", command, name, "--json").stdout), schema)
    checked(json.loads(imagerag("library", "info", "damaged", "--json").stdout), "error")
    assert checked(json.loads(imagerag("library", "list", "--json").stdout), "libraries")


def test_what_the_doctor_and_batches_print(imagerag: Imagerag, tmp_path: Path) -> None:
    checked(json.loads(imagerag("doctor", "--json").stdout), "doctor")
    checked(json.loads(imagerag("eval", "judge", "--classes", "3", "--others", "1", "--json").stdout), "judge-eval")
    (tmp_path / "prompts.jsonl").write_text(f'{{"prompt": "{KNOWN}"}}\n{{"prompt": ""}}\n')
    estimate = json.loads(imagerag("batch", "prompts.jsonl", "--out", "out", "--dry-run", "--json").stdout)
    assert checked(estimate, "batch-estimate")["invalid"] == 1
    summary = json.loads(imagerag("batch", "prompts.jsonl", "--out", "out", "--json", "-q").stdout)
    checked(summary, "batch-summary")
    results = [json.loads(line) for line in Path(summary["results"]).read_text().splitlines()]
    assert {checked(one, "batch")["status"] for one in results} == {"done", "invalid"}


def test_what_evaluations_print(imagerag: Imagerag, tmp_path: Path) -> None:
    (tmp_path / "set.txt").write_text("a red solid circle\na blue dotted star\n")
    asked = ["eval", "run", "set.txt", "--out", "out", "--preset", "sketch", "--arms", "base", "--metrics", "work"]
    stopped = imagerag(*asked, "--max-calls", "1", "--concurrency", "1", "--json")
    checked(json.loads(stopped.stdout), "eval")
    checked(json.loads(imagerag(*asked, "--json").stdout), "eval")
    for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines():
        checked(json.loads(line), "result")
    checked(json.loads(imagerag(*asked, "--cache", "replay", "--json").stdout), "eval-replay")
    compared = imagerag("eval", "search", "sketch", "--ways", "cosine", "--queries", "4", "--json")
    checked(json.loads(compared.stdout), "search-comparison")


def test_what_raters_prefer_keeps_to_its_schema(
    imagerag: Imagerag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = float("nan")
    found = ArmPreference(
        question="aligned", arm=1, base=0, same=1, value=0.75, low=nan, high=nan, p=1.0, kappa=nan, raters=1, pairs=2
    )
    (tmp_path / "study-key.json").write_text('{"arm": "full", "base": "base"}')
    (tmp_path / "answers.json").write_text('{"schema": "imagerag.study-answers/1", "rater": "a", "answers": {}}')
    monkeypatch.setattr("imagerag.evals.human_study.pairs.read_answers", lambda files, key: [found])
    checked(json.loads(imagerag("eval", "study-results", ".", "answers.json", "--json").stdout), "study")


def test_events_of_every_kind_keep_to_their_schema(imagerag: Imagerag) -> None:
    """Through a question to its answer."""
    lines = imagerag("generate", HELD, "--select", "--jsonl").stdout.splitlines()
    events = [checked(json.loads(line), "event") for line in lines]
    assert [event["sequence"] for event in events] == list(range(len(events)))
    assert {event["kind"] for event in events} == {"started", "step", "waiting"}
    answered = imagerag("resume", events[0]["run_id"], "--select", "1", "--jsonl").stdout.splitlines()
    kinds = [checked(json.loads(line), "event")["kind"] for line in answered]
    assert (kinds[0], kinds[-1]) == ("started", "ended")


async def test_unfinished_pictures_keep_to_the_schema(tmp_path: Path) -> None:
    with MockOpenAIServer() as server:
        server.enqueue("images.generate", MockResponse(partials=(tiny_png("a"), tiny_png("b"))))
        rag = ImageRAG(
            preset="sketch", generator=f"openai:gpt-image-2@{server.base_url}", judge="mine", library="", home=tmp_path
        )
        rag.dependencies.use("judge", "mine", ScriptedJudge([]))
        events = [event.as_json() async for event in rag.stream("a heart", partial_images=2)]
    told = [event for event in events if checked(event, "event")["kind"] == "progress"]
    assert [event["progress"]["image"] is not None for event in told] == [True, True]
    text = json.dumps(events)
    assert len(text) < 20_000  # a picture is named by its hash, never sent along
    assert {event["node"] for event in told} == {"generate"}


def test_what_is_printed_about_prices_and_trust(imagerag: Imagerag, tmp_path: Path) -> None:
    def printed(name: str, *arguments: object) -> dict[str, Any]:
        return checked(json.loads(imagerag(*arguments).stdout), name)

    assert printed("models", "models", "--provider", "diffusers", "--json")["models"]
    assert printed("prices", "prices", "list", "gpt-image-2", "--json")["prices"]
    assert printed("prices", "prices", "set", "mine", "--per-call", "0.1", "--json")["file"]
    (tmp_path / "imagerag.toml").write_text('preset = "sketch"\n')
    assert printed("trust", "trust", "--json")["file"]
    assert printed("trust", "trust", "--spec", "openai:m@https://models.example.org/v1", "--json")["spec"]


def test_no_schema_goes_unused() -> None:
    """What no test above prints is made by its model, and cannot differ from it."""
    here = Path(__file__).read_text("utf-8")
    made_by_their_models = {"bench", "eval-tables", "image", "library-migration"}
    assert {name for name in MODELS if f'"{name}"' not in here} - made_by_their_models == set()
