"""The folder of a batch: what it was started with, a line for every result, and nobody else in it meanwhile."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imagerag.agent.errors import UsageError
from imagerag.agent.record import RunRecord
from imagerag.agent.types import Outcome
from imagerag.store.blobs import write_atomically

RESULTS: Final = "results.jsonl"
BATCH: Final = "batch.json"
_LOCK: Final = ".lock"

Status = Literal["done", "failed", "invalid"]
TECHNICAL: Final = (Outcome.FAILED, Outcome.JUDGE_UNAVAILABLE)


class BatchReference(BaseModel):
    """A library image that is in the picture."""

    model_config = ConfigDict(extra="forbid")

    sha256: str
    role: str
    concept: str
    similarity: float | None
    title: str
    source: str
    licence: str


class BatchImage(BaseModel):
    """The picture; `path` is relative to the batch's folder."""

    model_config = ConfigDict(extra="forbid")

    path: str
    sha256: str
    media_type: str
    width: int
    height: int


class BatchResult(BaseModel):
    """What became of one line, `imagerag.batch/1`.

    Attributes:
        index: the line's place in the input, from 1.
        input: SHA-256 of everything that decided the run: prompt, options, the bytes of its files, the backends.
        status: "done" for every run that ended by a verdict, aligned or not; "failed" when something technical ended
            it (outcome `failed` or `judge_unavailable`, or no outcome at all); "invalid" when the line cannot be run.
        tries: how many runs were made for it; more than 1 after `retry_failed`.
        cost_usd: of all its runs; None when the price of a call is not known.
        booked_usd: what the batch's budget counts for it: its cost, or the most it could be where that is not known.
        score: requirements met by the picture, of all, in [0, 1].
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.batch/1"] = Field(default="imagerag.batch/1", alias="schema")
    id: str
    index: int
    input: str
    prompt: str
    status: Status
    outcome: Outcome | None = None
    reason: str = ""
    error: str | None = None
    run_id: str | None = None
    tries: int = 1
    image: BatchImage | None = None
    score: float | None = None
    attempts: int = 0
    unresolved: list[str] = Field(default_factory=list)
    references: list[BatchReference] = Field(default_factory=list)
    calls: dict[str, int] = Field(default_factory=dict)
    cost_usd: float | None = 0.0
    booked_usd: float = 0.0
    elapsed_s: float = 0.0
    next_steps: list[str] = Field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The line as JSON-able data, its schema's name first."""
        return self.model_dump(mode="json", by_alias=True)

    def told(self, record: RunRecord, image: BatchImage | None) -> "BatchResult":
        """This line with what its run came to."""
        best = record.attempts[record.best_attempt] if record.best_attempt is not None else None
        references = [
            BatchReference(sha256=used.image.sha256, **{name: getattr(used, name) for name in _TOLD})
            for used in record.references
        ]
        update = {
            "status": "failed" if record.outcome in TECHNICAL else "done",
            "score": best.verdict.score if best and best.verdict else None,
            "attempts": len(record.attempts),
            "references": references,
            "image": image,
            **{name: getattr(record, name) for name in _KEPT},
        }
        return self.model_copy(update=update)


_TOLD: Final = ("role", "concept", "similarity", "title", "source", "licence")
_KEPT: Final = (
    "run_id", "outcome", "reason", "error", "unresolved", "calls", "cost_usd", "elapsed_s", "next_steps",
)  # fmt: skip


@dataclass(frozen=True)
class Started:
    """What a batch was started with.

    Attributes:
        name: its own, in the ids of its runs.
        settings: backends, library and options that lines do not say themselves.
    """

    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class BatchFolder:
    """A batch's folder."""

    path: Path

    @property
    def results(self) -> Path:
        """The results, a line each, in the order in which they came."""
        return self.path / RESULTS

    def started(self) -> Started | None:
        """What the batch in it was started with; None when there is none yet.

        Raises:
            UsageError: there is something else in it.
        """
        try:
            kept = json.loads((self.path / BATCH).read_text("utf-8"))
            return Started(str(kept["name"]), dict(kept["settings"]))
        except (FileNotFoundError, NotADirectoryError):
            if self.path.exists() and (not self.path.is_dir() or self._names()):
                raise UsageError(f"{self.path} holds something, but no batch: name another folder") from None
            return None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise UsageError(f"{self.path / BATCH} is damaged ({error}): start again in another folder") from error

    def start(self, started: Started) -> None:
        """Make the folder."""
        document = {"schema": "imagerag.batch-settings/1", "name": started.name, "settings": started.settings}
        try:
            write_atomically(self.path / BATCH, (json.dumps(document, indent=2, default=str) + "\n").encode())
        except OSError as error:
            raise UsageError(f"cannot write into {self.path}: {error.strerror or error}") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep a second process out: both would run, and pay for, the same lines. A process that dies lets go.

        Raises:
            UsageError: another one is at it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / _LOCK).open("wb") as file:
            try:
                import fcntl
            except ImportError:  # not on this system; nobody is kept out
                yield
                return
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(f"another process is at the batch in {self.path}: wait until it is done") from None
            yield

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
        """Add a result: one write, on the disk when this returns."""
        handle = os.open(self.results, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(handle, _line(result))
            os.fsync(handle)
        finally:
            os.close(handle)

    def _names(self) -> list[str]:
        return [name for name in os.listdir(self.path) if name != _LOCK]


def _line(result: BatchResult) -> bytes:
    return (json.dumps(result.as_json()) + "\n").encode()
