"""`imagerag library add`, `remove` and `update`: the images of a library."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from imagerag.agent.errors import UsageError
from imagerag.agent.visible_text import is_blank
from imagerag.cli import Globals
from imagerag.cli.confirmation import confirm, yes_option
from imagerag.cli.library.library_command import LibraryCommand
from imagerag.cli.library.previews import example_lines, image_path, show_images
from imagerag.cli.options import Decorator, filter_option, filter_options, json_option, pass_globals, together
from imagerag.cli.terminal.output import bold, columns, count, hanging, say, say_all, say_json, short
from imagerag.client.client import ImageRAG
from imagerag.client.synchronous import run_sync
from imagerag.formatting.interface_terms import as_commands

if TYPE_CHECKING:
    from imagerag.agent.types import Scalar
    from imagerag.schemas.libraries import ListedImage
    from imagerag.store.library.maintenance.image_selection import ImageSelection
    from imagerag.store.library.schema import ImageRecord

Action = Literal["add", "remove", "update"]


def pairs_of(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> "dict[str, Scalar]":
    """Parse repeated `KEY=VALUE`; everything after the first `=` is the value."""
    from imagerag.store.library.maintenance.changes import scalar_of

    pairs = {}
    for value in values:
        key, equals, typed = value.partition("=")
        if not equals or is_blank(key):
            raise click.BadParameter(f"{value!r} is not KEY=VALUE", ctx, param)
        pairs[key.strip()] = scalar_of(typed)
    return pairs


def change_options(of: str) -> Decorator:
    """The options for metadata of images.

    Args:
        of: the images described, for the help text.
    """
    return together(
        click.option("--title", metavar="TEXT", help=f"Title of {of}."),
        click.option("--caption", metavar="TEXT", help=f"Caption of {of}: what a person sees."),
        click.option("--tag", "add_tags", multiple=True, metavar="T", help="A tag to add."),
        click.option("--licence", metavar="L", help=f"Licence of {of}."),
        click.option("--author", metavar="TEXT", help=f"Author of {of}."),
        click.option("--source", metavar="TEXT", help=f"Where {of} came from."),
        click.option(
            "--set", "set", multiple=True, callback=pairs_of, metavar="KEY=VALUE",
            help="A further field (camera, taken, place, …) or metadata key.",
        ),
    )  # fmt: skip


dry_run_option = click.option("-n", "--dry-run", is_flag=True, help="Change nothing, and show what it would be.")
calibrate_option = click.option(
    "--no-calibrate", "calibrate", is_flag=True, flag_value=False, default=True,
    help="Leave the threshold as it is, until imagerag library calibrate.",
)  # fmt: skip


@click.command("add", cls=LibraryCommand)
@click.argument("name")
@click.argument("image_files", nargs=-1, required=True, metavar="FILE...")
@change_options("the images")
@click.option("--copy", is_flag=True, help="Keep the images in the library too, not only links to the files.")
@json_option
@pass_globals
def add_command(
    globals_: Globals, /, name: str, image_files: tuple[str, ...], copy: bool, as_json: bool, **changes: Any
) -> int:
    """Add image files to a library, with what is said of them here.

    Files that were removed from the library before are taken back. Whole folders are added by imagerag index.
    """
    rag = ImageRAG(home=globals_.home, library=name)
    rows = run_sync(rag.libraries.add(*image_files, copy=copy, **changes))
    if as_json:
        say_document(name, "add", rows, len(rows))
    else:
        say_all([f"library {bold(name)}: {_added(rows.new, len(rows) - rows.new)}", *example_lines(rows, len(rows))])
    return 0


def _added(new: int, existing: int) -> str:
    there = f"{existing:,} {'was' if existing == 1 else 'were'} there already" if existing else ""
    return ", ".join(part for part in (f"{count(new, 'image')} added" if new or not existing else "", there) if part)


@click.command("remove", cls=LibraryCommand)
@click.argument("name")
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@filter_options
@click.option("--whole-library", is_flag=True, help="Delete the library itself. The image files stay.")
@calibrate_option
@dry_run_option
@yes_option
@json_option
@pass_globals
def remove_command(
    globals_: Globals,
    /,
    name: str,
    images: tuple[str, ...],
    whole_library: bool,
    calibrate: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **filters: Any,
) -> int:
    """Remove images from a library, or the library. Image files stay.

    IMAGE is an id (its first six digits do), a file, or a folder with all below it. Removed images stay out when their
    folder is indexed again; imagerag library add takes one back.
    """
    rag = ImageRAG(home=globals_.home, library=name)
    has_selection = bool(images or any(filters.values()))
    if has_selection == whole_library:
        raise UsageError(_what_to_remove(name) if not has_selection else "images, or --whole-library: one of them")
    if whole_library:
        return _delete(rag, name, dry_run=dry_run, yes=yes, as_json=as_json)
    at_once = yes and not dry_run
    hit = run_sync(rag.libraries.remove(*images, **filters, calibrate=calibrate, dry_run=not at_once))
    question = f"remove {count(len(hit), 'image')} from library {name}?"
    if not at_once and _confirmed(rag, name, "remove", hit, question, dry_run=dry_run, as_json=as_json):
        run_sync(rag.libraries.remove(*hit.ids, calibrate=calibrate))
    if as_json:
        say_document(name, "remove", hit.rows, len(hit), dry_run=dry_run, reason=hit.reason)
    else:
        say(_done(name, "removed", len(hit), dry_run) + ("; the files stay" if hit and not dry_run else ""))
        say_all(_reason(hit))
    return 0


def _what_to_remove(name: str) -> str:
    return (
        f"say what to remove: imagerag library remove {name} IMAGE… (or --filter …) for images, "
        f"imagerag library remove {name} --whole-library for the library"
    )


@click.command("update", cls=LibraryCommand)
@click.argument("name")
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@filter_option
@change_options("the images")
@click.option("--untag", "remove_tags", multiple=True, metavar="T", help="A tag to take away.")
@click.option("--unset", "unset", multiple=True, metavar="KEY", help="A field or metadata key to empty.")
@calibrate_option
@dry_run_option
@yes_option
@json_option
@pass_globals
def update_command(
    globals_: Globals,
    /,
    name: str,
    images: tuple[str, ...],
    filter: Any,
    calibrate: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **changes: Any,
) -> int:
    """Change what a library knows of images. Nothing is encoded again.

    IMAGE is an id (its first six digits do), a file, or a folder with all below it. An empty text takes one away.
    A sidecar or a manifest that says otherwise counts again when it is indexed.
    """
    rag = ImageRAG(home=globals_.home, library=name)
    at_once = yes and not dry_run
    hit = run_sync(rag.libraries.update(*images, filter=filter, calibrate=calibrate, dry_run=not at_once, **changes))
    question = f"change {count(len(hit), 'image')} in library {name}?"
    if not at_once and _confirmed(rag, name, "update", hit, question, dry_run=dry_run, as_json=as_json):
        run_sync(rag.libraries.update(*hit.ids, calibrate=calibrate, **changes))
    if as_json:
        say_document(name, "update", hit.rows, len(hit), dry_run=dry_run, reason=hit.reason)
    else:
        say(_done(name, "changed", len(hit), dry_run))
        say_all(_reason(hit))
    return 0


COMMANDS: Final = (add_command, remove_command, update_command)


def _confirmed(
    rag: ImageRAG, name: str, action: Action, hit: "ImageSelection", question: str, *, dry_run: bool, as_json: bool
) -> bool:
    """Show the images that it would be, and ask; False where there is nothing to ask."""
    if not as_json:
        run_sync(show_images(rag, name, hit))
    if not hit or dry_run:
        return False
    confirm(question, f"imagerag library {action} {name} … --yes", yes=False, as_json=as_json)
    return True


def _delete(rag: ImageRAG, name: str, *, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Remove a whole library."""
    from imagerag.store.library.database import snapshot_names

    if dry_run:
        raise UsageError("--dry-run is for images: imagerag library info shows the library")
    there = name in run_sync(rag.libraries.list())
    snapshots = snapshot_names(rag.dependencies.home, name) if there else []
    also = f", and {count(len(snapshots), 'snapshot')}: {short(', '.join(snapshots), 300)}" if snapshots else ""
    if yes or there:
        question = f"remove library {name} with everything in it for good{also}?"
        command = f"imagerag library remove {name} --whole-library --yes" + (f" (it has {also[6:]})" if also else "")
        confirm(question, command, yes=yes, as_json=as_json)
    run_sync(rag.libraries.delete(name))
    if as_json:
        from imagerag.schemas.libraries import LibraryRemoved

        say_json(LibraryRemoved(library=name, removed=True).as_json())
    else:
        say(f"library {bold(short(name, 100))} is removed{also}")
    return 0


def _reason(hit: "ImageSelection") -> list[str]:
    """Why nothing was done, or which options concern no image."""
    head = "note: " if hit else "nothing: "
    return hanging(as_commands(hit.reason), columns() - 2, indent=2, head=f"  {head}") if hit.reason else []


def _done(name: str, what: str, number: int, dry_run: bool) -> str:
    would = "would be " if dry_run else ""
    return f"library {bold(name)}: {count(number, 'image')} {would}{what}"


def listed(rows: "Sequence[ImageRecord]") -> "list[ListedImage]":
    """The JSON data of images."""
    from imagerag.schemas.libraries import ListedImage

    return [
        ListedImage(
            id=row.id,
            title=row.title,
            caption=row.caption,
            path=image_path(row),
            description=row.description,
            described_by=row.described_by,
        )
        for row in rows
    ]


def say_document(
    name: str, action: Action, rows: "Sequence[ImageRecord]", total: int, *, dry_run: bool = False, reason: str = ""
) -> None:
    """Print the number of affected images, or of those that would be affected, and the first of them, as JSON."""
    from imagerag.schemas.libraries import ImagesDocument
    from imagerag.store.library.maintenance.image_selection import LISTED

    images = listed(rows[:LISTED])
    document = ImagesDocument(
        library=name, action=action, dry_run=dry_run, count=total, images=images, reason=as_commands(reason)
    )
    say_json(document.as_json())
