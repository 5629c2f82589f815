"""Messages of records and errors in terms of the tools."""

from typing import Final

from imagerag.assistants.tool_inputs import AddImage, AskLibrary, ContinueRun, GenerateImage, SearchReferences
from imagerag.formatting.interface_terms import as_tool_terms

_ARGUMENTS: Final = frozenset(
    name for tool in (GenerateImage, SearchReferences, AddImage, ContinueRun, AskLibrary) for name in tool.model_fields
)


def tool_terms(message: str) -> str:
    """A message with arguments of the tools, or options of the server, for parameters of the Python API."""
    return as_tool_terms(message, _ARGUMENTS)
