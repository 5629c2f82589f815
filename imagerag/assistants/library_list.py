"""List of the libraries, and the values by which their images can be filtered."""

import asyncio
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import ImageRAGError
from imagerag.assistants.run_text import FOREIGN
from imagerag.assistants.tool_outputs import LONG, MOST, SHORT, LibrariesReport, LibraryReport, MetadataReport
from imagerag.formatting.numbers import cosine, counted
from imagerag.formatting.quoting import fitted, line, listed, quoted

if TYPE_CHECKING:
    from imagerag.client.client import ImageRAG
    from imagerag.store.library.filters.facets import Facets

EXAMPLES: Final = 5
"""Values of a metadata key that are told."""


async def libraries_report(rag: "ImageRAG", only: str | None) -> LibrariesReport:
    """Every library, or one of them; a damaged one does not hide the others.

    Raises:
        UnknownLibraryError: there is none of that name.
    """
    from imagerag.store.library.database import snapshot_names
    from imagerag.store.library.filters.facets import facets

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
                held = await asyncio.to_thread(facets, rag.dependencies.home, name)
                report = _report(name, held, await asyncio.to_thread(snapshot_names, rag.dependencies.home, name))
        except ImageRAGError as error:
            if only:
                raise
            report = LibraryReport(name=line(name, SHORT), note=line(str(error), LONG))
        reports.append(report.model_copy(update={"usual": name == usual}))
    more = f"and {len(names) - MOST} more" if len(names) > MOST else ""
    return LibrariesReport(libraries=tuple(reports), note=more)


def _report(name: str, held: "Facets", snapshots: list[str]) -> LibraryReport:
    return LibraryReport(
        name=line(name, SHORT),
        images=held.images,
        captioned=held.captioned,
        described=held.described,
        threshold=held.threshold.cosine if held.threshold else None,
        tags=tuple(line(tag, SHORT) for tag in list(held.tags)[:MOST]),
        licences=tuple(line(licence, SHORT) for licence in [one for one in held.licences if one][:MOST]),
        metadata=tuple(
            MetadataReport(key=line(key, SHORT), values=tuple(line(value, SHORT) for value in list(values)[:EXAMPLES]))
            for key, values in list(held.metadata.items())[:MOST]
        ),
        snapshots=tuple(line(one, SHORT) for one in snapshots[-MOST:]),
    )


def format_libraries(found: LibrariesReport) -> str:
    """The libraries, a paragraph each."""
    if not found.libraries:
        return (
            "There is no library yet. The user makes one: imagerag index PATH --library NAME\n"
            "Next: generate_image works without."
        )
    head = [f"{counted(len(found.libraries), 'library', 'libraries')} {found.note}".strip() + f" ({FOREIGN}):"]
    middle = ["\n".join(_lines(one)) for one in found.libraries]
    return fitted(head, middle, ["Next: search_references(library=…) looks into one."], more="more")


def _lines(one: LibraryReport) -> list[str]:
    usual = " (used unless you name another)" if one.usual else ""
    if one.images is None:
        return [f"- {quoted(one.name, 100)}{usual}: {one.note}"]
    state = f"threshold {cosine(one.threshold)}" if one.threshold is not None else "not calibrated"
    described = f", {one.described} described by a model" if one.described else ""
    held = f"{counted(one.images, 'image')}, {one.captioned} with captions{described}, {state}"
    lines = [f"- {quoted(one.name, 100)}{usual}: {held}"]
    lines += [f"  tags: {listed(one.tags, 30, most=12)}"] if one.tags else []
    lines += [f"  licences: {listed(one.licences, 40, most=8)}"] if one.licences else []
    lines += [f"  snapshots: {listed(one.snapshots, 60, most=8)}"] if one.snapshots else []
    lines += [f"  where: {line(pair.key, 40)}={listed(pair.values, 30, most=3)}" for pair in one.metadata[:8]]
    return lines
