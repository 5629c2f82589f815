"""The tools for LangChain: `imagerag.as_tools`."""

import base64
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, cast

from langchain_core.runnables.config import merge_configs, var_child_runnable_config
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import ValidationError

from imagerag.agent.errors import ImageRAGError
from imagerag.assistants.adding import Consent
from imagerag.assistants.argument_errors import refusal
from imagerag.assistants.json_schemas import published
from imagerag.assistants.run_text import format_step
from imagerag.assistants.service import ChatService, RunLimits, ToolResult
from imagerag.assistants.tool_inputs import DESCRIPTIONS, TOOLS, Request, ViewImage
from imagerag.client.synchronous import run_sync
from imagerag.files.access_policy import InputPolicy

if TYPE_CHECKING:
    from imagerag.assistants.image_blocks import Thumbnail
    from imagerag.client.client import ImageRAG
    from imagerag.graphs.runs.events import RunEvent

Content = str | list[str | dict[str, Any]]
Write = Callable[[Any], None]

FOLLOWED = ("generate_image", "continue_run")
"""The tools that run a workflow, and tell its steps."""


class ToolArtifact(TypedDict):
    """The artifact of a tool message, for programs; a model never sees it.

    Attributes:
        data: what the answer says, small (`imagerag.assistants.tool_outputs`).
        document: all there is: `imagerag.run/1` of a run; None where there is none.
        images: `image://SHA256` → bytes of the answer's image; empty without `pixels`.
    """

    data: dict[str, Any]
    document: dict[str, Any] | None
    images: dict[str, bytes]


def as_tools(
    rag: "ImageRAG | None" = None,
    *,
    thumbnails: bool = False,
    pixels: bool = True,
    inputs: InputPolicy | None = None,
    ceilings: RunLimits | None = None,
    consent: Consent | None = None,
) -> list[BaseTool]:
    """imagerag as tools for a LangChain agent or a `ToolNode`, async and sync.

    `generate_image`, `list_libraries`, `search_references`, `add_image`, `continue_run`, `ask_library`, `view_image`.
    What the model reads is at most 2,000 characters of text. Wrong arguments and errors come back as one line, in a
    message of status "error". Inside a graph every step of a run is told as a custom event (`stream_mode="custom"`):
    `{"type": "imagerag.progress", …}`.

    Args:
        rag: where runs, libraries and backends are; by default one made from the environment.
        thumbnails: also put a small copy of the image into the answers of generate_image and continue_run. Leave it
            off, and leave out view_image, for a model whose service takes no images in tool messages (Chat
            Completions).
        pixels: put the image's bytes into the artifact. Turn it off where messages are checkpointed: the artifact
            then names images by path and SHA-256 alone.
        inputs: which files and addresses the model may hand in. Default: files below the current folder, no addresses.
        ceilings: what each run may come to at most, whatever the model asks for.
        consent: asks the person whether an image may be added to a library, a question that yes or no answers; without
            it `add_image` adds nothing, and says which command the person can type.
    """
    from imagerag.client.client import ImageRAG

    service = ChatService(rag or ImageRAG(), inputs=inputs, ceilings=ceilings)
    return [_Tool(service, name, thumbnails=thumbnails, pixels=pixels, consent=consent).as_tool() for name in TOOLS]


class _Tool:
    """One tool of a service."""

    def __init__(
        self, service: ChatService, name: str, *, thumbnails: bool, pixels: bool, consent: Consent | None
    ) -> None:
        self._service, self._name, self._consent = service, name, consent
        self._thumbnails, self._pixels = thumbnails and name in FOLLOWED, pixels and name != "search_references"

    def as_tool(self) -> BaseTool:
        return StructuredTool.from_function(
            func=self._sync,
            coroutine=self._async,
            name=self._name,
            description=DESCRIPTIONS[self._name],
            args_schema=published(TOOLS[self._name]),
            infer_schema=False,
            response_format="content_and_artifact",
            handle_tool_error=True,
            handle_validation_error=_refused,
            tags=["imagerag"],
        )

    def _sync(self, **arguments: Any) -> tuple[Content, ToolArtifact]:
        return run_sync(self._answer(arguments, _stream_writer()))

    async def _async(self, **arguments: Any) -> tuple[Content, ToolArtifact]:
        return await self._answer(arguments, _stream_writer())

    async def _answer(self, arguments: dict[str, Any], write: Write | None) -> tuple[Content, ToolArtifact]:
        _hide_tokens()
        request = TOOLS[self._name].model_validate(arguments)
        call: Callable[..., Awaitable[ToolResult]] = getattr(self._service, self._name)
        options: dict[str, Any] = {"consent": self._consent} if self._name == "add_image" else {}
        if write and self._name in FOLLOWED:
            options["on_event"] = partial(_write_progress, write, self._name)
        answer = await call(request, **options)
        if answer.is_error and answer.document is None:
            raise ToolException(answer.text)
        return await self._content(request, answer), await self._artifact(answer)

    async def _content(self, request: Request, answer: ToolResult) -> Content:
        side = request.max_side if isinstance(request, ViewImage) else 512
        if not answer.images or not (self._thumbnails or isinstance(request, ViewImage)):
            return answer.text
        try:
            small = await self._service.thumbnail(answer.images[0].sha256, side, getattr(request, "library", None))
        except ImageRAGError:  # it was removed meanwhile; what was said of it stands
            return answer.text
        # Plain blocks: langchain's constructors add a random id, which reaches the model's service and defeats caches.
        return [{"type": "text", "text": answer.text}, _image_block(small)]

    async def _artifact(self, answer: ToolResult) -> ToolArtifact:
        images: dict[str, bytes] = {}
        for image in answer.images if self._pixels else ():
            try:
                images[f"image://{image.sha256}"] = await self._service.image_bytes(image.sha256)
            except ImageRAGError:
                continue
        return ToolArtifact(data=answer.data, document=answer.document, images=images)


def _image_block(small: "Thumbnail") -> dict[str, Any]:
    return {"type": "image", "base64": base64.b64encode(small.data).decode(), "mime_type": small.media_type}


def _refused(error: Any) -> str:
    return f"not done: {refusal(cast(ValidationError, error))}."


def _hide_tokens() -> None:
    """Keep what the judge says word by word out of the agent's own stream of messages; tracing still sees it.

    This is the context of this one call, so that nothing has to be put back.
    """
    if ambient := var_child_runnable_config.get():
        var_child_runnable_config.set(merge_configs(ambient, {"tags": ["nostream"]}))


def _stream_writer() -> Write | None:
    """Writer of custom events, inside a graph."""
    from langgraph.config import get_stream_writer

    try:
        return get_stream_writer()
    except (RuntimeError, KeyError):  # outside of a graph: no context, or one of a plain call
        return None


async def _write_progress(write: Write, tool: str, event: "RunEvent") -> None:
    text = format_step(event)
    if text:
        write({"type": "imagerag.progress", "tool": tool, "run_id": event.run_id, "node": event.node, "text": text})
