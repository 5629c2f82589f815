"""The document of a library's check."""

from typing import Literal

from pydantic import Field

from imagerag.agent.types import Document
from imagerag.store.library.check.library_check import LibraryCheck


class CheckDocument(Document):
    """How well a library can be searched, each way."""

    schema_name: Literal["imagerag.library-check/1"] = Field(default="imagerag.library-check/1", alias="schema")
    library: str
    check: LibraryCheck
