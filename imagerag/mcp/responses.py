"""Answers in MCP's terms: short text, structured data, links to images, and one small copy when it was asked for."""

import base64
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import ImageRAGError
from imagerag.assistants.tool_outputs import RunReport
from imagerag.assistants.tool_result import ToolResult
from imagerag.formatting import labels
from imagerag.formatting.quoting import line
from imagerag.mcp.job_schemas import JobReport
from imagerag.mcp.jobs import Job

if TYPE_CHECKING:
    from mcp_types import CallToolResult

    from imagerag.assistants.service import ChatService

MAX_LINKS: Final = 12
"""As many as a search can find."""

MAX_RESULT: Final = 256_000
"""Bytes of any answer as it goes over the wire: text, data, links and a small image, in whatever script. In ASCII it
is less than half."""


async def reply(
    service: "ChatService",
    answer: ToolResult,
    *,
    thumbnail: bool = False,
    side: int = 512,
    library: str | None = None,
) -> "CallToolResult":
    """Make an MCP result of a tool result.

    Args:
        service: where images are.
        thumbnail: add a small copy of the first image.
        side: its longer side, in pixels.
        library: where that image is, when not among those of runs.
    """
    from mcp_types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

    thumbnail_block: ContentBlock | None = None
    if thumbnail and answer.images:
        try:
            small = await service.thumbnail(answer.images[0].sha256, side, library)
            data = base64.b64encode(small.data).decode()
            thumbnail_block = ImageContent(type="image", data=data, mime_type=small.media_type)
        except ImageRAGError as error:
            thumbnail_block = TextContent(type="text", text=f"The image cannot be shown: {error}"[:500])
    content: list[ContentBlock] = [TextContent(type="text", text=answer.text)]
    for image in answer.images[:MAX_LINKS]:
        # Clients show a link to an image as one, too: the image that is shown already has a bare link.
        twice = isinstance(thumbnail_block, ImageContent) and image is answer.images[0]
        kind = None if twice else line(image.media_type, 100)
        link = f"image://{image.sha256}"
        content.append(ResourceLink(type="resource_link", uri=link, name=image.sha256[:12], mime_type=kind))
    content += [thumbnail_block] if thumbnail_block else []
    structured = None if answer.data.get("kind") == "error" else answer.data
    return CallToolResult(content=content, structured_content=structured, is_error=answer.is_error)


def still_running(job: Job) -> ToolResult:
    """The answer of a run that has not ended."""
    report = RunReport(run_id=job.run_id, status="running", outcome=None, reason=job.progress_text)
    text = (
        f"{labels.JOBS['running'].name}: {job.progress_text}.\nrun_id: {job.run_id}\n"
        "Next: run_result(run_id) waits for it; cancel_run(run_id) stops it."
    )
    return ToolResult(text=text, data=report.model_dump(mode="json"))


def job_answer(of: Job | ToolResult, idle_timeout_s: float) -> ToolResult:
    """The status of a run, from its job or its record."""
    if isinstance(of, Job) and of.answer is None:
        report = JobReport(
            run_id=of.run_id,
            status="running" if of.state != "queued" else "queued",
            step=of.progress_text,
            steps=of.steps,
        )
        time_limit = "" if of.keep else f" within {idle_timeout_s:g} s, or it is cancelled"
        text = (
            f"{labels.JOBS[report.status].name}: {of.progress_text} ({of.steps} steps so far).\nrun_id: {of.run_id}\n"
            f"Next: run_result(run_id){time_limit}; cancel_run(run_id) stops it."
        )
        return ToolResult(text=text, data=report.model_dump(mode="json"))
    answer = of.answer if isinstance(of, Job) else of
    assert answer is not None, "the job has ended"
    if answer.data.get("kind") != "run":
        return answer
    steps = of.steps if isinstance(of, Job) else 0
    report = JobReport(
        run_id=answer.data["run_id"],
        status=answer.data["status"],
        outcome=answer.data["outcome"],
        step=answer.data["reason"],
        steps=steps,
    )
    return ToolResult(text=answer.text, data=report.model_dump(mode="json"), images=answer.images)
