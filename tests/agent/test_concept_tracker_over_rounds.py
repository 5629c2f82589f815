"""Tracked concepts in loops of several rounds, where one concept is tried with more than one reference."""

import pytest

from imagerag.agent import concept_tracker
from imagerag.agent.types import Concept, ImageRef, TrackedConcept, UsedReference

HEART, STAR = Concept(text="a heart"), Concept(text="a star")


def reference(letter: str, concept: str = "a heart") -> UsedReference:
    return UsedReference(
        image=ImageRef(sha256=letter * 64, media_type="image/png", width=8, height=8), concept=concept, similarity=0.5
    )


def letters(references: list[UsedReference]) -> str:
    return "".join(r.image.sha256[0] for r in references)


def test_what_resolved_a_concept_is_sent_again_and_not_what_failed_before_it() -> None:
    entries = concept_tracker.update_missing([], [HEART], 0)
    entries = concept_tracker.update_missing(
        concept_tracker.record_references(entries, [reference("a")], 1), [HEART], 1
    )
    assert concept_tracker.resolving_references(entries) == []
    entries = concept_tracker.update_missing(concept_tracker.record_references(entries, [reference("b")], 2), [STAR], 2)
    assert letters(concept_tracker.resolving_references(entries)) == "b"
    entries = concept_tracker.update_missing(
        concept_tracker.record_references(entries, [reference("c", "a star")], 3), [], 3
    )
    assert letters(concept_tracker.resolving_references(entries)) == "bc"
    assert [(e.concept.text, e.first_missing_round, e.resolved_round) for e in entries] == [
        ("a heart", 0, 2),
        ("a star", 2, 3),
    ]


def test_a_reference_that_failed_once_and_resolved_it_later_is_the_one_that_helped() -> None:
    entries = concept_tracker.update_missing([], [HEART], 0)
    for number, letter in enumerate("aba", start=1):
        entries = concept_tracker.record_references(entries, [reference(letter)], number)
        entries = concept_tracker.update_missing(entries, [] if number == 3 else [HEART], number)
    assert letters(concept_tracker.resolving_references(entries)) == "a"
    assert letters(list(entries[0].references)) == "ba"


def test_a_concept_that_was_lost_again_sends_nothing_until_something_resolves_it() -> None:
    entries = concept_tracker.update_missing(concept_tracker.record_references([], [reference("a")], 1), [], 1)
    entries = concept_tracker.update_missing(entries, [HEART], 2)
    assert concept_tracker.resolving_references(entries) == []
    entries = concept_tracker.update_missing(concept_tracker.record_references(entries, [reference("b")], 3), [], 3)
    assert letters(concept_tracker.resolving_references(entries)) == "b"
    assert concept_tracker.tried_references(entries, HEART) == {"a" * 64, "b" * 64}


def test_a_concept_stays_resolved_by_the_round_that_did_it() -> None:
    entries = concept_tracker.update_missing([], [HEART], 0)
    for number in (1, 2, 3):
        entries = concept_tracker.update_missing(entries, [], number)
    assert entries[0].resolved_round == 1


def test_a_concept_that_was_resolved_in_the_first_picture_is_resolved() -> None:
    entries = [TrackedConcept(concept=HEART, first_missing_round=0, resolved_round=0, references=(reference("a"),))]
    assert letters(concept_tracker.resolving_references(entries)) == "a"
    assert concept_tracker.update_missing(entries, [], 2)[0].resolved_round == 0


def test_a_concept_without_a_reference_helped_with_nothing() -> None:
    assert (
        concept_tracker.resolving_references(
            concept_tracker.update_missing(concept_tracker.update_missing([], [HEART], 0), [], 1)
        )
        == []
    )


def test_what_was_sent_for_what_nobody_missed_is_first_missing_in_its_round() -> None:
    (entry,) = concept_tracker.record_references([], [reference("a")], 2)
    assert (entry.first_missing_round, entry.resolved_round) == (2, None)


def test_the_same_concept_named_twice_is_entered_once() -> None:
    entries = concept_tracker.update_missing([], [HEART, Concept(text="The heart.")], 0)
    assert len(entries) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("an orange", "orange"), ("some snow", "snow"), ("the moon", "moon"), ("“a moon”", "“a moon”")]
)
def test_a_leading_article_is_no_part_of_a_concept(one: str, other: str) -> None:
    assert concept_tracker.key(one) == concept_tracker.key(other)


@pytest.mark.parametrize(("one", "other"), [("another moon", "moon"), ("theme", "me"), ("a", "the"), ("anvil", "vil")])
def test_what_only_begins_like_an_article_is(one: str, other: str) -> None:
    assert concept_tracker.key(one) != concept_tracker.key(other)


def test_every_picture_that_helped_is_marked_as_kept() -> None:
    entries = concept_tracker.update_missing(
        concept_tracker.record_references([], [reference("a"), reference("b", "a star")], 1), [], 1
    )
    assert [r.selected_by for r in concept_tracker.resolving_references(entries)] == ["kept", "kept"]
