"""Runs the checks of a suite section by section; each case is kept as it is checked, and never checked twice."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import BudgetExceededError
from imagerag.evals.check_record import Check, CheckSummary
from imagerag.evals.harness.runner import EvalRunner
from imagerag.evals.suites.case import Checks
from imagerag.store.images.blob_store import write_atomically

CHECKS: Final = "checks.jsonl"
TIMINGS: Final = "checks-timings.jsonl"


async def run_checks(folder: Path, checks: Checks, harness: EvalRunner) -> CheckSummary | None:
    """Check what is not checked yet; the figures, or None when the budget was spent before the end."""
    from imagerag.evals.sketch.context import CheckContext
    from imagerag.evals.sketch.sections import SECTIONS, TARGETS

    found = _read(folder / CHECKS, retry_failed=harness.retry_failed)
    for check in found.values():
        harness.book_check(check)
    context = CheckContext(
        harness.dependencies, checks, harness.plan.setup, found, harness.spent, _every_tenth(harness.tell)
    )
    async with harness.dependencies.working():
        for section in checks.sections:
            began = time.monotonic()
            try:
                async for check in SECTIONS[section](context):
                    _append(folder / CHECKS, check.model_dump(mode="json"))
                    found[check.id] = check
                    harness.book_check(check)
            except BudgetExceededError:  # the report says why
                return None
            _append(folder / TIMINGS, {"section": section, "elapsed_s": round(time.monotonic() - began, 3)})
    ordered = sorted(found.values(), key=lambda check: (checks.sections.index(check.id.partition("/")[0]), check.id))
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


def _every_tenth(tell: Any) -> Any:
    def progress(done: int, total: int, section: str) -> None:
        if done % max(1, total // 10) == 0 or done == total:
            tell(done, total, section)

    return progress


def _read(file: Path, *, retry_failed: bool) -> dict[str, Check]:
    """The checks that were kept, by id; a line that was being written when the process died is cut off."""
    if not file.exists():
        return {}
    whole, _, _ = file.read_bytes().rpartition(b"\n")
    read = [Check.model_validate_json(line) for line in whole.splitlines()]
    kept = {check.id: check for check in read if not (retry_failed and check.error)}
    write_atomically(file, b"".join(_line(check.model_dump(mode="json")) for check in kept.values()))
    return kept


def _append(file: Path, content: Mapping[str, Any]) -> None:
    with file.open("ab") as opened:
        opened.write(_line(content))


def _line(content: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(content, ensure_ascii=False)}\n".encode()
