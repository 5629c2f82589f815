"""Checkpoints: our values come back as they were, nothing else is revived."""

import sqlite3
from dataclasses import dataclass
from typing import TypedDict

import pytest
from langgraph.graph import END, START, StateGraph

from imagerag.agent.types import Attempt, ImageRef, Outcome, Requirement, RequirementCheck, Size, UsedReference, Verdict
from imagerag.store.sqlite.checkpoint_types import open_checkpointer, serializer, state_types

IMAGE = ImageRef(sha256="ab" * 32, media_type="image/png", width=3, height=2)
ATTEMPT = Attempt(
    index=0,
    round=0,
    prompt="ein Bär 🐻",
    image=IMAGE,
    references=(UsedReference(image=IMAGE, similarity=0.3),),
    verdict=Verdict(
        aligned=False, score=0.5, checks=(RequirementCheck(requirement=Requirement(text="a bear"), met=False),)
    ),
)


@dataclass(frozen=True)
class Stranger:
    word: str


def test_every_value_is_listed():
    listed = {name for _, name in state_types()}
    assert {"Attempt", "Verdict", "Outcome", "ImageRef", "RunResult", "Candidate"} <= listed
    assert "Stranger" in {name for _, name in state_types([Stranger])}


def test_values_round_trip_exactly_and_strangers_do_not():
    ours, theirs = serializer(), serializer([Stranger])
    for value in (ATTEMPT, Outcome.ALIGNED, [ATTEMPT], {"size": Size(width=64, height=64)}):
        back = ours.loads_typed(ours.dumps_typed(value))
        assert back == value
        assert type(back) is type(value)
    stored = ours.dumps_typed(Stranger("x"))
    assert not isinstance(ours.loads_typed(stored), Stranger)
    assert theirs.loads_typed(stored) == Stranger("x")


class State(TypedDict):
    attempts: list[Attempt]
    outcome: Outcome | None


async def test_a_run_is_there_after_reopening(tmp_path):
    path = tmp_path / "deep" / "runs.sqlite"

    async def draw(state: State) -> State:
        return {"attempts": [*state["attempts"], ATTEMPT], "outcome": Outcome.ALIGNED}

    builder = StateGraph(State).add_node("draw", draw).add_edge(START, "draw").add_edge("draw", END)
    config = {"configurable": {"thread_id": "run"}}
    async with open_checkpointer(path) as saver:
        await builder.compile(checkpointer=saver).ainvoke({"attempts": [], "outcome": None}, config)
    async with open_checkpointer(path) as one, open_checkpointer(path) as two:
        for saver in (one, two):
            values = (await builder.compile(checkpointer=saver).aget_state(config)).values
            assert values == {"attempts": [ATTEMPT], "outcome": Outcome.ALIGNED}
            assert isinstance(values["outcome"], Outcome)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


class ServiceError(Exception):
    def __repr__(self) -> str:
        raise AssertionError("it is not asked for, as it may hold anything")


async def test_of_a_failed_step_a_bounded_message_without_secrets_is_kept(tmp_path):
    path, secret = tmp_path / "runs.sqlite", "sk-0123456789abcdefghijkl"

    async def draw(state: State) -> State:
        raise ServiceError(f"wrong key {secret}" + " and so on" * 100_000)

    builder = StateGraph(State).add_node("draw", draw).add_edge(START, "draw").add_edge("draw", END)
    config = {"configurable": {"thread_id": "run"}}
    async with open_checkpointer(path) as saver:
        graph = builder.compile(checkpointer=saver)
        with pytest.raises(ServiceError):
            await graph.ainvoke({"attempts": [], "outcome": None}, config)
        (task,) = (await graph.aget_state(config)).tasks
    assert str(task.error).startswith("ServiceError('wrong key <key> and so on")
    assert len(str(task.error)) < 5_000
