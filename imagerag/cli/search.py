"""`imagerag search`."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import queries_of
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
from imagerag.cli.terminal.output import (
    bar,
    bold,
    dim,
    say,
    say_all,
    say_json,
    scale,
    short,
    table,
    warning_lines,
)
from imagerag.client.client import ImageRAG
from imagerag.formatting.messages import searched_with
from imagerag.formatting.numbers import cosine, threshold_words
from imagerag.formatting.text import clean, image_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagerag.agent.ports import Hit
    from imagerag.agent.types.filters import FilterInput
    from imagerag.schemas.libraries import SearchDocument, SearchResult


@click.command("search")
@click.argument("query", required=False)
@click.option("--image", metavar="FILE", help="Search with an image instead of words.")
@library_option
@click.option("-k", type=click.IntRange(1, 1000), default=8, metavar="N", help="Number of results.")
@threshold_option
@filter_options
@hybrid_option
@json_option
@pass_globals
def search_command(
    globals_: Globals,
    /,
    query: str | None,
    image: str | None,
    library: str | None,
    k: int,
    threshold: float | Literal["auto", "off"],
    filter: "FilterInput | None",
    tags: tuple[str, ...],
    licences: tuple[str, ...],
    hybrid: bool,
    as_json: bool,
) -> int:
    """Search a library with QUERY, or with an image.

    All results are shown, and whether each reaches the threshold: for words, the one from which a run uses an image;
    for an image, the one from which both show the same thing, where the library is calibrated for it.
    """
    from imagerag.graphs.library_warnings import warnings_of

    rag = ImageRAG(library=library, home=globals_.home)
    say_all(first_time(rag), err=True)
    if query is None and image is None:
        raise UsageError("say what to search for: imagerag search WORDS, or --image FILE")

    texts: tuple[str, ...] = ()
    no_match = ""

    async def look() -> "tuple[list[Hit], float | None, str]":
        nonlocal texts, no_match
        opened = await rag.dependencies.library(rag.libraries.name(library))
        if query is not None and threshold == "auto":
            say_all(warning_lines(warnings_of(opened)), err=True)
        texts = queries_of(opened, query) if query and not hybrid else ()
        hits = await rag.libraries.search(
            query, image=image, k=k, filter=filter, tags=tags, licences=licences, hybrid=hybrid
        )
        no_match = hits.no_match
        if threshold != "auto":
            return (
                [replace(hit, threshold=None) for hit in hits],
                None if threshold == "off" else threshold,
                opened.name,
            )
        if any(hit.threshold is not None for hit in hits):
            return hits, None, opened.name  # the images have the thresholds of their own libraries
        if image is not None:
            return hits, getattr(opened, "image_threshold", None), opened.name
        return hits, opened.threshold, opened.name

    hits, cosine_wanted, name = asyncio.run(look())
    unknown = threshold == "auto" and cosine_wanted is None and not any(hit.threshold is not None for hit in hits)
    if as_json:
        say_json(
            document(name, query, image, cosine_wanted, hits, unknown=unknown, texts=texts, no_match=no_match).as_json()
        )
    else:
        say_all([dim(searched_with(texts))] if texts else [])
        say_all(result_lines(name, cosine_wanted, hits, unknown=unknown))
        if not hits:
            say(f"  nothing: {no_match or 'the library is empty, or the filters leave nothing'}")
    return 0


def document(
    library: str,
    query: str | None,
    image: str | None,
    threshold: float | None,
    hits: "Sequence[Hit]",
    *,
    unknown: bool = False,
    texts: "Sequence[str]" = (),
    no_match: str = "",
) -> "SearchDocument":
    """The result of a search as a JSON document; without a threshold, acceptance is unknown."""
    from imagerag.schemas.libraries import SearchDocument

    return SearchDocument(
        library=library,
        query=query,
        image=image,
        searched_with=list(texts),
        threshold=threshold,
        results=[_found(hit, None if unknown else accepted(hit, threshold)) for hit in hits],
        no_match=no_match,
    )


def _found(hit: "Hit", accepted: bool | None) -> "SearchResult":
    from imagerag.schemas.libraries import SearchResult

    return SearchResult(
        id=hit.image.sha256,
        similarity=float(hit.similarity),
        library=hit.library,
        threshold=hit.threshold if hit.library else None,
        accepted=accepted,
        path=path_of(hit.source),
        caption=hit.caption,
        title=hit.title,
        metadata=dict(hit.metadata),
        tags=list(hit.tags),
        source=hit.source,
        author=hit.author,
        licence=hit.licence,
    )


def accepted(hit: "Hit", threshold: float | None) -> bool:
    """Whether a run would use the image as a reference."""
    limit = threshold if hit.threshold is None else hit.threshold
    return limit is None or hit.similarity >= limit


def path_of(source: str) -> str | None:
    """The file from which an image was indexed, if its source is a path and the file exists."""
    try:
        path = Path(source)
        return str(path) if path.is_absolute() and path.is_file() else None
    except (OSError, ValueError):  # a source can be any text
        return None


def result_lines(library: str, threshold: float | None, hits: "Sequence[Hit]", *, unknown: bool = False) -> list[str]:
    """The results as a table, with bars that mark the threshold."""
    own = {hit.library: hit.threshold for hit in hits if hit.threshold is not None}
    limits = own or ({} if threshold is None else {"": threshold})
    limit = threshold_words(limits, off="threshold between images not known" if unknown else "threshold off")
    top = scale([0.0, *limits.values(), *(hit.similarity for hit in hits)])
    titles = [short(image_name(hit.title, hit.image.sha256), 28) for hit in hits]
    rows = [
        [
            bar(hit.similarity, threshold if hit.threshold is None else hit.threshold, top),
            cosine(hit.similarity),
            bold(title) if accepted(hit, threshold) and not unknown else title,
            dim(clean(hit.caption)),
            dim(short(hit.licence, 18)),
        ]
        for hit, title in zip(hits, titles, strict=True)
    ]
    return [f"library {bold(library)}  {dim(limit)}", *table(rows, right={1}, cut=3)]
