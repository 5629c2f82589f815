"""Searches of one library or several, by similarity alone or by captions and words too."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.ports import Filter, Hit, ReferenceLibrary, SearchTerm, queries_of
from imagerag.agent.ports.hits import best_first
from imagerag.agent.retrieval.hit_check import checked_hits, checked_lists

SEPARATOR: Final = ","
"""Between the names of libraries that are searched together: `photos,photos-siglip`."""

AT: Final = "@"
"""Between the name of a library and the tag of a snapshot: `photos@2026-11`."""

MOST: Final = 4
"""Libraries searched together at most."""


WEB: Final = "web:"
"""Before the name of a search service: a library that searches the web."""


def names_of(name: str) -> tuple[str, ...]:
    """The libraries that a name stands for, one or several.

    A comma in the options of one that searches the web is part of them: `photos,web:openverse?licences=cc0,by`.

    Raises:
        UsageError: an empty name among several, the same one twice, or too many; or one after those that search the
            web, which are asked last.
    """
    names = tuple(_parts(name))
    if len(names) == 1:
        return names
    if not all(names) or len(set(names)) < len(names):
        raise UsageError(f"libraries that are searched together are named once each: NAME,NAME, not {name!r}")
    if len(names) > MOST:
        raise UsageError(f"at most {MOST} libraries are searched together, not {len(names)}")
    return names


def _parts(name: str) -> Iterator[str]:
    web = ""
    for part in map(_with_prefix, name.split(SEPARATOR)):
        if not web and not part.startswith(WEB):
            yield part
        elif part.startswith(WEB):
            yield from filter(None, [web])
            web = part
        elif "?" in web and part:
            web += f"%2C{part}"  # as a spec has a comma in a value
        else:
            raise UsageError(
                f"libraries of yours come before those that search the web: {part[:60]!r} comes after {web!r}"
            )
    yield from filter(None, [web])


def _with_prefix(part: str) -> str:
    """A part of a name without space around it; `WEB:` is `web:`, as the provider of every spec."""
    part = part.strip()
    return WEB + part[len(WEB) :] if part[: len(WEB)].lower() == WEB else part


def split_name(name: str) -> tuple[str, str | None]:
    """The name of a library, and the tag where a snapshot of it is named."""
    if name.startswith(WEB):
        return name, None
    library, at, tag = name.partition(AT)
    return library, tag if at else None


async def search_words(
    library: ReferenceLibrary, text: str, *, k: int, filter: Filter, hybrid: bool = False
) -> Sequence[Hit]:
    """The `k` images of a library that fit a text best.

    Args:
        hybrid: rank by captions and words too; a library of one's own need not be able to.

    Raises:
        UsageError: the library cannot be searched by words.
    """
    if not hybrid:
        return await checked_hits(library, library.search(text, k=k, filter=filter))
    check_hybrid(library)
    searched: Any = library.search  # more than the port asks for, as was seen just now
    return await checked_hits(library, searched(text, k=k, filter=filter, hybrid=True))


async def search_image(library: ReferenceLibrary, image: bytes, *, k: int, filter: Filter) -> Sequence[Hit]:
    """The `k` images of a library most similar to an image, best first."""
    return await checked_hits(library, library.search_by_image(image, k=k, filter=filter))


async def search_query(
    library: ReferenceLibrary, query: str, *, k: int, filter: Filter, hybrid: bool = False
) -> Sequence[Hit]:
    """The `k` images of a library that fit a person's query best, best first.

    Where its encoder has words of its own for the query (`queries_of`), each of them is searched with instead, and the
    highest of an image's similarities counts. A hybrid search is about the very words, and changes none.
    """
    texts = () if hybrid else queries_of(library, query)
    if not texts:
        return await search_words(library, query, k=k, filter=filter, hybrid=hybrid)
    best: dict[str, Hit] = {}
    for hits in await search_batch(library, texts, k=k, filter=filter):
        add_nearer(best, hits)
    return best_first(best.values())[:k]


async def search_terms(
    library: ReferenceLibrary, terms: Sequence[SearchTerm], *, k: int, filter: Filter, hybrid: bool = False
) -> Sequence[Hit]:
    """The `k` images of a library that fit one term or several together best, best first.

    Args:
        terms: those that are images have their bytes.

    Raises:
        UsageError: the library cannot be searched with several terms, or not by the words of an image; or an image
            cannot be read.
    """
    if len(terms) == 1 and terms[0].image is None:
        return await search_query(library, terms[0].text, k=k, filter=filter, hybrid=hybrid)
    if hybrid and not any(term.image is None and term.weight > 0 for term in terms):
        raise UsageError("a hybrid search needs words: an image has none")
    if len(terms) == 1:
        data: Any = terms[0].image
        with naming(terms[0].name):
            return await search_image(library, data, k=k, filter=filter)
    together: Any = getattr(library, "search_terms", None)
    if together is None:
        raise UsageError(f"library {library.name!r} cannot be searched with several terms: leave + and - out")
    return await checked_hits(library, together(terms, k=k, filter=filter, hybrid=hybrid))


async def search_captions(
    library: ReferenceLibrary, terms: Sequence[SearchTerm], *, k: int, filter: Filter
) -> Sequence[Hit]:
    """The `k` images of a library whose captions say what a text says best, best first, with `caption_similarity`.

    Raises:
        UsageError: the query is not one text, or the library cannot be searched by captions.
        LibraryError: the library has no vectors of its captions.
    """
    if len(terms) != 1 or terms[0].image is not None:
        raise UsageError("captions are searched with one text: leave + and - and images out")
    by_captions: Any = getattr(library, "search_captions", None)
    if by_captions is None:
        raise UsageError(f"library {library.name!r} cannot be searched by its captions: leave `by=captions` out")
    return await checked_hits(library, by_captions(terms[0].text, k=k, filter=filter))


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Say of which image it is that what is said inside is wrong."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error


async def search_batch(
    library: ReferenceLibrary, texts: Sequence[str], *, k: int, filter: Filter
) -> Sequence[Sequence[Hit]]:
    """The `k` images most similar to each of several texts: in one call of a library that has `search_batch`."""
    together: Any = getattr(library, "search_batch", None)
    if together is None or len(texts) < 2:
        return [await search_words(library, text, k=k, filter=filter) for text in texts]
    return await checked_lists(library, together(texts, k=k, filter=filter))


async def search_texts(
    library: ReferenceLibrary, texts: Sequence[str], *, k: int, filter: Filter, hybrid: bool = False
) -> Sequence[Sequence[Hit]]:
    """Call `search_words` for each of several texts; in one call where the library can."""
    if hybrid:
        return [await search_words(library, text, k=k, filter=filter, hybrid=True) for text in texts]
    return await search_batch(library, texts, k=k, filter=filter)


async def read_images(library: ReferenceLibrary, ids: Sequence[str]) -> dict[str, bytes | BlobError]:
    """The bytes of several images, or why one is not to be had: in one call of a library that has `read_images`."""
    together: Any = getattr(library, "read_images", None)
    if together is not None and len(ids) > 1:
        got: dict[str, bytes | BlobError] = await together(ids)
        return got
    contents: dict[str, bytes | BlobError] = {}
    for sha256 in ids:
        try:
            contents[sha256] = await library.image_bytes(sha256)
        except BlobError as error:
            contents[sha256] = error
    return contents


def add_nearer(best: dict[str, Hit], hits: Iterable[Hit]) -> None:
    """Join another search's hits into `best`, by id: of two similarities of one image the higher counts."""
    for hit in hits:
        earlier = best.get(hit.image.sha256)
        if earlier is None or hit.margin > earlier.margin:
            best[hit.image.sha256] = hit


async def check_filter(library: ReferenceLibrary, filter: Filter) -> None:
    """See that a library can be asked what a filter asks, before anything is drawn or paid.

    Raises:
        FilterError: it knows no such key, or holds values of another kind under it.
    """
    own: Any = getattr(library, "check_filter", None)
    if own is not None and filter.where is not None:
        await own(filter)


async def explain_filter(library: ReferenceLibrary | None, filter: Filter) -> str:
    """The reason why a filter lets no image of a library through; empty where it lets some, or nobody can tell."""
    own: Any = getattr(library, "explain_filter", None)
    return str(await own(filter)) if own is not None and filter.condition is not None else ""


def check_hybrid(library: ReferenceLibrary) -> None:
    """See that a library can be searched by words, before anything is drawn or paid.

    Raises:
        UsageError: its `search` takes no `hybrid`, or that of one of several libraries does not.
    """
    for one in getattr(library, "libraries", (library,)):
        takes = inspect.signature(one.search).parameters
        if "hybrid" not in takes and not any(p.kind is p.VAR_KEYWORD for p in takes.values()):
            raise UsageError(f"library {one.name!r} cannot be searched by words: leave hybrid out")
