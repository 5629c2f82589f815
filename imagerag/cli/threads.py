"""`imagerag threads`: the conversations that `imagerag ask` began."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from imagerag.cli import Globals
from imagerag.cli.command_group import FullHelpGroup
from imagerag.cli.confirmation import confirm_removal, yes_option
from imagerag.cli.options import json_option, moment_of, pass_globals
from imagerag.cli.runs import ago
from imagerag.cli.runs_storage import MOST_LISTED, dry_run_option
from imagerag.cli.terminal.output import bold, columns, count, dim, say, say_all, say_json, table, wrapped
from imagerag.client.client import ImageRAG
from imagerag.formatting.labels import ANSWERS
from imagerag.formatting.numbers import size_of_bytes
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.graphs.runs.thread_documents import ThreadDocument, ThreadEntry, ThreadsRemoved

_UNREADABLE: Final = "(cannot be read: damaged, or made by an earlier version)"


@click.group("threads", cls=FullHelpGroup, invoke_without_command=True)
@click.option("-n", "limit", type=click.IntRange(1), default=20, metavar="N", help="Number of threads.")
@click.option("--text", metavar="T", help="Only threads with T in a question.")
@click.option("--library", metavar="NAME", help="Only threads whose last question was asked of this library.")
@click.option(
    "--since", callback=moment_of, metavar="WHEN", help="Only threads with a question since: 2026-11-30, 3d, 12h."
)
@click.option(
    "--until", callback=moment_of, metavar="WHEN", help="Only threads whose last question was before this time."
)
@json_option
@click.pass_context
def threads_command(ctx: click.Context, /, limit: int, as_json: bool, **filters: Any) -> int:
    """List the threads of imagerag ask, the one with the newest question first.

    A line has the thread's id, the age of its last question, the number of questions, its size on disk without images,
    its library and its last question.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    entries = ImageRAG(home=ctx.ensure_object(Globals).home).questions.threads.list_sync(limit, **filters)
    if as_json:
        from imagerag.graphs.runs.thread_documents import ThreadsDocument

        say_json(ThreadsDocument(threads=list(entries)).as_json())
    elif entries:
        say_all(table([_row(entry) for entry in entries], right={2, 3}, cut=5))
    else:
        filtered = any(value is not None for value in filters.values())
        say("no threads like that" if filtered else "no threads yet: imagerag ask QUESTION")
    return 0


def _row(entry: "ThreadEntry") -> list[str]:
    return [
        entry.thread_id,
        dim(ago(entry.updated)),
        count(entry.questions, "question"),
        dim(size_of_bytes(entry.bytes)),
        clean(entry.library or "–"),
        clean(entry.question) or dim(_UNREADABLE),
    ]


@click.command("show")
@click.argument("thread")
@json_option
@pass_globals
def show_command(globals_: Globals, /, thread: str, as_json: bool) -> int:
    """Show the questions and answers of THREAD, oldest first.

    The start of a thread's id is enough, or "last". imagerag ask --thread ID shows its last answer with the images.
    """
    rag = ImageRAG(home=globals_.home)
    document = rag.questions.threads.get_sync(thread_name(rag, thread))
    if as_json:
        say_json(document.as_json())
    else:
        say_all(_thread_lines(document))
    return 0


@click.command("remove")
@click.argument("threads", nargs=-1, required=True, metavar="THREAD…")
@dry_run_option
@yes_option
@json_option
@pass_globals
def remove_command(globals_: Globals, /, threads: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool) -> int:
    """Delete threads for good: questions, answers, recorded calls, and images that nothing else refers to.

    The start of a thread's id is enough, or "last". A thread with a question that is being answered is refused.
    """
    rag = ImageRAG(home=globals_.home)
    ids = [thread_name(rag, thread) for thread in threads]
    if not (dry_run or yes):
        command = f"imagerag threads remove {' '.join(threads)} --yes (--dry-run only looks)"
        _confirm(rag.questions.threads.remove_sync(*ids, dry_run=True), command, as_json)
    _say(rag.questions.threads.remove_sync(*ids, dry_run=dry_run), as_json)
    return 0


@click.command("prune")
@click.option("--older-than", callback=moment_of, metavar="AGE", help="Last question before: 30d, 12h, 2026-11-30.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Never the N newest; alone: all but those.")
@dry_run_option
@yes_option
@json_option
@pass_globals
def prune_command(
    globals_: Globals, /, older_than: datetime | None, keep: int | None, dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Delete old threads for good. Give at least one limit.

    Threads with a question that is being answered stay. What goes with a thread is what imagerag threads remove
    deletes.
    """
    if older_than is None and keep is None:
        raise click.UsageError("say which threads: --older-than 30d or --keep 100")
    threads = ImageRAG(home=globals_.home).questions.threads
    if not (dry_run or yes):
        command = "imagerag threads prune … --yes (--dry-run only looks)"
        _confirm(threads.prune_sync(older_than=older_than, keep=keep, dry_run=True), command, as_json)
    _say(threads.prune_sync(older_than=older_than, keep=keep, dry_run=dry_run), as_json)
    return 0


for _command in (show_command, remove_command, prune_command):
    threads_command.add_command(_command)


def thread_name(rag: ImageRAG, thread: str) -> str:
    """Resolve the name of a thread: `last` is the one with the newest question."""
    newest = rag.questions.threads.list_sync(1) if thread == "last" else []
    return newest[0].thread_id if newest else thread


def _thread_lines(document: "ThreadDocument") -> Iterator[str]:
    entry = document.thread
    for turn in document.turns:
        yield from map(bold, wrapped(turn.question, columns()))
        yield from wrapped(turn.answer or f"({ANSWERS[turn.outcome].name})", columns())
        about = [f"library {clean(turn.library)}"] if turn.library else []
        about += [count(len(turn.images), "image") + " of yours"] if turn.images else []
        about += [count(len(turn.sources), "source")] if turn.sources else []
        yield dim(f"  {' · '.join(about)}")
        yield ""
    if not document.turns:
        yield dim(_UNREADABLE)
    if entry.questions > len(document.turns):
        yield dim(f"the last {len(document.turns)} of {entry.questions} questions are stored")
    yield dim(f"thread {entry.thread_id} · last question {ago(entry.updated)} · {size_of_bytes(entry.bytes)}")
    yield dim(f"  → imagerag ask QUESTION --thread {entry.thread_id}")


def _confirm(planned: "ThreadsRemoved", command: str, as_json: bool) -> None:
    """Confirm a removal, which was planned first so that an unknown thread is reported before the question."""
    what = count(len(planned.threads), "thread") if planned.threads else ""
    confirm_removal(_removal_lines(planned), what, command, as_json=as_json)


def _say(removal: "ThreadsRemoved", as_json: bool) -> None:
    if as_json:
        say_json(removal.as_json())
    else:
        say_all(_removal_lines(removal))


def _removal_lines(removal: "ThreadsRemoved") -> Iterator[str]:
    listed = removal.threads[:MOST_LISTED]
    rows = [[one.thread_id, size_of_bytes(one.bytes), clean(one.question) or dim(_UNREADABLE)] for one in listed]
    yield from table(rows, right={1}, cut=2)
    if len(removal.threads) > len(listed):
        yield dim(f"and {len(removal.threads) - len(listed)} more")
    went = "would be removed" if removal.dry_run else "removed"
    yield f"{count(len(removal.threads), 'thread')} {went}, {size_of_bytes(removal.freed_bytes)}; {removal.kept} kept"
    if removal.in_use:
        yield f"a question is being answered, and kept: {', '.join(removal.in_use)}"
