"""The sidecar of an image: `NAME.json` beside it says which run made it, and from whose images."""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.regular_files import read_regular
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import (
    Document,
    Outcome,
    Region,
    Sha256,
    Similarity,
    UsedReference,
    WebProvenance,
    WebSource,
)


class Credit(BaseModel):
    """An image that a generated image was made with."""

    model_config = ConfigDict(extra="forbid")

    sha256: Sha256
    role: Literal["subject", "reference", "edit"]
    concept: str
    similarity: Similarity | None
    title: str
    source: str
    author: str
    licence: str
    region: Region | None = None
    crop: Sha256 | None = None
    web: WebProvenance | None = None

    @classmethod
    def of(cls, reference: UsedReference) -> "Credit":
        """The credit of a reference that was sent: the whole image, and the box in it if only that was sent."""
        names = cls.model_fields.keys() - {"sha256", "region", "crop"}
        return cls(
            sha256=reference.image.sha256,
            region=reference.region if reference.crop else None,
            crop=reference.crop.sha256 if reference.crop else None,
            **{name: getattr(reference, name) for name in names},
        )


class Sidecar(Document):
    """The sidecar of an image, `NAME.json`: the run that made it, each image that it was made with, and what the model
    found on the web."""

    schema_name: Literal["imagerag.sidecar/1"] = Field(default="imagerag.sidecar/1", alias="schema")
    run_id: str
    prompt: str
    feedback: list[str] = Field(default_factory=list)
    prompt_sent: str | None
    outcome: Outcome | None
    generator: str | None
    sha256: Sha256 | None
    references: list[Credit]
    sources: list[WebSource] = Field(default_factory=list)

    @classmethod
    def of(cls, record: RunRecord) -> "Sidecar":
        """The sidecar of a run's best image."""
        best = record.attempts[record.best_attempt] if record.best_attempt is not None else None
        return cls(
            run_id=record.run_id,
            prompt=record.prompt,
            feedback=record.feedback,
            prompt_sent=best.prompt if best else None,
            outcome=record.outcome,
            generator=best.generator if best else None,
            sha256=record.image.sha256 if record.image else None,
            references=[Credit.of(reference) for reference in record.references],
            sources=record.sources,
        )


def sidecar_path(file: Path) -> Path:
    """The sidecar of an image's file."""
    return file.with_name(file.name + ".json")


def is_sidecar(file: Path) -> bool:
    """Whether a file is a sidecar that imagerag wrote, and may overwrite."""
    return schema_of(file) == "imagerag.sidecar/1"


def schema_of(file: Path) -> object:
    """The schema that a JSON file names; None for a file without one."""
    try:
        document = json.loads(read_regular(file))
    except (OSError, ValueError, RecursionError):
        return None
    return document.get("schema") if isinstance(document, dict) else None
