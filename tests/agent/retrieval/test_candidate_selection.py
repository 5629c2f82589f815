"""Which candidates become references, and the word that says why the others did not."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.ports import Filter, Hit
from imagerag.agent.retrieval.candidate_selection import (
    candidates_of,
    omitted_by_filter,
    relaxed_filters,
    select_by_user,
    select_candidates,
)
from imagerag.agent.retrieval.reference_limits import ReferenceLimits
from imagerag.agent.types import Candidate, Concept, ImageRef, Query, Search, TrackedConcept, UsedReference


def image(name: str) -> ImageRef:
    return ImageRef(sha256=name.encode().hex().ljust(64, "0")[:64], media_type="image/png", width=8, height=8)


def hit(name: str, similarity: float, vector: list[float]) -> Hit:
    return Hit(image=image(name), similarity=similarity, vector=np.array(vector, dtype=np.float32))


def search(concept: str, *names: str, by: str = "caption") -> Search:
    query = Query(concept=Concept(text=concept), text=concept, by="prompt" if by == "prompt" else "caption")
    return Search(round=1, query=query, candidates=tuple(Candidate(image=image(n), similarity=0.5) for n in names))


def decisions(searches: list[Search]) -> list[list[str | None]]:
    return [[candidate.decision for candidate in s.candidates] for s in searches]


def test_below_the_threshold_and_near_duplicates_are_told_apart() -> None:
    hits = [hit("a", 0.9, [1, 0]), hit("b", 0.8, [1, 0]), hit("c", 0.7, [0, 1]), hit("d", 0.4, [0, 1])]
    found = candidates_of(hits, threshold=0.5, near_duplicate=0.97)
    assert [c.decision for c in found] == [None, "near_duplicate", None, "below_threshold"]
    assert [c.passed for c in found] == [False, True, False, False]


def test_the_threshold_itself_passes_and_off_lets_all_pass() -> None:
    assert candidates_of([hit("a", 0.5, [1, 0])], threshold=0.5, near_duplicate=1)[0].decision is None
    assert candidates_of([hit("a", -1.0, [1, 0])], threshold=None, near_duplicate=1)[0].decision is None


def test_an_image_passes_by_its_caption_too_unless_the_threshold_is_the_users_own() -> None:
    near = replace(hit("a", 0.2, [1, 0]), threshold=0.5, caption_threshold=0.8, caption_similarity=0.85)
    far = replace(hit("b", 0.2, [0, 1]), threshold=0.5, caption_threshold=0.8, caption_similarity=0.75)
    unknown = replace(hit("c", 0.2, [-1, 0]), threshold=0.5, caption_threshold=0.8)
    found = candidates_of([near, far, unknown], threshold=0.1, near_duplicate=1)
    assert [c.decision for c in found] == [None, "below_threshold", "below_threshold"]
    assert [(c.caption_similarity, c.caption_threshold) for c in found] == [(0.85, 0.8), (0.75, 0.8), (None, 0.8)]
    assert candidates_of([near.without_thresholds()], threshold=0.3, near_duplicate=1)[0].decision == "below_threshold"


def test_one_reference_a_caption_until_the_generator_is_full() -> None:
    decided, chosen = select_candidates(
        [search("x", "a", "b"), search("y", "c"), search("z", "d")], [], rooms=ReferenceLimits(room=2), by_hand=False
    )
    assert decisions(decided) == [["taken", "reserve"], ["taken"], ["reserve"]]
    assert [(ref.image, ref.concept) for ref in chosen] == [(image("a"), "x"), (image("c"), "y")]


def test_a_search_with_the_prompt_takes_as_many_as_searches_for_all_that_is_missing_would() -> None:
    for missing, room, taken in ((1, 9, 1), (2, 9, 2), (9, 2, 2)):
        rooms = ReferenceLimits(room=room, missing=missing)
        decided, chosen = select_candidates([search("p", "a", "b", "c", by="prompt")], [], rooms=rooms, by_hand=False)
        assert decisions(decided) == [["taken"] * taken + ["reserve"] * (3 - taken)]
        assert len(chosen) == taken


def test_what_was_sent_for_a_concept_before_is_not_sent_for_it_again() -> None:
    used = UsedReference(image=image("a"), concept="x")
    tracked_concepts = [TrackedConcept(concept=Concept(text="x"), first_missing_round=0, references=(used,))]
    decided, chosen = select_candidates(
        [search("x", "a", "b"), search("y", "a")], tracked_concepts, rooms=ReferenceLimits(room=3), by_hand=False
    )
    assert decisions(decided) == [["already_used", "taken"], ["taken"]]
    assert [ref.image for ref in chosen] == [image("b"), image("a")]


def test_two_captions_never_take_the_same_image() -> None:
    decided, chosen = select_candidates(
        [search("x", "a"), search("y", "a", "b")], [], rooms=ReferenceLimits(room=3), by_hand=False
    )
    assert decisions(decided) == [["taken"], ["near_duplicate", "taken"]]
    assert len({ref.image for ref in chosen}) == len(chosen) == 2


def test_a_human_is_offered_everything_that_passed_and_what_they_choose_is_taken_in_their_order() -> None:
    offered, none = select_candidates(
        [search("x", "a", "b"), search("y", "c")], [], rooms=ReferenceLimits(room=1), by_hand=True
    )
    assert none == []
    decided, chosen = select_by_user(offered, [image("c").sha256, image("a").sha256, "f" * 64])
    assert decisions(decided) == [["taken", "rejected_by_hand"], ["taken"]]
    assert [(ref.image, ref.concept, ref.selected_by) for ref in chosen] == [
        (image("c"), "y", "by_hand"),
        (image("a"), "x", "by_hand"),
    ]


def test_without_room_nothing_is_offered_for_nothing_could_be_chosen() -> None:
    decided, chosen = select_candidates([search("x", "a")], [], rooms=ReferenceLimits(room=0), by_hand=True)
    assert (decisions(decided), chosen) == ([["reserve"]], [])


def test_the_same_cosine_as_the_limit_is_a_near_duplicate() -> None:
    hits = [hit("a", 0.9, [1, 0]), hit("b", 0.8, [1, 0])]
    assert [c.decision for c in candidates_of(hits, threshold=None, near_duplicate=1.0)] == [None, "near_duplicate"]


def test_what_is_passed_over_hides_no_other_image() -> None:
    hits = [hit("a", 0.9, [1.0, 0.0]), hit("b", 0.8, [0.98, 0.199]), hit("c", 0.7, [0.921, 0.389])]
    found = candidates_of(hits, threshold=None, near_duplicate=0.97)
    assert [c.decision for c in found] == [None, "near_duplicate", None]


def test_what_two_searches_offer_is_taken_for_the_first_of_them() -> None:
    query = [search("x", "a"), search("y", "a")]
    both = [s.model_copy(update={"candidates": tuple(offered(c) for c in s.candidates)}) for s in query]
    _, chosen = select_by_user(both, [image("a").sha256, image("a").sha256])
    assert [ref.concept for ref in chosen] == ["x"]


def offered(candidate: Candidate) -> Candidate:
    return candidate.model_copy(update={"decision": "offered"})


def test_what_filters_kept_out_is_told_with_what_of_it_would_have_passed() -> None:
    within, others = [hit("a", 0.9, [1, 0])], [hit("a", 0.9, [1, 0]), hit("b", 0.5, [0, 1]), hit("c", 0.4, [0, 1])]
    left = omitted_by_filter("licences", within, others, threshold=0.5)
    assert left is not None
    assert (left.found, left.passing) == ((image("b").sha256, image("c").sha256), (image("b").sha256,))
    assert (left.closest, left.by, left.threshold) == (0.5, "licences", 0.5)
    off = omitted_by_filter("tags", within, others, threshold=None)
    assert off is not None
    assert off.passing == off.found
    assert omitted_by_filter("licences", others, within, threshold=None) is None


def test_each_filter_is_left_out_by_itself_and_all_only_where_there_are_several() -> None:
    assert list(relaxed_filters(Filter())) == []
    assert list(relaxed_filters(Filter(tags=("cat",)))) == [("tags", Filter())]
    both = Filter(licences=("CC0-1.0",), exclude=frozenset({"f" * 64}))
    assert list(relaxed_filters(both)) == [
        ("licences", Filter(exclude=frozenset({"f" * 64}))),
        ("excluded", Filter(licences=("CC0-1.0",))),
        ("filters", Filter()),
    ]


names = st.lists(st.sampled_from("abcdef"), max_size=6)


@given(found=st.lists(names, max_size=4), room=st.integers(0, 4), used=names, by_hand=st.booleans())
def test_nothing_is_undecided_nothing_is_sent_twice_and_the_limit_holds(
    found: list[list[str]], room: int, used: list[str], by_hand: bool
) -> None:
    searches = [search(f"concept {n}", *dict.fromkeys(names)) for n, names in enumerate(found)]
    entry = TrackedConcept(
        concept=Concept(text="concept 0"),
        first_missing_round=0,
        references=tuple(UsedReference(image=image(n), concept="concept 0") for n in used),
    )
    decided, chosen = select_candidates(searches, [entry], rooms=ReferenceLimits(room=room), by_hand=by_hand)
    shas = [ref.image.sha256 for ref in chosen]
    assert len(shas) == len(set(shas)) <= (0 if by_hand else room)
    assert all(decision is not None for row in decisions(decided) for decision in row)
    assert not {ref.image for ref in chosen if ref.concept == "concept 0"} & {image(n) for n in used}
