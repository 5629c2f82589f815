"""`imagerag eval` as its user types it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from imagerag.evals.check_record import Target
from imagerag.evals.judges.generated_questions import KINDS
from imagerag.evals.sketch import sections
from imagerag.tools.testing.fakes import sample_image
from tests.conftest import copied


def test_an_evaluation_from_beginning_to_end(
    imagerag: Any, sketch_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(sketch_home, tmp_path / "home")
    (tmp_path / "set.txt").write_text("a red solid circle\na blue dotted star\na teal checkered crescent\n")
    out = tmp_path / "out"
    asked = ["eval", "run", str(tmp_path / "set.txt"), "--out", str(out), "--preset", "sketch"]
    asked += ["--arms", "base,rephrase", "--metrics", "work"]
    code, told, progress = imagerag(*asked, "--max-calls", "1", "--concurrency", "1")
    assert (code, told) == (5, "")
    assert "stopped after 2 of 6 results" in progress
    monkeypatch.setenv("COLUMNS", "80")
    code, told, _ = imagerag(*asked)
    monkeypatch.delenv("COLUMNS")
    assert code == 0
    assert "How cases ended" in told
    assert [line for line in told.splitlines() if len(line) > 80 and str(out) not in line] == []
    assert {"results.jsonl", "summary.json", "report.md", "tables.tex", "gallery.html"} <= {
        f.name for f in out.iterdir()
    }
    code, told, _ = imagerag(*asked, "--cache", "replay")
    assert (code, told.startswith("replayed 6 results without a call")) == (0, True)
    code, told, _ = imagerag("eval", "report", str(out), "--json")
    assert json.loads(told)["schema"] == "imagerag.eval/1"
    assert imagerag("eval", "report", str(out), str(out))[0] == 2
    code, _, told = imagerag("eval", "report", str(out), "--out", str(tmp_path / "tables"))
    assert (code, "fill none" in told) == (2, True)
    (tmp_path / "tables").mkdir(exist_ok=True)
    (tmp_path / "tables" / "paper.tex").write_text("my own paper")
    code, _, told = imagerag("eval", "report", str(out), "--out", str(tmp_path / "tables"))
    assert (code, "paper.tex is there already" in told, "--overwrite" in told) == (2, True, True)
    assert "fill none" in imagerag("eval", "report", str(out), "--out", str(tmp_path / "tables"), "--overwrite")[2]
    code, _, told = imagerag(*asked, "--limit", "1")
    assert (code, "another evaluation: its suite differs. Give another --out" in told) == (2, True)


def test_what_there_is_and_what_there_is_not(imagerag: Any, tmp_path: Path) -> None:
    code, told, _ = imagerag("eval", "list")
    assert code == 0
    assert all(word in told for word in ("sketch", "rephrase", "retrieval"))
    for wrong in (
        ["nothing"],
        ["sketch:6", "--arms", "nothing"],
        ["sketch:6", "--metrics", "nothing"],
        ["sketch:6", "--shard", "4/3"],
    ):
        code, _, told = imagerag("eval", "run", *wrong, "--out", str(tmp_path / "x"))
        assert code == 2, told
    assert imagerag("eval", "report", str(tmp_path / "y"))[0] == 2


def test_a_study_and_a_judge(imagerag: Any, sketch_home: Path, tmp_path: Path) -> None:
    copied(sketch_home, tmp_path / "home")
    (tmp_path / "set.txt").write_text("a teal checkered crescent\n")
    (tmp_path / "arms.toml").write_text('[arms.other]\nrun = "imagerag_test_arm:draw"\n')
    assert imagerag("trust", str(tmp_path / "arms.toml"))[0] == 0
    module = type(sys)("imagerag_test_arm")

    async def draw(job: Any) -> bytes:
        return sample_image("mine")

    module.draw = draw  # type: ignore[attr-defined]
    sys.modules["imagerag_test_arm"] = module
    out = tmp_path / "out"
    arms = ["--arms", "base,other", "--arms-file", str(tmp_path / "arms.toml")]
    assert (
        imagerag("eval", "run", str(tmp_path / "set.txt"), *arms, "--out", str(out), "--preset", "sketch", "-q")[0] == 0
    )
    assert imagerag("eval", "human-study", str(out), "--arm", "other")[0] == 0
    key = json.loads((out / "study-key.json").read_text())
    code, _, told = imagerag("eval", "human-study", str(out), "--arm", "other", "--seed", "1")
    assert (code, "study.html is there already" in told, "--overwrite" in told) == (2, True, True)
    assert json.loads((out / "study-key.json").read_text()) == key, "answers are read with the key they were given to"
    assert imagerag("eval", "human-study", str(out), "--arm", "other", "--overwrite")[0] == 0
    given = {pair: dict.fromkeys(("alignment", "quality", "overall"), "left") for pair in key["pairs"]}
    (tmp_path / "a.json").write_text(json.dumps({"schema": "imagerag.study-answers/1", "rater": "a", "answers": given}))
    code, told, _ = imagerag("eval", "study-results", str(out), str(tmp_path / "a.json"), "--json")
    assert code == 0
    assert [q["question"] for q in json.loads(told)["questions"]] == ["alignment", "quality", "overall"]
    code, told, _ = imagerag("eval", "judge", "--preset", "sketch", "--classes", "3", "--json")
    assert [kind["prompts"] for kind in json.loads(told)["kinds"]] == [3, 6, 6]


SECTIONS = ["eval", "run", "sketch:1", "-q", "--sections"]


def test_sections_of_the_sketch_suite_are_checked_and_resumed(imagerag: Any, tmp_path: Path) -> None:
    asked = [*SECTIONS, "judge", "--out", str(tmp_path / "out")]
    code, printed, said = imagerag(*asked, "--max-calls", "2")
    assert (code, printed) == (5, "")
    assert "imagerag: stopped: 2 model calls were made, of 2 allowed" in said
    code, printed, said = imagerag(*asked)
    assert (code, said) == (0, "")
    assert "judge.type_1" in printed
    assert "passed" in printed
    code, printed, _ = imagerag(*asked, "--json")
    checks = json.loads(printed)["checks"]
    assert code == 0
    assert (checks["settings"]["sections"], checks["cases"]) == (["judge"], len(KINDS))
    assert len((tmp_path / "out" / "checks.jsonl").read_text().splitlines()) == len(KINDS)


def test_a_check_that_misses_its_target_ends_with_exit_code_1(
    imagerag: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sections.TARGETS, "judge.type_1", Target(limit="at_most", value=0.5))
    asked = [*SECTIONS, "judge", "--out", str(tmp_path / "out")]
    code, printed, said = imagerag(*asked)
    assert code == 1
    assert "targets missed: judge.type_1" in said
    assert "MISSED" in printed
    code, printed, _ = imagerag(*asked, "--json")
    assert (code, json.loads(printed)["checks"]["metrics"]["judge.type_1"]["passed"]) == (1, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["judges"], "judge"),
        (["judge,nothing"], "nothing"),
        ([""], "section"),
        (["judge", "--limit", "1"], "run the others apart"),
        (["loop", "--shard", "1/2"], "run the others apart"),
    ],
)
def test_sections_that_do_not_exist_or_cannot_be_split_are_refused(
    imagerag: Any, tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, printed, said = imagerag(*SECTIONS, *arguments, "--out", str(tmp_path / "out"))
    assert (code, printed) == (2, "")
    assert message in said
    assert not (tmp_path / "out").exists()
