"""`imagerag library check`: how well a library can be searched."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

import click

from imagerag.agent.caption_language import language_name
from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import read_regular_text
from imagerag.cli import Globals
from imagerag.cli.library.library_command import LibraryCommand
from imagerag.cli.options import json_option, pass_globals
from imagerag.cli.terminal.output import accent, bold, columns, count, dim, hanging, say_all, say_json, table
from imagerag.client.client import ImageRAG
from imagerag.client.synchronous import run_sync
from imagerag.formatting.check_labels import KINDS, VERDICTS, WAYS
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.numbers import cosine, percent, score
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.store.library.check.last_check import LastCheck
    from imagerag.store.library.check.library_check import LibraryCheck, WayCheck
    from imagerag.store.library.check.rates import Share

AT: Final = 16
"""Width of the words of a way."""


@click.command("check", cls=LibraryCommand)
@click.argument("name")
@click.option("--queries", type=click.IntRange(16, 5000), default=200, show_default=True, metavar="N",
              help="Most captions to search with.")  # fmt: skip
@click.option("--unrelated", metavar="FILE", help="Captions that none of its images matches, a line each.")
@json_option
@pass_globals
def check_command(globals_: Globals, /, name: str, queries: int, unrelated: str | None, as_json: bool) -> int:
    """Check how well a library can be searched, with its own captions and images.

    For each way to search it: recall, MRR and nDCG, and the shares of matching and of other queries that the threshold
    accepts and rejects, with 95 % intervals; then a verdict, and what to do. The rates are held out: they are measured
    on captions that calibration has not seen or, where there are too few, on each half with a threshold of the other
    half. The library remembers the result, which info and stats show; nothing else of it changes.
    """
    lines = _captions_in(unrelated) if unrelated else None
    rag = ImageRAG(home=globals_.home, library=name)
    report = run_sync(rag.libraries.check(queries=queries, unrelated=lines))
    if as_json:
        from imagerag.schemas.library_checks import CheckDocument

        say_json(CheckDocument(library=report.library, check=report).as_json())
    else:
        say_all(check_lines(report))
    return 0


def _captions_in(file: str) -> list[str]:
    try:
        text = read_regular_text(Path(file).expanduser())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the captions in {file}: {error}") from error
    if not (lines := [line.strip() for line in text.splitlines() if line.strip()]):
        raise UsageError(f"{file} holds no captions: one on each line")
    return lines


def check_lines(report: "LibraryCheck") -> list[str]:
    """A check as text: the verdicts, the figures, and what to do."""
    language = f" in {language_name(report.language)}" if language_name(report.language) else ""
    captions = f"{count(report.captions, 'caption')}{language}"
    lines = [f"library {bold(report.library)}: {count(report.images, 'image')}, {captions}"]
    lines += [f"  {dim('encoder')}  {clean(report.embedder)}", "", *verdict_lines(report.ways)]
    measured = [way for way in report.ways if way.ranking]
    if measured:
        lines += ["", *_figures(measured), "", *_notes(measured)]
    return [*lines, *_advice_lines(report.ways)]


def last_check_lines(last: "LastCheck | None", name: str) -> list[str]:
    """The last check of a library in short: when, the verdicts, and whether the library has changed since."""
    if last is None:
        return []
    head = [f"checked {last.checked:%Y-%m-%d %H:%M} UTC, with {count(last.queries, 'caption')} at most"]
    if not last.is_current:
        again = f"imagerag library check {quote(name)}"
        head = [f"{head[0]}, before the last change; again: {again}"]
    return [*hanging(head[0], columns(), indent=4, head="  "), *verdict_lines(last.check.ways)]


def verdict_lines(ways: "Sequence[WayCheck]") -> list[str]:
    """The verdict on each way."""
    lines: list[str] = []
    for way in ways:
        label = VERDICTS[way.verdict]
        label_text = (accent if label.tone in ("good", "calm") else bold)(label.name)
        head = f"  {WAYS[way.way]:<{AT}}{label_text}: "
        lines += hanging(f"{way.summary}", columns(), indent=AT + 2, head=head)
    return lines


def _figures(ways: "Sequence[WayCheck]") -> list[str]:
    """A column for each way."""
    rows = [["", *(bold(WAYS[way.way]) for way in ways)]]
    rows.append([dim("queries"), *(f"{way.queries:,}" for way in ways)])
    rows += [[dim(f"recall@{k}"), *(_share(getattr(way.ranking, f"recall_{k}")) for way in ways)] for k in (1, 5, 10)]
    rows.append([dim("MRR"), *(score(way.ranking.mrr) if way.ranking else "" for way in ways)])
    rows.append([dim("nDCG@10"), *(score(way.ranking.ndcg_10) if way.ranking else "" for way in ways)])
    rows.append([dim("threshold"), *("none" if way.threshold is None else cosine(way.threshold) for way in ways)])
    rows.append([dim("accepted"), *(_share(way.accept_rate) for way in ways)])
    rows.append([dim("rejected"), *(_share(way.reject_rate) for way in ways)])
    for kind, label in KINDS.items():
        cells = [_share(way.reject_rates.get(kind)) for way in ways]
        rows += [[dim(f"  {label}"), *cells]] if any(cells) else []
    return table(rows)


def _share(share: "Share | None") -> str:
    """A share with its interval, in percent; empty where nothing was measured."""
    if share is None or share.value is None:
        return ""
    return f"{percent(share.value)} {dim(f'{100 * share.low:.0f}–{100 * share.high:.0f}')}"


def _notes(ways: "Sequence[WayCheck]") -> list[str]:
    """How the rates are held out."""
    sentences = []
    if any(way.held_out == "captions" for way in ways):
        sentences.append("Captions that calibration has not seen decide on the library's own threshold.")
    if any(way.held_out == "halves" for way in ways):
        halves = ", ".join(WAYS[way.way] for way in ways if way.held_out == "halves")
        sentences.append(f"Rates of {halves}: each half of the queries with a threshold of the other half.")
    return [dim(line) for line in hanging(" ".join(["Ranges: 95 %.", *sentences]), columns(), indent=2, head="  ")]


def _advice_lines(ways: "Sequence[WayCheck]") -> list[str]:
    """What to do, each piece of advice once."""
    advice = dict.fromkeys(one for way in ways for one in way.advice)
    lines = ["", bold("what to do")] if advice else []
    for one in advice:
        before, mark, after = as_commands(one).partition("imagerag ")
        command, semicolon, rest = after.partition(";")
        lines += hanging(f"{before.rstrip(' :,')}{semicolon}{rest}", columns(), indent=4, head="  - ")
        lines += [f"      {accent(mark + command)}"] if mark else []
    return lines


COMMANDS: Final = (check_command,)
