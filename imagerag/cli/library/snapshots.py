"""`imagerag library snapshot create`, `list`, `remove` and `restore`."""

from typing import TYPE_CHECKING, Final, Literal

import click

from imagerag.cli import Globals
from imagerag.cli.command_group import FullHelpGroup
from imagerag.cli.confirmation import confirm, yes_option
from imagerag.cli.library.library_command import LibraryCommand
from imagerag.cli.options import json_option, pass_globals
from imagerag.cli.terminal.output import bold, count, dim, say, say_all, say_json, short, table
from imagerag.client.client import ImageRAG
from imagerag.client.synchronous import run_sync
from imagerag.formatting.numbers import size_of_bytes

if TYPE_CHECKING:
    from imagerag.store.library.maintenance.snapshots import Snapshot

Action = Literal["list", "create", "remove", "restore"]


@click.group("snapshot", cls=FullHelpGroup)
def snapshot_command() -> None:
    """Tag what a library holds, to be opened as NAME@TAG.

    A snapshot can be named wherever a library can, and cannot be changed: runs and evaluations that name it find the
    same images, vectors and thresholds again. It takes room only for what the library drops later.
    """


@snapshot_command.command("create", cls=LibraryCommand)
@click.argument("name")
@click.argument("tag")
@json_option
@pass_globals
def create_command(globals_: Globals, /, name: str, tag: str, as_json: bool) -> int:
    """Tag what a library holds now.

    Files that images are linked to stay where they are: the snapshot has their paths, hashes and thumbnails. One
    that is changed later is reported when it is needed.
    """
    snapshot = run_sync(ImageRAG(home=globals_.home, library=name).libraries.snapshots.create(tag))
    if as_json:
        return _say_document(name, "create", [snapshot])
    say(f"snapshot {bold(snapshot.name)}: {count(snapshot.images, 'image')}")
    if snapshot.linked:
        say(f"{snapshot.linked:,} linked: their bytes stay in their files, not in the snapshot")
    return 0


@snapshot_command.command("list", cls=LibraryCommand)
@click.argument("name")
@json_option
@pass_globals
def list_command(globals_: Globals, /, name: str, as_json: bool) -> int:
    """List the snapshots of a library, oldest first, with the room that each takes alone."""
    snapshots = run_sync(ImageRAG(home=globals_.home, library=name).libraries.snapshots.list())
    if as_json:
        return _say_document(name, "list", snapshots)
    if not snapshots:
        say(f"library {name} has no snapshots: imagerag library snapshot create {name} TAG")
    say_all(table([_row(one) for one in snapshots], right={1}))
    return 0


@snapshot_command.command("remove", cls=LibraryCommand)
@click.argument("name")
@click.argument("tag")
@yes_option
@json_option
@pass_globals
def remove_command(globals_: Globals, /, name: str, tag: str, yes: bool, as_json: bool) -> int:
    """Remove a snapshot. The library stays as it is."""
    rag = ImageRAG(home=globals_.home, library=name)
    tagged = _tagged(rag, tag)
    if tagged:
        question = f"remove snapshot {name}@{tag} for good? Runs made with it cannot be replayed then."
        confirm(question, f"imagerag library snapshot remove {name} {tag} --yes", yes=yes, as_json=as_json)
    run_sync(rag.libraries.snapshots.remove(tag))
    if as_json:
        return _say_document(name, "remove", tagged)
    say(f"snapshot {bold(f'{name}@{tag}')} is removed")
    return 0


@snapshot_command.command("restore", cls=LibraryCommand)
@click.argument("name")
@click.argument("tag")
@yes_option
@json_option
@pass_globals
def restore_command(globals_: Globals, /, name: str, tag: str, yes: bool, as_json: bool) -> int:
    """Make a library what it was when it was tagged.

    Images that were added since are no longer in it, and what was changed is as it was. The snapshot stays. Take one
    of the library as it is now first, to go back.
    """
    rag = ImageRAG(home=globals_.home, library=name)
    tagged = _tagged(rag, tag)
    if tagged:
        question = f"make library {name} what it was at {tagged[0].created:%Y-%m-%d %H:%M} UTC?"
        confirm(question, f"imagerag library snapshot restore {name} {tag} --yes", yes=yes, as_json=as_json)
    images = run_sync(rag.libraries.snapshots.restore(tag))
    if as_json:
        return _say_document(name, "restore", tagged)
    say(f"library {bold(name)}: {count(images, 'image')}, as in {name}@{tag}")
    return 0


COMMANDS: Final = (snapshot_command,)


def _tagged(rag: ImageRAG, tag: str) -> "list[Snapshot]":
    """The snapshot with a tag; None where there is none, for which the command raises the error."""
    return [one for one in run_sync(rag.libraries.snapshots.list()) if one.tag == tag]


def _say_document(name: str, action: Action, snapshots: "list[Snapshot]") -> int:
    from imagerag.schemas.libraries import SnapshotsDocument

    say_json(SnapshotsDocument(library=name, action=action, snapshots=snapshots).as_json())
    return 0


def _row(one: "Snapshot") -> list[str]:
    disk_use = f"{size_of_bytes(one.bytes)} of its own"
    when = f"{one.created:%Y-%m-%d %H:%M} UTC"
    return [bold(short(one.name, 60)), count(one.images, "image"), when, disk_use, dim(one.content[:12])]
