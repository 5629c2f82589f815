"""Trace of a run: time and cost by node, every call, and the state changes of every step."""

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from imagerag.agent.types import ModelCall, RunConfig, RunSpec, cost_of_calls
from imagerag.formatting.numbers import dollars, seconds
from imagerag.graphs.runs.events import plain
from imagerag.graphs.runs.history import Change, Step
from imagerag.reports.step_text import varied_parameter

LONGEST: Final = 6_000
"""Characters of one value or answer that are shown."""

KINDS: Final = {"pending": "here", "waiting": "here", "failed": "bad", "done": ""}


class NodeCost(NamedTuple):
    """Time and cost of one node; `share` is of the longest, as a CSS length."""

    node: str
    times: int
    calls: str
    cost: str
    time: str
    share: str


def costs(steps: Sequence[Step]) -> list[NodeCost]:
    """Time, calls and money by node."""
    names = [name for name in dict.fromkeys(step.node for step in steps) if name not in ("input", "state")]
    supersteps = {(step.superstep, step.node): step for step in steps}  # searches side by side took their time once
    spent = {n: sum(s.elapsed_s for (_, node), s in supersteps.items() if node == n) for n in names}
    most = max(spent.values(), default=0.0) or 1.0
    rows = []
    for name in names:
        own = [step for step in steps if step.node == name]
        calls = [call for step in own for call in step.calls]
        cells = (str(len(calls)), dollars(cost_of_calls(calls))) if calls else ("–", "–")
        rows.append(NodeCost(name, len(own), *cells, seconds(spent[name]), f"{100 * spent[name] / most:.1f}%"))
    return rows


def step_facts(step: Step) -> str:
    """The cost and time of a step."""
    facts = (dollars(step.cost_usd) if step.calls else "", seconds(step.elapsed_s) if step.elapsed_s else "")
    return " · ".join(filter(None, facts))


def step_place(step: Step) -> str:
    """The time, successors and checkpoint of a step."""
    parts = (
        step.at or "",
        f"then {', '.join(step.next)}" if step.next else "",
        f"checkpoint {step.after or step.before}",
    )
    return " · ".join(filter(None, parts))


def call_facts(call: ModelCall) -> str:
    """The backend, parameters, time and cost of a call."""
    assumed = call.assumed and call.cost_usd is None
    paid = dollars(call.counted_usd, call.counted_usd if assumed else 0.0)
    tokens = ", ".join(f"{number:,} {kind}" for kind, number in call.usage.items())
    reused = "from another run's journal" if call.cached else ""
    facts = (call.backend, varied_parameter([call]), seconds(call.elapsed_s), paid, tokens, reused, call.note)
    return " · ".join(filter(None, facts))


def changed(name: str, change: Change) -> Iterator[tuple[str, str | None, str | None]]:
    """(path, before, after) of a channel, by the paths that differ: what is as it was is not said again."""
    before, after = _bare(plain(change.before)), _bare(plain(change.after))
    for path, old, new in differences(before, after, name):
        yield path, _text(old), _text(new)


_EMPTY: Final[tuple[Any, ...]] = (None, [], {}, "")


def differences(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """(path, before, after) of every part in which two JSON values differ; None where there is nothing."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from differences(before.get(key), after.get(key), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list):
        for number, (old, new) in enumerate(zip_longest(before, after)):
            yield from differences(old, new, f"{path}[{number}]")
    elif isinstance(after, list) and before is None:
        yield from differences([], after, path)
    elif before != after:
        yield path, before, after


def _text(value: Any) -> str | None:
    if value in _EMPTY:
        return None
    return shortened(value if isinstance(value, str) else json.dumps(_bare(value), ensure_ascii=False, indent=1))


def _bare(value: Any) -> Any:
    """A value without what says nothing: empty fields, and the model's words, which are under the call."""
    if isinstance(value, dict):
        return {
            k: _bare(v) for k, v in value.items() if v not in (None, "", [], {}) and k not in ("raw", "raw_response")
        }
    return [_bare(item) for item in value] if isinstance(value, list) else value


def shortened(text: str) -> str:
    """A text of a length that can be shown."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… ({len(text):,} characters)"


def settings(setup: RunSpec) -> tuple[dict[str, str], dict[str, str]]:
    """The settings of a run: those that were set, and the defaults."""
    backends = {"generator": setup.generator, "judge": setup.judge, "library": setup.library or "none"}
    backends |= {"deadline_s": str(setup.deadline_s)} if setup.deadline_s else {}
    default, config = RunConfig(), setup.config
    values = {name: plain(getattr(config, name)) for name in type(config).model_fields}
    values["size"] = None if config.size is None else str(config.size)
    own = {name: str(value) for name, value in values.items() if value != plain(getattr(default, name))}
    return backends | own, {name: str(value) for name, value in values.items() if name not in own}
