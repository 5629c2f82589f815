"""Encode the regions of the images that a run of `index` has seen."""

from collections.abc import Collection

from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.row_writing import Progress
from imagerag.store.library.library import Library
from imagerag.store.library.region_encoding import encode_regions


async def index_regions(
    library: Library, ids: Collection[str], report: IndexReport, progress: Progress | None = None
) -> None:
    """Do what `encode_regions` does, and count it in the report."""
    region_report = await encode_regions(library, ids, progress)
    report.region_images += region_report.images
    report.regions += region_report.regions
    report.notes += region_report.notes
