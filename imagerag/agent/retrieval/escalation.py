"""Asking again where what was named found nothing: what was searched in vain, and whether another ask can help.

A round asks at the temperatures of `extraction_schedule.py`. What the verdict itself names counts as the first of these
asks.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from imagerag.agent.calls.costs import requests_made
from imagerag.agent.extraction_schedule import TEMPERATURES
from imagerag.agent.state import RunState, latest_attempt, next_round, next_searches
from imagerag.agent.types import Decision, ModelCall, Query, RunConfig, SamplingParams, Search
from imagerag.formatting.numbers import temperature

MAX_FAILED: Final = 16
"""What was searched in vain is told to the judge, the newest of it: a question is not to grow without end."""

KEPT_FOR_DRAWING: Final = 2
"""Requests of a run's budget that another ask leaves: a drawing and its verdict."""

ONE_ASK: Final = 2
"""Requests of another ask: for concepts, and for their captions."""

_NOT_IN_VAIN: Final[frozenset[Decision | None]] = frozenset({None, "taken", "offered", "reserve"})
"""Decisions about what can still be drawn with, or could be if the generator took more."""


def searched(state: RunState) -> list[Search]:
    """The coming round's searches for what was named as missing."""
    return [search for search in next_searches(state) if search.query.by != "prompt"]


def failed_searches(state: RunState) -> list[Search]:
    """The run's searches for concepts that gave nothing to draw with, oldest first."""
    return [search for search in state.get("searches") or [] if search.query.by != "prompt" and _is_in_vain(search)]


def _is_in_vain(search: Search) -> bool:
    return not any(candidate.decision in _NOT_IN_VAIN for candidate in search.candidates)


def failed_concepts(state: RunState) -> tuple[str, ...]:
    """The concepts that were searched in vain."""
    return _distinct(search.query.concept.text for search in failed_searches(state))


def failed_captions(state: RunState) -> tuple[str, ...]:
    """The captions that were searched with in vain."""
    return _distinct(search.query.text for search in failed_searches(state))


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))[-MAX_FAILED:]


def may_ask_again(state: RunState, config: RunConfig) -> bool:
    """Whether the judge is asked once more for concepts, before the prompt itself is searched with.

    Not where no concept could be found: nothing has been judged, the library has nothing to give, the generator takes
    no more, or the calls that are left are needed for a drawing and its verdict.
    """
    if latest_attempt(state) is None or state["concept_tries"] >= len(TEMPERATURES):
        return False
    searches = next_searches(state)
    if any(search.query.by == "prompt" for search in searches):
        return False
    candidates = [candidate for search in searches for candidate in search.candidates]
    if searches and (not candidates or any(candidate.decision in _NOT_IN_VAIN for candidate in candidates)):
        return False
    return not searches or _affordable(state, config)


def _affordable(state: RunState, config: RunConfig) -> bool:
    if config.max_calls is None:
        return True
    lineage = state.get("parent_run")
    requests = requests_made(state.get("calls") or [], done_again=bool(lineage and lineage.done_again))
    return config.max_calls - requests >= ONE_ASK + KEPT_FOR_DRAWING


def new_queries(queries: Sequence[Query], state: RunState) -> list[Query]:
    """The queries that this round has not searched with yet, each text once; further asks say that they are."""
    texts = {_plain(search.query.text) for search in searched(state)}
    fresh: dict[str, Query] = {}
    for query in queries:
        if _plain(query.text) not in texts:
            fresh.setdefault(_plain(query.text), query)
    params = last_ask(state)
    return [_from(query, params) if params else query for query in fresh.values()]


def _from(query: Query, params: SamplingParams) -> Query:
    note = "; ".join(filter(None, (repeat_instructions(params), query.note)))
    return query.model_copy(update={"ask": params.attempt, "note": note})


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def last_ask(state: RunState) -> SamplingParams | None:
    """Parameters of the request for the next round's concepts; None where the verdict or the first one named them."""
    asks = [
        call.variation
        for call in state.get("calls") or []
        if call.role == "judge.missing_concepts" and call.round == next_round(state) and call.completed
    ]
    return asks[-1] if asks and asks[-1].attempt else None


def for_captions(state: RunState) -> SamplingParams | None:
    """Parameters of the request for captions: those of the concepts, where these were requested again."""
    params = last_ask(state)
    return params.model_copy(update={"failed_searches": failed_captions(state)}) if params else None


def ask_params(calls: Sequence[ModelCall]) -> str:
    """Describe how a step repeated its request for missing concepts; empty for the first request, or none."""
    further = [call.variation for call in calls if call.role == "judge.missing_concepts" and call.variation.attempt]
    return repeat_instructions(further[-1]) if further else ""


def repeat_instructions(variation: SamplingParams) -> str:
    """Describe how a repeated request differed from the one before."""
    if variation.varied_parameter == "temperature" and variation.temperature is not None:
        return f"asked again at {temperature(variation.temperature)}"
    seed = "" if variation.seed is None else f"seed {variation.seed}; "
    return f"asked again in other words ({seed}the judge takes no temperature)"
