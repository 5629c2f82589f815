"""Interactive choice of references in a terminal."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from imagerag.agent.errors import UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.cli.terminal.output import accent, bold, count, dim, say, say_all, short, table
from imagerag.client.client import ImageRAG
from imagerag.formatting.numbers import cosine
from imagerag.formatting.web_credits import licence_text
from imagerag.store.images.blob_store import write_atomically


def asker(rag: ImageRAG) -> Callable[[RunRecord], list[str]]:
    """Make a function that lets the user choose references and returns their ids."""

    def ask(record: RunRecord) -> list[str]:
        question = record.question or {}
        offered: Sequence[Mapping[str, Any]] = question.get("candidates") or []
        overview = _overview(rag, record)
        say_all(question_lines(question), err=True)
        say(f"  {dim('to look at them:')} {overview}", err=True)
        return [str(offered[number - 1]["id"]) for number in _read_numbers(len(offered), int(question["limit"]))]

    return ask


def question_lines(question: Mapping[str, Any]) -> list[str]:
    """The offered references, numbered."""
    offered: Sequence[Mapping[str, Any]] = question.get("candidates") or []
    limit = count(int(question.get("limit") or 0), "reference")
    rows = [
        [
            accent(str(one["number"])),
            bold(short(str(one["title"] or one["id"][:12]), 30)),
            cosine(float(one["similarity"])),
            f"for {short(str(one['concept']), 40)}",
            dim(short(licence_text(str(one["licence"])), 44)),
            dim(_author(one)),
        ]
        for one in offered
    ]
    pages = [f"  {one['number']}  {page}" for one in offered if (page := _page(one))]
    return [
        "",
        f"{count(len(offered), 'image')} passed; at most {limit} can be sent:",
        *table(rows, right={0, 2}),
        *(["found on the web:", *pages] if pages else []),
    ]


def _author(offered: Mapping[str, Any]) -> str:
    """The author of an image from the web; empty for one of the user's own."""
    return f"by {short(str(offered['author']), 30)}" if offered.get("web") and offered.get("author") else ""


def _page(offered: Mapping[str, Any]) -> str:
    """The service and the page of an image from the web, on a line of its own: an address that is broken is none."""
    web: Mapping[str, Any] = offered.get("web") or {}
    return ": ".join(filter(None, [web["service"], web["page"]])) if web else ""


def parse_choice(text: str) -> list[str]:
    """Parse `--select`: numbers or ids between commas, or `none`.

    Raises:
        UsageError: the text is empty.
    """
    if text.strip().lower() == "none":
        return []
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise UsageError("--select needs numbers between commas, or none")
    return parts


def _read_numbers(offered: int, limit: int) -> list[int]:
    while True:
        answer = click.prompt("which ones (1,2 or none)", default="1", err=True)
        problem, numbers = f"numbers from 1 to {offered} between commas, or none", []
        with contextlib.suppress(ValueError):  # UsageError is one
            numbers = list(dict.fromkeys(int(part) for part in parse_choice(answer)))
            if all(1 <= number <= offered for number in numbers):
                if len(numbers) <= limit:
                    return numbers
                problem = f"{len(numbers)} are too many: at most {limit} can be sent"
        say(f"  {problem}", err=True)


def _overview(rag: ImageRAG, record: RunRecord) -> Path:
    """One image with every offered reference, numbered as in the question."""
    file = rag.dependencies.home.images / f"{record.run_id}-choices.png"
    write_atomically(file, asyncio.run(rag.runs.contact_sheet(record)))
    return file
