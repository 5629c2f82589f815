"""A disk that is small, can be filled and can be made read-only: a tmpfs, where this machine lets us mount one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class SmallDisk:
    """A mounted disk."""

    path: Path

    def fill(self, but: int = 0) -> None:
        """Take all the room there is, but for so many bytes."""
        with self._filler.open("wb") as file:
            room = self._free() - but
            while room > 0:
                try:
                    room -= file.write(bytes(min(room, 2**16)))
                    file.flush()
                except OSError:
                    break

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Nothing can be written meanwhile."""
        _mount("-o", "remount,ro", str(self.path))
        try:
            yield
        finally:
            _mount("-o", "remount,rw", str(self.path))

    @property
    def _filler(self) -> Path:
        return self.path / "filler"

    def _free(self) -> int:
        import shutil

        return shutil.disk_usage(self.path).free


@contextmanager
def mounted(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount one for a while; a machine that does not let us skips the test."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine mounts no tmpfs for us")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
