"""Several references for one concept: who gets how many, and what limits all of them together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent import concept_tracker
from imagerag.agent.ports import Capabilities
from imagerag.agent.retrieval.candidate_selection import select_candidates
from imagerag.agent.retrieval.reference_limits import ReferenceLimits, missing_count, shown_at_most
from imagerag.agent.types import (
    Attempt,
    Candidate,
    Concept,
    ImageRef,
    Query,
    Requirement,
    RequirementCheck,
    Search,
    UsedReference,
    Verdict,
)
from imagerag.tools.testing.fakes import ScriptedJudge


def image(name: str) -> ImageRef:
    return ImageRef(sha256=name.encode().hex().ljust(64, "0")[:64], media_type="image/png", width=8, height=8)


def search(concept: str, names: str, by: str = "caption") -> Search:
    query = Query(concept=Concept(text=concept), text=concept, by=by)  # type: ignore[arg-type]
    return Search(round=1, query=query, candidates=tuple(Candidate(image=image(n), similarity=0.5) for n in names))


def taken(rooms: ReferenceLimits, *searches: Search) -> list[str]:
    _, chosen = select_candidates(searches, [], rooms=rooms, by_hand=False)
    names = {image(letter): letter for letter in "abcdefghijklmnop"}
    return [names[reference.image] for reference in chosen]


def test_one_for_each_concept_comes_before_a_second_for_any() -> None:
    both = search("x", "abc"), search("y", "def")
    assert taken(ReferenceLimits(room=9, each=1), *both) == ["a", "d"]
    assert taken(ReferenceLimits(room=9, each=2), *both) == ["a", "d", "b", "e"]
    assert taken(ReferenceLimits(room=3, each=3), *both) == ["a", "d", "b"]
    assert taken(ReferenceLimits(room=9, each=16), *both) == ["a", "d", "b", "e", "c", "f"]


def test_what_the_judge_cannot_be_shown_is_not_sent_beyond_the_first_of_each() -> None:
    both = search("x", "abc"), search("y", "def")
    assert taken(ReferenceLimits(room=9, each=3, shown=3), *both) == ["a", "d", "b"]
    assert taken(ReferenceLimits(room=9, each=3, shown=0), *both) == ["a", "d"]
    prompt = search("p", "abcdef", by="prompt")
    assert taken(ReferenceLimits(room=9, each=3, missing=2, shown=1), prompt) == ["a", "b"]


def test_a_judge_says_how_many_it_can_be_shown_or_takes_any_number() -> None:
    judge = ScriptedJudge()
    assert shown_at_most(judge, 2) is None
    judge.capabilities = Capabilities(max_images=4)
    assert (shown_at_most(judge, 2), shown_at_most(judge, 9)) == (1, 0)


names = st.text("abcdefghijklmnop", max_size=8).map(lambda text: "".join(dict.fromkeys(text)))


@given(
    st.lists(names, min_size=1, max_size=4),
    names,
    st.integers(0, 16),
    st.integers(1, 16),
    st.none() | st.integers(0, 9),
)
def test_the_prompt_never_sends_more_than_all_concepts_may_and_nothing_exceeds_the_room(
    found: list[str], whole: str, room: int, each: int, shown: int | None
) -> None:
    rooms = ReferenceLimits(room=room, each=each, missing=len(found), shown=shown)
    by_concept = taken(rooms, *(search(f"c{n}", letters) for n, letters in enumerate(found)))
    by_prompt = taken(rooms, search("p", whole, by="prompt"))
    for sent in (by_concept, by_prompt):
        assert len(sent) == len(set(sent)) <= min(room, each * len(found))
        assert shown is None or len(sent) <= max(shown, len(found))


def attempt(*missing: str, met: tuple[bool, ...] = ()) -> Attempt:
    checks = tuple(RequirementCheck(requirement=Requirement(text=str(n)), met=yes) for n, yes in enumerate(met))
    concepts = tuple(Concept(text=text) for text in missing)
    verdict = Verdict(aligned=False, missing=concepts, checks=checks)
    return Attempt(index=0, round=0, prompt="p", image=image("a"), verdict=verdict)


@pytest.mark.parametrize(
    ("drawn", "count"),
    [(attempt("x", "y"), 2), (attempt(met=(True, False, False)), 2), (attempt(), 1), (None, 1)],
    ids=["named", "unmet", "a bare no", "nothing was judged"],
)
def test_how_many_concepts_a_search_with_the_prompt_stands_for(drawn: Attempt | None, count: int) -> None:
    assert missing_count({"attempts": [drawn] if drawn else [], "searches": []}) == count  # type: ignore[typeddict-item]


def test_all_references_that_resolved_a_concept_together_are_kept() -> None:
    heart = Concept(text="a heart")
    first, second = (tuple(UsedReference(image=image(n), concept="a heart") for n in pair) for pair in ("ab", "cd"))
    entries = concept_tracker.record_references(concept_tracker.update_missing([], [heart], 0), first, 1)
    entries = concept_tracker.record_references(concept_tracker.update_missing(entries, [heart], 1), second, 2)
    entries = concept_tracker.update_missing(entries, [], 2)
    drawn = [attempt().model_copy(update={"round": n, "references": used}) for n, used in ((1, first), (2, second))]
    assert [reference.image for reference in concept_tracker.resolving_references(entries, drawn)] == [
        image("c"),
        image("d"),
    ]
    assert [reference.image for reference in concept_tracker.resolving_references(entries)] == [image("d")]
