"""The folder of a batch: what it was started with, a line for every result, and nobody else in it meanwhile."""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import read_regular_text
from imagerag.agent.types.filters import parse_filter
from imagerag.batch.results import BatchResult, Status
from imagerag.store.disk_space import check_space, check_writable
from imagerag.store.images.blob_store import write_atomically
from imagerag.store.output_dir_lock import LOCK, exclusive_writer
from imagerag.store.storage_errors import storage_error, storage_errors

RESULTS: Final = "results.jsonl"
BATCH: Final = "batch.json"
LINE_BYTES: Final = 8 * 2**20
"""Bytes that must be free before a line is run: for its image and what is said of it."""


@dataclass(frozen=True)
class BatchManifest:
    """The name and settings that a batch was started with.

    Attributes:
        name: its own, in the ids of its runs.
        settings: backends, library and options that lines do not say themselves.
    """

    name: str
    settings: dict[str, Any]

    def differs(self, now: Mapping[str, Any]) -> str:
        """The settings in `now` that differ from those of the start; empty when none does."""
        before, after = ({**s, **s["options"], "options": None} for s in (self.settings, now))
        differs = [name for name in after if _parsed_value(name, before.get(name)) != _parsed_value(name, after[name])]
        return "; ".join(_difference(name, before.get(name), after[name]) for name in differs)


def _difference(name: str, before: Any, after: Any) -> str:
    earlier = f"no {name}" if before is None else f"{name} {before!r}"
    return f"{earlier}, now {'none' if after is None else repr(after)}"


@dataclass(frozen=True)
class OutputDir:
    """A batch's folder."""

    path: Path

    @property
    def results(self) -> Path:
        """The results, a line each, in the order in which they came."""
        return self.path / RESULTS

    def started(self) -> BatchManifest | None:
        """The manifest of the batch in it; None when there is none yet.

        Raises:
            UsageError: there is something else in it.
        """
        try:
            manifest = json.loads(read_regular_text(self.path / BATCH))
            return BatchManifest(str(manifest["name"]), dict(manifest["settings"]))
        except (FileNotFoundError, NotADirectoryError):
            if self.path.exists() and (not self.path.is_dir() or self._names()):
                raise UsageError(f"{self.path} holds something, but no batch: name another folder") from None
            return None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise UsageError(f"{self.path / BATCH} is damaged ({error}): start again in another folder") from error

    def start(self, started: BatchManifest) -> None:
        """Make the folder."""
        document = {"schema": "imagerag.batch-settings/1", "name": started.name, "settings": started.settings}
        try:
            write_atomically(self.path / BATCH, (json.dumps(document, indent=2, default=str) + "\n").encode())
        except OSError as error:
            known_error = storage_error(error, self.path / BATCH, "cannot write")
            raise known_error or UsageError(f"cannot write into {self.path}: {error.strerror or error}") from error

    def alone(self) -> AbstractContextManager[None]:
        """Keep a second process out: both would run, and pay for, the same lines.

        Raises:
            UsageError: another one is at it.
            StorageError: nothing can be written there.
        """
        check_writable(self.path, LINE_BYTES)
        return exclusive_writer(self.path)

    def read(self) -> Iterator[BatchResult]:
        """The results so far; lines that were torn or damaged are passed over, their runs are still there."""
        if not self.results.exists():
            return
        with self.results.open("rb") as file:
            for line in file:
                try:
                    yield BatchResult.model_validate_json(line)
                except ValidationError:
                    continue

    def check_space(self) -> None:
        """Raise `StorageError` where the next image and its line could not be kept."""
        check_space(self.path, LINE_BYTES)

    def repair(self, drop: tuple[Status, ...]) -> dict[str, BatchResult]:
        """Rewrite the results without damaged lines and those of a status in `drop`, which are given back, by id."""
        dropped: dict[str, BatchResult] = {}
        fresh = self.results.with_name(f".{RESULTS}.new")
        with fresh.open("wb") as file:
            for result in self.read():
                if result.status in drop:
                    dropped[result.id] = result
                else:
                    file.write(_line(result))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.results)
        return dropped

    def append(self, result: BatchResult) -> None:
        """Add a result: one write, on the disk when this returns.

        Raises:
            StorageError: there is no room for it; the lines before it are whole.
        """
        with storage_errors(self.results, "cannot write"):
            handle = os.open(self.results, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                _append_whole(handle, _line(result))
            finally:
                os.close(handle)

    def _names(self) -> list[str]:
        return [name for name in os.listdir(self.path) if name != LOCK]


def _append_whole(handle: int, line: bytes) -> None:
    """Append a line; on a disk that is full after half of it, that half is taken back, or the next would be lost."""
    before = os.fstat(handle).st_size
    try:
        if os.write(handle, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    except OSError:
        with suppress(OSError):
            os.ftruncate(handle, before)
        raise


def started_with(out: str | Path) -> dict[str, Any]:
    """Backends, library and options that the batch in `out` was started with; empty when there is none."""
    started = OutputDir(Path(out).expanduser()).started()
    return started.settings if started else {}


def _parsed_value(name: str, value: Any) -> Any:
    """A setting as it is compared: a filter by what it means, in whichever form it is written."""
    condition = parse_filter(value) if name == "filter" else None
    return condition.parsed if condition else value


def _line(result: BatchResult) -> bytes:
    return (json.dumps(result.as_json()) + "\n").encode()
