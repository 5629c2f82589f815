"""`imagerag search`."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from imagerag.agent.errors import UsageError
from imagerag.cli import Globals
from imagerag.cli.live_text import first_time
from imagerag.cli.options import (
    filter_options,
    hybrid_option,
    json_option,
    library_option,
    pass_globals,
    threshold_option,
)
from imagerag.cli.output_files import apart, overwrite_option, page_of, sheet_of
from imagerag.cli.search_results import result_lines, term_lines
from imagerag.cli.terminal.output import columns, dim, hanging, say, say_all, say_json, warning_lines
from imagerag.client.client import ImageRAG
from imagerag.client.search_document import document, threshold_of
from imagerag.formatting.messages import searched_with

if TYPE_CHECKING:
    from imagerag.agent.types.filters import FilterInput
    from imagerag.schemas.searches import SearchDocument


class _SearchCommand(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; a query that begins with a term to subtract (`"- fruit"`) is no option."""
        apart = [part for one in args for part in (["-", one[2:]] if one.startswith("- ") else [one])]
        return super().parse_args(ctx, apart)


@click.command("search", cls=_SearchCommand)
@click.argument("query", nargs=-1)
@click.option(
    "--image", "images", multiple=True, metavar="FILE|URL", help="Search with an image, or several, and with words too."
)
@library_option
@click.option("-k", type=click.IntRange(1, 1000), default=8, metavar="N", help="Number of results.")
@threshold_option
@filter_options
@hybrid_option
@click.option(
    "--by",
    type=click.Choice(["images", "captions"]),
    default="images",
    help="Compare the query with the images, or with the captions (index --caption-embedder).",
)
@click.option("--sheet", callback=sheet_of, metavar="FILE", help="Also write the results as one image (PNG).")
@click.option("--html", callback=page_of, metavar="FILE", help="Also write the results as one page (HTML).")
@overwrite_option
@json_option
@pass_globals
def search_command(
    globals_: Globals,
    /,
    query: tuple[str, ...],
    images: tuple[str, ...],
    library: str | None,
    k: int,
    threshold: float | Literal["auto", "off"],
    filter: "FilterInput | None",
    tags: tuple[str, ...],
    licences: tuple[str, ...],
    hybrid: bool,
    by: Literal["images", "captions"],
    sheet: Path | None,
    html: Path | None,
    as_json: bool,
) -> int:
    """Search a library with QUERY, with images, or with both.

    All results are shown, and whether each reaches the threshold: for words, the one from which a run uses an image;
    for an image, the one from which both show the same thing, where the library is calibrated for it.

    Several terms are added and subtracted by a + or - with spaces around it, and weighted: "a sofa + 2:velvet -
    leather". A term may be an image: ./sofa.jpg, or a URL. Each result says what every term contributed; there is no
    calibrated threshold for such a query. Words with a + or - of their own are put in quotes: '"salt - pepper"'.
    """
    apart((sheet, html), images)
    rag = ImageRAG(library=library, home=globals_.home)
    say_all(first_time(rag), err=True)
    text = " ".join(query) if query else None
    if text is None and not images:
        raise UsageError("say what to search for: imagerag search WORDS, or --image FILE")

    async def look() -> "SearchDocument":
        from imagerag.agent.retrieval.query_terms import query_terms
        from imagerag.graphs.library_warnings import warnings_of

        terms = query_terms(text, images, paths=True)
        opened = await rag.dependencies.library(rag.libraries.name(library))
        if threshold == "auto" and by == "images" and len(terms) == 1 and terms[0].image is None:
            say_all(warning_lines(warnings_of(opened)), err=True)
        hits = await rag.libraries.search(terms, k=k, filter=filter, tags=tags, licences=licences, hybrid=hybrid,
                                           by=by)  # fmt: skip
        if threshold != "auto":
            hits[:] = [hit.without_thresholds() for hit in hits]
        results = document(text, hits, *threshold_of(opened, hits, threshold))
        await _write(rag, results, sheet, html)
        return results

    results = asyncio.run(look())
    say_all(warning_lines(results.service_errors), err=True)
    if as_json:
        say_json(results.as_json())
    else:
        say_all([dim(searched_with(results.searched_with))] if results.searched_with else [])
        say_all([*term_lines(results), *result_lines(results)])
        if not results.results:
            why = results.no_match or "the library is empty, or the filters leave nothing"
            say_all(hanging(f"nothing: {why}", columns() - 2, indent=2, head="  "))
        for name, file in (("sheet", sheet), ("page", html)):
            if file is not None:
                say(f"  {dim(name)}  {file}")
    return 0


async def _write(rag: ImageRAG, results: "SearchDocument", sheet: Path | None, html: Path | None) -> None:
    """Write the sheet and the page of a search, those that are wanted."""
    if sheet is None and html is None:
        return
    from imagerag.reports.search_files import search_images, write_search_page, write_search_sheet

    images = await search_images(rag.dependencies, results)
    if sheet is not None:
        await write_search_sheet(results, images, sheet)
    if html is not None:
        await write_search_page(results, images, html)
