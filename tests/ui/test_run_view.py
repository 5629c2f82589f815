"""How a run stands, from its record alone."""

import pytest

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Candidate, Concept, ImageRef, Query, RunSpec, Search
from imagerag.ui.run_view import OWN, library_to_add_to, unmatched

IMAGE = ImageRef(sha256="0" * 64, media_type="image/png", width=8, height=8)


def search(concept: str, decision: str, *, ask: int = 0, by: str = "caption", round: int = 1) -> Search:
    query = Query(concept=Concept(text=concept), text=f"a picture of {concept}", by=by, ask=ask)
    candidate = Candidate(image=IMAGE, similarity=0.2, decision=decision)
    return Search(round=round, query=query, candidates=(candidate,), threshold=0.3)


@pytest.mark.parametrize(
    ("searches", "concepts"),
    [
        ([search("a cat", "below_threshold")], ["a cat"]),
        ([search("a cat", "taken"), search("a hat", "below_threshold")], ["a hat"]),
        ([search("a cat", "below_threshold"), search("a pet", "below_threshold", ask=1)], ["a cat"]),
        ([search("a cat", "below_threshold"), search("a pet", "taken", ask=1)], []),
        ([search("a cat", "below_threshold"), search("all of it", "below_threshold", by="prompt")], ["a cat"]),
        ([search("a cat", "below_threshold"), search("a cat", "taken", round=2)], []),
        ([search("a cat", "near_duplicate")], []),
    ],
)
def test_what_was_not_found_is_named_once(searches: list[Search], concepts: list[str]) -> None:
    record = RunRecord(run_id="run", status="ended", prompt="", outcome="no_usable_reference", searches=searches)
    assert [one.concept for one in unmatched(record)] == concepts


@pytest.mark.parametrize(
    ("library", "name"),
    [
        (None, OWN),
        ("sketch", OWN),
        ("sketch,photos,web:openverse", "photos"),
        ("photos@v1", OWN),
        ("pgvector:mine", OWN),
    ],
)
def test_a_picture_goes_into_the_first_library_that_takes_some(library: str | None, name: str) -> None:
    setup = RunSpec(generator="sketch", judge="sketch", library=library)
    record = RunRecord(run_id="run", status="ended", prompt="", outcome="no_usable_reference", setup=setup)
    assert library_to_add_to(record) == name
