"""Where a run goes next, decided from the state and the config alone."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from langgraph.types import Send

from imagerag.agent import routing
from imagerag.agent.extraction_schedule import TEMPERATURES
from imagerag.agent.types import (
    Attempt,
    Candidate,
    Concept,
    ImageRef,
    ModelCall,
    Outcome,
    ParentRun,
    Query,
    RunConfig,
    RunResult,
    Search,
    UsedReference,
    Verdict,
)


def image(letter: str = "a") -> ImageRef:
    return ImageRef(sha256=letter * 64, media_type="image/png", width=8, height=8)


def attempt(aligned: bool | None, round: int = 0) -> Attempt:
    verdict = Verdict(status="abstained" if aligned is None else "judged", aligned=aligned)
    return Attempt(index=round, round=round, prompt="p", image=image(), verdict=verdict)


def search(text: str, *, decision: Any = None, round: int = 1) -> Search:
    query = Query(concept=Concept(text=text), text=text)
    candidates = (Candidate(image=image("b"), similarity=0.5, decision=decision),) if decision else ()
    return Search(round=round, query=query, candidates=candidates)


def state(**values: Any) -> Any:
    base = {"prompt": "a scene", "attempts": [], "searches": [], "chosen": [], "concepts": [], "concept_tries": 0}
    return {**base, **values}


def under(**config: Any) -> Any:
    return SimpleNamespace(context=RunConfig(**config))


def sent(step: object) -> list[dict[str, Any]]:
    assert isinstance(step, list)
    return [cast("Send", one).arg for one in step]


async def test_references_come_first_only_where_asked_and_no_image_was_handed_in() -> None:
    assert await routing.route_after_start(state(), under()) == "generate"
    assert await routing.route_after_start(state(initial_image=image()), under(start="retrieve")) == "generate"
    (task,) = sent(await routing.route_after_start(state(), under(start="retrieve")))
    assert (task["query"].text, task["query"].by) == ("a scene", "prompt")


@pytest.mark.parametrize(
    ("aligned", "round", "step"),
    [
        (False, 0, "extract_concepts"),
        (False, 1, "extract_concepts"),
        (False, 2, "finish"),
        (False, 3, "finish"),
        (True, 0, "finish"),
        (None, 0, "finish"),
    ],
)
async def test_what_is_missing_is_looked_for_while_a_round_is_left_and_only_then(
    aligned: bool | None, round: int, step: str
) -> None:
    assert await routing.route_after_critique(state(attempts=[attempt(aligned, round)]), under(max_rounds=2)) == step


async def test_an_attempt_that_was_not_judged_is_not_improved() -> None:
    unjudged = attempt(True).model_copy(update={"verdict": None})
    assert await routing.route_after_critique(state(attempts=[unjudged]), under()) == "finish"
    assert await routing.route_after_critique(state(), under()) == "finish"


async def test_the_judge_is_asked_as_often_as_there_are_temperatures_and_then_the_prompt_is_searched_with() -> None:
    drawn = {"attempts": [attempt(False)]}
    named = state(**drawn, concepts=[Concept(text="a heart")])
    assert await routing.route_after_extraction(named, under()) == "write_captions"
    for tries in range(1, len(TEMPERATURES)):
        assert await routing.route_after_extraction(state(**drawn, concept_tries=tries), under()) == "extract_concepts"
    (task,) = sent(await routing.route_after_extraction(state(**drawn, concept_tries=len(TEMPERATURES)), under()))
    assert task["query"].by == "prompt"


async def test_each_caption_has_a_search_and_each_search_its_place_among_them() -> None:
    queries = [Query(concept=Concept(text=text), text=text) for text in ("x", "y")]
    tasks = sent(await routing.route_after_captions(state(queries=queries), under()))
    assert [(task["query"].text, task["place"]) for task in tasks] == [("x", [0, 2]), ("y", [1, 2])]


async def test_what_was_excluded_and_what_is_pinned_is_passed_over_by_every_search() -> None:
    pin = UsedReference(image=image("c"), concept="", selected_by="by_hand")
    (task,) = sent(routing.used_prompt_fallback(state(excluded_images=["d" * 64], kept_images=[pin])))
    assert set(task["passed_over"]) == {"c" * 64, "d" * 64}


@pytest.mark.parametrize(("done_again", "made"), [(False, 3), (True, 5)])
async def test_a_search_knows_what_the_run_has_spent(done_again: bool, made: int) -> None:
    calls = [
        ModelCall(role="generate", backend="b", elapsed_s=0, cost_usd=0.25, requests=3),
        ModelCall(role="judge.critique", backend="b", elapsed_s=0, cost_usd=0.5, requests=2, cached=True),
    ]
    lineage = ParentRun(run_id="before", step=3 if done_again else None)
    (task,) = sent(routing.used_prompt_fallback(state(calls=calls, parent_run=lineage, attempts=[attempt(False)])))
    assert (task["made"], task["spent_usd"], task["round"], task["parent_run"]) == (made, 0.25, 1, lineage)


async def test_after_the_shortlist() -> None:
    drawn = {"attempts": [attempt(False)]}
    chosen = state(**drawn, chosen=[UsedReference(image=image("b"), concept="x")])
    assert await routing.route_after_shortlist(chosen, under()) == "regenerate"
    ended = state(**chosen, result=RunResult(outcome=Outcome.FAILED, reason="?"))
    assert await routing.route_after_shortlist(ended, under()) == "finish"
    offered = state(**drawn, searches=[search("x", decision="offered")])
    assert await routing.route_after_shortlist(offered, under(select=True)) == "select"
    in_vain = {**drawn, "searches": [search("x", decision="already_used")]}
    assert (
        await routing.route_after_shortlist(state(**in_vain, concept_tries=1), under(select=True)) == "extract_concepts"
    )
    passed_over = state(**in_vain, concept_tries=len(TEMPERATURES))
    (task,) = sent(await routing.route_after_shortlist(passed_over, under(select=True)))
    assert task["query"].by == "prompt"


async def test_captions_that_were_searched_with_before_are_no_search_but_another_ask() -> None:
    asked = state(attempts=[attempt(False)], searches=[search("x", decision="below_threshold")], queries=[])
    assert await routing.route_after_captions({**asked, "concept_tries": 2}, under()) == "extract_concepts"
    assert sent(await routing.route_after_captions({**asked, "concept_tries": 3}, under()))[0]["query"].by == "prompt"
    whole = [search("x", decision="below_threshold"), search("a scene", decision="below_threshold")]
    assert await routing.route_after_captions({**asked, "searches": whole, "concept_tries": 3}, under()) == "finish"


@pytest.mark.parametrize(("attempts", "step"), [([attempt(False)], "finish"), ([], "generate")])
async def test_the_prompt_is_searched_with_once_a_round_and_then_it_is_over(attempts: list[Attempt], step: str) -> None:
    coming = len(attempts)
    both = state(attempts=attempts, searches=[search("x", round=coming), search("a scene", round=coming)])
    assert await routing.route_after_shortlist(both, under()) == step
    earlier = state(attempts=[attempt(False, 0), attempt(False, 1)], searches=[search("a scene"), search("x", round=2)])
    assert sent(await routing.route_after_shortlist(earlier, under()))


@pytest.mark.parametrize(("attempts", "step"), [([attempt(False)], "finish"), ([], "generate")])
async def test_choosing_nothing_is_an_answer(attempts: list[Attempt], step: str) -> None:
    assert await routing.route_after_selection(state(attempts=attempts)) == step
    chosen = [UsedReference(image=image("b"), concept="x")]
    assert await routing.route_after_selection(state(attempts=attempts, chosen=chosen)) == "regenerate"
