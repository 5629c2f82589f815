"""`imagerag ask`."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from imagerag.agent.errors import ImageRAGError
from imagerag.agent.qa.qa_record import AnswerRecord
from imagerag.agent.qa.types import AnswerOutcome
from imagerag.cli import Globals
from imagerag.cli.generate import read_prompt
from imagerag.cli.live_text import first_time
from imagerag.cli.options import (
    filter_options,
    hybrid_option,
    json_option,
    library_option,
    limit_options,
    pass_globals,
    preset_option,
    quiet_option,
    reranker_option,
    threshold_option,
)
from imagerag.cli.output_files import apart, document_of, overwrite_option, sheet_of
from imagerag.cli.terminal.columns import beside
from imagerag.cli.terminal.output import (
    accent,
    bold,
    columns,
    dim,
    message_lines,
    say,
    say_all,
    say_json,
    short,
    table,
    wrapped,
)
from imagerag.client.client import ImageRAG
from imagerag.files.export import write_file
from imagerag.formatting.interface_terms import in_commands
from imagerag.formatting.labels import ANSWERS, STOPPED
from imagerag.formatting.numbers import dollars
from imagerag.formatting.text import clean, image_name
from imagerag.reports.html.answer_text import WITH, WITHOUT, answer_or_reason, baseline_or_reason, closeness, looked_at


@click.command("ask")
@click.argument("question", required=False)
@library_option
@preset_option
@click.option("--judge", metavar="SPEC", help="Answering model, where --answerer names none  [env: IMAGERAG_JUDGE]")
@click.option("--answerer", metavar="SPEC", help="Answering model, or metadata (no model)  [env: IMAGERAG_ANSWERER]")
@click.option("--image", "images", multiple=True, metavar="FILE", help="An image of yours that the question is about.")
@click.option(
    "--by",
    type=click.Choice(["image", "words", "both"]),
    help="Search with your image, the words, or both.  [default: all that is given]",
)
@click.option("-k", type=click.IntRange(1, 100), default=8, metavar="N", help="Images retrieved by similarity.")
@threshold_option
@hybrid_option
@reranker_option
@filter_options
@click.option("--thread", metavar="ID", help="Continue the thread of an earlier answer, or name a new one.")
@click.option("--compare", is_flag=True, help="Also show the model's answer without the library.")
@click.option(
    "--cache",
    type=click.Choice(["record", "reuse", "replay"]),
    default="record",
    help="Also use responses from before (reuse), or make no call (replay).",
)
@limit_options
@click.option(
    "--sheet", callback=sheet_of, metavar="FILE", help="Also write a contact sheet (PNG) of the retrieved images."
)
@click.option("--out", callback=document_of, metavar="FILE", help="Also write the answer to FILE, .html or .md.")
@overwrite_option
@json_option
@quiet_option
@pass_globals
def ask_command(
    globals_: Globals,
    /,
    question: str | None,
    library: str | None,
    preset: str | None,
    judge: str | None,
    answerer: str | None,
    reranker: str | None,
    sheet: Path | None,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Answer QUESTION from the images of a library and their metadata, and from nothing else.

    The answer cites the images that support it, or says that the library does not hold it. QUESTION "-" is read from
    stdin. Without QUESTION, --thread ID shows its last answer again. Exit codes: 0 answered, 3 not held by the library,
    4 refused, 5 budget spent, 1 no readable answer or an error, 130 stopped with Ctrl-C.
    """
    if question is None and not options["thread"]:
        raise click.UsageError("say what you want to know: imagerag ask QUESTION")
    apart((sheet, out), options["images"])
    text = read_prompt() if question == "-" else question
    rag = ImageRAG(
        preset=preset, judge=judge, answerer=answerer, reranker=reranker, library=library, home=globals_.home
    )
    if not quiet and text is not None:
        library = library or rag.questions.library_sync(options["thread"])
        message = f"library {library} · answered by {rag.questions.answerer}"
        say_all([dim(short(message, 200)), *first_time(rag)], err=True)
    if options["thread"] is None:
        from imagerag.graphs.runs.records import new_run_id

        options["thread"] = new_run_id()  # the id is chosen here, so that a stopped question can be named

    async def ask() -> AnswerRecord:
        if text is None:
            record = await rag.questions.get(options["thread"])
        else:
            record = await rag.ask(text, library=library, **options)
        if sheet is not None:
            await write_file(sheet, await rag.questions.contact_sheet(record))
        if out is not None:
            from imagerag.reports.html.report_writer import write_answer

            await write_answer(rag.dependencies, record, out)
        return record

    try:
        record = asyncio.run(ask())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _stopped(rag, options["thread"], as_json=as_json)
    if as_json:
        say_json(record.as_json())
    else:
        say_all(answer_lines(record))
        for name, file in (("sheet", sheet), ("document", out)):
            if file is not None:
                say(f"  {dim(name)}  {file}")
    return ANSWERS[record.outcome].exit_code


def _stopped(rag: ImageRAG, thread: str, *, as_json: bool) -> int:
    """Print the status and possible cost of a question that was stopped with Ctrl-C."""
    try:
        record = asyncio.run(rag.questions.get(thread))
    except ImageRAGError:
        record = None
    if record is None or record.outcome is not AnswerOutcome.CANCELLED:
        say("imagerag: stopped before the question was asked", err=True)
        return STOPPED
    if as_json:
        say_json(record.as_json())
    spent = dollars(record.cost_usd, record.assumed_usd, record.unsettled_usd)
    say(f"imagerag: stopped; {spent} · imagerag ask --thread {record.thread_id}", err=True)
    return STOPPED


def answer_lines(record: AnswerRecord) -> Iterator[str]:
    """Text of an answer: the response, the cited images, and notes."""
    notes, record, answered = record.notes, in_commands(record), record.outcome is AnswerOutcome.ANSWERED
    if record.baseline_answer is not None:
        styles = (bold if answered else str, dim)
        yield from beside(answer_or_reason(record), baseline_or_reason(record), titles=(WITH, WITHOUT), styles=styles)
    else:
        yield from _wrapped(answer_or_reason(record), bold if answered else str)
    if record.answer and record.reason and not answered and record.outcome is not AnswerOutcome.NOT_HELD:
        yield from _wrapped(record.reason, dim)
    if record.citations:
        yield ""
    yield from table(
        [
            [
                accent(f"[{one.number}]"),
                short(image_name(one.title, one.id), 28),
                dim(closeness(one)),
                dim(short(one.licence, 18)),
                dim(clean(one.supports)),
            ]
            for one in record.citations
        ],
        right={0, 2},
    )
    yield ""
    for note in notes:
        yield from map(dim, message_lines(f"note: {note}", columns(), indent=2))
    thread = f"{'new ' if record.new_thread else ''}thread {record.thread_id}"
    cost = dollars(record.cost_usd, record.assumed_usd, record.unsettled_usd)
    yield dim(" · ".join([looked_at(record), cost, thread]))
    for step in record.next_steps:
        yield dim(f"  → {step}")


def _wrapped(text: str, style: Any) -> Iterator[str]:
    yield from map(style, wrapped(text, columns()))
