"""The output options of commands that make a run: files, JSON, images in the terminal."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import click

from imagerag.cli.options import Function, image_option, json_option, quiet_option, sheet_option, together
from imagerag.cli.output_files import apart

Mode = Literal["human", "json", "events"]


@dataclass(frozen=True)
class OutputOptions:
    """Output options of a command that makes a run.

    Attributes:
        mode: content of stdout.
        out: the image's file, or a folder for it.
        sheet: the contact sheet's file.
        live: image protocol of the terminal.
        quiet: no progress on stderr.
    """

    mode: Mode
    out: Path | None
    sheet: Path | None
    live: str
    quiet: bool


def _images_of(arguments: Mapping[str, Any]) -> list[str | None]:
    """The image files that a command reads; a subject may have a name before its file."""
    own = [*arguments.get("subjects", ()), *filter(None, [arguments.get("edit")])]
    subjects = [file for subject in own for file in (subject, subject.partition("=")[2])]
    return [arguments.get("mask"), arguments.get("initial_image"), *subjects]


def output_options(function: Function) -> Function:
    """`--out`, `--sheet`, `--json`, `--jsonl`, `--terminal-images`, `--quiet`; in one `output`."""

    @functools.wraps(function)
    def with_output(*args: Any, as_json: bool, events: bool, **arguments: Any) -> Any:
        if as_json and events:
            raise click.UsageError("--json prints one document, --jsonl a line per step: take one of them")
        mode: Mode = "json" if as_json else "events" if events else "human"
        output = OutputOptions(mode, *(arguments.pop(name) for name in ("out", "sheet", "live", "quiet")))
        apart((output.out, output.sheet), [*_images_of(arguments)])
        return function(*args, output=output, **arguments)

    options = together(
        image_option,
        sheet_option,
        json_option,
        click.option("--jsonl", "events", is_flag=True, help="Print each step on stdout as a line of JSON."),
        click.option(
            "--terminal-images",
            "live",
            type=click.Choice(["auto", "off", "kitty", "iterm", "blocks"]),
            default="auto",
            help="Show images in the terminal: as it can (auto), never (off), or this way.",
        ),
        quiet_option,
    )
    return cast(Function, options(with_output))
