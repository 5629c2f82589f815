"""Tracked concepts keep their identity across rounds, and what helped is remembered."""

import pytest

from imagerag.agent import concept_tracker
from imagerag.agent.types import Concept, ImageRef, UsedReference


def reference(letter: str, concept: str) -> UsedReference:
    return UsedReference(
        image=ImageRef(sha256=letter * 64, media_type="image/png", width=8, height=8), concept=concept, similarity=0.5
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [("A red heart", "a red heart."), ("the  moon", "moon"), ("- Oil painting", "oil painting"), ("STRASSE", "straße")],
)
def test_the_same_concept_in_other_dress_is_the_same(one: str, other: str) -> None:
    assert concept_tracker.key(one) == concept_tracker.key(other)


def test_different_concepts_stay_different() -> None:
    assert concept_tracker.key("a red heart") != concept_tracker.key("a blue heart")


def test_a_concept_is_resolved_by_the_round_in_which_it_is_no_longer_missing() -> None:
    entries = concept_tracker.update_missing([], [Concept(text="a heart"), Concept(text="a star")], 0)
    entries = concept_tracker.record_references(entries, [reference("a", "a heart")], 1)
    entries = concept_tracker.update_missing(entries, [Concept(text="A star")], 1)
    heart, star = entries
    assert (heart.resolved_round, star.resolved_round) == (1, None)
    assert [kept.image.sha256 for kept in concept_tracker.resolving_references(entries)] == ["a" * 64]
    assert concept_tracker.resolving_references(entries)[0].selected_by == "kept"


def test_a_picture_that_helped_with_two_concepts_is_sent_again_once() -> None:
    entries = concept_tracker.update_missing([], [Concept(text=text) for text in ("a heart", "a star", "a moon")], 0)
    sent = [reference("a", "a heart"), reference("b", "a star"), reference("a", "a moon")]
    entries = concept_tracker.update_missing(concept_tracker.record_references(entries, sent, 1), [], 1)
    assert [(kept.image.sha256[0], kept.concept) for kept in concept_tracker.resolving_references(entries)] == [
        ("a", "a heart"),
        ("b", "a star"),
    ]


def test_a_concept_lost_again_is_unresolved_again() -> None:
    entries = concept_tracker.update_missing([], [Concept(text="a heart")], 0)
    entries = concept_tracker.update_missing(entries, [], 1)
    entries = concept_tracker.update_missing(entries, [Concept(text="a heart")], 2)
    assert [(entry.first_missing_round, entry.resolved_round) for entry in entries] == [(0, None)]


def test_a_reference_is_entered_once_under_the_concept_it_was_sent_for() -> None:
    entries = concept_tracker.update_missing([], [Concept(text="a heart"), Concept(text="a star")], 0)
    for _ in range(2):
        entries = concept_tracker.record_references(entries, [reference("a", "A heart"), reference("b", "a star")], 1)
    assert concept_tracker.tried_references(entries, Concept(text="the heart")) == {"a" * 64}
    assert concept_tracker.tried_references(entries, Concept(text="a star")) == {"b" * 64}
    assert len(entries) == 2
