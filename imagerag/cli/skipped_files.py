"""Text lists of skipped files with reasons, of the columns of manifests, and of the examples of a dry run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from imagerag.agent.images.formats import READ
from imagerag.cli.terminal.output import columns, dim, hanging, table, tail
from imagerag.cli.terminal.text_width import width
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.store.library.indexing.index_report import IndexReport

SHOWN: Final = 20
"""Skipped files that people see listed; programs get them all."""

_COLUMNS: Final = 40
"""Columns of metadata that people see listed."""

_KINDS: Final = ("added", "changed", "moved", "updated", "removed", "missing", "duplicates")
"""Kinds of which a dry run names examples."""


def skipped_lines(skipped: Sequence[tuple[str, str]]) -> list[str]:
    """Skipped files by reason; reasons are not truncated, and the supported formats are named once."""
    groups: dict[str, list[str]] = {}
    for path, reason in skipped[:SHOWN]:
        groups.setdefault(reason, []).append(path)
    lines: list[str] = []
    formats_named = False
    for reason, paths in groups.items():
        reason = as_commands(reason)
        text = reason.replace(f" ({READ})", "") if formats_named else reason
        formats_named = formats_named or READ in reason
        if len(paths) == 1:
            lines += _one(paths[0], text)
        else:
            lines += [f"  {dim(line)}" for line in hanging(f"{text}:", columns() - 2, indent=2)]
            lines += [f"    {tail(path, columns() - 4)}" for path in paths]
    return [*lines, f"  … and {len(skipped) - SHOWN:,} more: --json lists them all"] if len(skipped) > SHOWN else lines


def _one(path: str, reason: str) -> list[str]:
    """A file with the reason beside it, or below it if the line is too long."""
    head, beside = tail(path, 44), clean(reason)
    if width(head) + width(beside) + 4 <= columns():
        return [f"  {head}  {dim(beside)}"]
    return [f"  {head}", *(f"    {dim(part)}" for part in hanging(reason, columns() - 4, indent=2))]


def column_lines(uses: Mapping[str, str]) -> list[str]:
    """What the columns of manifests were read as; of those that are metadata, the first ones."""
    metadata = [name for name, field in uses.items() if field == "metadata"]
    left_out = set(metadata[_COLUMNS:])
    texts = [
        name if name == field else f"{name or '(empty)'} → {field}"
        for name, field in uses.items()
        if name not in left_out
    ]
    if not texts:
        return []
    texts += [f"and {len(left_out):,} more → metadata"] if left_out else []
    first, *rest = hanging(", ".join(texts), max(40, columns() - 14), indent=0)
    return [f"  {dim('columns')}    {first}", *(f"{' ' * 13}{line}" for line in rest)]


def example_lines(report: "IndexReport") -> list[str]:
    """The first files of each kind in a dry run, and the number of further ones."""
    lines: list[str] = []
    for kind in _KINDS:
        word = "duplicate" if kind == "duplicates" else kind  # same names as in the line of counts
        if paths := report.examples.get(kind):
            lines += table([[dim(word), tail(path, 60)] for path in paths])
            more = getattr(report, kind) - len(paths)
            lines += [f"  {' ' * len(word)}  and {more:,} more"] if more else []
    return lines
