"""Custom events of a server's runs (`stream_mode="custom"`): steps, progress and partial images, by hash and address.

LangGraph sends what a node writes as it is. A generator tells `{"node", "progress"}`, which names an image by its hash;
a client of a server needs its address, and hears of the steps in the same stream.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Literal, TypedDict, cast

from langgraph.runtime import Runtime

from imagerag.agent.nodes import Nodes
from imagerag.agent.types import Attempt, ImageRef, Progress
from imagerag.formatting import labels
from imagerag.graphs.configuration.public_url import image_url
from imagerag.graphs.generation import NODES

Kind = Literal["started", "progress", "step", "waiting", "ended"]


class EventImage(TypedDict):
    """An image of an event; `partial` while it is being drawn."""

    sha256: str
    media_type: str
    width: int
    height: int
    url: str
    partial: bool


class ProgressEvent(TypedDict):
    """An event of a run.

    Attributes:
        kind: as of `imagerag.event/1`: the run started, a node is at work ("progress") or has finished ("step"), the
            run waits for a choice, or it ended.
        node: which node; empty for the run as a whole.
        text: what to show, on one line.
        step: number of the generator's step, from 1, and `of` how many; 0 when it is not known.
    """

    type: Literal["imagerag.progress"]
    kind: Kind
    run_id: str
    node: str
    text: str
    step: int
    of: int
    image: EventImage | None


def progress_event(
    kind: Kind,
    run_id: str,
    node: str = "",
    text: str = "",
    *,
    progress: Progress | None = None,
    image: ImageRef | None = None,
) -> ProgressEvent:
    """An event, JSON-able and without pixels.

    Args:
        text: what to show; by default the node and how far it is.
        image: what a step has drawn; by default the partial image of `progress`.
    """
    progress = progress or Progress(step=0)
    shown = image or progress.image
    return ProgressEvent(
        type="imagerag.progress",
        kind=kind,
        run_id=run_id,
        node=node,
        text=text or f"{labels.node(node)}: step {progress.step}" + (f" of {progress.of}" if progress.of else ""),
        step=progress.step,
        of=progress.of,
        image=None if shown is None else _image(shown, partial=image is None),
    )


def _image(image: ImageRef, *, partial: bool) -> EventImage:
    return EventImage(
        sha256=image.sha256,
        media_type=image.media_type,
        width=image.width,
        height=image.height,
        url=image_url(image.sha256),
        partial=partial,
    )


def drawn_by(update: object) -> ImageRef | None:
    """The image that a step has drawn, by its update of the state; a step that judges one draws none."""
    attempts = cast("list[Attempt]", update.get("attempts") or []) if isinstance(update, Mapping) else []
    return attempts[-1].image if attempts and attempts[-1].verdict is None else None


class ReportingNodes:
    """The nodes of a graph, each of which writes its events into the custom stream.

    Args:
        nodes: the nodes.
        run_id: the run that the events name.
    """

    def __init__(self, nodes: Nodes, run_id: str) -> None:
        self._nodes, self._run_id = nodes, run_id

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._nodes, name)
        return self._reporting(name, found) if name in NODES else found

    def _reporting(self, name: str, node: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(node)
        async def reporting(state: Any, runtime: Runtime[Any]) -> Any:
            write = runtime.stream_writer

            def tell(data: Any) -> None:
                known = isinstance(data, Mapping) and "progress" in data  # a user's own node may write anything
                write(self._progress(name, data["progress"]) if known else data)

            update = await node(state, runtime.override(stream_writer=tell))
            write(progress_event("step", self._run_id, name, labels.node_done(name), image=drawn_by(update)))
            return update

        return reporting

    def _progress(self, node: str, progress: Any) -> ProgressEvent:
        return progress_event("progress", self._run_id, node, progress=Progress.model_validate(progress))
