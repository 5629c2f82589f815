"""Inputs and outputs of each step of a run, by name, for the comparison with another run's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from imagerag.agent.outcomes import describe_missing
from imagerag.agent.state import upsert_searches
from imagerag.agent.types import Attempt, ModelCall, RunConfig, RunSpec, Search
from imagerag.formatting import labels
from imagerag.formatting.numbers import cosine
from imagerag.formatting.text import image_name
from imagerag.graphs.runs.events import plain
from imagerag.graphs.runs.history import Step
from imagerag.reports.run_diff.input_diff import Facts, reference_name
from imagerag.reports.run_diff.text import ENDS
from imagerag.reports.step_text import step_text

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class StepFacts:
    """One step as it is compared.

    Attributes:
        text: what it did, on one line.
        inputs: prompt, references, seed, judge, …, by name.
        outputs: image, verdict, concepts, …, by name.
    """

    node: str
    round: int
    index: int
    text: str
    inputs: Facts = field(default_factory=dict)
    outputs: Facts = field(default_factory=dict)


def step_facts(steps: Sequence[Step], setup: RunSpec | None) -> list[StepFacts]:
    """The steps that did the run's work: without the input, and without what was changed by hand, as forks do.

    Args:
        steps: a run's history.
        setup: what it was made with, for a history that does not say.
    """
    facts: list[StepFacts] = []
    for step, before in _with_states(steps, setup):
        if step.node in ("input", "state", "update"):
            continue
        inputs, outputs = _facts(step, before)
        place = _round(step, before)
        facts.append(
            StepFacts(
                node=step.node, round=place, index=step.index, text=step_text(step), inputs=inputs, outputs=outputs
            )
        )
    return facts


def _with_states(steps: Sequence[Step], setup: RunSpec | None) -> Iterator[tuple[Step, Values]]:
    """Each step with the state it began from; searches side by side all see the same."""
    values: dict[str, Any] = {"setup": setup}
    coming: dict[str, Any] = dict(values)
    superstep = None
    for step in steps:
        if step.superstep != superstep:
            values, superstep = dict(coming), step.superstep
        yield step, values
        for name, change in step.changes.items():
            both = name == "searches" and change.after is not None
            coming[name] = upsert_searches(coming.get(name) or [], change.after) if both else change.after


def _round(step: Step, before: Values) -> int:
    attempts: list[Attempt] = before.get("attempts") or []
    if not attempts or step.node in ENDS:
        return 0
    return attempts[-1].round + (step.node in COMING)


COMING: Final = frozenset({"extract_concepts", "write_captions", "retrieve", "shortlist", "select", "regenerate"})
"""Nodes that work for the round that is to come."""


def _facts(step: Step, before: Values) -> tuple[Facts, Facts]:
    """A step's inputs and outputs, without empty ones."""
    changes = {name: change.after for name, change in step.changes.items()}
    teller = NODE_FACTS.get(step.node, _other_facts)
    inputs, outputs = teller(before, changes, step.calls) if step.status == "done" else ({}, {})
    inputs |= {"backend": list(dict.fromkeys(call.backend for call in step.calls))}
    inputs |= {"request": [call.request for call in step.calls if call.request]}
    outputs |= {"response": [call.raw_response for call in step.calls if call.raw_response]}
    outputs |= {"error": step.error, "standing": None if step.status == "done" else step.status}
    return _full(inputs), _full(outputs)


def _full(facts: Facts) -> Facts:
    return {name: plain(value) for name, value in facts.items() if value not in (None, "", [], {}, ())}


def _image_facts(before: Values, changes: Values, calls: Sequence[ModelCall]) -> tuple[Facts, Facts]:
    attempts: list[Attempt] = changes.get("attempts") or []
    if not attempts:
        return {}, {}
    attempt, config = attempts[-1], _run_config(before)
    inputs = {
        "prompt": attempt.prompt,
        "references": [reference_name(reference) for reference in attempt.references],
        "reference images": [reference.image.sha256 for reference in attempt.references],
        "seed": attempt.variation.seed,
        "size": str(config.size) if config.size else None,
        "size sent": str(attempt.size) if attempt.size and str(attempt.size) != str(config.size) else None,
        "generator": attempt.generator,
        "origin": attempt.origin,
    }
    return inputs, {"image": attempt.image.sha256, "revised prompt": attempt.revised_prompt}


def _verdict_facts(before: Values, changes: Values, calls: Sequence[ModelCall]) -> tuple[Facts, Facts]:
    earlier_attempts: list[Attempt] = before.get("attempts") or []
    attempts: list[Attempt] = changes.get("attempts") or []
    inputs: Facts = {
        "prompt": before.get("prompt"),
        "image shown": earlier_attempts[-1].image.sha256 if earlier_attempts else None,
        "checklist": [requirement.text for requirement in before.get("requirements") or []],
        "judge": setup.judge if isinstance(setup := before.get("setup"), RunSpec) else None,
        "judge mode": _run_config(before).judge_mode,
    }
    verdict = (attempts or earlier_attempts)[-1].verdict if attempts or earlier_attempts else None
    if verdict is None:
        return inputs, {}
    inputs = inputs if attempts else {}  # it brought its verdict along, and was not judged again
    return inputs, {
        "verdict": labels.verdict(judged=verdict.status == "judged", aligned=verdict.aligned),
        "score": verdict.score,
        "met": [check.requirement.text for check in verdict.checks if check.met],
        "missing": describe_missing(verdict) if not verdict.aligned else [],
        "why": verdict.reason,
    }


def _concept_facts(before: Values, changes: Values, calls: Sequence[ModelCall]) -> tuple[Facts, Facts]:
    earlier_attempts: list[Attempt] = before.get("attempts") or []
    inputs: Facts = {
        "image shown": earlier_attempts[-1].image.sha256 if earlier_attempts else None,
        "try": len(calls) or None,
    }
    inputs |= {"temperature": [c.variation.temperature for c in calls if c.variation.temperature is not None]}
    return inputs, {"concepts": [concept.text for concept in changes.get("concepts") or []]}


def _caption_facts(before: Values, changes: Values, calls: Sequence[ModelCall]) -> tuple[Facts, Facts]:
    inputs = {"concepts": [concept.text for concept in before.get("concepts") or []]}
    return inputs, {"captions": [query.text for query in changes.get("queries") or []]}


def _search_facts(before: Values, changes: Values, calls: Sequence[ModelCall]) -> tuple[Facts, Facts]:
    earlier_searches: list[Search] = before.get("searches") or []
    searches = [search for search in changes.get("searches") or [] if search not in earlier_searches]
    config, setup = _run_config(before), before.get("setup")
    inputs = {
        "searched with": [search.query.text for search in searches],
        "threshold": [limit for s in searches for limit in s.thresholds.values()],
        "hybrid": True if config.hybrid else None,
        "library": setup.library if isinstance(setup, RunSpec) else None,
        "reranker": setup.reranker if isinstance(setup, RunSpec) else None,
        "filters": _full({"filter": str(config.filter or ""), "tags": config.tags, "licences": config.licences}),
    }
    candidates = [candidate for search in searches for candidate in search.candidates]
    return inputs, {
        "found": [f"{image_name(c.title, c.image.sha256)} {cosine(c.similarity)}" for c in candidates],
        "passed": [image_name(c.title, c.image.sha256) for c in candidates if c.decision != "below_threshold"],
    }


def _decision_facts(before: Values, changes: Values, calls: Sequence[ModelCall]) -> tuple[Facts, Facts]:
    earlier_searches: list[Search] = before.get("searches") or []
    fresh = [search for search in changes.get("searches") or [] if search not in earlier_searches]
    passed = [c for search in fresh for c in search.candidates if c.decision != "below_threshold"]
    decisions = {image_name(c.title, c.image.sha256): labels.decision(c.decision).name for c in passed}
    return {}, {"taken": [reference_name(r) for r in changes.get("chosen") or []], "decisions": decisions}


def _result_facts(before: Values, changes: Values, calls: Sequence[ModelCall]) -> tuple[Facts, Facts]:
    result = changes.get("result") or before.get("result")
    if result is None:
        return {}, {}
    return {}, {"outcome": result.outcome.value, "reason": result.reason, "best attempt": changes.get("best")}


def _other_facts(before: Values, changes: Values, calls: Sequence[ModelCall]) -> tuple[Facts, Facts]:
    """A node of someone's own: the channels it wrote."""
    return {}, dict(changes)


NODE_FACTS: Final[Mapping[str, Callable[[Values, Values, Sequence[ModelCall]], tuple[Facts, Facts]]]] = {
    "generate": _image_facts,
    "regenerate": _image_facts,
    "critique": _verdict_facts,
    "extract_concepts": _concept_facts,
    "write_captions": _caption_facts,
    "retrieve": _search_facts,
    "shortlist": _decision_facts,
    "select": _decision_facts,
    "finish": _result_facts,
    "cancel": _result_facts,
}


def _run_config(values: Values) -> RunConfig:
    setup = values.get("setup")
    return setup.config if isinstance(setup, RunSpec) else RunConfig()
