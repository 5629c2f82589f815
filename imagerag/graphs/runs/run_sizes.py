"""Disk use of runs."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Set
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
        self._sizes = {path.parent.name + path.name: path.stat().st_size for path in blob_files(home)}

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
        users = Counter(sha for one in self._found.values() for sha in one.blobs if sha in self._sizes)
        for run_id in run_ids:
            one = self._found.get(run_id, RunFootprint())
            images = one.blobs & self._sizes.keys()
            users.subtract(images)
            freed = sum(self._sizes[sha] for sha in images if not users[sha])
            files = sum(path.stat().st_size for path in result_files(self._home, run_id))
            yield one.checkpoints + one.journal + freed + files


async def measure(dependencies: Dependencies) -> RunSizes:
    """Disk use of runs. This is slow: measure once for all that is done with the same runs."""
    return await asyncio.to_thread(RunSizes, dependencies.home)


def result_files(home: DataDir, run_id: str) -> list[Path]:
    """The files of a run's result for which no other place was given."""
    names = [f"{run_id}{suffix}{more}" for suffix in RESULT_SUFFIXES.values() for more in ("", ".json")]
    return [path for name in [*names, f"{run_id}-choices.png"] if (path := home.images / name).is_file()]
