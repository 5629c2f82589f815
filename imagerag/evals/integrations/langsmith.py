"""A target for LangSmith's `aevaluate`."""

from collections.abc import Callable, Coroutine
from typing import Any

from imagerag.evals.integrations.cases import run_case
from imagerag.evals.suites.case import Case


def langsmith_target(**options: Any) -> Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]:
    """Make a target for LangSmith's `aevaluate`: it maps inputs with a `prompt` (and optionally an `id`) to outputs.

    Args:
        options: options of `run_case`.
    """

    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        case = Case(id=str(inputs.get("id") or "case"), prompt=str(inputs["prompt"]))
        result = await run_case(case, **options)
        fields = result.model_dump(
            mode="json", include={"status", "outcome", "reason", "unresolved", "image", "scores"}
        )
        return {**fields, "aligned": result.outcome == "aligned", "run_id": result.run_id}

    return target
