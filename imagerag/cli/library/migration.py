"""`imagerag library migrate`: another encoder for a library."""

import contextlib
from typing import TYPE_CHECKING, Final

import click

from imagerag.agent.errors import UsageError
from imagerag.cli import Globals
from imagerag.cli.confirmation import confirm, yes_option
from imagerag.cli.library.library_command import LibraryCommand
from imagerag.cli.options import json_option, pass_globals, quiet_option
from imagerag.cli.terminal.output import bold, count, dim, say, say_all, say_json, table
from imagerag.cli.terminal.progress_line import FileProgress
from imagerag.client.client import ImageRAG
from imagerag.client.synchronous import run_sync
from imagerag.formatting.numbers import cosine, percent, score

if TYPE_CHECKING:
    from imagerag.store.library.maintenance.migration import EncoderQuality, Migration


@click.command("migrate", cls=LibraryCommand)
@click.argument("name")
@click.option("--embedder", metavar="SPEC", help="The encoder to migrate to.")
@click.option("--dry-run", is_flag=True, help="Encode and compare, but let searches use the present encoder.")
@click.option("--drop-other", is_flag=True, help="Delete the vectors of the encoder before.")
@yes_option
@quiet_option
@json_option
@pass_globals
def migrate_command(
    globals_: Globals,
    /,
    name: str,
    embedder: str | None,
    dry_run: bool,
    drop_other: bool,
    yes: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Encode a library with another encoder, compare both, and use it.

    Searches go on with the present encoder until the new one has all images. If it finds fewer of them by their own
    captions, you are asked. The vectors of the encoder before stay until --drop-other, so that going back is instant.
    """
    if drop_other == bool(embedder):
        raise UsageError("say which encoder, --embedder SPEC; or --drop-other alone")
    rag = ImageRAG(home=globals_.home, library=name)
    if embedder is None:
        return _drop(rag, name, yes=yes, as_json=as_json)
    with contextlib.closing(FileProgress()) as progress:
        show = None if quiet else progress
        migration = run_sync(rag.libraries.migrate(embedder=embedder, switch=False, progress=show))
    if not as_json:
        say_all(comparison_lines(name, migration))
    if not dry_run:
        if migration.is_worse:
            question = f"the new encoder finds fewer images of {name} by their captions. Use it all the same?"
            confirm(question, f"imagerag library migrate {name} --embedder {embedder} --yes", yes=yes, as_json=as_json)
        run_sync(rag.libraries.switch_encoder(embedder=embedder))
        migration = migration.model_copy(update={"switched": True})
    if as_json:
        from imagerag.schemas.libraries import MigrationDocument

        say_json(MigrationDocument(library=name, migration=migration).as_json())
    else:
        say_all(_next_steps(name, embedder, migration))
    return 0


def _drop(rag: ImageRAG, name: str, *, yes: bool, as_json: bool) -> int:
    rag.libraries.check_changeable()
    question = f"delete the vectors of library {name} that searches do not use?"
    confirm(question, f"imagerag library migrate {name} --drop-other --yes", yes=yes, as_json=as_json)
    dropped = run_sync(rag.libraries.drop_other_vectors())
    if as_json:
        from imagerag.schemas.libraries import OtherVectorsDropped

        say_json(OtherVectorsDropped(library=name, dropped=dropped).as_json())
    else:
        say(f"library {bold(name)}: " + (f"the vectors of {dropped} are deleted" if dropped else "nothing to delete"))
    return 0


def comparison_lines(name: str, migration: "Migration") -> list[str]:
    """The comparison of the two encoders as text."""
    head = f"library {bold(name)}: {count(migration.images, 'image')}, {migration.encoded:,} encoded now"
    rows = [
        [dim("encoder"), bold("now"), bold("new")],
        *([dim(label), before, after] for label, before, after in _compared(migration) if {before, after} != {NONE}),
    ]
    lines = [
        head,
        f"  now  {migration.before.embedder}",
        f"  new  {migration.after.embedder}",
        *table(rows, right={1, 2}),
    ]
    if not migration.before.recall.captions:
        lines.append("it has no captions, so that only captions of other things could be tried")
    if migration.from_thumbnails:
        lines.append(f"{count(migration.from_thumbnails, 'image')} encoded from the thumbnail: the file cannot be read")
    return lines


LABELS: Final = {
    "recall_at_1": "captions whose image is found first",
    "recall_at_10": "among the first ten",
    "mrr": "mean reciprocal rank",
    "accept_rate": "own captions that reach the threshold",
    "reject_rate": "other captions that stay below it",
    "threshold": "threshold",
}


NONE: Final = "–"


def _compared(migration: "Migration") -> list[tuple[str, str, str]]:
    return [
        (label, _value_text(kind, migration.before), _value_text(kind, migration.after))
        for kind, label in LABELS.items()
    ]


def _value_text(kind: str, of: "EncoderQuality") -> str:
    value = getattr(of.recall if kind in ("recall_at_1", "recall_at_10", "mrr") else of, kind)
    if value is None:
        return NONE
    return cosine(value) if kind == "threshold" else score(value) if kind == "mrr" else percent(value)


def _next_steps(name: str, embedder: str, migration: "Migration") -> list[str]:
    if not migration.switched:
        return [
            f"searches still use {migration.before.embedder}. To use the new one:",
            f"  imagerag library migrate {name} --embedder {embedder}",
        ]
    return [
        f"searches use {bold(migration.after.embedder)} now",
        "the vectors of the other encoder stay:",
        f"  imagerag library migrate {name} --embedder {migration.before.embedder}",
        "    goes back, without encoding anything",
        f"  imagerag library migrate {name} --drop-other",
        "    deletes them",
    ]


COMMANDS: Final = (migrate_command,)
