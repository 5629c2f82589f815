"""Changes below folders, as the operating system tells them."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from imagerag.store.library.file_selection import ExcludedFiles
from imagerag.store.library.path_patterns import base_of

QUIET_MS: Final = 2000
"""Changes are told when nothing more happened for so long: a camera's card is not indexed file by file."""

AT_LATEST_MS: Final = 30_000
"""They are told after so long in any case."""


async def changes(paths: Sequence[Path], exclude: Sequence[str] = ()) -> AsyncIterator[set[Path]]:
    """The files and folders that changed, each time something did; what is never indexed is left out."""
    import watchfiles

    excluded = ExcludedFiles(exclude)
    roots = [base_of(path).absolute() for path in paths]

    def counts(change: object, name: str) -> bool:
        path = Path(name)
        below = [root for root in roots if path != root and path.is_relative_to(root)]
        parts = (path, *path.parents)
        return not any(excluded.below(root)(part) for root in below for part in parts if root in part.parents)

    watched = watchfiles.awatch(
        *roots,
        watch_filter=counts,
        debounce=AT_LATEST_MS,
        step=QUIET_MS,
        rust_timeout=500,
        ignore_permission_denied=True,
    )
    async for found in watched:
        yield {Path(name) for _, name in found}
