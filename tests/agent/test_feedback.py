"""Feedback in a model's text, and the instruction for a generator that edits."""

from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.feedback import instruction, split_feedback, with_feedback
from imagerag.agent.types import Attempt, Concept, ImageRef, Requirement, RequirementCheck, TrackedConcept, Verdict
from imagerag.graphs.validation import validate_feedback

IMAGE = ImageRef(sha256="a" * 64, media_type="image/png", width=8, height=8)
WORDS = st.text(min_size=1, max_size=40).map(lambda text: f"x {text}".replace("\0", ""))


@given(prompt=st.text(), feedback=st.lists(WORDS.filter(lambda text: text.isprintable()), max_size=4))
def test_what_was_joined_is_read_back(prompt: str, feedback: list[str]) -> None:
    lines = validate_feedback(feedback)
    assert split_feedback(with_feedback(prompt, lines)) == (prompt, tuple(lines)) or not lines


def test_a_prompt_without_feedback_is_sent_as_it_is() -> None:
    assert with_feedback("a heart", []) == "a heart"


def attempt(verdict: Verdict | None) -> Attempt:
    return Attempt(index=0, round=0, prompt="a heart", image=IMAGE, verdict=verdict)


def checked(**met: bool) -> tuple[RequirementCheck, ...]:
    """Feedback, by its words with _ for spaces."""
    return tuple(
        RequirementCheck(requirement=Requirement(text=text.replace("_", " "), kind="feedback"), met=is_met)
        for text, is_met in met.items()
    )


def test_only_what_is_still_to_be_changed_is_told() -> None:
    verdict = Verdict(aligned=False, score=0.5, checks=checked(make_it_red=True, make_it_big=False))
    assert instruction(attempt(verdict), [], ["add a star"]) == "make it big; add a star"


def test_what_the_image_lacked_of_the_prompt_is_told_too() -> None:
    missing = (Concept(text="a star"), Concept(text="a moon"), Concept(text="an oil painting", kind="style"))
    verdict = Verdict(aligned=False, score=0.5, missing=missing)
    told = "also show a star, a moon; in this style: an oil painting; make it red"
    assert instruction(attempt(verdict), [], ["make it red"]) == told


def test_a_bare_no_is_told_by_what_the_run_found_missing() -> None:
    concepts = [
        TrackedConcept(concept=Concept(text="a star"), first_missing_round=0),
        TrackedConcept(concept=Concept(text="a moon"), first_missing_round=0, resolved_round=1),
    ]
    assert instruction(attempt(Verdict(aligned=False)), concepts, ["red"]) == "also show a star; red"
    assert instruction(attempt(Verdict(aligned=True)), concepts, ["red"]) == "red"
    assert instruction(attempt(None), concepts, ["red"]) == "red"
