"""The runs behind a chat: begun, continued and resumed as `imagerag generate`, `continue` and `resume` do it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from pydantic import ValidationError

from imagerag.agent.errors import UnknownRunError, UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import RunContext
from imagerag.chat.choice import Choice
from imagerag.chat.messages import own_images, text_of
from imagerag.files.run_request import RunOptions, RunRequest
from imagerag.formatting.messages import invalid
from imagerag.graphs.configuration.settings import Settings
from imagerag.graphs.runs.continuation import ContinueOptions
from imagerag.graphs.runs.records import read_record

if TYPE_CHECKING:
    from imagerag.graphs.runs.events import RunEvent
    from imagerag.graphs.runs.runner import Runner

    Events = AsyncGenerator[RunEvent]

_LIMITS = ("max_calls", "max_cost_usd", "assume_cost_usd_per_call", "deadline_s", "patience_s")


@dataclass(frozen=True, kw_only=True)
class ChatRuns:
    """Runs of one server.

    Attributes:
        runner: makes them.
        settings: backends and library, and what is set for every run.
    """

    runner: "Runner"
    settings: Settings

    async def record(self, run_id: str | None) -> RunRecord | None:
        """The record of a run; None where there is none, or it was removed."""
        if run_id is None:
            return None
        try:
            return await read_record(self.runner.dependencies, run_id)
        except UnknownRunError:
            return None

    async def begin(self, run_id: str, message: BaseMessage, parent: RunRecord | None, context: RunContext) -> "Events":
        """The events of the run for a message.

        It is feedback on the run before it in the chat where that has ended with an image and the message brings none;
        otherwise it is a prompt of its own.

        Raises:
            UsageError: an option or an image that cannot be.
        """
        if parent is None or parent.outcome is None or parent.image is None or own_images(message):
            return await self._start(run_id, message, context)
        return self.runner.continue_run(parent.run_id, _steering(text_of(message), context), new_id=run_id)

    def resume(self, run_id: str, choice: Choice | None = None) -> "Events":
        """The events of a run that was stopped, or that waits for this choice."""
        if choice is None:
            return self.runner.resume(run_id)
        return self.runner.resume(run_id, choose=choice.chosen, edit=choice.edit)

    async def _start(self, run_id: str, message: BaseMessage, context: RunContext) -> "Events":
        blobs = self.runner.dependencies.blobs
        subjects = [(own.name, await blobs.get(own.image.sha256)) for own in own_images(message)]
        values = _options(context)
        options = {name: values.pop(name) for name in [*values] if name in RunOptions.__annotations__}
        request = RunRequest.of(self.settings, text_of(message), {**options, "subjects": subjects})
        config = request.setup.config.model_copy(update=values)  # what only the graph's context has
        setup = request.setup.model_copy(update={"config": config})
        return await replace(request, setup=setup).start(self.runner, run_id=run_id)


async def follow_run(events: "Events", tell: Any) -> RunRecord:
    """The record that the last event carries; `tell` is called with each event. Leaving early cancels the run."""
    record = None
    async with aclosing(events) as stream:
        async for event in stream:
            tell(event)
            record = event.record or record
    assert record is not None, "a run's last event carries its record"
    return record


def _options(context: RunContext) -> dict[str, Any]:
    """The options that the context names itself; settings and defaults fill the rest."""
    return {name: getattr(context, name) for name in context.model_fields_set}


def _steering(words: str, context: RunContext) -> ContinueOptions:
    values = _options(context)
    options: dict[str, Any] = {name: values[name] for name in _LIMITS if name in values}
    if "max_rounds" in values:
        options["more_rounds"] = values["max_rounds"]
    return ContinueOptions(feedback=words, **options)


def context_of(context: object) -> RunContext:
    """The context of a graph as a `RunContext`.

    Raises:
        UsageError: an option that cannot be.
    """
    if isinstance(context, RunContext):
        return context
    try:
        return RunContext(**(context if isinstance(context, Mapping) else {}))
    except ValidationError as error:
        raise UsageError(f"the context cannot be: {invalid(error)}") from error
