"""Runs and errors as tool results."""

import logging

from imagerag.agent.run_record import RunRecord, Status
from imagerag.agent.types import ImageRef, Outcome
from imagerag.assistants.error_text import format_error
from imagerag.assistants.run_text import format_run
from imagerag.assistants.tool_inputs import ContinueRun
from imagerag.assistants.tool_outputs import ErrorReport
from imagerag.assistants.tool_reports import run_report
from imagerag.assistants.tool_result import ToolResult
from imagerag.formatting.quoting import line

_log = logging.getLogger(__name__)


def run_result(record: RunRecord) -> ToolResult:
    """The result of a tool that made or read a run."""
    image = record.image and ImageRef(**record.image.model_dump(exclude={"path"}))
    return ToolResult(
        text=format_run(record),
        data=run_report(record).model_dump(mode="json"),
        images=(image,) if image else (),
        is_error=record.outcome is Outcome.FAILED,
        document=record.as_json(),
    )


def error_result(error: Exception) -> ToolResult:
    """The result of a tool that failed: one line, and what to do instead."""
    if type(error).__module__.split(".")[0] != "imagerag":
        _log.error("a tool met an unexpected error", exc_info=error)
    report = ErrorReport(error=type(error).__name__, message=line(str(error), 600))
    return ToolResult(text=format_error(error), data=report.model_dump(mode="json"), is_error=True)


def wrong_state(status: Status, request: ContinueRun) -> str:
    """Reason why a run of this status cannot do what the request asks; empty when it can."""
    answers = request.choose is not None or request.edit is not None
    if status == "interrupted" and not answers:
        return "waits for a choice: answer it with continue_run(run_id, choose=[numbers]) first"
    if status == "running" and (request.steers or answers):
        return "was stopped before its end: resume it with continue_run(run_id) alone first"
    if status == "ended" and answers:
        return "has ended and waits for no choice: give feedback, exclude_images, keep_images, add_images or prompt"
    return ""
