"""Measure and store the weights of a library's lists in a hybrid search, and the threshold of what they find."""

from typing import TYPE_CHECKING

from imagerag.store.library.fusion_calibration import measure_fusion
from imagerag.store.library.library_metadata import library_metadata_of, write_library_metadata

if TYPE_CHECKING:
    from imagerag.store.library.library import Library


async def update_fusion(library: "Library") -> None:
    """Measure the weights and the threshold, and store them.

    If the library is migrated to another encoder meanwhile, nothing is stored: the migration measures its own.
    """
    encoder = library.embedder.identity
    fusion = await measure_fusion(library, library.embedder)

    def store() -> None:
        with library.table.calibrating():
            now = library_metadata_of(library.table.lance, library.name)
            if now.embedder == encoder:
                write_library_metadata(library.table.lance, now.model_copy(update={"fusion": fusion}))

    await library.table.write(store)
    await library.read_metadata()
