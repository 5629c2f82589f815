"""`imagerag ask`."""

import asyncio
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from imagerag.agent.answering.record import AnswerRecord
from imagerag.agent.answering.values import AnswerOutcome
from imagerag.api import ImageRAG
from imagerag.cli import Globals
from imagerag.cli.files import overwrite_option, sheet_of
from imagerag.cli.generate import read_prompt
from imagerag.cli.narrate import first_time
from imagerag.cli.options import (
    filter_options,
    json_option,
    library_option,
    limit_options,
    pass_globals,
    quiet_option,
    threshold_option,
)
from imagerag.cli.view import accent, bold, clean, columns, dim, say, say_all, say_json, short, table
from imagerag.export import write_file
from imagerag.formatting.numbers import cosine, counted, dollars

EXIT_CODES: Final[Mapping[AnswerOutcome, int]] = {
    AnswerOutcome.ANSWERED: 0,
    AnswerOutcome.NOT_HELD: 3,
    AnswerOutcome.REFUSED: 4,
    AnswerOutcome.BUDGET_EXHAUSTED: 5,
    AnswerOutcome.UNREADABLE: 1,
    AnswerOutcome.UNAVAILABLE: 1,
    AnswerOutcome.FAILED: 1,
}


@click.command("ask")
@click.argument("question")
@library_option
@click.option(
    "--preset", metavar="P", help="Backends that belong together: sketch, openai, local  [env: IMAGERAG_PRESET]"
)
@click.option("--judge", metavar="SPEC", help="What answers unless --answerer says otherwise  [env: IMAGERAG_JUDGE]")
@click.option(
    "--answerer", metavar="SPEC", help="What answers: a model, or metadata (no model)  [env: IMAGERAG_ANSWERER]"
)
@click.option("-k", type=click.IntRange(1, 100), default=8, metavar="N", help="Pictures taken for their similarity.")
@threshold_option
@filter_options
@click.option("--thread", metavar="ID", help="Ask on: the thread of an earlier answer, or a name of your own.")
@click.option("--compare", is_flag=True, help="Also show what the same model says without the library.")
@click.option(
    "--journal",
    type=click.Choice(["record", "reuse", "replay"]),
    default="record",
    help="Use answers that were paid for before (reuse), or nothing else (replay).",
)
@limit_options
@click.option("--sheet", callback=sheet_of, metavar="FILE", help="Also write a picture (PNG) of what was retrieved.")
@overwrite_option
@json_option
@quiet_option
@pass_globals
def ask_command(
    globals_: Globals,
    /,
    question: str,
    library: str | None,
    preset: str | None,
    judge: str | None,
    answerer: str | None,
    sheet: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Answer QUESTION from the pictures of a library and what is written about them, and from nothing else.

    The answer says which picture supports what, or that the library does not hold it. QUESTION can be "-": then it is
    read from stdin. Exit codes: 0 answered, 3 not held by the library, 4 refused, 5 budget spent, 1 no readable answer
    or none at all.
    """
    text = read_prompt() if question == "-" else question
    rag = ImageRAG(preset=preset, judge=judge, answerer=answerer, library=library, home=globals_.home)
    if not quiet:
        told = f"library {rag.settings.library or 'none'} · answered by {rag.answerer_spec}"
        say_all([dim(short(told, 200)), *first_time(rag)], err=True)

    async def ask() -> AnswerRecord:
        record = await rag.ask(text, **options)
        if sheet is not None:
            await write_file(sheet, await rag.answer_sheet(record))
        return record

    record = asyncio.run(ask())
    if as_json:
        say_json(record.as_json())
    else:
        say_all(lines(record))
        if sheet is not None:
            say(f"  {dim('sheet')}  {sheet}")
    return EXIT_CODES[record.outcome]


def lines(record: AnswerRecord) -> Iterator[str]:
    """An answer for people: what was said, by which pictures, and what else there is to know."""
    answered = record.outcome is AnswerOutcome.ANSWERED
    yield from _wrapped(record.answer or record.reason, bold if answered else str)
    if record.answer and record.reason and not answered and record.outcome is not AnswerOutcome.NOT_HELD:
        yield from _wrapped(record.reason, dim)
    if record.citations:
        yield ""
    yield from table(
        [
            [
                accent(f"[{one.number}]"),
                short(one.title or one.id[:12], 28),
                dim(cosine(one.similarity) if one.similarity is not None else "far"),
                dim(short(one.licence, 18)),
                dim(short(one.supports, max(20, columns() - 68))),
            ]
            for one in record.citations
        ],
        right={0, 2},
    )
    if record.without_retrieval is not None:
        yield ""
        yield accent("without the library")
        yield from _wrapped(record.without_retrieval.answer or record.without_retrieval.reason, dim)
    yield ""
    for note in record.notes:
        yield from _wrapped(f"note: {note}", dim)
    accepted = sum(one.accepted for one in record.retrieved)
    thread = f"{'new ' if record.new_thread else ''}thread {record.thread_id}"
    looked_at = counted(len(record.retrieved), "picture")
    told = [f"{looked_at} looked at, {accepted} accepted", dollars(record.cost_usd, record.assumed_usd), thread]
    yield dim(" · ".join(filter(None, told)))
    for step in record.next_steps:
        yield dim(f"  → {step}")


def _wrapped(text: str, style: Any) -> Iterator[str]:
    for line in textwrap.wrap(clean(text), columns()) or [""]:
        yield style(line)
