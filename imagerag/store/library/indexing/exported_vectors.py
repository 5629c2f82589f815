"""Vectors of exports, which may be a stranger's: taken where a sample of them is what the library's encoder gives."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.agent.ports import PreparingEmbedder
from imagerag.agent.threads import in_thread
from imagerag.store.library.indexing.file_reading import DecodedFile, ReadFile, encode_files, read_file
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.scan import Scan
from imagerag.store.library.known_files import KnownFiles
from imagerag.store.library.library import Library
from imagerag.store.library.sources.exported_table import ExportedTable
from imagerag.store.library.thresholds.content import is_unit
from imagerag.store.text_files import clean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE: Final = 32
"""Rows of an export that are encoded to compare them, chosen at random. One false vector in ten is missed in 3 %."""

SAME: Final = 0.98
"""Cosine of two vectors of one image: another machine or precision of the weights moves it by less than 0.01."""

_READ: Final = 8
_ANEW: Final = "its images were encoded anew"


@dataclass
class ExportedVectors:
    """The vectors of the exports in a scan."""

    library: Library
    scan: Scan
    report: IndexReport
    _trusted: set[ExportedTable] = field(default_factory=set)

    async def check(self, files: Sequence[Path]) -> None:
        """Compare a sample of each export's vectors with the encoder's; an export that differs becomes a note.

        Raises:
            BackendError: the encoder failed.
        """
        rows: dict[ExportedTable, list[Path]] = {}
        for path in files:
            member = self.scan.members.get(path)
            if member and isinstance(source := member.source, ExportedTable) and self._is_of_library(source):
                rows.setdefault(source, []).append(path)
        for source, paths in rows.items():
            if why := await self._difference(paths):
                self.report.notes.append((clean(str(source.path)), why))
            else:
                self._trusted.add(source)

    def get(self, file: ReadFile) -> "NDArray[np.float32] | None":
        """The vector of an image in an export, if it can be used."""
        member = self.scan.members.get(file.path)
        return _vector_of(file) if member is not None and member.source in self._trusted else None

    def _is_of_library(self, source: ExportedTable) -> bool:
        return source.embedder == self.library.metadata.embedder

    async def _difference(self, paths: Sequence[Path]) -> str:
        """Reason why an export's vectors are not used; "" where a sample of them is as the encoder's."""
        files: list[DecodedFile] = []
        claimed: list[Any] = []
        for file in await self._read(sorted(random.sample(range(len(paths)), min(SAMPLE, len(paths)))), paths):
            if file.decoded and (vector := _vector_of(file)) is not None:
                files.append(file.decoded)
                claimed.append(vector)
        vectors: Any = None
        try:
            vectors = await encode_files(self.library.embedder, files) if files else None
        except Exception as error:  # at one of these images, perhaps
            if isinstance(error, ImageRAGError) and not isinstance(error, UsageError):
                raise
        if vectors is None:
            return f"its vectors could not be compared with those of its encoder: {_ANEW}"
        false = sum(not float(own @ other) >= SAME for own, other in zip(claimed, vectors, strict=True))
        return f"{false} of {len(files)} of its vectors are not those of its encoder: {_ANEW}" if false else ""

    async def _read(self, places: Sequence[int], paths: Sequence[Path]) -> list[ReadFile]:
        encoder = self.library.embedder if isinstance(self.library.embedder, PreparingEmbedder) else None

        def one(at: int) -> ReadFile | str:
            return read_file(paths[at], self.scan, KnownFiles(), encoder, keep_bytes=False, decode=True)

        results: list[ReadFile | str] = []
        for start in range(0, len(places), _READ):
            part = places[start : start + _READ]
            results += await asyncio.gather(*(in_thread(partial(one, at)) for at in part))
        return [one for one in results if isinstance(one, ReadFile)]


def _vector_of(file: ReadFile) -> "NDArray[np.float32] | None":
    """The vector that an export has for an image, if it is finite and of norm 1."""
    import numpy as np

    vector = file.exported.vector if file.exported else None
    return vector if vector is not None and is_unit(float(np.linalg.norm(vector))) else None
