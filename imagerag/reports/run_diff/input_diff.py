"""Inputs of runs, and the differences between two; billing is ignored."""

from collections.abc import Iterator, Mapping
from typing import Any

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import ParentRun, UsedReference
from imagerag.formatting.text import image_name
from imagerag.reports.run_diff.models import Difference
from imagerag.reports.step_text import backend_inputs

Facts = dict[str, Any]


def requested_inputs(record: RunRecord) -> Facts:
    """The inputs and settings of a run, by name, without empty ones."""
    first = record.attempts[0] if record.attempts else None
    sent = [one for one in first.references if one.selected_by != "parent_run"] if first else []
    subjects = [one.image.sha256 for one in sent if one.role != "reference"]
    inputs: Facts = {
        "prompt": record.prompt,
        "image to start from": first.image.sha256 if first and first.origin == "handed_in" else None,
        "feedback": list(record.feedback),
        "image to change": record.revision.image.sha256 if record.revision else None,
        "subjects": subjects,
        "never to be used": list(record.excluded_images),
        "always sent": [reference_name(pin) for pin in record.kept_images],
    }
    if record.setup is not None:
        inputs |= backend_inputs(record.setup)
    return {name: value for name, value in inputs.items() if value not in (None, [], {}, "")}


def input_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """In what two sets of facts differ; of mappings, the parts that do."""
    for name in dict.fromkeys((*a, *b)):
        one, other = a.get(name), b.get(name)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            parts = {key: (one.get(key), other.get(key)) for key in dict.fromkeys((*one, *other))}
            yield from (Difference(what=f"{name}: {key}", a=x, b=y) for key, (x, y) in parts.items() if x != y)
        else:
            yield Difference(what=name, a=one, b=other)


def inputs_changed_since(parent: RunRecord, record: RunRecord) -> list[Difference]:
    """The inputs of a run that differ from those of its parent."""
    return list(input_differences(requested_inputs(parent), requested_inputs(record)))


def ancestors_of(lineage: ParentRun) -> str:
    """The relation of a run to its parent, without the id."""
    return "continues" if lineage.step is None else f"forked at step {lineage.step} of"


def reference_name(reference: UsedReference) -> str:
    """A reference's title or the start of its id, and its concept."""
    name = image_name(reference.title, reference.image.sha256)
    return f"{name} for {reference.concept}" if reference.concept else name


def seen_name(sha256: str, *records: RunRecord | None) -> str:
    """A library image by its title, where one of these runs has seen it."""
    searches = (search for record in records if record for search in record.searches)
    candidates = (candidate for search in searches for candidate in search.candidates)
    return next((c.title for c in candidates if c.image.sha256 == sha256 and c.title), sha256[:12])
