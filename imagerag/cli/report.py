"""`imagerag report`: runs as pages to read."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imagerag.agent.errors import UsageError
from imagerag.cli import Globals
from imagerag.cli.options import json_option, pass_globals
from imagerag.cli.output_files import PAGES, allowed, fresh, overwrite_option
from imagerag.cli.runs import run_name
from imagerag.cli.terminal.output import count, say, say_json
from imagerag.client.client import ImageRAG
from imagerag.formatting.html.templating import is_report
from imagerag.formatting.interface_terms import in_commands

if TYPE_CHECKING:
    from imagerag.store.run_index import RunEntry

FOLDER = "imagerag-reports"


@click.command("report")
@click.argument("runs", nargs=-1, metavar="RUN…")
@click.option("--all", "every", is_flag=True, help="Every run, and an index.")
@overwrite_option
@click.option("--out", metavar="FILE|DIR", help="Page of one run, or folder for several.")
@json_option
@pass_globals
def report_command(globals_: Globals, /, runs: tuple[str, ...], every: bool, out: str | None, as_json: bool) -> int:
    """Write RUN as one HTML page: rounds, checklists, similarities, unused candidates with reasons, cost, every step.

    The page needs no network and no script. Several runs, or --all, make a folder with an index. RUN is an id, the
    start of one, or "last".
    """
    if bool(runs) == every:
        raise click.UsageError("name a run, several, or --all: imagerag runs lists them")
    rag = ImageRAG(home=globals_.home)
    target = Path(out).expanduser() if out else None
    if len(runs) == 1 and not (target and target.is_dir()):
        return _one(rag, run_name(rag, runs[0]), target, as_json)
    if target is not None and target.suffix.lower() in PAGES:
        raise UsageError(f"--out {out}: several runs become several pages; name a folder")
    return _several(rag, runs, target or Path(FOLDER), as_json)


def _one(rag: ImageRAG, run: str, file: Path | None, as_json: bool) -> int:
    from imagerag.reports.html.report_writer import write_report

    if file is not None and file.suffix.lower() not in PAGES:
        raise UsageError(f"--out {file}: a report's file ends in .html (or name a folder that exists)")
    if file is not None:
        page_to_write(file)
    record = asyncio.run(rag.runs.get(run))
    file = file or page_to_write(Path(f"{record.run_id}.html"))
    asyncio.run(write_report(rag.dependencies, in_commands(record), file))
    if as_json:
        from imagerag.schemas.commands import ReportDocument

        say_json(ReportDocument(run_id=record.run_id, path=str(file)).as_json())
    else:
        say(f"report: {file}")
    return 0


def page_to_write(file: Path) -> Path:
    """Check that a page can be written, and return it; an earlier report is overwritten without asking.

    Raises:
        UsageError: the file cannot be written, or is not a report.
    """
    ours = file.is_file() and is_report(file.read_bytes()[:2000])
    return fresh(file, overwrite=ours or allowed(click.get_current_context()))


def _several(rag: ImageRAG, runs: tuple[str, ...], folder: Path, as_json: bool) -> int:
    from imagerag.reports.html.report_writer import write_reports

    async def selected_entries() -> "list[RunEntry]":
        if not runs:
            return await rag.runs.list(None)
        return [await rag.dependencies.runs.get(run) for run in dict.fromkeys(runs)]

    runs = tuple(run_name(rag, run) for run in runs)
    entries = asyncio.run(selected_entries())
    for page in (folder / "index.html", *(folder / f"{entry.run_id}.html" for entry in entries)):
        page_to_write(page)
    index = asyncio.run(write_reports(rag.dependencies, entries, folder, reword=in_commands))
    if as_json:
        paths = {entry.run_id: str(folder / f"{entry.run_id}.html") for entry in entries}
        from imagerag.schemas.commands import ReportsDocument

        say_json(ReportsDocument(index=str(index), reports=paths).as_json())
    else:
        say(f"{count(len(entries), 'report')}: {index}")
    return 0
