"""`--keep-web`: take the images from the web that a run was helped by into the user's library."""

import asyncio
from collections.abc import Iterable

import click

from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.agent.retrieval.search_queries import WEB, names_of
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import BUILT_IN_LIBRARY
from imagerag.batch.input_row import InputRow
from imagerag.cli.terminal.output import count, say
from imagerag.client.client import ImageRAG
from imagerag.client.web_references import first_own_library
from imagerag.store.library.names import refuse_snapshot

keep_web_option = click.option(
    "--keep-web", is_flag=True, help="Add the images from the web that it was made with to your library."
)


def check_run_keeps_web(rag: ImageRAG, name: str, library: str | None = None) -> None:
    """The same for the library of a run that goes on.

    Args:
        library: where its references come from from now on, when not as before.

    Raises:
        UsageError: as `check_keeps_web`.
        UnknownRunError: no such run.
    """
    record = asyncio.run(rag.runs.get(name))
    check_keeps_web(library or (record.setup.library if record.setup else None))


def check_keeps_web(library: str | None) -> None:
    """See that there is a library that images from the web can be taken into, before anything is drawn.

    Raises:
        UsageError: no library of the user's own, or one that cannot be changed; or the web is not searched.
    """
    name = first_own_library(library)
    if name == BUILT_IN_LIBRARY:
        raise UsageError(f"{name!r} is the built-in catalogue, redrawn when it has to be: name a library of yours")
    refuse_snapshot(name)
    if not searches_web(library):
        raise UsageError(f"the web is not searched: --library {name},web:openverse")


def check_batch_keeps_web(rows: Iterable[InputRow], library: str | None) -> None:
    """The same for the lines of a batch; one that does not search the web has nothing to keep.

    Args:
        library: that of lines without one of their own.

    Raises:
        UsageError: as `check_keeps_web`, of the first line that has no such library; or no line searches the web.
    """
    first_lines: dict[str | None, int] = {}
    for row in rows:
        if not row.problem:
            first_lines.setdefault(row.options.get("library") or library, row.index)
    on_web = {name: line for name, line in first_lines.items() if searches_web(name)}
    if not on_web:
        check_keeps_web(library)
    for name, line in on_web.items():
        try:
            check_keeps_web(name)
        except UsageError as error:
            if name == library:
                raise
            raise UsageError(f"line {line}: {error}") from error


def searches_web(library: str | None) -> bool:
    """Whether the web is searched beside libraries of the user's own, or alone."""
    return any(name.startswith(WEB) for name in names_of(library or ""))


async def keep_web(rag: ImageRAG, record: RunRecord) -> bool:
    """Take them, and say so; whether nothing went wrong."""
    if not any(reference.web for reference in record.references):
        return True
    name = first_own_library(record.setup.library if record.setup else rag.settings.library)
    try:
        stored = await rag.libraries.keep_web(record, library=name)
    except ImageRAGError as error:
        say(f"imagerag: nothing from the web was taken into library {name}: {error}", err=True)
        return False
    if stored:
        say(
            f"  {count(len(stored), 'image')} from the web {'is' if len(stored) == 1 else 'are'} in library {name}",
            err=True,
        )
    return True
