"""List of the libraries, and the values by which their images can be filtered."""

import asyncio
from typing import TYPE_CHECKING, Final

from imagerag.agent.caption_language import language_name
from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.assistants.run_text import FOREIGN
from imagerag.assistants.tool_outputs import (
    LONG,
    MOST,
    SHORT,
    LibrariesReport,
    LibraryReport,
    MetadataReport,
    WayReport,
)
from imagerag.assistants.tool_terms import tool_terms
from imagerag.formatting.check_labels import VERDICTS, WAYS
from imagerag.formatting.interface_terms import in_home
from imagerag.formatting.numbers import cosine, counted, percent
from imagerag.formatting.quoting import fitted, line, listed, quoted

if TYPE_CHECKING:
    from imagerag.client.client import ImageRAG
    from imagerag.store.library.filters.facets import Facets

EXAMPLES: Final = 5
"""Values of a metadata key that are told."""


async def libraries_report(rag: "ImageRAG", only: str | None, *, check: bool = False) -> LibrariesReport:
    """Every library, or one of them; a damaged one does not hide the others.

    Args:
        check: measure how well the one can be searched.

    Raises:
        UnknownLibraryError: there is none of that name.
        UsageError: a check without the name of a library.
    """
    from imagerag.store.library.database import snapshot_names
    from imagerag.store.library.filters.facets import facets

    if check and not only:
        raise UsageError("say which library to check: `library=NAME`")
    usual, own = rag.settings.library, rag.dependencies.own_libraries
    names = [only] if only else sorted({*await rag.libraries.list(), *own, *([usual] if usual else [])})
    reports = []
    for name in names[:MOST]:
        try:
            if name in own:
                report = LibraryReport(name=line(name, SHORT), note="made in Python: it does not say what it holds")
            else:
                if name == usual:
                    await rag.dependencies.library(name)  # the built-in one is made when it is first asked for
                contents = await asyncio.to_thread(facets, rag.dependencies.home, name)
                report = _report(name, contents, await asyncio.to_thread(snapshot_names, rag.dependencies.home, name))
                if check:
                    report = report.model_copy(update={"check": await _check(rag, name)})
        except ImageRAGError as error:
            if only:
                raise
            report = LibraryReport(name=line(name, SHORT), note=line(str(error), LONG))
        reports.append(report.model_copy(update={"usual": name == usual}))
    more = f"and {len(names) - MOST} more" if len(names) > MOST else ""
    return LibrariesReport(libraries=tuple(reports), note=more)


async def _check(rag: "ImageRAG", name: str) -> tuple[WayReport, ...]:
    """The verdict on each way to search a library, by the short check."""
    from imagerag.store.library.check.ways import FEW

    check = await rag.libraries.check(name, queries=FEW)
    return tuple(
        WayReport(
            way=way.way,
            verdict=way.verdict,
            summary=line(way.summary, LONG),
            advice=tuple(line(tool_terms(one), LONG) for one in way.advice),
        )
        for way in check.ways
    )


def _report(name: str, contents: "Facets", snapshots: list[str]) -> LibraryReport:
    return LibraryReport(
        name=line(name, SHORT),
        images=contents.images,
        captioned=contents.captioned,
        described=contents.described,
        threshold=contents.threshold.cosine if contents.threshold else None,
        accept_rate=contents.threshold.accept_rate if contents.threshold else None,
        reject_rate=contents.threshold.reject_rate if contents.threshold else None,
        language=language_name(contents.threshold.caption_language) if contents.threshold else "",
        tags=tuple(line(tag, SHORT) for tag in list(contents.tags)[:MOST]),
        licences=tuple(line(licence, SHORT) for licence in [one for one in contents.licences if one][:MOST]),
        metadata=tuple(
            MetadataReport(key=line(key, SHORT), values=tuple(line(value, SHORT) for value in list(values)[:EXAMPLES]))
            for key, values in list(contents.metadata.items())[:MOST]
        ),
        snapshots=tuple(line(one, SHORT) for one in snapshots[-MOST:]),
    )


def format_libraries(report: LibrariesReport) -> str:
    """The libraries, a paragraph each."""
    if not report.libraries:
        make = in_home("imagerag index PATH --library NAME")
        return f"There is no library yet. The user makes one: {make}\nNext: generate_image works without."
    head = [f"{counted(len(report.libraries), 'library', 'libraries')} {report.note}".strip() + f" ({FOREIGN}):"]
    middle = ["\n".join(_lines(one)) for one in report.libraries]
    return fitted(head, middle, ["Next: search_references(library=…) looks into one."], more="more")


def _threshold(one: LibraryReport) -> str:
    """The threshold and its error rates."""
    if one.threshold is None:
        return "not calibrated"
    rates = [f"accepts {percent(one.accept_rate)} of matches"] if one.accept_rate is not None else []
    rates += [f"rejects {percent(one.reject_rate)} of others"] if one.reject_rate is not None else []
    return f"threshold {cosine(one.threshold)}" + (f" ({', '.join(rates)})" if rates else "")


def _lines(one: LibraryReport) -> list[str]:
    usual = " (used unless you name another)" if one.usual else ""
    if one.images is None:
        return [f"- {quoted(one.name, 100)}{usual}: {one.note}"]
    language = f" in {one.language}" if one.language else ""
    described = f", {one.described} described by a model" if one.described else ""
    contents = f"{counted(one.images, 'image')}, {one.captioned} with captions{language}{described}, {_threshold(one)}"
    lines = [f"- {quoted(one.name, 100)}{usual}: {contents}"]
    for way in one.check:
        lines.append(f"  {WAYS[way.way]}: {VERDICTS[way.verdict].name}, {way.summary}")
        lines += [f"    the user can: {advice}" for advice in way.advice]
    lines += [f"  tags: {listed(one.tags, 30, most=12)}"] if one.tags else []
    lines += [f"  licences: {listed(one.licences, 40, most=8)}"] if one.licences else []
    lines += [f"  snapshots: {listed(one.snapshots, 60, most=8)}"] if one.snapshots else []
    lines += [f"  where: {line(pair.key, 40)}={listed(pair.values, 30, most=3)}" for pair in one.metadata[:8]]
    return lines
