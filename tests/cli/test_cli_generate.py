"""`generate`, `resume`, `show` and `runs` as a user and as a program meet them."""

import gc
import json
import warnings
from pathlib import Path

import pytest
from PIL import Image

from imagerag import RunRecord
from imagerag.formatting.labels import OUTCOMES
from tests.cli.conftest import ABSENT, HELD, KNOWN, Imagerag, document, one_line


def size_of(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


def test_json_is_one_run_document_and_stderr_has_the_progress(imagerag: Imagerag) -> None:
    result = imagerag("generate", HELD, "--json")
    record = RunRecord.model_validate(document(result))
    assert record.outcome is not None
    assert result.exit_code == OUTCOMES[record.outcome].exit_code
    assert result.stderr.splitlines()[0].startswith("preset sketch (default: OPENAI_API_KEY is not set)")
    steps = {line.split()[0] for line in result.stderr.splitlines() if line.startswith("  ")}
    assert {"draw", "judge", "finish"} <= steps


def test_quiet_says_nothing_on_stderr(imagerag: Imagerag) -> None:
    assert imagerag("generate", KNOWN, "--quiet").stderr == ""


def test_what_the_painter_knows_is_aligned_without_a_search(imagerag: Imagerag, home: Path) -> None:
    result = imagerag("generate", KNOWN)
    assert result.exit_code == 0
    assert "✓ aligned" in result.stdout
    picture = next((home / "images").glob("*.png"))
    assert str(picture) in result.stdout
    assert json.loads(picture.with_name(picture.name + ".json").read_text())["schema"] == "imagerag.sidecar/1"


def test_what_the_library_holds_is_found_and_its_licence_is_told(imagerag: Imagerag, tmp_path: Path) -> None:
    result = imagerag("generate", HELD, "--out", tmp_path / "final.png", "--sheet", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    assert "Luna Lamp" in result.stdout
    sidecar = json.loads((tmp_path / "final.png.json").read_text())
    assert [reference["licence"] for reference in sidecar["references"]]
    assert all(reference["licence"] in result.stdout for reference in sidecar["references"])
    assert size_of(tmp_path / "sheet.png")[0] > 1000


def test_what_nobody_knows_ends_honestly(imagerag: Imagerag) -> None:
    result = imagerag("generate", ABSENT)
    assert result.exit_code == 3
    assert "no usable reference" in result.stdout
    assert "imagerag index FILE --library NAME" in result.stdout


def test_events_are_lines_and_the_last_carries_the_record(imagerag: Imagerag, tmp_path: Path) -> None:
    result = imagerag("generate", KNOWN, "--jsonl", "--out", tmp_path / "final.png")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["sequence"] for event in events] == list(range(len(events)))
    assert {event["schema"] for event in events} == {"imagerag.event/1"}
    assert events[-1]["record"]["image"]["path"] == str(tmp_path / "final.png")


def test_the_prompt_can_come_from_stdin(imagerag: Imagerag) -> None:
    assert document(imagerag("generate", "-", "--json", stdin=f"{KNOWN}\n"))["prompt"] == KNOWN


def test_size_seed_and_subject_are_honoured(imagerag: Imagerag, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "mine.png")
    record = document(
        imagerag("generate", KNOWN, "--size", "128x96", "--seed", 7, "--subject", "thing=mine.png", "--json")
    )
    assert (record["image"]["width"], record["image"]["height"]) == (128, 96)
    assert record["setup"]["config"]["seed"] == 7
    assert [(r["role"], r["concept"]) for r in record["attempts"][0]["references"]] == [("subject", "thing")]


def test_an_initial_image_is_judged_first(imagerag: Imagerag, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "mine.png")
    record = document(imagerag("generate", KNOWN, "--initial-image", "mine.png", "--max-rounds", 0, "--json"))
    assert record["attempts"][0]["origin"] == "handed_in"


def test_a_spent_budget_has_its_own_exit_code(imagerag: Imagerag) -> None:
    result = imagerag("generate", HELD, "--max-calls", 2)
    assert result.exit_code == 5
    assert "--max-calls" in result.stdout


def test_a_filter_is_a_value_never_a_query(imagerag: Imagerag) -> None:
    for value in ("x' OR '1'='1", 'x" OR 1=1 --', "'; DROP TABLE sketch; --", "%"):
        record = document(imagerag("generate", HELD, "--filter", f"category={json.dumps(value)}", "--json"))
        assert record["outcome"] == "no_usable_reference"
        assert [search["candidates"] for search in record["searches"] if search["candidates"]] == []
    assert document(imagerag("library", "info", "sketch", "--json"))["images"] > 100


def test_a_judge_that_is_refused_leaves_no_estimate_behind(imagerag: Imagerag) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a coroutine that nobody waits for is warned of
        told = imagerag("generate", KNOWN, "--judge", "auto?", "--dry-run")
        gc.collect()
    assert (told.exit_code, "come options" in told.stderr) == (2, True)
    assert "never awaited" not in told.stderr


class TestChoosingByHand:
    def wait(self, imagerag: Imagerag) -> str:
        result = imagerag("generate", HELD, "--select", "--threshold", "off", "--json")
        record = document(result)
        assert (result.exit_code, record["status"], record["outcome"]) == (0, "interrupted", None)
        assert any(f"imagerag resume {record['run_id']} --select" in step for step in record["next_steps"])
        return str(record["run_id"])

    def test_a_run_waits_and_is_answered(self, imagerag: Imagerag) -> None:
        run = self.wait(imagerag)
        shown = imagerag("show", run).stdout
        assert "waits for a choice" in shown
        assert "can be sent" in shown
        assert imagerag("runs").stdout.count("waits for a choice") == 1
        record = document(imagerag("resume", run, "--select", "1", "--json"))
        assert record["attempts"][1]["references"][0]["selected_by"] == "by_hand"

    def test_none_is_an_answer(self, imagerag: Imagerag) -> None:
        record = document(imagerag("resume", self.wait(imagerag), "--select", "none", "--json"))
        assert record["status"] in ("ended", "interrupted")
        assert len(record["attempts"]) == 1

    def test_what_its_rest_can_cost_is_said_before_it(self, imagerag: Imagerag) -> None:
        run = self.wait(imagerag)
        estimate = document(imagerag("resume", run, "--dry-run", "--json"))
        whole = document(imagerag("generate", HELD, "--threshold", "off", "--dry-run", "--json"))
        assert 0 < estimate["max_calls"] < whole["max_calls"]  # what it has made is not made again
        assert f"at most {estimate['max_calls']} calls" in imagerag("resume", run, "--dry-run").stdout
        assert document(imagerag("show", run, "--json"))["status"] == "interrupted"
        document(imagerag("resume", run, "--select", "none", "--json"))
        ended = imagerag("resume", run, "--dry-run")
        assert (ended.exit_code, "has ended" in ended.stderr) == (2, True)

    @pytest.mark.parametrize("choice", [["--select", "99"], ["--select", ""], []])
    def test_a_wrong_answer_leaves_it_waiting(self, imagerag: Imagerag, choice: list[str]) -> None:
        run = self.wait(imagerag)
        result = imagerag("resume", run, *choice)
        assert result.exit_code == 2
        assert one_line(result)
        assert document(imagerag("show", run, "--json"))["status"] == "interrupted"


def test_runs_are_listed_filtered_and_shown(imagerag: Imagerag, tmp_path: Path) -> None:
    run = document(imagerag("generate", KNOWN, "--json"))["run_id"]
    document(imagerag("generate", ABSENT, "--json"))
    assert len(document(imagerag("runs", "--json"))["runs"]) == 2
    assert [entry["run_id"] for entry in document(imagerag("runs", "--outcome", "aligned", "--json"))["runs"]] == [run]
    assert len(imagerag("runs", "--text", "HEXAGON").stdout.splitlines()) == 1
    shown = imagerag("show", run, "--sheet", tmp_path / "sheet.png")
    assert KNOWN in shown.stdout
    assert "attempt 1, drawn from the prompt alone" in shown.stdout
    assert "attempt 1, drawn from the prompt alone" in imagerag("show", run, "--rounds").stdout
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert document(imagerag("show", run[:-2], "--json"))["run_id"] == run
    assert imagerag("resume", run).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generate", ""], "prompt is empty"),
        (["generate", "  \n "], "prompt is empty"),
        (["generate", "x" * 100_000], "at most 32000"),
        (["generate", "a\0b"], "NUL"),
        (["generate", "a \ud800 b"], "surrogate"),
        (["generate", "x", "--size", "huge"], "not a size"),
        (["generate", "x", "--size", "1x1"], "not a size"),
        (["generate", "x", "--library", "nope"], "no library 'nope'"),
        (["generate", "x", "--preset", "nope"], "no preset 'nope'"),
        (["generate", "x", "--generator", "nope:x"], "nope"),
        (["generate", "x", "--judge", "nope"], "nope"),
        (["generate", "x", "--threshold", "nan"], "threshold"),
        (["generate", "x", "--threshold", "2"], "threshold"),
        (["generate", "x", "--max-rounds", "-1"], "--max-rounds"),
        (["generate", "x", "--candidates", "0"], "candidates"),
        (["generate", "x", "--seed", "-1"], "seed"),
        (["generate", "x", "--deadline-s", "0"], "--deadline-s"),
        (["generate", "x", "--filter", "novalue"], "KEY=VALUE"),
        (["generate", "x", "--subject", "nowhere.png"], "nowhere.png"),
        (["generate", "x", "--initial-image", "nowhere.png"], "nowhere.png"),
        (["generate", "x", "--out", "picture.docx"], ".docx"),
        (["generate", "x", "--sheet", "sheet.jpg"], ".png"),
        (["generate", "x", "--frobnicate"], "frobnicate"),
        (["generate"], "PROMPT"),
        (["frobnicate"], "frobnicate"),
        (["show", "nope"], "no run 'nope'"),
        (["resume", "nope"], "no run 'nope'"),
        (["runs", "--outcome", "nope"], "nope"),
        (["search"], "--image FILE"),
        (["search", " ", "--library", "sketch"], "some text"),
        (["search", "x", "--library", "nope"], "sketch"),
        (["search", "x", "--image", "nowhere.png"], "cannot read the image"),
        (["search", "--image", "nowhere.png"], "nowhere.png"),
        (["index"], "imagerag index PATH"),
        (["index", "."], "--library NAME"),
        (["index", "nowhere", "--library", "mine"], "nowhere"),
        (["index", ".", "--library", "../mine"], "../mine"),
        (["index", ".", "--library", "mine", "--manifest", "nowhere.csv"], "nowhere.csv"),
        (["library", "info", "nope"], "no library 'nope'"),
        (["library", "remove", "nope", "--whole-library", "--yes"], "no library 'nope'"),
        (["library", "remove", "sketch", "--whole-library"], "--yes"),
        (["library", "calibrate", "nope"], "no library 'nope'"),
        (["eval", "run", "sketch", "--out", "out", "--sections", "nope"], "nope"),
        (["eval", "run", "sketch:0", "--out", "out"], "how many cases"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_two(imagerag: Imagerag, arguments: list[str], said: str) -> None:
    result = imagerag(*arguments)
    assert result.exit_code == 2, result.output
    assert said in one_line(result)
    assert result.stdout == ""


def test_an_error_is_a_document_for_programs_too(imagerag: Imagerag) -> None:
    result = imagerag("generate", "", "--json")
    assert document(result) == {
        "schema": "imagerag.error/1",
        "error": "UsageError",
        "message": "the prompt is empty: say what to draw",
    }
    assert one_line(result)


def test_stdout_is_for_one_kind_of_program(imagerag: Imagerag) -> None:
    result = imagerag("generate", KNOWN, "--json", "--jsonl")
    assert result.exit_code == 2
    assert "take one of them" in document(result)["message"]


def test_a_subject_that_is_no_picture_is_refused(imagerag: Imagerag, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("not an image")
    result = imagerag("generate", KNOWN, "--subject", "notes.png")
    assert result.exit_code == 2
    assert one_line(result)


def test_settings_come_from_flags_then_environment_then_file(
    imagerag: Imagerag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imagerag.toml").write_text('library = "from-file"\n')
    assert "'from-file'" in one_line(imagerag("generate", KNOWN))
    monkeypatch.setenv("IMAGERAG_LIBRARY", "from-environment")
    assert "'from-environment'" in one_line(imagerag("generate", KNOWN))
    assert "'from-flag'" in one_line(imagerag("generate", KNOWN, "--library", "from-flag"))


class TestDemo:
    def test_it_tells_the_loop_and_writes_everything(self, imagerag: Imagerag, tmp_path: Path) -> None:
        result = imagerag("demo", "--out", tmp_path / "demo")
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("preset sketch")
        for word in ("✗", "✓", "caption", "threshold", "taken", "below threshold", "✓ aligned", "try next"):
            assert word in result.stdout
        names = {"initial.png", "final.png", "final.png.json", "sheet.png", "report.html", "run.json"}
        assert {path.name for path in (tmp_path / "demo").iterdir()} == names
        run = json.loads((tmp_path / "demo" / "run.json").read_text())
        assert RunRecord.model_validate(run).outcome == "aligned"
        assert size_of(tmp_path / "demo" / "initial.png") == (256, 256)

    def test_json_is_the_document_alone(self, imagerag: Imagerag, tmp_path: Path) -> None:
        result = imagerag("demo", "--out", tmp_path / "demo", "--json")
        assert document(result)["schema"] == "imagerag.run/1"
        assert result.stderr == ""

    def test_a_file_is_no_folder(self, imagerag: Imagerag, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert imagerag("demo", "--out", tmp_path / "file").exit_code == 2
