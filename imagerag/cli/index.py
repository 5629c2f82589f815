"""`imagerag index`."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

import click

from imagerag.agent.errors import UsageError
from imagerag.cli import Globals
from imagerag.cli.options import json_option, pass_globals, quiet_option
from imagerag.cli.progress_line import FileProgress
from imagerag.cli.terminal import (
    accent,
    bold,
    columns,
    count,
    dim,
    say_all,
    say_json,
    short,
    table,
    tail,
    warning_lines,
)
from imagerag.client.client import ImageRAG
from imagerag.formatting.numbers import cosine, percentile, rate
from imagerag.formatting.text import clean
from imagerag.graphs.configuration.settings import PRESETS

if TYPE_CHECKING:
    from imagerag.schemas.libraries import IndexDocument
    from imagerag.store.library.ingest import IndexReport
    from imagerag.store.library.library import Library

SHOWN: Final = 20
"""Skipped files that people see listed; programs get them all."""


@click.command("index")
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--library", metavar="NAME", help="The library; created if it does not exist  [env: IMAGERAG_LIBRARY]")
@click.option("--embedder", metavar="SPEC", help="Encoder of a new library.")
@click.option("--manifest", metavar="FILE", help="CSV, JSON lines or JSON: path, caption, tags, licence, …")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out files or folders: drafts, '*.gif', 'raw/*'.")
@click.option("--allow-outside", is_flag=True, help="Let the manifest and links name any file on this machine.")
@click.option("--strict", is_flag=True, help="Exit with 1 when anything was skipped.")
@json_option
@quiet_option
@pass_globals
def index_command(
    globals_: Globals,
    /,
    paths: tuple[str, ...],
    library: str | None,
    embedder: str | None,
    manifest: str | None,
    exclude: tuple[str, ...],
    allow_outside: bool,
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Index image files and folders into a library.

    Images that are already indexed are not encoded again. Damaged files and files of other types are skipped and
    listed. Metadata in NAME.json, NAME.png.json or NAME.txt beside an image (caption, tags, licence, …) is stored with
    it. Hidden files and files of file servers (@eaDir, __MACOSX) are ignored.
    """
    if not paths and not manifest:
        raise UsageError("say what to index: imagerag index PATH --library NAME")
    rag = ImageRAG(library=library, home=globals_.home)
    name = chosen_library(rag, library)
    progress = FileProgress()

    def warn(text: str) -> None:
        progress.close()
        say_all(warning_lines([text]), err=True)

    given = {"embedder": embedder, "manifest": manifest, "exclude": exclude, "allow_outside": allow_outside}
    with contextlib.closing(progress):
        shown = None if quiet else progress
        report, opened = asyncio.run(_index(rag, name, paths, **given, progress=shown, warn=warn))
    if as_json:
        say_json(document(report, opened).as_json())
    else:
        say_all(report_lines(report, opened))
    return 1 if strict and report.skipped else 0


def chosen_library(rag: ImageRAG, flag: str | None) -> str:
    """The library someone named. A preset's own one is never filled by accident.

    Raises:
        UsageError: nobody named one.
    """
    name, preset = rag.settings.library, PRESETS[rag.settings.preset]
    if name is None or (flag is None and name == preset.get("library")):
        raise UsageError("say which library the pictures go into: --library NAME")
    return name


async def _index(rag: ImageRAG, name: str, paths: tuple[str, ...], **options: Any) -> "tuple[IndexReport, Library]":
    report = await rag.libraries.index(*paths, library=name, **options)
    return report, await rag.libraries.open(name)


def document(report: "IndexReport", library: "Library") -> "IndexDocument":
    """The result of indexing, for programs."""
    from imagerag.schemas.libraries import IndexDocument, Level, Skipped

    threshold = library.metadata.threshold
    return IndexDocument(
        library=library.name,
        embedder=library.metadata.spec,
        added=report.added,
        updated=report.updated,
        unchanged=report.unchanged,
        duplicates=report.duplicates,
        skipped=[Skipped(path=path, reason=reason) for path, reason in report.skipped],
        captions=report.captions,
        notes=[Skipped(path=path, reason=reason) for path, reason in report.notes],
        columns=report.columns,
        manifest_captions=report.manifest_captions,
        warnings=report.warnings,
        images_per_s=report.images_per_s,
        seconds=dict(report.seconds),
        threshold=Level(cosine=threshold.cosine, percentile=threshold.percentile) if threshold else None,
    )


def report_lines(report: "IndexReport", library: "Library") -> list[str]:
    """The result of indexing, for people."""
    did = [
        f"{number:,} {word}"
        for number, word in (
            (report.added, "added"),
            (report.updated, "updated"),
            (report.unchanged, "unchanged"),
            (report.duplicates, "double"),
            (len(report.skipped), "skipped"),
        )
        if number
    ]
    lines = [f"library {bold(library.name)}: {', '.join(did) or 'nothing to index'}"]
    lines += [*_listed(report.skipped), *_listed(report.notes)]
    if report.columns:
        read = ", ".join(name if name == field else f"{name} → {field}" for name, field in report.columns.items())
        lines.append(f"  {dim('columns')}    {short(read, max(40, columns() - 14))}")
        lines.append(f"  {dim('manifest')}   {count(report.manifest_captions or 0, 'caption')} came with it")
    if report.seen > len(report.skipped):
        lines.append(f"  {dim('captions')}   {report.captions:,} of these pictures have one")
    threshold = library.metadata.threshold
    if threshold:
        share = f"(above {percentile(threshold.percentile)} of captions without a match)"
        lines.append(f"  {dim('threshold')}  cosine {cosine(threshold.cosine)} {dim(share)}")
    lines.append(f"  {dim('speed')}      {rate(report.images_per_s, 'pictures')} with {clean(library.metadata.spec)}")
    return [*lines, f"  {dim('next')}       {accent(f'imagerag search WORDS --library {library.name}')}"]


def _listed(what: "list[tuple[str, str]]") -> list[str]:
    """Paths, and what is wrong with each, whole: a reason too long for the line goes on below."""
    lines = table([[tail(path, 44), dim(clean(reason))] for path, reason in what[:SHOWN]])
    return [*lines, f"  … and {len(what) - SHOWN:,} more: --json lists them all"] if len(what) > SHOWN else lines
