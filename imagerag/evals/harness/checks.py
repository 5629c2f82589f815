"""Run the checks of a suite, section by section. Each check is stored at once and never made twice."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import BudgetExceededError
from imagerag.evals.check_record import Check, CheckSummary
from imagerag.evals.harness.runner import EvalRunner
from imagerag.evals.suites.case import Checks
from imagerag.store.images.blob_store import write_atomically

if TYPE_CHECKING:
    from imagerag.evals.sketch.context import CheckContext, Progress

CHECKS: Final = "checks.jsonl"
TIMINGS: Final = "checks-timings.jsonl"


async def run_checks(folder: Path, checks: Checks, runner: EvalRunner) -> CheckSummary | None:
    """Run the checks that are not stored yet; returns the figures, or None when the budget is spent before the end."""
    from imagerag.evals.sketch.context import CheckContext
    from imagerag.evals.sketch.sections import TARGETS

    by_id = _read(folder / CHECKS, retry_failed=runner.retry_failed)
    for check in by_id.values():
        runner.add_check(check)
    context = CheckContext(
        runner.dependencies, checks, runner.plan.setup, by_id, runner.spent, every_tenth(runner.progress)
    )
    async with runner.dependencies.working():
        try:
            for section in checks.sections:
                await _run_section(folder, section, context, runner, by_id)
        except BudgetExceededError:  # the report holds the reason
            return None
    ordered = sorted(by_id.values(), key=lambda check: (checks.sections.index(check.id.partition("/")[0]), check.id))
    write_atomically(folder / CHECKS, b"".join(_line(check.model_dump(mode="json")) for check in ordered))
    setup = context.setup
    settings = {
        **checks.model_dump(mode="json"),
        "generator": setup.generator,
        "judge": setup.judge,
        "embedder": str(context.embedder.identity),
        "config": setup.config.model_dump(mode="json"),
    }
    return CheckSummary.of(ordered, TARGETS, settings)


async def _run_section(
    folder: Path, section: str, context: "CheckContext", runner: EvalRunner, by_id: dict[str, Check]
) -> None:
    """Run the rest of a section and store each check at once, with its share of the time."""
    from imagerag.evals.sketch.sections import SECTIONS

    began, before = time.monotonic(), len(by_id)
    try:
        async for check in SECTIONS[section](context):
            _append(folder / CHECKS, check.model_dump(mode="json"))
            by_id[check.id] = check
            runner.add_check(check)
    finally:
        if checked := len(by_id) - before:
            elapsed = round(time.monotonic() - began, 3)
            _append(folder / TIMINGS, {"section": section, "checks": checked, "elapsed_s": elapsed})


def every_tenth(progress: "Progress") -> "Progress":
    """Pass on the first step of every tenth of a section, and its last: steps can come in batches of any size."""
    reported = ("", 0)

    def report(count: int, total: int, section: str) -> None:
        nonlocal reported
        current = section, 10 * count // max(1, total)
        if count == 0 or current != reported:
            progress(count, total, section)
        reported = current

    return report


def _read(file: Path, *, retry_failed: bool) -> dict[str, Check]:
    """Read the stored checks, by id; cut off a line that was being written when the process died."""
    if not file.exists():
        return {}
    whole, _, _ = file.read_bytes().rpartition(b"\n")
    checks = [Check.model_validate_json(line) for line in whole.splitlines()]
    by_id = {check.id: check for check in checks if not (retry_failed and check.error)}
    write_atomically(file, b"".join(_line(check.model_dump(mode="json")) for check in by_id.values()))
    return by_id


def _append(file: Path, content: Mapping[str, Any]) -> None:
    with file.open("ab") as opened:
        opened.write(_line(content))


def _line(content: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(content, ensure_ascii=False)}\n".encode()
