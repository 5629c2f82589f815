"""Looking runs and images up for the app, also while the call that began a run has no answer yet."""

from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import UnknownRunError
from imagerag.agent.threads import in_thread
from imagerag.assistants.image_blocks import SMALLEST, thumbnail
from imagerag.assistants.tool_inputs import MAX_SIDE
from imagerag.assistants.tool_result import ToolResult
from imagerag.mcp.app.run_view import RunView, ViewRun, run_view

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

    from imagerag.assistants.service import ChatService
    from imagerag.mcp.jobs import Job, Jobs


async def view_run(
    service: "ChatService", jobs: "Jobs", request: ViewRun, session: str | None, ctx: "Context[Any, Any]"
) -> ToolResult:
    """The view of a run, by its id, or by the request of this session that began it.

    Raises:
        UnknownRunError: there is no such run, or the request began none.
    """
    if request.run_id is not None:
        job = jobs.get(request.run_id)
    elif session is None and ctx.headers is not None:  # several clients, and nothing that tells them apart
        job = None
    else:
        job = jobs.begun_by(request.request_id or "", session)
    run_id = job.run_id if job else request.run_id
    if run_id is None:
        raise UnknownRunError("no run of this session was begun by that request")
    view = await _view(service, run_id, job)
    return ToolResult(text=f"run_id: {view.run_id}", data=view.model_dump(mode="json"))


async def _view(service: "ChatService", run_id: str, job: "Job | None") -> RunView:
    live = job is not None and job.state != "ended"
    partial = job.partial if job and live else ""
    try:
        record = await service.rag.runs.get(run_id)
    except UnknownRunError:
        if job is None:
            raise
        if job.answer is None:  # before its first step
            return RunView(run_id=run_id, status="running", outcome=None, live=live, reason=job.progress_text,
                           partial=partial)  # fmt: skip
        return RunView(**job.answer.data)
    return run_view(record, live=live, node=job.node if job else "", partial=partial)


async def small_copy(data: bytes, side: int) -> bytes:
    """An image with at most so many pixels on its longer side."""
    return (await in_thread(thumbnail, data, min(max(side, SMALLEST), MAX_SIDE))).data
