"""Routing of a run: pure functions of the state and the config.

They are coroutines because LangGraph would send plain functions to a thread, for every decision.
"""

from collections.abc import Sequence
from typing import Final, Literal

from langgraph.runtime import Runtime
from langgraph.types import Send

from imagerag.agent.calls.costs import requests_made, spent
from imagerag.agent.feedback import search_text
from imagerag.agent.intents import only_comparisons_fail, only_unclear_fails
from imagerag.agent.retrieval.escalation import may_ask_again
from imagerag.agent.retrieval.web_search import bytes_of_round
from imagerag.agent.state import RunState, latest_attempt, next_round, next_searches
from imagerag.agent.types import Concept, Query, RunConfig, Subject

Sends = list[Send]

NEXT: Final = {"generate": "critique", "regenerate": "critique", "retrieve": "shortlist"}
"""The node that always comes after one; what comes after the others depends on what they found."""


async def route_after_start(state: RunState, runtime: Runtime[RunConfig]) -> Literal["generate"] | Sends:
    """Draw first, unless references were asked for first and no image was handed in."""
    if runtime.context.start == "retrieve" and state.get("initial_image") is None:
        return used_prompt_fallback(state)
    return "generate"


async def route_after_critique(
    state: RunState, runtime: Runtime[RunConfig]
) -> Literal["finish", "extract_concepts", "regenerate"]:
    """Look for what is missing only when the judge said something is, and a round is left.

    What only had to stay, or to look, as it was sent is in no library: the same is drawn once more.
    """
    attempt = latest_attempt(state)
    verdict = attempt.verdict if attempt else None
    if attempt is None or verdict is None or verdict.aligned is not False:
        return "finish"
    if attempt.round >= runtime.context.max_rounds or only_unclear_fails(verdict):
        return "finish"
    return "regenerate" if only_comparisons_fail(verdict) else "extract_concepts"


async def route_after_extraction(
    state: RunState, runtime: Runtime[RunConfig]
) -> Literal["write_captions", "extract_concepts", "finish"] | Sends:
    """Write captions of what was named; where nothing was, look elsewhere."""
    return "write_captions" if state["concepts"] else elsewhere(state, runtime.context)


async def route_after_captions(
    state: RunState, runtime: Runtime[RunConfig]
) -> Literal["extract_concepts", "finish"] | Sends:
    """One search per caption, in parallel; where each of them was searched with before, look elsewhere."""
    return _searches(state, state["queries"]) if state["queries"] else elsewhere(state, runtime.context)


async def route_after_shortlist(
    state: RunState, runtime: Runtime[RunConfig]
) -> Literal["select", "regenerate", "generate", "extract_concepts", "finish"] | Sends:
    """Draw with what passed, or let a human choose; if nothing passed, look elsewhere."""
    if state.get("result"):
        return "finish"
    if state["chosen"]:
        return "regenerate"
    if runtime.context.select and awaiting_selection(state):
        return "select"
    return elsewhere(state, runtime.context) if latest_attempt(state) else nothing_selected(state)


async def route_after_selection(state: RunState) -> Literal["regenerate", "generate", "finish"]:
    """Draw with what the human chose, or edit what they chose for that; choosing nothing is an answer too."""
    took = any(c.decision == "taken" for search in next_searches(state) for c in search.candidates)
    return "regenerate" if state["chosen"] or took else nothing_selected(state)


def elsewhere(state: RunState, config: RunConfig) -> Literal["extract_concepts", "finish"] | Sends:
    """Nothing usable was named or found: ask again, hotter, until the tries are spent; search with the prompt; end."""
    if may_ask_again(state, config):
        return "extract_concepts"
    return "finish" if searched_with_prompt(state) else used_prompt_fallback(state)


def nothing_selected(state: RunState) -> Literal["generate", "finish"]:
    """Without a reference there is nothing to redraw with; a run without any image still gets its first."""
    return "finish" if latest_attempt(state) else "generate"


def used_prompt_fallback(state: RunState) -> Sends:
    """A search with the prompt itself."""
    words = search_text(state)
    query = Query(concept=Concept(text=words), text=words, by="prompt")
    return _searches(state, [query])


def awaiting_selection(state: RunState) -> bool:
    """Whether this round put a reference before the human."""
    return any(c.decision == "offered" for search in next_searches(state) for c in search.candidates)


def searched_with_prompt(state: RunState) -> bool:
    """Whether this round searched with the prompt's own words already."""
    return any(search.query.text == search_text(state) for search in next_searches(state))


def _searches(state: RunState, queries: Sequence[Query]) -> Sends:
    passed_over = [*(state.get("excluded_images") or []), *(pin.image.sha256 for pin in state.get("kept_images") or [])]
    own = map(Subject.model_validate, state.get("subjects") or [])
    passed_over += [one.image.sha256 for one in own if one.intent == "edit"]  # it is sent already
    calls, lineage = state.get("calls") or [], state.get("parent_run")
    shared: dict[str, object] = {
        "round": next_round(state),
        "passed_over": passed_over,
        "made": requests_made(calls, done_again=bool(lineage and lineage.done_again)),
        "spent_usd": spent(calls),
        "web_bytes": bytes_of_round(state.get("searches") or [], len(queries)),
        "parent_run": lineage,
        "started_at": state.get("started_at"),
        "runs": state.get("runs", 1),
        "run_key": state.get("run_key", ""),
    }
    return [Send("retrieve", {"query": query, "place": [n, len(queries)], **shared}) for n, query in enumerate(queries)]
