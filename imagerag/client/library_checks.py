"""The part of `ImageRAG.libraries` that checks how well libraries can be searched."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import BackendError, ImageRAGError
from imagerag.agent.threads import in_thread
from imagerag.client.argument_checks import check_arguments
from imagerag.client.argument_types import Queries
from imagerag.client.library_opening import LibraryOpening
from imagerag.client.synchronous import synchronous
from imagerag.formatting.interface_terms import python_call

if TYPE_CHECKING:
    from imagerag.store.library.check.last_check import LastCheck
    from imagerag.store.library.check.library_check import LibraryCheck
    from imagerag.store.library.check.ways import CheckSize
    from imagerag.store.library.indexing.index_report import IndexReport
    from imagerag.store.library.library import Library
    from imagerag.store.library.library_metadata import Threshold

log: Final = logging.getLogger(__name__)


@check_arguments
class LibraryChecks(LibraryOpening):
    """Checks of libraries. Where none is named, it is the one that `ImageRAG` was made with."""

    async def check(
        self, library: str | None = None, *, queries: Queries = 200, unrelated: Sequence[str] | None = None
    ) -> "LibraryCheck":
        """Search a library for what its captions name, for views of its images, and for what it does not hold.

        The library remembers the result (`last_check`); nothing else of it changes.

        Args:
            queries: captions that are searched with, at most.
            unrelated: captions that none of its images matches, instead of those of the package, which are in
                the language of its captions, or English.

        Returns:
            For each way to search: recall, MRR and nDCG, the shares that its threshold accepts and rejects, held out,
            a verdict, and what to do.

        Raises:
            UnknownLibraryError: there is none of that name.
            LibraryError: it is empty, or was not indexed to the end.
            BackendError: the encoder failed.
        """
        from imagerag.store.library.check.last_check import store_check
        from imagerag.store.library.check.ways import CheckSize
        from imagerag.store.library.names import is_snapshot

        opened = await self.open(library)
        check = await self._checked(opened, CheckSize.of(queries, None if unrelated is None else tuple(unrelated)))
        if not is_snapshot(opened.name):
            try:
                await store_check(opened.table, check, queries)
            except (ImageRAGError, OSError) as error:
                log.warning("the check of library %s is not remembered: %s", opened.name, error)
        return check

    async def last_check(self, library: str | None = None) -> "LastCheck | None":
        """The last check of a library, and whether what it was measured on is still so; None without one.

        No encoder is made for it. The short check after the first indexing is not remembered.

        Raises:
            UnknownLibraryError, LibraryDamagedError: there is none of that name, or it cannot be read.
        """
        from imagerag.store.library.check.last_check import last_check_of
        from imagerag.store.library.database import current_name, open_current

        home, name = self._context.dependencies.home, await self._made(library)
        return await in_thread(lambda: last_check_of(open_current(home, current_name(home, name))))

    async def _check_first_captions(
        self, opened: "Library", before: "Threshold | None", report: "IndexReport", warn: Callable[[str], None] | None
    ) -> None:
        """Check a library briefly if its threshold was measured with captions for the first time.

        Args:
            before: its threshold before indexing.
            report: gets the check, or a warning if the encoder fails: the images are indexed all the same.
        """
        from imagerag.store.library.check.ways import FEW, CheckSize
        from imagerag.store.library.thresholds.calibration import ENOUGH

        measured = opened.metadata.threshold
        if measured is None or measured.n_own < ENOUGH or (before is not None and before.n_own >= ENOUGH):
            return
        try:
            with report.timed("check"):
                report.check = await self._checked(opened, CheckSize.of(FEW))
        except BackendError as error:
            again = python_call("libraries.check", opened.name)
            report.warned(f"library {opened.name!r} was not checked: {error}; again: {again}", warn)

    async def _checked(self, opened: "Library", size: "CheckSize") -> "LibraryCheck":
        from imagerag.store.library.check.library_check import check_library
        from imagerag.tools.embedders.default_encoder import DEFAULT_ENCODER

        return await check_library(opened, size, better_embedder=DEFAULT_ENCODER)

    check_sync = synchronous(check)
    last_check_sync = synchronous(last_check)
