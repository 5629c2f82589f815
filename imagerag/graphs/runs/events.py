"""The events of a run: typed, and as JSON documents (`imagerag.event/1`)."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.run_record import RunRecord
from imagerag.agent.state import RunUpdate
from imagerag.agent.types import Document, Progress


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """One thing that happened in a run, as it happened.

    Attributes:
        kind: the run started, a node is at work ("progress") or finished ("step"), it waits for a human, or it ended.
        sequence: counts the events of this start or resume, from 0.
        node: which node finished, for a step; "give_up" when one failed for good. For progress: which one draws.
        update: what the node changed.
        progress: how far its drawing is. Generators that cannot tell give none; nor does an answer of the journal.
        warnings: what is likely to go wrong, when it starts.
        record: the whole run so far, when it waits or has ended.
    """

    run_id: str
    sequence: int
    kind: Literal["started", "progress", "step", "waiting", "ended"]
    node: str = ""
    update: RunUpdate = field(default_factory=lambda: RunUpdate())
    progress: Progress | None = None
    warnings: tuple[str, ...] = ()
    record: RunRecord | None = None

    def as_json(self) -> dict[str, Any]:
        """The event as JSON-able data, without pixels."""
        fields = {**vars(self), "warnings": list(self.warnings)}
        return EventDocument(**fields).as_json()


class EventDocument(Document):
    """An event of a run, a line of `generate --jsonl`.

    Attributes:
        sequence: counts the events of this start or resume, from 0.
        node: which node finished, or draws (progress); "give_up" when one failed for good.
        update: what it changed, for a step.
        progress: how far a drawing is; an unfinished image by its hash.
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


def plain(value: Any) -> Any:
    """Values of the state as JSON-able data."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


async def last_record(events: AsyncIterator[RunEvent]) -> RunRecord:
    """The record that a run's last event carries."""
    record = None
    async for event in events:
        record = event.record or record
    assert record is not None, "a run's last event carries its record"
    return record
