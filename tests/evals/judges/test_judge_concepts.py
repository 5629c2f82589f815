"""A judge that finds something missing is scored on whether it names the right thing."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import ImagePart
from imagerag.evals.judges.judge_eval import evaluate_judge
from imagerag.evals.judges.judge_score import ConceptScore
from imagerag.evals.judges.library_questions import library_questions
from imagerag.evals.metrics.concept_match import counted, is_right, own_synonyms
from imagerag.store.library.library import Library
from imagerag.tools.registry import make_judge
from imagerag.tools.testing.fakes import ScriptedJudge


async def test_the_prompts_have_the_papers_three_forms(three_things: Library) -> None:
    judge = ScriptedJudge(lambda prompt, image: True)
    await evaluate_judge(judge, await library_questions(three_things))
    asked = sorted({call.arguments["prompt"] for call in judge.calls}, key=len)
    assert "A photo of a red solid circle" in asked
    assert "A photo of a red solid circle and a teal striped bolt" in asked
    assert all(prompt.startswith("A photo of a ") for prompt in asked)
    assert [len(prompt.split(" and a ")) for prompt in asked].count(2) == 6
    assert {call.method for call in judge.calls} == {"critique"}, "a yes is not asked what is missing"


async def test_a_judge_that_sees_is_right_about_what_is_missing(three_things: Library) -> None:
    found = await evaluate_judge(make_judge("sketch"), await library_questions(three_things))
    assert found.concepts is not None
    assert {kind: (one.precision, one.recall) for kind, one in found.concepts.items()} == {
        "there": (None, None),
        "there_and_not": (1.0, 1.0),
        "not_there": (1.0, 1.0),
        "all": (1.0, 1.0),
    }


async def test_a_judge_that_always_names_the_same_thing_is_found_out(three_things: Library) -> None:
    def blind(prompt: str, image: ImagePart) -> Any:
        return ["a bicycle", "oil painting style"]

    found = await evaluate_judge(ScriptedJudge(blind), await library_questions(three_things))
    assert found.concepts is not None
    everything = found.concepts["all"]
    assert (everything.precision, everything.recall) == (0.0, 0.0)
    assert (everything.named, everything.missing) == (2 * 15, 12)
    assert [kind.accuracy for kind in found.kinds] == [0.0, 1.0, 1.0], "its noes alone look perfect"


async def test_a_yes_to_what_is_not_there_names_nothing_and_counts(three_things: Library) -> None:
    found = await evaluate_judge(
        ScriptedJudge(lambda prompt, image: True), await library_questions(three_things), library=three_things.name
    )
    assert found.concepts is not None
    assert (found.concepts["all"].precision, found.concepts["all"].recall) == (None, 0.0)


async def test_concepts_need_not_be_asked_for(three_things: Library) -> None:
    judge = ScriptedJudge(lambda prompt, image: False)
    found = await evaluate_judge(judge, await library_questions(three_things), concepts=False)
    assert found.concepts is None
    assert {call.method for call in judge.calls} == {"critique"}


@pytest.mark.parametrize(
    ("named", "missing", "there"),
    [
        ("bolt", "a teal striped bolt", "a red solid circle"),
        ("Stripes", "a teal striped bolt", "a red solid circle"),
        ("a lightning in turquoise", "a teal striped bolt", "a red solid circle"),
        ("the gray cats", "a grey cat", "a dog"),
        ("content: kitten", "a cat", "a puppy"),
        ("dog", "two puppies on grass", "a cat"),
        ("photograph of boxes", "a box", "a cup"),
        ("Élan", "an elan", "a bear"),
    ],
)
def test_other_words_for_the_same_are_the_same(named: str, missing: str, there: str) -> None:
    assert is_right(named, missing, there)


@pytest.mark.parametrize(
    ("named", "missing", "there"),
    [
        ("a red circle", "a teal striped bolt", "a red solid circle"),
        ("a teal striped circle", "a teal striped bolt", "a red solid circle"),
        ("a bicycle", "a cat", "a dog"),
        ("the image", "a cat", "a dog"),
        ("", "a cat", "a dog"),
        ("solid", "a blue solid star", "a red solid circle"),
    ],
)
def test_what_is_there_or_nowhere_is_not_what_is_missing(named: str, missing: str, there: str) -> None:
    assert not is_right(named, missing, there)


def test_counts_are_of_concepts_named_and_of_concepts_missing() -> None:
    assert counted(["teal", "bolt", "a hat"], ["a teal bolt"], "a red circle") == (2, 1)
    assert counted([], ["a teal bolt"], "a red circle") == (0, 0)
    assert counted(["a hat"], [], "a red circle") == (0, 0)
    score = ConceptScore.of([(3, 2, 1, 1), (0, 0, 1, 0)])
    assert (score.precision, score.recall) == (pytest.approx(2 / 3), 0.5)
    assert ConceptScore.of([]).precision is None


def test_ones_own_words_for_the_same(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("hex bolt, M8, screw   # from the catalogue\n\n# nothing\n")
    alike = own_synonyms(file)
    assert is_right("an M8", "a hex bolt", "a washer", alike)
    assert not is_right("an M8", "a hex bolt", "a washer")
    file.write_text("alone\n")
    with pytest.raises(UsageError, match="line 1"):
        own_synonyms(file)
    with pytest.raises(UsageError, match="cannot read"):
        own_synonyms(tmp_path / "gone.txt")


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_any_words_can_be_compared_and_what_is_shown_is_never_missing(named: str, missing: str, there: str) -> None:
    assert isinstance(is_right(named, missing, there), bool)
    assert not is_right(there, missing, there)
