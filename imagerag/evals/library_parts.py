"""Random parts of a library, as evaluations of library sizes need them."""

from imagerag.agent.errors import LibraryDamagedError, UnknownLibraryError, UsageError
from imagerag.evals.suites.case import LibraryRecipe
from imagerag.store.data_dir import DataDir
from imagerag.store.library.database import remove
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.subsets import in_random_order, part_of


async def open_part(home: DataDir, name: str, recipe: LibraryRecipe, whole: Library) -> Library:
    """Open or build the part of a library that a recipe describes; the whole library where the sizes are equal.

    Raises:
        UsageError: the library now has fewer images.
    """
    count = await whole.count()
    if recipe.size >= count:
        if recipe.size > count:
            raise UsageError(f"library {recipe.of!r} has {count:,} images by now, and {recipe.size:,} are asked for")
        return whole
    ids = in_random_order([row.id for row in await whole.rows()], recipe.seed)[: recipe.size]
    try:
        existing = await Library.open(home, name, whole.embedder)
        if existing.metadata.threshold is not None and {row.id for row in await existing.rows()} == set(ids):
            return existing
        remove(home, name)
    except (UnknownLibraryError, LibraryDamagedError):
        pass
    part = await part_of(home, name, whole, ids, whole.embedder)
    await part.calibrate()
    return part
