"""`imagerag library dedupe`."""

from typing import TYPE_CHECKING, Final, Literal

import click

from imagerag.cli import Globals
from imagerag.cli.confirmation import confirm, yes_option
from imagerag.cli.library.library_command import LibraryCommand
from imagerag.cli.options import json_option, pass_globals
from imagerag.cli.terminal.output import bold, count, dim, say_all, say_json, short, table
from imagerag.client.client import ImageRAG
from imagerag.client.synchronous import run_sync
from imagerag.formatting.numbers import cosine
from imagerag.formatting.text import clean, image_name

if TYPE_CHECKING:
    from imagerag.store.library.maintenance.duplicates import Duplicates, SimilarImage

SHOWN: Final = 10
"""Groups that are shown; `--json` has all."""


@click.command("dedupe", cls=LibraryCommand)
@click.argument("name")
@click.option(
    "--threshold",
    type=click.FloatRange(-1, 1),
    metavar="COSINE",
    help="Cosine from which on two images are the same; by default the library's measured one.",
)
@click.option(
    "--keep",
    type=click.Choice(["largest", "oldest", "first"]),
    default="largest",
    show_default=True,
    help="Which image of a group is kept: most pixels, taken first, or first by path.",
)
@click.option("--remove", is_flag=True, help="Remove the others of each group from the library. Files stay.")
@yes_option
@json_option
@pass_globals
def dedupe_command(
    globals_: Globals,
    /,
    name: str,
    threshold: float | None,
    keep: Literal["largest", "oldest", "first"],
    remove: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """List images that a library holds more than once.

    Groups of nearly the same images by their vectors, and images of which there are several files. Above 50,000 images
    those are compared that lie near each other, and a few pairs may be missed. Image files are never deleted.
    """
    rag = ImageRAG(home=globals_.home, library=name)
    if remove:
        rag.libraries.check_changeable()
    duplicates = run_sync(rag.libraries.dedupe(threshold=threshold, keep=keep))
    others = [one.id for group in duplicates.groups for one in group.others]
    if not as_json:
        say_all(duplicate_lines(name, duplicates))
    options = "" if threshold is None else f" --threshold {threshold}"
    options += "" if keep == "largest" else f" --keep {keep}"
    command = f"imagerag library dedupe {name}{options} --remove"
    if remove and others:
        question = f"remove {count(len(others), 'image')} from library {name}, and keep the others?"
        confirm(question, f"{command} --yes", yes=yes, as_json=as_json)
        run_sync(rag.libraries.remove(*others))
    if as_json:
        from imagerag.schemas.libraries import DuplicatesDocument

        removed = remove and bool(others)
        say_json(DuplicatesDocument(library=name, keep=keep, removed=removed, duplicates=duplicates).as_json())
    elif remove:
        say_all([f"library {bold(name)}: {count(len(others), 'image')} removed; the files stay"])
    elif others:
        say_all([f"keep the first of each: {command}"])
    return 0


COMMANDS: Final = (dedupe_command,)


def duplicate_lines(name: str, duplicates: "Duplicates") -> list[str]:
    """The groups as text."""
    origin = "measured" if duplicates.measured else "given"
    others = sum(len(group.others) for group in duplicates.groups)
    message = f"{count(len(duplicates.groups), 'group')} of similar images, {others:,} beside the kept ones"
    lines = [f"library {bold(name)}: {message}  {dim(f'{origin} threshold {cosine(duplicates.threshold)}')}"]
    if not duplicates.exact:
        lines.append(dim("compared with those near them; about 1 in 200 pairs at the threshold may be missed"))
    for group in duplicates.groups[:SHOWN]:
        rows = [_row(group.kept, "keep"), *(_row(one, cosine(one.similarity)) for one in group.others)]
        lines += table(rows, cut=3, paths={3})
    if len(duplicates.groups) > SHOWN:
        lines.append(f"  and {len(duplicates.groups) - SHOWN:,} groups more: --json lists them")
    if duplicates.copies:
        lines.append(f"{count(len(duplicates.copies), 'image')} in several files; the library holds each once")
        lines += table(
            [[dim(one.id[:12]), *map(clean, one.paths[:2])] for one in duplicates.copies[:SHOWN]], whole={1, 2}
        )
    return lines


def _row(one: "SimilarImage", decision: str) -> list[str]:
    title = bold(short(image_name(one.title, one.id), 28))
    return [dim(decision), one.id[:12], title, clean(one.path), dim(f"{one.width}x{one.height}")]
