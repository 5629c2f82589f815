"""Disk use of runs."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import UTC, datetime
from pathlib import Path

from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.graphs.dependencies import Dependencies
from imagerag.store.blob_references import RunFootprint, footprints
from imagerag.store.data_dir import DataDir
from imagerag.store.integrity_check import blob_files


class RunSizes:
    """Disk use of runs, from one scan of a home.

    Args:
        home: the home; every file of it that can name an image is read.
    """

    def __init__(self, home: DataDir) -> None:
        self._home, self._at = home, datetime.now(UTC)
        self._found = footprints(home)
        self._sizes = blob_sizes(home)

    @property
    def total(self) -> int:
        """The bytes of all runs, and of the images that they refer to."""
        runs = {run_id: one for run_id, one in self._found.items() if run_id}
        images = set().union(*(one.blobs for one in runs.values())) & self._sizes.keys()
        return sum(one.checkpoints + one.journal for one in runs.values()) + sum(map(self._sizes.__getitem__, images))

    def images_of(self, run_id: str, updated: datetime) -> Set[str]:
        """The images that a run refers to, read again if it was written since the scan. Blocks.

        Args:
            updated: time of its last write.
        """
        found = self._found if updated < self._at else footprints(self._home, run_id)
        return found.get(run_id, RunFootprint()).blobs

    def freed_by(self, run_ids: Iterable[str]) -> Iterator[int]:
        """The bytes that go with each of these runs, when they go in this order."""
        order = list(run_ids)
        freed = freed_bytes([self._found.get(run_id, RunFootprint()) for run_id in order], self._found, self._sizes)
        for run_id, size in zip(order, freed, strict=True):
            yield size + sum(path.stat().st_size for path in result_files(self._home, run_id))


def blob_sizes(home: DataDir) -> dict[str, int]:
    """SHA-256 of an image → its bytes."""
    return {path.parent.name + path.name: path.stat().st_size for path in blob_files(home)}


def freed_bytes(
    removed: Iterable[RunFootprint], found: Mapping[str, RunFootprint], sizes: Mapping[str, int]
) -> Iterator[int]:
    """The bytes that go with each of some footprints, when they go in this order.

    Args:
        found: all footprints of the home; an image goes with the last of them that refers to it.
        sizes: of the images, as `blob_sizes` gives them.
    """
    users = Counter(sha for one in found.values() for sha in one.blobs if sha in sizes)
    for one in removed:
        images = one.blobs & sizes.keys()
        users.subtract(images)
        yield one.checkpoints + one.journal + sum(sizes[sha] for sha in images if not users[sha])


async def measure(dependencies: Dependencies) -> RunSizes:
    """Disk use of runs. This is slow: measure once for all that is done with the same runs."""
    return await asyncio.to_thread(RunSizes, dependencies.home)


def result_files(home: DataDir, run_id: str) -> list[Path]:
    """The files of a run's result for which no other place was given."""
    names = [f"{run_id}{suffix}{more}" for suffix in RESULT_SUFFIXES.values() for more in ("", ".json")]
    return [path for name in [*names, f"{run_id}-choices.png"] if (path := home.images / name).is_file()]
