"""The graph of a chat: a message of a person becomes a run, its result a message.

START → receive → draw → reply → END; a run that waits for a choice goes draw → choose → draw, and an answer that cannot
be is asked again. The runs are runs like all others, in threads of their own: a node that is done again after a crash
resumes the run that it began, as the id of a run follows from the message it is for.
"""

from collections.abc import AsyncIterator, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Final, Literal

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables.config import RunnableConfig, var_child_runnable_config
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import Field
from typing_extensions import TypedDict

from imagerag.agent.errors import UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import RunContext
from imagerag.chat import replies
from imagerag.chat.choice import Choice, Question
from imagerag.chat.messages import MessageReader, text_of
from imagerag.chat.runs import ChatRuns, context_of, follow_run
from imagerag.formatting import labels
from imagerag.graphs.progress_events import drawn_by, progress_event
from imagerag.graphs.runs.events import RunEvent
from imagerag.reports.event_text import progress_words, step_words

BLANK: Final[Mapping[str, Any]] = {"question": None, "selection": None, "problem": ""}
"""What there is of a question where none is open."""


class ChatContext(RunContext):
    """Options of the run that a message begins. One that goes on takes over what the run before it had."""

    studio_nodes: ClassVar = dict.fromkeys(RunContext.model_fields, ("draw",))


class ChatInput(TypedDict):
    """Input of a chat: new messages of a person, in any form that LangChain reads."""

    messages: Annotated[list[AnyMessage], Field(json_schema_extra={"langgraph_type": "messages"}), add_messages]


class ChatState(ChatInput):
    """State of a chat. No image is in it but by address and hash.

    Attributes:
        run_id: the run of the newest message that began one.
        parent_run: the run before it in the chat, whose image the message may want changed.
        question: what that run waits to be told, as its record has it.
        selection: the answer, as `Choice` has it.
        problem: why the answer before it could not be.
    """

    run_id: str
    parent_run: str | None
    question: dict[str, Any] | None
    selection: dict[str, Any] | None
    problem: str


class ChatUpdate(TypedDict, total=False):
    """Update that a node may return."""

    messages: list[AnyMessage]
    run_id: str
    parent_run: str | None
    question: dict[str, Any] | None
    selection: dict[str, Any] | None
    problem: str


@dataclass(frozen=True, kw_only=True)
class ChatNodes:
    """The nodes of a chat; None of runs is for a look at the graph's shape."""

    runs: ChatRuns | None

    async def receive(self, state: ChatState, config: RunnableConfig) -> ChatUpdate:
        """Take a message for the answer to an open question, or name the run that it begins."""
        message = state["messages"][-1]
        if question := state.get("question"):
            return _answered(question, text_of(message))
        thread = str(config["configurable"].get("thread_id", ""))
        run_id = "chat-" + sha256(f"{thread}/{message.id}".encode()).hexdigest()[:16]
        if run_id == state.get("run_id"):  # the same message once more
            return {**BLANK}  # type: ignore[typeddict-item]
        before: str | None = state.get("run_id")
        if await self._runs.record(before) is None:  # that message was refused: there is no run of it
            before = state.get("parent_run")
        return {"run_id": run_id, "parent_run": before, **BLANK}  # type: ignore[typeddict-item]

    async def draw(self, state: ChatState, runtime: Runtime[RunContext]) -> ChatUpdate:
        """Begin the run, or go on with it, until it ends or waits for a choice."""
        # The run is no part of this graph: neither its checkpoints, nor what a judge says word by word. Only what is
        # written of it is, in the context that the node came with.
        ambient = copy_context()
        var_child_runnable_config.set(None)
        runs, run_id = self._runs, state["run_id"]
        record = await runs.record(run_id)
        choice = Choice(**selection) if (selection := state.get("selection")) else None
        if record is None:
            message = next(one for one in reversed(state["messages"]) if isinstance(one, HumanMessage))
            parent = await runs.record(state.get("parent_run"))
            events = await runs.begin(run_id, message, parent, context_of(runtime.context))
        elif record.status == "running":
            events = runs.resume(run_id)
        elif record.status == "interrupted" and choice and record.question == state.get("question"):
            events = runs.resume(run_id, choice)
        else:
            return _standing(record)
        return _standing(
            await follow_run(events, lambda event: ambient.run(runtime.stream_writer, _progress_line(event)))
        )

    async def choose(self, state: ChatState) -> ChatUpdate:
        """Wait for a person's choice. It costs nothing meanwhile."""
        question = state["question"]
        assert question is not None, "a chat waits only where a run does"
        return _answered(question, interrupt(Question(question).interrupt(state.get("problem") or "")))

    async def reply(self, state: ChatState) -> ChatUpdate:
        """Write the message about the run's end."""
        record = await self._runs.record(state["run_id"])
        if record is None:
            raise UsageError(f"run {state['run_id']} was removed before it was replied to: send the message again")
        return {"messages": [replies.reply(record)]}

    @property
    def _runs(self) -> ChatRuns:
        assert self.runs is not None, "a graph to look at runs nothing"
        return self.runs


def _answered(question: Mapping[str, Any], answer: object) -> ChatUpdate:
    try:
        choice = Question(question).choice(answer)
    except UsageError as error:
        return {"selection": None, "problem": str(error), "messages": [replies.problem(str(error))]}
    return {"selection": choice.model_dump(), "problem": ""}


def _standing(record: RunRecord) -> ChatUpdate:
    if record.question is None:
        return {**BLANK}  # type: ignore[typeddict-item]
    asked = replies.question(record, Question(record.question))
    return {"question": record.question, "selection": None, "problem": "", "messages": [asked]}


def _progress_line(event: RunEvent) -> Any:
    words = progress_words(event) or step_words(event)
    standing = labels.standing(event.record.status, event.record.outcome).name if event.record else ""
    text = f"{labels.node(event.node)}: {words or 'done'}" if event.node else standing or event.kind
    image = drawn_by(event.update) or (event.record.image if event.record else None)
    return progress_event(event.kind, event.run_id, event.node, text, progress=event.progress, image=image)


def after_receive(state: ChatState) -> Literal["draw", "choose"]:
    """Ask again where a message was no answer to the open question."""
    return "choose" if state.get("problem") else "draw"


def after_draw(state: ChatState) -> Literal["choose", "reply"]:
    """Wait for a choice where the run does."""
    return "choose" if state.get("question") else "reply"


class _ReadingChat(CompiledStateGraph[ChatState, RunContext, ChatInput, ChatState]):
    """A chat of which every input is read before LangGraph writes it into a checkpoint."""

    builder: "ChatGraph"

    async def astream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> AsyncIterator[Any]:
        async for chunk in super().astream(await self.builder.read(input), config, **options):
            yield chunk

    async def aupdate_state(self, config: RunnableConfig, values: Any, *place: Any, **options: Any) -> RunnableConfig:
        return await super().aupdate_state(config, await self.builder.read(values, others=True), *place, **options)


class ChatGraph(StateGraph[ChatState, RunContext, ChatInput, ChatState]):
    """The uncompiled graph of a chat."""

    def __init__(self, reader: MessageReader | None) -> None:
        super().__init__(ChatState, ChatContext, input_schema=ChatInput, output_schema=ChatState)
        self._reader = reader

    async def read(self, graph_input: Any, *, others: bool = False) -> Any:
        """An input as it is written; a command and None, which resume, are as they came.

        Args:
            others: it is an update of the state, which may hold anything beside messages of a person.
        """
        if not isinstance(graph_input, Mapping) or self._reader is None or (others and "messages" not in graph_input):
            return graph_input
        messages = await self._reader.read(graph_input.get("messages") or [], others=others)
        return {**graph_input, "messages": messages} if others else {"messages": messages}

    def compile(self, *args: Any, **options: Any) -> CompiledStateGraph[ChatState, RunContext, ChatInput, ChatState]:
        """As any graph is compiled."""
        compiled = super().compile(*args, **options)
        return _ReadingChat(**{name: value for name, value in vars(compiled).items() if name != "__orig_class__"})


def build_chat(runs: ChatRuns | None, reader: MessageReader | None) -> ChatGraph:
    """The uncompiled graph.

    Args:
        runs: makes the runs; None for a look at the graph's shape.
        reader: reads messages as they come in.
    """
    nodes, graph = ChatNodes(runs=runs), ChatGraph(reader)
    graph.add_node("receive", nodes.receive)
    graph.add_node("draw", nodes.draw)
    graph.add_node("choose", nodes.choose)
    graph.add_node("reply", nodes.reply)
    graph.add_edge(START, "receive")
    graph.add_conditional_edges("receive", after_receive, ["draw", "choose"])
    graph.add_conditional_edges("draw", after_draw, ["choose", "reply"])
    graph.add_conditional_edges("choose", after_receive, ["draw", "choose"])
    graph.add_edge("reply", END)
    return graph
