"""Lineage of a run for `imagerag show`: parent, changes, kept and excluded references."""

from collections.abc import Sequence

from imagerag.agent.run_record import RunRecord
from imagerag.cli.terminal.output import columns, dim, short
from imagerag.formatting.text import image_name
from imagerag.reports.run_diff.input_diff import ancestors_of, inputs_changed_since, seen_name
from imagerag.reports.run_diff.text import pair


def lineage_lines(record: RunRecord, parent: RunRecord | None) -> list[str]:
    """One line each for the parent run, the differences, and the references added or excluded by hand."""
    lines = []
    if record.parent_run is not None:
        absence = "" if parent else " (which is not here any more)"
        lines.append(f"{ancestors_of(record.parent_run)} {record.parent_run.run_id}{absence}")
    if parent is not None:
        changes = [f"{change.what} {' → '.join(pair(change))}" for change in inputs_changed_since(parent, record)]
        lines.append(f"changed: {'; '.join(changes) if changes else 'nothing'}")
    lines += _names_line("always sent: ", [image_name(pin.title, pin.image.sha256) for pin in record.kept_images])
    lines += _names_line("never to be used: ", [seen_name(sha, record, parent) for sha in record.excluded_images])
    return [dim(short(line, 2 * columns())) for line in lines]


def _names_line(head: str, names: Sequence[str]) -> list[str]:
    return [head + ", ".join(names)] if names else []
