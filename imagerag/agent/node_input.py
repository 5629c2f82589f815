"""The input of nodes: the state of their own run and its config, whatever way the graph was entered.

A graph is entered by an input, inside another graph with that graph's context, or by a state that somebody wrote
(`update_state`): then the state may hold findings of another prompt, or the result of a run that is over.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial, wraps
from typing import Any, TypeVar

from langgraph.runtime import Runtime, get_runtime
from langgraph.types import Overwrite
from pydantic import ValidationError

from imagerag.agent.error_message import redacted_errors
from imagerag.agent.errors import UsageError
from imagerag.agent.observability.spans import node_span
from imagerag.agent.state import RunState
from imagerag.agent.types import RunConfig, RunContext
from imagerag.formatting.messages import invalid

Step = TypeVar("Step", bound=Callable[..., Awaitable[Any]])


def config_of(context: Any, started_at: str | None = None) -> RunConfig:
    """The config in a context: ours, or that of a graph ours is a part of, of which the names that are ours count.

    Args:
        context: None where a caller gave none.
        started_at: when the run was started: the context of another graph does not say since when it runs.

    Raises:
        UsageError: an option has a value that cannot be.
    """
    if isinstance(context, RunContext):
        return context.config()
    if isinstance(context, RunConfig):
        return context
    fields = RunContext.model_fields
    if isinstance(context, Mapping):
        values = {name: value for name, value in context.items() if name in fields}
    else:
        values = {name: getattr(context, name) for name in fields if hasattr(context, name)}
    try:
        run_context = RunContext(**values)
    except ValidationError as error:
        raise UsageError(invalid(error)) from error
    return run_context.config(datetime.fromisoformat(started_at).timestamp() if started_at else None)


def in_run(node: Step) -> Step:
    """Wrap a node: it gets its run's own state and config, and a span of its own.

    Verdicts of another prompt and the result of a finished run are left out of that state; the update of the node
    clears the result where a run goes on from a state that was written after its end.
    """

    @wraps(node)
    async def wrapper(state: Any, runtime: Runtime[Any]) -> Any:
        own, runtime = own_state(state), with_config(state, runtime)
        with redacted_errors(), node_span(node.__name__, runtime) as finished:
            update = await node(own, runtime)
            finished(update)
        left_out = own.get("result") is not state.get("result")
        if left_out and isinstance(update, Mapping) and not update.get("result"):
            return {**update, "result": Overwrite(None), "best": None}
        return update

    return _not_searched(wrapper, node)


def on_own_state(node: Step) -> Step:
    """Wrap a node: it gets its run's own state and config."""

    @wraps(node)
    async def wrapper(state: Any, runtime: Runtime[Any]) -> Any:
        with redacted_errors():
            return await node(own_state(state), with_config(state, runtime))

    return _not_searched(wrapper, node)


def _not_searched(wrapper: Any, node: Step) -> Step:
    """The wrapper of a node, with a way back to one of ours that leads to no function.

    Compiling, LangGraph looks in the bytecode of every node, or of what it wraps, for graphs that it runs. Ours run
    none, and half of the time went into that; a node of the user's own may.
    """
    if node.__module__.partition(".")[0] == __name__.partition(".")[0]:
        wrapper.__wrapped__ = partial(node)
    wrapped: Step = wrapper
    return wrapped


def decided(route: Callable[..., Awaitable[Any]]) -> Callable[[RunState], Awaitable[Any]]:
    """Wrap a routing function: it gets its run's own state and config.

    `update_state` decides too, and has no runtime: then the config is the default.
    """

    async def wrapper(state: RunState) -> Any:
        runtime: Runtime[Any] | None = get_runtime()
        return await route(own_state(state), with_config(state, runtime or Runtime()))

    wrapper.__name__ = route.__name__
    return wrapper


def has_finished(state: RunState) -> bool:
    """Whether the run has ended, and `finish` has dated it."""
    result = state.get("result")
    return result is not None and result.at is not None


def own_state(state: RunState) -> RunState:
    """The state without the verdicts of another prompt, and without the result of a run that is over."""
    own = state
    if has_finished(own):
        own = {**own, "result": None, "best": None}
    if (own.get("judged_prompt") or own.get("prompt")) != own.get("prompt"):
        unjudged = [attempt.model_copy(update={"verdict": None}) for attempt in own.get("attempts") or []]
        own = {**own, "attempts": unjudged, "requirements": []}
    return own


def with_config(state: RunState, runtime: Runtime[Any]) -> Runtime[RunConfig]:
    """The runtime, with a `RunConfig` as its context."""
    if type(runtime.context) is RunConfig:
        return runtime
    return runtime.override(context=config_of(runtime.context, state.get("started_at")))
