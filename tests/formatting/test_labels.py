"""Every value has one label, and every door takes it from the one table."""

import ast
from pathlib import Path
from typing import get_args

import pytest

from imagerag.agent.next_steps import _WAYS
from imagerag.agent.no_reference_reason import FURTHEST
from imagerag.agent.qa.types import AnswerOutcome, MatchReason
from imagerag.agent.types import Attempt, Cause, Decision, Outcome, Query, SamplingParams, UsedReference
from imagerag.assistants.run_text import NEXT, WAYS
from imagerag.evals.result_record import STATUSES as CASE_STATUSES
from imagerag.formatting import labels

ROOT = Path(__file__).parents[2]


def field(model: type, name: str) -> set[str]:
    return set(get_args(model.model_fields[name].annotation))


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (labels.OUTCOMES, set(Outcome)),
        (labels.ANSWERS, set(AnswerOutcome)),
        (labels.DECISIONS, {*get_args(Decision), ""}),
        (labels.STATUSES, {"running", "interrupted", "ended"}),
        (labels.SEARCHES, field(Query, "by")),
        (labels.CHOICES, field(UsedReference, "choice")),
        (labels.LEVERS, field(SamplingParams, "lever")),
        (labels.ORIGINS, field(Attempt, "origin")),
        (labels.FOUND_BY, set(get_args(MatchReason))),
        (labels.CASES, set(CASE_STATUSES)),
        (labels.PRICES, {"free", "known", "unknown"}),
        (NEXT, set(Outcome)),
        (WAYS, set(get_args(Cause))),
        (_WAYS, set(get_args(Cause))),
    ],
)
def test_a_table_has_every_value_and_no_other(table: object, values: set[str]) -> None:
    assert set(table) == values  # type: ignore[call-overload]


def test_every_node_of_the_workflow_has_a_label() -> None:
    from imagerag.agent.nodes import Nodes
    from imagerag.graphs.generation import build_workflow

    assert set(build_workflow(Nodes.unbound()).nodes) <= set(labels.NODES)


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


def tables_of(path: Path) -> list[str]:
    """Dictionaries in a module that give decisions or nodes words of their own."""
    keys = {frozenset(labels.DECISIONS) - {""}, frozenset(labels.NODES)}
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            named = {key.value for key in node.keys if isinstance(key, ast.Constant)}
            told = [value for value in node.values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
            if len(told) > 3 and any(len(named & one) > 4 for one in keys):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_no_door_has_a_table_of_its_own() -> None:
    modules = [*(ROOT / "imagerag").rglob("*.py")]
    own = {str(ROOT / "imagerag/formatting/labels.py"), str(ROOT / "imagerag/agent/no_reference_reason.py")}
    assert [line for path in modules if str(path) not in own for line in tables_of(path)] == []
