"""`imagerag generate`."""

import sys
from typing import Any

import click

from imagerag.agent.errors import UsageError
from imagerag.cli import Globals
from imagerag.cli.dry_run import dry_run_option, print_estimate
from imagerag.cli.keep_web import check_keeps_web, keep_web_option
from imagerag.cli.live_text import first_time, run_header
from imagerag.cli.options import (
    generator_option,
    judge_option,
    library_option,
    limit_options,
    pass_globals,
    preset_option,
    reranker_option,
    run_options,
)
from imagerag.cli.output_options import OutputOptions, output_options
from imagerag.cli.run_follower import RunOutputs, follow_run
from imagerag.cli.terminal.output import say_all
from imagerag.client.client import ImageRAG

READ_AT_MOST = 1_000_000
"""Bytes of a prompt on stdin; far more than any prompt that is accepted."""


def _only_one(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> str | None:
    """The value of an option that may be given only once."""
    if len(values) > 1:
        raise click.BadParameter(f"one image is edited at a time, not {len(values)}", context, option)
    return values[0] if values else None


@click.command("generate")
@click.argument("prompt")
@library_option
@preset_option
@generator_option
@judge_option
@reranker_option
@run_options(defaults=True)
@click.option("--initial-image", metavar="FILE", help="Start from this image instead of generating the first.")
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    metavar="[NAME=]FILE",
    help="An image of yours that is to appear in the result.",
)
@click.option(
    "--edit",
    metavar="[NAME=]FILE",
    multiple=True,
    callback=_only_one,
    help="An image of yours to change; the rest of it is kept.",
)
@click.option(
    "--edit-library",
    metavar="ID",
    multiple=True,
    callback=_only_one,
    help="An image of the library to change.",
)
@click.option("--mask", metavar="FILE", help="Edit only where this PNG of the same size is transparent.")
@click.option(
    "--mask-feather", type=int, default=0, metavar="PX", help="Width of the blend inside the mask, in pixels."
)
@click.option(
    "--likeness",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Images that must stay recognisable: subjects and those tagged product, person, … (auto).",
)
@click.option("--select", is_flag=True, help="Choose the references yourself.")
@keep_web_option
@click.option(
    "--partial-images",
    type=int,
    default=0,
    metavar="N",
    help="Unfinished images to show while one is generated, 0 to 3.",
)
@limit_options
@dry_run_option
@output_options
@pass_globals
def generate_command(
    globals_: Globals,
    /,
    prompt: str,
    library: str | None,
    preset: str | None,
    generator: str | None,
    judge: str | None,
    reranker: str | None,
    subjects: tuple[str, ...],
    edit: str | None,
    output: OutputOptions,
    dry_run: bool,
    keep_web: bool,
    **options: Any,
) -> int:
    """Generate an image of PROMPT, judge it, retrieve what is missing from a library, and generate again until it is
    aligned.

    PROMPT "-" is read from stdin. stdout carries the result, stderr the progress. With --select the run stops for you
    to choose the references: at once in a terminal, otherwise later with `imagerag resume RUN --select 1,2` (status
    "interrupted", exit code 0).
    """
    text = read_prompt() if prompt == "-" else prompt
    rag = ImageRAG(
        preset=preset,
        generator=generator,
        judge=judge,
        reranker=reranker,
        library=library,
        home=globals_.home,
    )
    options |= {
        "subjects": [given_prompt(subject) for subject in subjects],
        "edit": given_prompt(edit) if edit else None,
    }
    if keep_web:
        check_keeps_web(rag.settings.library)
    if dry_run:
        header = run_header(rag.settings)  # before the estimate begins: it may refuse the judge
        return print_estimate(rag.estimate(text, **options), output.mode == "json", header=header)
    delivery = RunOutputs.from_options(rag, output, library=library, choosing=options["select"], keep_web=keep_web)
    if not output.quiet:
        say_all([run_header(rag.settings), *first_time(rag)], err=True)
    return follow_run(delivery, rag.stream(text, **options))


def given_prompt(subject: str) -> tuple[str, str]:
    """Parse a subject into (name, file); a file with `=` in its name can be written `=FILE`."""
    name, equals, file = subject.partition("=")
    return (name.strip(), file) if equals else ("", subject)


def read_prompt() -> str:
    """Read the prompt from stdin.

    Raises:
        UsageError: stdin is not text.
    """
    data: bytes = sys.stdin.buffer.read(READ_AT_MOST)
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise UsageError("the prompt on stdin is not UTF-8 text") from error
