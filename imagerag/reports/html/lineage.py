"""Lineage of a run: its parent, the changes, and references kept or excluded by hand."""

from collections.abc import Iterator

from imagerag.agent.run_record import RunRecord
from imagerag.reports.run_diff.input_diff import ancestors_of, inputs_changed_since, seen_name
from imagerag.reports.run_diff.text import pair


def steered(record: RunRecord) -> bool:
    """Whether the run comes from another, has feedback, or references were put in or ruled out by hand."""
    return bool(record.parent_run or record.feedback or record.kept_images or record.excluded_images)


def origin(record: RunRecord) -> str:
    """The relation of the run to its parent."""
    return ancestors_of(record.parent_run).capitalize() if record.parent_run else ""


def changes(record: RunRecord, parent: RunRecord) -> Iterator[str]:
    """The inputs that differ from those of its parent."""
    for change in inputs_changed_since(parent, record):
        before, after = pair(change)
        yield f"{change.what}: {before} → {after}"


def excluded(record: RunRecord, parent: RunRecord | None) -> list[str]:
    """The names of excluded images."""
    return [seen_name(sha256, record, parent) for sha256 in record.excluded_images]
