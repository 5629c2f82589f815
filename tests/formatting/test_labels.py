"""Every value has one label, and every door takes it from the one table."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from imagerag.agent.next_steps import _WAYS
from imagerag.agent.no_reference_reason import FURTHEST
from imagerag.agent.qa.types import AnswerOutcome, MatchReason, SearchBy
from imagerag.agent.run_record import Status as RunStatus
from imagerag.agent.types import (
    Attempt,
    Cause,
    Decision,
    OmittedByFilter,
    Outcome,
    Query,
    Requirement,
    UsedReference,
)
from imagerag.assistants.tool_inputs import AskLibrary, ContinueRun, GenerateImage, SearchReferences
from imagerag.batch.results import Status as LineStatus
from imagerag.diagnostics.doctor import BackendState
from imagerag.evals.result_record import STATUSES as CASE_STATUSES
from imagerag.formatting import assistant_steps, labels
from imagerag.formatting.assistant_steps import AFTER_ANSWER, AFTER_CAUSE, AFTER_RUN
from imagerag.graphs.runs.history import StepStatus
from imagerag.mcp.job_schemas import JobReport

ROOT = Path(__file__).parents[2]


def field(model: type, name: str) -> set[str]:
    return set(get_args(model.model_fields[name].annotation))


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (labels.OUTCOMES, set(Outcome)),
        (labels.ANSWERS, set(AnswerOutcome)),
        (labels.DECISIONS, {*get_args(Decision), ""}),
        (labels.STATUSES, set(get_args(RunStatus))),
        (labels.SEARCHES, field(Query, "by")),
        (labels.CHOICES, field(UsedReference, "selected_by")),
        (labels.ORIGINS, field(Attempt, "origin")),
        (labels.FOUND_BY, set(get_args(MatchReason))),
        (labels.CASES, set(CASE_STATUSES)),
        (labels.PRICES, field(BackendState, "price")),
        (labels.JOBS, field(JobReport, "status")),
        (labels.STEP_STATUSES, set(get_args(StepStatus))),
        (labels.BATCH_LINES, set(get_args(LineStatus))),
        (labels.SEARCHED_BY, set(get_args(SearchBy))),
        (labels.FILTERS, field(OmittedByFilter, "by")),
        (labels.INTENTS, field(UsedReference, "role")),
        (labels.KINDS, field(Requirement, "kind")),
        (AFTER_CAUSE, set(get_args(Cause))),
        (AFTER_RUN, set(Outcome)),
        (AFTER_ANSWER, set(AnswerOutcome)),
        (_WAYS, set(get_args(Cause))),
    ],
)
def test_a_table_has_every_value_and_no_other(table: object, values: set[str]) -> None:
    assert set(table) == values  # type: ignore[call-overload]


def test_every_node_of_the_workflow_has_a_label() -> None:
    from imagerag.agent.nodes import Nodes
    from imagerag.graphs.generation import build_workflow

    assert set(build_workflow(Nodes.for_diagram()).nodes) <= set(labels.NODES)


def test_no_two_values_of_a_table_share_a_name() -> None:
    for table in (labels.OUTCOMES, labels.STATUSES, labels.ANSWERS, labels.DECISIONS):
        names = [label.name for label in table.values()]
        assert len(set(names)) == len(names)
    assert len(set(labels.NODES.values())) == len(labels.NODES)


def test_every_decision_has_its_place() -> None:
    assert set(FURTHEST) == set(get_args(Decision))


def test_what_the_table_does_not_have_is_called_by_its_own_name() -> None:
    assert labels.label(labels.OUTCOMES, "of_a_later_version").name == "of a later version"
    assert labels.node("my_node") == "my_node"
    assert labels.standing("running", None).name == "not finished"


TABLES = {
    name: set(table)
    for name, table in {**vars(labels), **vars(assistant_steps)}.items()
    if name.isupper() and isinstance(table, dict)
}


def tables_of(path: Path) -> list[str]:
    """Dictionaries in a module that give the values of an enum words of their own."""
    text, found = path.read_text(encoding="utf-8"), []
    keys = {key.lower() for key in re.findall(r"(\w+)['\"]?\s*:", text)}
    if not any(len(keys & values) > 2 for values in TABLES.values()):
        return []  # as in most files, which need not be parsed
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Dict):
            named = {ast.unparse(key).rpartition(".")[2].strip("'").lower() for key in node.keys if key is not None}
            told = [value for value in node.values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
            if len(named) > 2 and len(told) > 2 and any(named <= values for values in TABLES.values()):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


STYLES = {"imagerag/reports/html/trace.py"}
"""Names of CSS classes are nothing that is said."""
CAUSE_OF = "imagerag/agent/no_reference_reason.py"
"""From one enum to another."""
NEXT_NODES = "imagerag/agent/routing.py"
"""From one node to the next."""


def test_no_door_has_a_table_of_its_own() -> None:
    own = {"imagerag/formatting/labels.py", "imagerag/formatting/assistant_steps.py", CAUSE_OF, NEXT_NODES, *STYLES}
    modules = [path for path in (ROOT / "imagerag").rglob("*.py") if str(path.relative_to(ROOT)) not in own]
    assert [line for path in modules for line in tables_of(path)] == []


def test_the_check_sees_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "door.py"
    for line in (
        "NEXT = {Outcome.ALIGNED: 'a', Outcome.REFUSED: 'b', Outcome.FAILED: 'c'}",
        "WORDS = {'taken': 'sent', 'offered': 'offered', 'reserve': 'left'}",
    ):
        path.write_text(line)
        assert tables_of(path), line


def test_what_two_enums_share_has_one_word() -> None:
    same = {
        "budget spent": (labels.OUTCOMES["budget_exhausted"], labels.ANSWERS["budget_exhausted"]),
        "refused": (labels.OUTCOMES["refused"], labels.ANSWERS["refused"]),
        "failed": (labels.OUTCOMES["failed"], labels.ANSWERS["failed"], labels.BATCH_LINES["failed"]),
        "cancelled": (labels.OUTCOMES["cancelled"], labels.ANSWERS["cancelled"]),
        "waits for a choice": (labels.STATUSES["interrupted"], labels.STEP_STATUSES["waiting"]),
        "not finished": (labels.STATUSES["running"], labels.STEP_STATUSES["pending"], labels.JOBS["running"]),
    }
    for word, rows in same.items():
        assert {row.name for row in rows} == {word}
        assert len({row.exit_code for row in rows if row.exit_code}) <= 1
    for case, outcome in (("budget", "budget_exhausted"), ("no_reference", "no_usable_reference")):
        assert labels.CASES[case] == labels.OUTCOMES[outcome].name
    assert labels.CASES["refused"] == labels.OUTCOMES["refused"].name
    assert labels.CASES["technical"] == labels.OUTCOMES["failed"].name


def test_the_terminal_leaves_with_the_tables_codes() -> None:
    assert {name: label.exit_code for name, label in labels.OUTCOMES.items()} == {
        "aligned": 0,
        "best_effort": 3,
        "no_usable_reference": 3,
        "refused": 4,
        "budget_exhausted": 5,
        "judge_unavailable": 1,
        "failed": 1,
        "cancelled": 130,
    }
    assert {name: label.exit_code for name, label in labels.ANSWERS.items()} == {
        "answered": 0,
        "not_held": 3,
        "refused": 4,
        "budget_exhausted": 5,
        "unreadable": 1,
        "unavailable": 1,
        "failed": 1,
        "cancelled": 130,
    }


def test_every_ending_says_what_an_assistant_does_next() -> None:
    for table in (AFTER_RUN, AFTER_ANSWER):
        assert [name for name, step in table.items() if not step.endswith((".", ")"))] == []
    assert all(AFTER_CAUSE.values())


def test_next_steps_name_arguments_that_the_tools_take() -> None:
    taken = {name for tool in (AskLibrary, ContinueRun, GenerateImage, SearchReferences) for name in tool.model_fields}
    for step in (*AFTER_RUN.values(), *AFTER_CAUSE.values(), *AFTER_ANSWER.values()):
        assert set(re.findall(r"\b([a-z_]+)=", step)) <= taken
