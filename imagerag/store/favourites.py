"""Favourite runs: one empty file per run. The list of runs is made anew from checkpoints, which do not know them."""

from pathlib import Path

from imagerag.store.storage_errors import storage_errors


class Favourites:
    """The ids of favourite runs in a folder; any number of processes may use it at once.

    Args:
        folder: where; it is made by the first one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, run_id: str) -> bool:
        return (self._folder / run_id).exists()

    def ids(self) -> list[str]:
        """All of them, sorted. Blocks."""
        try:
            with storage_errors(self._folder):
                return sorted(path.name for path in self._folder.iterdir())
        except FileNotFoundError:
            return []

    def add(self, run_id: str) -> None:
        """Make a run a favourite. Blocks.

        Raises:
            StorageError: the disk is full or read-only.
        """
        with storage_errors(self._folder, "cannot write"):
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / run_id).touch()

    def discard(self, run_id: str) -> None:
        """Make a run no favourite, where it is one. Blocks.

        Raises:
            StorageError: the disk is read-only.
        """
        with storage_errors(self._folder, "cannot write"):
            (self._folder / run_id).unlink(missing_ok=True)
