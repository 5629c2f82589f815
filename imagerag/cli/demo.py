"""`imagerag demo`: the whole method, offline, in the sketch world."""

import asyncio
import json
from pathlib import Path
from typing import Final

import click

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome
from imagerag.cli import Globals
from imagerag.cli.exit_codes import exit_code
from imagerag.cli.live_text import VerboseRenderer, first_time, run_header
from imagerag.cli.options import json_option, pass_globals
from imagerag.cli.output_files import all_fresh, overwrite_option
from imagerag.cli.run_text import summary
from imagerag.cli.terminal.output import bold, columns, dim, say, say_all, say_json, table, wrapped
from imagerag.client.client import ImageRAG
from imagerag.files.export import export, is_record, write_file
from imagerag.formatting.interface_terms import in_commands
from imagerag.formatting.labels import STOPPED
from imagerag.reports.html.report_writer import write_report
from imagerag.store.output_dir_lock import exclusive_writer

PROMPT: Final = "a red solid heart and a blue split crescent on a mint background"
"""The painter knows hearts, but neither crescents nor what "split" looks like; the catalogue has a lamp like that."""

ESCALATING: Final = "a red solid heart and a black ringed hexagon on a mint background"
"""The catalogue has no such hexagon: the judge is asked twice more for other words, and then the prompt is searched."""

FILES: Final = ("initial.png", "final.png", "final.png.json", "sheet.png", "report.html", "run.json")

HONEST: Final = (
    "This is a toy world with real parts. The painter knows half of its shapes and patterns and guesses the rest. "
    "The judge looks at the pixels through a small CLIP, the library is searched with the same one, and the graph, "
    "the database and the threshold are those that real models get. It can fail, and says so when it does."
)


@click.command("demo")
@click.option("--out", metavar="DIR", default="imagerag-demo", show_default=True, help="Folder for the files.")
@overwrite_option
@click.option("--seed", type=int, default=0, metavar="N", help="Seed of the arrangement.")
@click.option("--escalate", is_flag=True, help="Show a prompt without a usable reference: retries, and the outcome.")
@json_option
@pass_globals
def demo_command(globals_: Globals, /, out: str, seed: int, escalate: bool, as_json: bool) -> int:
    """Run the whole method offline: no key, no GPU, no download.

    The prompt holds something that the generator does not know; the library does. Writes initial.png, final.png,
    sheet.png, report.html and run.json.
    """
    prompt = ESCALATING if escalate else PROMPT
    folder = Path(out).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {out} is a file; the demo writes several into a folder")
    if not is_record(folder / "run.json"):  # files of an earlier demo are overwritten
        all_fresh(folder / name for name in FILES)
    # Set every option, so that no environment variable changes the demo.
    rag = ImageRAG(preset="sketch", generator="sketch", judge="sketch", library="sketch", home=globals_.home)
    if not as_json:
        say_all(
            [
                run_header(rag.settings, "always, for the demo"),
                "",
                *map(dim, wrapped(HONEST, columns())),
                "",
                f"prompt  {bold(prompt)}",
                *first_time(rag),
            ]
        )
    try:
        with exclusive_writer(folder):
            record = asyncio.run(_run(rag, prompt, seed, folder, verbose=not as_json))
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("imagerag: stopped; imagerag runs lists what there is", err=True)
        return STOPPED
    if as_json:
        say_json(record.as_json())
    else:
        say_all(["", *summary(record), "", *next_steps(record, folder)])
    return exit_code(record)


async def _run(rag: ImageRAG, prompt: str, seed: int, folder: Path, *, verbose: bool) -> RunRecord:
    tell, record = VerboseRenderer(), None
    async for event in rag.stream(prompt, seed=seed):
        if verbose:
            say_all(tell(event))
        record = event.record or record
    assert record is not None, "a run's last event carries its record"
    return await _write(rag, record, folder)


async def _write(rag: ImageRAG, record: RunRecord, folder: Path) -> RunRecord:
    if record.image is None:
        return record
    suffix = RESULT_SUFFIXES[record.image.media_type]
    record = await export(record, rag.dependencies.blobs, folder / f"final{suffix}")
    await write_file(folder / f"initial{suffix}", await rag.runs.image_bytes(record.attempts[0].image.sha256))
    await write_file(folder / "sheet.png", await rag.runs.contact_sheet(record))
    await write_report(rag.dependencies, in_commands(record), folder / "report.html")
    await write_file(folder / "run.json", json.dumps(record.as_json(), indent=2, ensure_ascii=False).encode())
    return record


def next_steps(record: RunRecord, folder: Path) -> list[str]:
    """The written files, and commands to try next."""
    lines: list[str] = []
    if record.image:
        files = [
            ("initial.png", "what the painter made of the prompt alone"),
            ("final.png", "the result; beside it final.png.json says whose images are in it"),
            ("sheet.png", "the whole run in one image"),
            ("report.html", "the whole run to read: open it in a browser"),
            ("run.json", "the same for programs"),
        ]
        lines += ["files", *table([[str(folder / name), dim(meaning)] for name, meaning in files], whole={0}), ""]
    tries = [
        (f"imagerag show {record.run_id}", "this run again, step by step"),
        ('imagerag search "a blue split crescent" --library sketch', "look into the built-in library"),
        ('imagerag generate "a black solid hexagon" --library sketch', "something neither knows: it has to say so"),
        ("imagerag index IMAGES --library mine", "a library of your own images"),
    ]
    if record.prompt != ESCALATING:
        tries.insert(2, ("imagerag demo --escalate", "what is done where nothing is found"))
        if record.outcome is not Outcome.ALIGNED:
            tries.insert(0, (f"imagerag demo --seed {_other_seed(record)}", "another arrangement"))
    # Keep each command on its own line, so that it can be copied.
    return [
        *lines,
        "try next",
        *(line for command, meaning in tries for line in (f"  {command}", f"      {dim(meaning)}")),
    ]


def _other_seed(record: RunRecord) -> int:
    return record.setup.config.seed + 1 if record.setup else 1
