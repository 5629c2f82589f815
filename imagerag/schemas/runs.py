"""Documents about runs: events and the list of runs."""

from typing import Literal

from pydantic import ConfigDict, Field

from imagerag.agent.run_record import RunRecord
from imagerag.agent.state import RunUpdate
from imagerag.agent.types import Progress
from imagerag.schemas.base import Document
from imagerag.store.run_index import RunEntry


class EventDocument(Document):
    """An event of a run, a line of `generate --jsonl`.

    Attributes:
        sequence: counts the events of this start or resume, from 0.
        node: which node finished, or draws (progress); "give_up" when one failed for good.
        update: what it changed, for a step.
        progress: how far a drawing is; an unfinished picture by its hash.
        warnings: what is likely to go wrong, when it starts.
        record: the whole run so far, when it waits or has ended.
    """

    # Of the state only what changed is in an update: not every channel is required.
    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    schema_name: Literal["imagerag.event/1"] = Field(default="imagerag.event/1", alias="schema")
    run_id: str
    sequence: int = Field(ge=0)
    kind: Literal["started", "progress", "step", "waiting", "ended"]
    node: str
    update: RunUpdate
    progress: Progress | None
    warnings: list[str]
    record: RunRecord | None


class RunsDocument(Document):
    """Runs, newest first."""

    schema_name: Literal["imagerag.runs/1"] = Field(default="imagerag.runs/1", alias="schema")
    runs: list[RunEntry]


class RunSavedDocument(Document):
    """Where `runs save` wrote a run, and the files in it."""

    schema_name: Literal["imagerag.run-saved/1"] = Field(default="imagerag.run-saved/1", alias="schema")
    run_id: str
    path: str
    files: list[str]
