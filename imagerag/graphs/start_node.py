"""The beginning of a run: its input is checked, and nothing of the thread's run before it is left.

It is a part of the graph itself, so it happens whichever way an input comes: over HTTP, from Python, inside another
graph, or written into a thread by `update_state`.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import asdict, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, TypeVar

from langgraph.graph import START
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import NodeBuilder
from langgraph.runtime import Runtime, get_runtime
from langgraph.types import Overwrite
from pydantic import BaseModel, TypeAdapter, ValidationError

from imagerag.agent import clock
from imagerag.agent.errors import UsageError
from imagerag.agent.node_input import config_of
from imagerag.agent.ports import BlobStore, Filter, ImageGenerator, ReferenceLibrary, web_libraries_of
from imagerag.agent.qa.state import QAInput
from imagerag.agent.retrieval.search_queries import check_filter, check_hybrid
from imagerag.agent.size_translation import check_size
from imagerag.agent.state import NESTED, RunInput
from imagerag.agent.types import RunConfig, RunContext
from imagerag.formatting.messages import invalid, near
from imagerag.graphs.edit_source import edited_of_library
from imagerag.graphs.mask_validation import check_masks
from imagerag.graphs.validation import (
    check_texts,
    validate_feedback,
    validate_match_reason,
    validate_prompt,
    validate_question,
)

Begin = Callable[[Any], Awaitable[Mapping[str, Any]]]
Graph = TypeVar("Graph", bound=CompiledStateGraph[Any, Any, Any, Any])

_NOT_GIVEN: Final[Mapping[str, Any]] = {
    "subjects": [],
    "edit_library": None,
    "initial_image": None,
    "setup": None,
    "parent_run": None,
    "excluded_images": [],
    "kept_images": [],
    "feedback": [],
    "revision": None,
    "warnings": [],
}


def start_update(graph: Graph, begin: Begin, blank: Mapping[str, Any]) -> Graph:
    """A compiled graph of which every input goes through `begin`, and finds `blank` in the state.

    LangGraph writes an input over what a thread holds, and leaves whatever the input does not name.

    Args:
        begin: makes of an input as it came what is written.
        blank: channels beside the input's, and what to write there, or a function that makes it of the input.
    """
    start = graph.nodes[START]
    over = {name: value for name, value in blank.items() if isinstance(value, Overwrite)}
    # A channel that holds nothing yet would keep its first value as it is, an Overwrite too.
    plain = {**blank, **{name: value.value for name, value in over.items()}}
    first = {name: value if callable(value) else _always(value) for name, value in plain.items()}
    then = {name: _always(value) for name, value in over.items()}
    node = NodeBuilder().do(begin).write_to(**first).write_to(**then).build().node
    # Among the writers, as `update_state` calls those alone; first, as the decision after START reads what it wrote.
    graph.nodes[START] = start.copy({"writers": [node, *start.writers]})
    return graph


def _always(value: Any) -> Callable[[Any], Any]:
    """Writer of a fixed value, a copy for every run."""
    return lambda _: copy(value)


async def start_run(
    graph_input: Any, generator: ImageGenerator, *, library: ReferenceLibrary | None, blobs: BlobStore
) -> dict[str, Any]:
    """The input of a run, checked, with everything that it does not name set to nothing.

    Args:
        library: where an image comes from that is named to be edited, to be kept in `blobs`.

    Raises:
        UsageError: an input or a context that cannot be.
    """
    values = accepted_input(RunInput, graph_input)
    validate_prompt(values["prompt"])
    if "feedback" in values:
        values["feedback"] = validate_feedback(values["feedback"])
    await check_search(library)
    own = list(values.get("subjects") or [])
    if image_name := values.pop("edit_library", None):
        own = [await edited_of_library(image_name, library, blobs), *own]
        values["subjects"] = own
    check_masks(generator, own)
    check_size(generator, _run_config().size)
    return {**_NOT_GIVEN, "started_at": clock.now(), **values}


async def check_search(library: ReferenceLibrary | None, config: RunConfig | None = None) -> None:
    """See that the library can be searched as a config says, and be asked what its filter asks.

    Args:
        config: of the run; without it, what the context of the graph says.

    Raises:
        UsageError: it cannot.
    """
    config = config or _run_config()
    if library is not None and config.hybrid:
        check_hybrid(library)
    if library is not None:
        await check_filter(library, Filter.of_run(config))
    for web in web_libraries_of(library) if config.threshold == "auto" else ():
        _ = web.threshold  # it has one, or says what to write


def _run_config() -> RunConfig:
    """The config that the context of the graph says."""
    runtime: Runtime[Any] | None = get_runtime()  # none where a state is written from outside
    return config_of(runtime.context if runtime else None)


def start_question(graph_input: Any) -> dict[str, Any]:
    """The input of a question to a library, checked.

    Raises:
        UsageError: an input or a context that cannot be.
    """
    values = accepted_input(QAInput, graph_input)
    question = validate_question(values["question"])
    images = values.get("images") or []
    by = validate_match_reason(values.get("by"), images)
    blank = {"compare": False, "started_at": clock.now()}
    return {**blank, **values, "question": question, "images": images, "by": by}


def new_key(_: object) -> str:
    """Key that distinguishes a run from the others of its thread."""
    return uuid.uuid4().hex


def accepted_input(schema: Any, graph_input: Any) -> dict[str, Any]:
    """The values of an input, each of its type; a name without a value is not given. The config is checked, too.

    Inside another graph the input is that graph's whole state, of which the names that are known count.

    Raises:
        UsageError: names that there are not, no value for one that is needed, values of other types, text that cannot
            be stored, or an option that cannot be.
    """
    inputs, names = _as_mapping(graph_input), set(schema.__annotations__)
    runtime: Runtime[Any] | None = get_runtime()  # none where a state is written from outside
    info = runtime.execution_info if runtime else None
    nested = info is not None and NESTED in info.checkpoint_ns
    if unknown := [] if nested else [name for name in inputs if name not in names]:
        raise UsageError("; ".join(_no_input(name, names) for name in unknown[:4]))
    names -= {"warnings"} if nested else set()  # those of the graph around it
    known_inputs = {name: value for name, value in inputs.items() if name in names and value is not None}
    try:
        values: dict[str, Any] = _adapter(schema).validate_python(known_inputs)
    except ValidationError as error:
        raise UsageError(f"the input cannot be: {invalid(error)}") from error
    if started := values.get("started_at"):
        values["started_at"] = _time(started)
    check_texts(values)
    check_texts(config_of(runtime.context if runtime else None))
    return values


def check_context(context: Mapping[str, Any] | None) -> None:
    """Check a context as it was sent: LangGraph's server hands on only the names that a graph has, in silence.

    Raises:
        UsageError: a setting that there is not, or a value that cannot be.
    """
    values = {name: value for name, value in (context or {}).items() if not _is_the_servers(name)}
    try:
        run_context = RunContext(**values)
    except ValidationError as error:
        raise UsageError(f"the context cannot be: {invalid(error)}") from error
    check_texts(run_context.model_dump())


def _as_mapping(graph_input: Any) -> Mapping[str, Any]:
    if isinstance(graph_input, Mapping):
        return graph_input
    if isinstance(graph_input, BaseModel):
        return {name: getattr(graph_input, name) for name in graph_input.model_fields_set}
    if is_dataclass(graph_input) and not isinstance(graph_input, type):
        return asdict(graph_input)
    raise UsageError(f'the input is an object of names and values, {{"prompt": "…"}}, not {type(graph_input).__name__}')


def _no_input(name: object, names: set[str]) -> str:
    suggestion = near(str(name), names)
    if not suggestion and name in RunContext.model_fields:
        return f"{name} is no input: it goes into the context"
    hint = f"did you mean {suggestion}?" if suggestion else f"there are {', '.join(sorted(names))}"
    return f"the input has no {str(name)[:60]!r}: {hint}"


def _time(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"started_at is an ISO 8601 time, not {text[:40]!r}") from error
    if moment.tzinfo is None:
        raise UsageError(f"started_at needs a time zone: {text[:40]}+00:00")
    return text


_SERVERS: Final = frozenset({"thread_id", "run_id", "graph_id", "assistant_id", "user_id", "cron_id"})


def _is_the_servers(name: str) -> bool:
    """Whether LangGraph's server put it among what it calls configurable, which may come as a context."""
    return name in _SERVERS or name.startswith(("__", "langgraph_", "checkpoint_"))


@cache
def _adapter(schema: Any) -> TypeAdapter[dict[str, Any]]:
    return TypeAdapter(schema)
