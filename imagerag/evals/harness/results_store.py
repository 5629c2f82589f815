"""Store results on disk, appended case by case, so that a kill at any instant loses at most one case."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.evals.result_record import Result

RESULTS: Final = "results.jsonl"
TIMINGS: Final = "timings.jsonl"
PARTIAL: Final = "results.partial.jsonl"
PARTIAL_TIMES: Final = "timings.partial.jsonl"
FILES: Final = (RESULTS, TIMINGS, PARTIAL, PARTIAL_TIMES)

Key = tuple[str, int, str]


class ResultsStore:
    """The results of one evaluation in one folder.

    Only the file offset of each result is held in memory, never a result.

    Args:
        folder: folder of the files.
        keys: the keys of all expected results, in the order of the final files.
    """

    def __init__(self, folder: Path, keys: Sequence[Key]) -> None:
        self.folder, self.keys = folder, keys
        self._wanted = set(keys)
        self._places: dict[Key, tuple[int, int]] = {}
        self._times: dict[Key, tuple[int, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def open(self) -> None:
        """Index the stored results; cut off a line that was being written when the process died."""
        for file, places in ((PARTIAL, self._places), (PARTIAL_TIMES, self._times)):
            path = self.folder / file
            if not path.exists():
                continue
            with path.open("r+b") as opened:
                at = 0
                for line in opened:
                    key = _key_of(line)
                    if key is None:
                        opened.truncate(at)
                        break
                    if key in self._wanted:
                        places[key] = (at, len(line))
                    at += len(line)

    def has(self, keys: Iterable[Key]) -> bool:
        """Whether all of these results are stored."""
        return all(key in self._places for key in keys)

    @property
    def count(self) -> int:
        """Number of stored results."""
        return len(self._places)

    @property
    def whole(self) -> bool:
        """Whether all results are stored."""
        return self.has(self.keys)

    def add(self, results: Sequence[Result], times: Sequence[Mapping[str, Any]]) -> None:
        """Append the results of a case. They are handed to the operating system on return, so that no kill can lose
        them.

        A power cut can lose them; they are then computed again from the journal, which is flushed to disk.
        """
        lines = [(result.key, result.line()) for result in results]
        time_lines = [((t["case"], t["seed"], t["arm"]), json.dumps(t, ensure_ascii=False)) for t in times]
        # Write the times first: a case counts as done once its results are stored.
        for file, places, rows in ((PARTIAL_TIMES, self._times, time_lines), (PARTIAL, self._places, lines)):
            with (self.folder / file).open("ab") as opened:
                at = opened.tell()
                data = [f"{line}\n".encode() for _, line in rows]
                opened.write(b"".join(data))
            for (key, _), line in zip(rows, data, strict=True):
                places[key] = (at, len(line))
                at += len(line)

    def forget(self, keys: Iterable[Key]) -> None:
        """Remove these results, so that their cases run again."""
        for key in keys:
            self._places.pop(key, None)

    def drop_failed(self) -> int:
        """Remove every case in which something failed; returns the number of results removed."""
        broken = {result.case for result in self.read() if result.status == "technical"}
        keys = [key for key in self._places if key[0] in broken]
        self.forget(keys)
        return len(keys)

    def read(self) -> Iterable[Result]:
        """Iterate over the stored results, in order."""
        path = self.folder / PARTIAL
        if not path.exists():
            return
        with path.open("rb") as opened:
            for key in self.keys:
                if key in self._places:
                    at, size = self._places[key]
                    opened.seek(at)
                    yield Result.model_validate_json(opened.read(size))

    def read_times(self) -> Iterable[Mapping[str, Any]]:
        """Iterate over the times of the stored results, in order."""
        path = self.folder / PARTIAL_TIMES
        if not path.exists():
            return
        with path.open("rb") as opened:
            for key in self.keys:
                if key in self._places and key in self._times:
                    at, size = self._times[key]
                    opened.seek(at)
                    yield json.loads(opened.read(size))

    def finish(self) -> Path:
        """Write `results.jsonl` and `timings.jsonl` in order; the same results give the same bytes.

        Raises:
            UsageError: results are missing.
        """
        missing = [key for key in self.keys if key not in self._places]
        if missing:
            raise UsageError(f"{len(missing)} results are missing, the first of them {missing[0]}: run it again")
        self._sorted(PARTIAL_TIMES, TIMINGS, self._times)
        return self._sorted(PARTIAL, RESULTS, self._places)

    def _sorted(self, source: str, target: str, places: Mapping[Key, tuple[int, int]]) -> Path:
        fresh = self.folder / f".tmp-{target}"
        if not places:
            (self.folder / target).write_bytes(b"")
            return self.folder / target
        with (self.folder / source).open("rb") as opened, fresh.open("wb") as out:
            for key in self.keys:
                if key in places:
                    at, size = places[key]
                    opened.seek(at)
                    out.write(opened.read(size))
            out.flush()
            os.fsync(out.fileno())
        return fresh.replace(self.folder / target)


def _key_of(line: bytes) -> Key | None:
    """The key of a line's result; None when the line is incomplete."""
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
        return row["case"], row["seed"], row["arm"]
    except (ValueError, KeyError, TypeError):
        return None
