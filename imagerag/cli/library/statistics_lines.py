"""A library's statistics as text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from imagerag.cli.library.threshold_rates import NOT_MEASURED, between_images
from imagerag.cli.terminal.output import count, dim, short, table
from imagerag.formatting.numbers import cosine, percent, size_of_bytes
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.store.library.maintenance.library_disk_usage import DiskUse
    from imagerag.store.library.maintenance.statistics import LibraryStatistics

LISTED: Final = 5
"""Values of a list that are shown; `--json` has all."""


def disk_text(disk: "DiskUse") -> str:
    """Disk use by kind, in one line."""
    return ", ".join(f"{kind} {size_of_bytes(number)}" for kind, number in disk if number)


def statistics_lines(stats: "LibraryStatistics") -> list[str]:
    """The statistics of a library as text."""
    rows = [
        ["texts", f"{count(stats.captions, 'caption')}, {count(stats.titles, 'title')}, {stats.tagged:,} with tags"],
        [
            "caption vectors",
            f"{stats.caption_vectors:,} with {stats.caption_embedder}" if stats.caption_embedder else "",
        ],
        ["regions", f"{stats.regions:,} of {count(stats.region_images, 'image')}" if stats.region_images else ""],
        ["ocr", f"{count(stats.ocr_read, 'image')} read, {stats.ocr_words:,} with words" if stats.ocr_read else ""],
        ["described", _described(stats)],
        ["files", f"{stats.linked:,} linked, {stats.copied:,} copied, {stats.several_files:,} with several files"],
        ["disk", f"{size_of_bytes(stats.disk.total)}: {disk_text(stats.disk)}"],
        ["", f"the files themselves: {size_of_bytes(stats.file_bytes)}" if stats.file_bytes else ""],
        ["formats", _common(stats.formats)],
        ["sizes", _sizes(stats)],
        ["taken", _dates(stats)],
        ["licences", _common(stats.licences)],
        ["cameras", _common(stats.cameras)],
        ["similar", _similar(stats)],
        *_caption_rows(stats),
    ]
    return table([[dim(head), text] for head, text in rows if text], fold=1)


def _described(stats: "LibraryStatistics") -> str:
    low = f", {stats.low_confidence:,} with low confidence" if stats.low_confidence else ""
    return f"{count(stats.described, 'image')} by a model{low}" if stats.described else ""


def _common(counts: Mapping[str, int]) -> str:
    """The most common values with their counts; empty where none is known."""
    if not any(counts):
        return ""
    parts = [f"{clean(short(value, 40)) or 'unknown'} {number:,}" for value, number in list(counts.items())[:LISTED]]
    rest = len(counts) - LISTED
    return ", ".join(parts) + (f", and {rest:,} others" if rest > 0 else "")


def _sizes(stats: "LibraryStatistics") -> str:
    if stats.megapixels is None:
        return ""
    least, middle, most = map(_megapixels, stats.megapixels)
    return f"{least} to {most} megapixels, half of them above {middle}"


def _megapixels(number: float) -> str:
    """Megapixels with two digits, never in exponent notation."""
    return f"{float(f'{number:.2g}'):g}" if number >= 0.01 else "0.01"


def _dates(stats: "LibraryStatistics") -> str:
    if stats.first_taken is None or stats.last_taken is None:
        return ""
    unknown = stats.years.get("", 0)
    return f"{stats.first_taken:%Y-%m-%d} to {stats.last_taken:%Y-%m-%d}" + (
        f", {unknown:,} unknown" if unknown else ""
    )


def _similar(stats: "LibraryStatistics") -> str:
    near = stats.near_duplicates
    if near is None:
        return "no threshold between images is known"
    same = f"show the same thing as another (cosine {cosine(near.threshold)} and more)"
    about = "" if near.exact else "about "
    rates = between_images(near.accept_rate, near.reject_rate)
    return f"{about}{near.images:,} of {near.measured:,} {same}; {rates}"


def _caption_rows(stats: "LibraryStatistics") -> list[list[str]]:
    near = stats.caption_similarity
    if near is None:
        return []
    reached = f"reach the threshold {cosine(near.threshold)} with their own image"
    others = NOT_MEASURED if near.reject_rate is None else f"rejects {percent(near.reject_rate)} of others"
    share = f"{percent(near.accept_rate)} of {near.measured:,} whole captions {reached}; {others}"
    worst = [["", f"{cosine(one.similarity)}  {one.id[:12]}  {clean(short(one.caption, 60))}"] for one in near.worst]
    return [["captions", share], ["worst", worst[0][1]], *worst[1:]]
