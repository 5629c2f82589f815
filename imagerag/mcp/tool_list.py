"""The list of tools, as every client sends it to its model: what is said once is not said again."""

from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from imagerag.assistants.json_schemas import published, published_answer
from imagerag.assistants.tool_inputs import (
    DESCRIPTIONS,
    AddImage,
    AskLibrary,
    ListLibraries,
    Request,
    SearchReferences,
    ViewImage,
)
from imagerag.assistants.tool_outputs import (
    AddedReport,
    AnswerReport,
    ImageReport,
    LibrariesReport,
    RunReport,
    SearchReport,
)
from imagerag.mcp.job_schemas import ADDED, Continue, Generate, JobReport, JobRequest, Result, Start

TOOLS: Final[dict[str, tuple[type[Request], type[BaseModel], bool]]] = {
    "generate_image": (Generate, RunReport, False),
    "continue_run": (Continue, RunReport, False),
    "list_libraries": (ListLibraries, LibrariesReport, True),
    "search_references": (SearchReferences, SearchReport, True),
    "add_image": (AddImage, AddedReport, False),
    "ask_library": (AskLibrary, AnswerReport, False),
    "view_image": (ViewImage, ImageReport, True),
    "start_image": (Start, JobReport, False),
    "run_status": (JobRequest, JobReport, True),
    "run_result": (Result, RunReport, True),
    "cancel_run": (JobRequest, JobReport, False),
}
"""Tool → (what it takes, what it answers, whether it changes and spends nothing)."""

AS_ANOTHER: Final = frozenset({"start_image"})
"""Tools whose arguments are described with another tool: every client sends the whole list to its model."""

ANSWERS_AS_ANOTHER: Final = frozenset({"continue_run", "run_result", "run_status", "cancel_run"})
"""Tools that answer as another one does."""


class ListedTool(NamedTuple):
    """A tool of the list: its description, and the JSON Schemas of its arguments and of its answer."""

    name: str
    description: str
    parameters: dict[str, Any]
    answer: dict[str, Any]


def listed_tools() -> list[ListedTool]:
    """The list. An argument of the same meaning is described with the first tool that takes it."""
    described: set[tuple[str, str]] = set()
    tools = []
    for name, (takes, gives, _) in TOOLS.items():
        parameters = published(takes, briefly=name in AS_ANOTHER)
        for argument, schema in parameters["properties"].items():
            meaning = (argument, schema.get("description", ""))
            if meaning in described:
                del schema["description"]
            elif meaning[1]:
                described.add(meaning)
        answer = published_answer(gives, briefly=name in ANSWERS_AS_ANOTHER)
        tools.append(ListedTool(name, {**DESCRIPTIONS, **ADDED}[name], parameters, answer))
    return tools
