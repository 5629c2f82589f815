"""Documents about runs: the list of runs, and saved ones."""

from typing import Literal

from pydantic import Field

from imagerag.agent.types import Document
from imagerag.store.run_index import RunEntry


class RunsDocument(Document):
    """Runs, newest first."""

    schema_name: Literal["imagerag.runs/1"] = Field(default="imagerag.runs/1", alias="schema")
    runs: list[RunEntry]


class RunSavedDocument(Document):
    """Folder or ZIP archive that `runs save` wrote, and its files."""

    schema_name: Literal["imagerag.run-saved/1"] = Field(default="imagerag.run-saved/1", alias="schema")
    run_id: str
    path: str
    files: list[str]
