"""Choosing references by hand, in a terminal."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from imagerag.agent.errors import UsageError
from imagerag.agent.record import RunRecord
from imagerag.api import ImageRAG
from imagerag.cli.view import accent, bold, cosine, count, dim, say, say_all, short, table

TILE: Final = 220
PER_ROW: Final = 4


def asker(rag: ImageRAG) -> Callable[[RunRecord], list[str]]:
    """What asks the user which of the offered references to take; it gives their ids."""

    def ask(record: RunRecord) -> list[str]:
        question = record.question or {}
        offered: Sequence[Mapping[str, Any]] = question.get("candidates") or []
        overview = _overview(rag, record, offered)
        say_all(question_lines(question), err=True)
        say(f"  {dim('to look at them:')} {overview}", err=True)
        return [str(offered[number - 1]["id"]) for number in _read_numbers(len(offered))]

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
            dim(short(str(one["licence"]), 24)),
        ]
        for one in offered
    ]
    return ["", f"{count(len(offered), 'picture')} passed; at most {limit} can be sent:", *table(rows, right={0, 2})]


def parse_choice(text: str) -> list[str]:
    """What `--choose` says: numbers or ids between commas, or `none`.

    Raises:
        UsageError: it says nothing.
    """
    if text.strip().lower() == "none":
        return []
    chosen = [part.strip() for part in text.split(",") if part.strip()]
    if not chosen:
        raise UsageError("--choose needs numbers between commas, or none")
    return chosen


def _read_numbers(offered: int) -> list[int]:
    while True:
        answer = click.prompt("which ones (1,2 or none)", default="1", err=True)
        try:
            numbers = [int(part) for part in parse_choice(answer)]
        except ValueError:  # UsageError is one
            numbers = [0]
        if all(1 <= number <= offered for number in numbers):
            return list(dict.fromkeys(numbers))
        say(f"  numbers from 1 to {offered} between commas, or none", err=True)


def _overview(rag: ImageRAG, record: RunRecord, offered: Sequence[Mapping[str, Any]]) -> Path:
    """One picture with every offered reference, numbered as in the question."""
    pictures = asyncio.run(rag.pictures(record))
    file = rag.wiring.home.images / f"{record.run_id}-choices.png"
    _draw([(str(o["number"]), pictures.get(str(o["id"]))) for o in offered], file)
    return file


def _draw(numbered: Sequence[tuple[str, bytes | None]], file: Path) -> None:
    import io

    from PIL import Image, ImageDraw, ImageFont, ImageOps

    rows = -(-len(numbered) // PER_ROW)
    page = Image.new("RGB", (min(len(numbered), PER_ROW) * TILE, rows * TILE), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(28)
    for place, (number, data) in enumerate(numbered):
        corner = (place % PER_ROW * TILE, place // PER_ROW * TILE)
        if data is not None:
            picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
            page.paste(ImageOps.pad(picture, (TILE - 16, TILE - 16), color="white"), (corner[0] + 8, corner[1] + 8))
        pen.rectangle((*corner, corner[0] + 24 + 14 * len(number), corner[1] + 40), fill="black")
        pen.text((corner[0] + 12, corner[1] + 3), number, fill="white", font=font)
    file.parent.mkdir(parents=True, exist_ok=True)
    page.save(file)
