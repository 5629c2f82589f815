"""`imagerag library unmatched`: what runs looked for in a library and did not find."""

from typing import TYPE_CHECKING, Final

import click

from imagerag.cli import Globals
from imagerag.cli.library.library_command import LibraryCommand
from imagerag.cli.options import json_option, pass_globals
from imagerag.cli.terminal.output import bold, count, dim, say, say_all, say_json, short, table
from imagerag.client.client import ImageRAG
from imagerag.client.synchronous import run_sync
from imagerag.formatting.numbers import cosine
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.graphs.unmatched_concepts import UnmatchedConcept


@click.command("unmatched", cls=LibraryCommand)
@click.argument("name")
@click.option("--runs", type=click.IntRange(min=1), default=100, show_default=True, metavar="N",
              help="Newest runs of the library that are read.")  # fmt: skip
@json_option
@pass_globals
def unmatched_command(globals_: Globals, /, name: str, runs: int, as_json: bool) -> int:
    """List what runs searched a library for without an image that passed: what is worth adding.

    The most frequent concept comes first, with the closest image's cosine, the one it had to reach, and the last run.
    """
    rag = ImageRAG(home=globals_.home, library=name)
    concepts = run_sync(rag.libraries.unmatched(runs=runs))
    if as_json:
        from imagerag.schemas.libraries import UnmatchedDocument

        say_json(UnmatchedDocument(library=name, concepts=concepts).as_json())
        return 0
    if not concepts:
        say(f"library {bold(name)}: its newest runs name no concept without an image")
        return 0
    say_all([f"library {bold(name)}: {count(len(concepts), 'concept')} without an image", *_lines(concepts)])
    say(f"add an image of each: imagerag library add {name} FILE --caption TEXT")
    return 0


COMMANDS: Final = (unmatched_command,)


def _lines(concepts: "list[UnmatchedConcept]") -> list[str]:
    rows = [
        [bold(short(clean(one.concept), 40)), count(one.runs, "run"), _closest(one), dim(f"last {one.last_run}")]
        for one in concepts
    ]
    return table(rows, cut=0)


def _closest(one: "UnmatchedConcept") -> str:
    if one.closest is None:
        return "nothing found"
    return f"closest {cosine(one.closest)}" + (f" of {cosine(one.threshold)}" if one.threshold is not None else "")
