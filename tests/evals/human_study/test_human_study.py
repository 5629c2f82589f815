"""A study gives nothing away, reads back what was answered, and counts it right; a judge is tested as in the paper."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import BackendError, UsageError
from imagerag.agent.ports import ImagePart
from imagerag.evals.human_study.pairs import QUESTIONS, key_of, pairs_of, read_answers, study_page, write_study
from imagerag.evals.human_study.real_images import ReferencePhoto
from imagerag.evals.human_study.study_files import SCHEMA
from imagerag.evals.judges.judge_eval import evaluate_judge
from imagerag.evals.judges.library_questions import library_questions
from imagerag.store.library.library import Library
from imagerag.tools.registry import make_judge
from imagerag.tools.testing.fakes import ScriptedJudge, sample_image
from tests.reports.conftest import HOSTILE, Browser, assert_shown


@pytest.fixture
async def results(fakes: Any) -> list[Any]:
    _, found = await fakes.run(fakes.plan(fakes.suite(8), arms="base,rephrase,full"))
    return found


def test_pairs_are_blind_in_random_order_and_the_same_every_time(results: list[Any]) -> None:
    pairs = pairs_of(results, "full", "base")
    assert len(pairs) == 8
    assert {pair.left for pair in pairs} == {"full", "base"}
    assert [pair.case for pair in pairs] != sorted(pair.case for pair in pairs)
    assert pairs == pairs_of(results, "full", "base")
    assert len(pairs_of(results, "full", "base", limit=3)) == 3
    with pytest.raises(UsageError, match="different images"):
        pairs_of([r for r in results if r.arm == "base"], "full", "base")


def test_the_page_names_no_arm_and_fetches_nothing(results: list[Any], fakes: Any) -> None:
    pairs = pairs_of(results, "full", "base")
    page = study_page(pairs, lambda sha256: sample_image("any"), "Which?")
    found = re.search(r"const study = (.*);\n", page)
    assert found
    study = json.loads(found[1])
    assert set(study["pairs"][0]) == {"id", "prompt", "left", "right"}
    assert not {"full", "base", "arm"} & set(re.findall(r"\w+", re.sub(r"data:image[^\"]+", "", found[1])))
    assert "http" not in page.replace("http-equiv", "")
    with pytest.raises(UsageError, match="lost"):
        study_page(pairs, lambda sha256: None, "Which?")


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_shows_hostile_text_as_text_and_fits_any_screen(
    results: list[Any], browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    hostile = HOSTILE + "</script><script>alert(3)</script>{{ 7 * 6 }}"
    pairs = [replace(pair, prompt=hostile) for pair in pairs_of(results, "full", "base")]
    real = {pair.case: ReferencePhoto(sample_image("real"), hostile, "library") for pair in pairs}
    file = tmp_path / "study.html"
    file.write_text(page := study_page(pairs, lambda sha256: sample_image("any"), hostile, real))
    assert_shown(browser.look(file, width=width, dark=dark), width, dark)
    assert page.count("<script>") == page.count("</script>") == 1
    assert "\u202e" not in page
    assert "alert(1)" in page.split("<h1>")[1].split("</h1>")[0]
    assert "42" not in page.split("<h1>")[1].split("</h1>")[0]


def answers(folder: Path, rater: str, pairs: Any, choose: Any) -> Path:
    file = folder / f"{rater}.json"
    given = {pair.id: dict.fromkeys(QUESTIONS, choose(pair)) for pair in pairs}
    file.write_text(json.dumps({"schema": SCHEMA, "rater": rater, "answers": given}))
    return file


def side(pair: Any, arm: str) -> str:
    return "left" if pair.left == arm else "right"


def test_answers_are_read_back_and_counted(results: list[Any], tmp_path: Path) -> None:
    from statsmodels.stats.inter_rater import fleiss_kappa

    pairs = pairs_of(results, "full", "base")
    key = key_of(pairs, "full", "base")
    first = pairs[0].id
    files = [
        answers(tmp_path, "a", pairs, lambda pair: side(pair, "full")),
        answers(tmp_path, "b", pairs, lambda pair: side(pair, "base" if pair.id == first else "full")),
        answers(tmp_path, "c", pairs[:4], lambda pair: "same"),
    ]
    overall = next(one for one in read_answers(files, key) if one.question == "overall")
    assert (overall.arm, overall.base, overall.same) == (15, 1, 4)
    assert (overall.raters, overall.pairs) == (3, 8)
    assert overall.value == pytest.approx((15 + 2) / 20)
    assert overall.low < 15 / 16 < overall.high
    assert overall.p == pytest.approx(2 / 2**7), "one pair leans nowhere"
    both = [[2, 0, 0]] * 7 + [[1, 1, 0]]
    two = next(one for one in read_answers(files[:2], key) if one.question == "overall")
    assert two.kappa == pytest.approx(fleiss_kappa(both))
    one = next(one for one in read_answers(files[:1], key) if one.question == "overall")
    assert one.kappa is None


def test_answers_of_another_study_or_none_are_refused(results: list[Any], tmp_path: Path) -> None:
    pairs = pairs_of(results, "full", "base")
    key = key_of(pairs[1:], "full", "base")
    bad = tmp_path / "bad.json"
    bad.write_text('{"schema": "other", "rater": "x", "answers": {}}')
    odd = answers(tmp_path, "odd", pairs[1:2], lambda pair: "up")
    for file in (answers(tmp_path, "a", pairs, lambda pair: "same"), bad, odd, tmp_path / "gone.json"):
        with pytest.raises(UsageError):
            read_answers([file], key)


def test_a_study_is_two_files(results: list[Any], tmp_path: Path) -> None:
    page, key = write_study(tmp_path, results, lambda sha256: sample_image("x"), arm="full", base="base", limit=2)
    assert len(json.loads(key.read_text())["pairs"]) == 2
    assert page.read_text().startswith("<!doctype html>")


# -- the judge -----------------------------------------------------------------------------------------------------


async def test_the_papers_protocol(three_things: Library) -> None:
    found = await evaluate_judge(
        make_judge("sketch"), await library_questions(three_things), repeats=2, library=three_things.name
    )
    assert [kind.prompts for kind in found.kinds] == [3, 6, 6]
    assert [kind.accuracy for kind in found.kinds] == [1.0, 1.0, 1.0]
    assert [kind.agreement for kind in found.kinds] == [1.0, 1.0, 1.0]
    assert found.cost_usd == 0.0


async def test_a_judge_that_wavers_or_falls_silent_is_found_out(three_things: Library) -> None:
    asked = 0

    def wavering(prompt: str, image: ImagePart) -> Any:
        nonlocal asked
        asked += 1
        return BackendError("down", retryable=False) if " and " in prompt else asked % 2 == 0

    found = await evaluate_judge(
        ScriptedJudge(wavering), await library_questions(three_things), repeats=2, library=three_things.name
    )
    there, there_and_not, not_there = found.kinds
    assert there.accuracy == not_there.accuracy == 0.5
    assert there.agreement == 0.0
    assert (there_and_not.unanswered, there_and_not.accuracy) == (12, 0.0)
    assert "down" in found.problem
