"""The command that resumes a run: nothing for a stopped one, a person's selection for a waiting one."""

from collections.abc import Sequence
from typing import Any

from langgraph.types import Command

from imagerag.agent.errors import RunStateError, UsageError
from imagerag.agent.retrieval.human_selection import validate_selection
from imagerag.formatting.interface_terms import python_call
from imagerag.graphs.runs.image_names import check_names
from imagerag.graphs.runs.run_snapshot import RunSnapshot


def resume_value(
    standing: RunSnapshot, choose: Sequence[str | int] | None, edit: str | int | None = None
) -> Command[Any] | None:
    """Input that resumes a run: nothing when it was killed, the choice when it waits for one."""
    if result := standing.values.get("result"):
        raise RunStateError(
            f"run {standing.run_id} has ended ({result.outcome}): {python_call('runs.get', standing.run_id)}"
        )
    if standing.question is None:
        if choose is not None or edit is not None:
            raise RunStateError(f"run {standing.run_id} does not wait for a choice")
        return None
    if choose is None and edit is None:
        raise RunStateError(
            f"run {standing.run_id} waits for a choice: "
            f"{python_call('runs.resume', standing.run_id, choose=[1, 2])} (or `choose=[]`)"
        )
    check_names(choose, "choose")
    offered = {str(candidate["number"]): candidate["id"] for candidate in standing.question["candidates"]}
    offered |= {sha: sha for sha in offered.values()}
    selection = [offered.get(str(choice), str(choice)) for choice in choose or ()]
    edited = None if edit is None else offered.get(str(edit), str(edit))
    if problem := validate_selection(standing.question, selection, edited):
        raise UsageError(problem)
    return Command(resume={standing.interrupt_id: {"chosen": selection, **({"edit": edited} if edited else {})}})
