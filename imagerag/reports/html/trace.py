"""What happened behind the pictures: ledger, time and money by node, every step with its change of the state."""

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import ModelCall, RunConfig, TrackedConcept, cost_of_calls
from imagerag.formatting.labels import node
from imagerag.formatting.numbers import counted, dollars, drawing, seconds
from imagerag.graphs.runs.events import plain
from imagerag.graphs.runs.history import Change, Step
from imagerag.reports.html.image_gallery import Gallery
from imagerag.reports.html.markup import Html, join, tag
from imagerag.reports.step_text import step_text, varied_parameter

LONGEST = 6_000
"""Characters of one value or answer that are shown."""

KINDS = {"pending": "here", "waiting": "here", "failed": "bad", "done": ""}


def ledger(entries: Sequence[TrackedConcept], gallery: Gallery) -> Html | None:
    """What became of each missing concept."""
    if not entries:
        return None
    head = tag("tr", [tag("th", text, scope="col") for text in ("Concept", "Missing since", "Sent for it", "Resolved")])
    rows = [
        tag(
            "tr",
            tag("th", entry.concept.text, scope="row"),
            tag("td", _when(entry.first_missing)),
            tag("td", [gallery.small(ref.image, ref.title or "reference") for ref in entry.used] or "nothing"),
            tag("td", _when(entry.resolved) if entry.resolved is not None else "unresolved"),
            class_="done" if entry.resolved is not None else "open",
        )
        for entry in entries
    ]
    return tag("div", tag("table", tag("thead", head), tag("tbody", rows)), class_="scroll ledger")


def _when(number: int) -> str:
    return drawing(number)


def costs(steps: Sequence[Step]) -> Html | None:
    """Time, calls and money by node."""
    names = [name for name in dict.fromkeys(step.node for step in steps) if name not in ("input", "state")]
    if not names:
        return None
    supersteps = {(step.superstep, step.node): step for step in steps}  # searches side by side took their time once
    spent = {n: sum(s.elapsed_s for (_, node), s in supersteps.items() if node == n) for n in names}
    most = max(spent.values()) or 1.0
    labels = ("Node", "Times", "Calls", "Cost", "Time")
    head = tag("tr", [tag("th", text, scope="col") for text in labels], tag("td", ""))
    rows = []
    for name in names:
        own = [step for step in steps if step.node == name]
        calls = [call for step in own for call in step.calls]
        share = tag("div", tag("i", style=f"width:{100 * spent[name] / most:.1f}%"), class_="bar", aria_hidden="true")
        cells = (str(len(own)), str(len(calls)) if calls else "–", _sum(calls), seconds(spent[name]))
        rows.append(tag("tr", tag("th", _node(name), scope="row"), [tag("td", c) for c in cells], tag("td", share)))
    return tag("div", tag("table", tag("thead", head), tag("tbody", rows)), class_="scroll costs")


def _node(name: str) -> Html:
    return join(node(name), tag("code", name) if node(name) != name else None)


def _sum(calls: Sequence[ModelCall]) -> str:
    return dollars(cost_of_calls(calls)) if calls else "–"


def _paid(call: ModelCall) -> str:
    assumed = call.assumed and call.cost_usd is None
    return dollars(call.counted_usd, call.counted_usd if assumed else 0.0)


def history(steps: Sequence[Step]) -> Html:
    """Every step, folded: what it did on the line, its calls and its change of the state inside."""
    return tag("ol", [tag("li", _step(step), class_=KINDS[step.status]) for step in steps], class_="steps")


def _step(step: Step) -> Html:
    facts = [
        varied_parameter(step.calls),
        dollars(step.cost_usd) if step.calls else "",
        seconds(step.elapsed_s) if step.elapsed_s else "",
    ]
    line = (
        tag("span", str(step.index), class_="number"),
        tag("strong", node(step.node)),
        tag("span", step_text(step), class_="told"),
        tag("span", " · ".join(filter(None, facts[1:])), class_="facts"),
    )
    inside = [
        tag("p", step.error, class_="error") if step.error else None,
        [_call(call) for call in step.calls],
        [_change(name, change) for name, change in step.changes.items()],
        tag("p", _place(step), class_="mute"),
    ]
    return tag("details", tag("summary", line), tag("div", [join(part) for part in inside], class_="inside"))


def _place(step: Step) -> str:
    parts = (
        step.at or "",
        f"then {', '.join(step.next)}" if step.next else "",
        f"checkpoint {step.after or step.before}",
    )
    return " · ".join(filter(None, parts))


def _call(call: ModelCall) -> Html:
    tokens = ", ".join(f"{number:,} {kind}" for kind, number in call.usage.items())
    reused = "from another run's journal" if call.reused else ""
    facts = (call.backend, varied_parameter([call]), seconds(call.elapsed_s), _paid(call), tokens, reused, call.note)
    raw = tag("details", tag("summary", "The model's own words"), tag("pre", _cut(call.raw))) if call.raw else None
    return tag(
        "div",
        tag("p", tag("strong", call.role), " ", tag("span", " · ".join(filter(None, facts)), class_="mute")),
        tag("p", call.error, class_="error") if call.error else None,
        raw,
        class_="call",
    )


def _change(name: str, change: Change) -> Html:
    """A channel's difference, by the paths that differ: what is as it was is not said again."""
    before, after = _bare(plain(change.before)), _bare(plain(change.after))
    rows = [
        tag(
            "div",
            tag("p", tag("code", path)),
            tag("del", _value(old)) if old not in _EMPTY else None,
            tag("ins", _value(new)) if new not in _EMPTY else None,
            class_="change",
        )
        for path, old, new in differences(before, after, name)
    ]
    return join(rows)


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


def _value(value: Any) -> Html:
    if isinstance(value, str):
        return tag("pre", _cut(value))
    return tag("pre", _cut(json.dumps(_bare(value), ensure_ascii=False, indent=1)))


def _bare(value: Any) -> Any:
    """A value without what says nothing: empty fields, and the model's words, which are under the call."""
    if isinstance(value, dict):
        return {k: _bare(v) for k, v in value.items() if v not in (None, "", [], {}) and k != "raw"}
    return [_bare(item) for item in value] if isinstance(value, list) else value


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… ({len(text):,} characters)"


def setup(record: RunRecord) -> Html | None:
    """What the run was made with: what was set first, the rest as it is by default."""
    if record.setup is None:
        return None
    made = record.setup
    named = {"generator": made.generator, "judge": made.judge, "library": made.library or "none"}
    default = RunConfig()
    values = {name: plain(getattr(made.knobs, name)) for name in type(made.knobs).model_fields}
    own = {name: value for name, value in values.items() if value != plain(getattr(default, name))}
    rest = ", ".join(f"{name} {value}" for name, value in values.items() if name not in own)
    pairs = {**named, **({"deadline_s": made.deadline_s} if made.deadline_s else {}), **own}
    return join(
        tag("dl", [join(tag("dt", name), tag("dd", str(value))) for name, value in pairs.items()], class_="pairs"),
        tag("details", tag("summary", f"{counted(len(values) - len(own), 'setting')} as by default"), tag("p", rest)),
    )
