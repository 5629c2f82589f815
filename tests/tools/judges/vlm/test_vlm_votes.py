"""Votes are requests: they count towards a run's limit, and in its record."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from imagerag.agent.nodes import Nodes
from imagerag.agent.run_record import run_record
from imagerag.agent.types import Outcome, RunConfig
from imagerag.graphs.cost_estimate import estimate
from imagerag.graphs.generation import build_workflow
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.testing.fakes import MemoryBlobs, ScriptedGenerator, ScriptedLibrary
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse

YES, NO = True, False


def said(met: bool) -> MockResponse:
    check = {"number": 1, "requirement": "a heart", "kind": "content", "evidence": "", "met": met, "caption": "heart"}
    return MockResponse(text=json.dumps({"checks": [check]}))


@pytest.fixture
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer() as loopback:
        yield loopback
    assert loopback.errors == []


async def run(server: MockOpenAIServer, **config: object) -> dict[str, Any]:
    chat = OpenAIChat(model="some-vlm", account=OpenAICredentials(server.base_url, "k"), timeout_s=20)
    judge, library = VlmJudge(chat=chat, votes=5), ScriptedLibrary()
    library.plant("heart")
    workflow = build_workflow(Nodes(generator=ScriptedGenerator(), judge=judge, library=library, blobs=MemoryBlobs()))
    graph = workflow.compile(checkpointer=InMemorySaver())
    thread_config: RunnableConfig = {"configurable": {"thread_id": "votes"}}
    await graph.ainvoke(
        {"prompt": "a heart"}, thread_config, context=RunConfig.model_validate({"max_rounds": 0, **config})
    )
    return dict((await graph.aget_state(thread_config)).values)


@pytest.mark.parametrize("mode", ["fused", "stepwise"])
async def test_every_vote_is_counted(server: MockOpenAIServer, mode: str) -> None:
    votes = (NO, YES, NO, YES, YES)
    replies = [said(vote) if mode == "fused" else MockResponse(text="Yes." if vote else "No.") for vote in votes]
    server.enqueue("chat", *replies)
    state = await run(server, judge_mode=mode)
    assert [(call.role, call.requests) for call in state["calls"]] == [("generate", 1), ("judge.critique", 5)]
    assert (server.count("chat"), state["result"].outcome) == (5, Outcome.ALIGNED)


async def test_a_vote_that_was_lost_was_asked_for_too(server: MockOpenAIServer) -> None:
    server.enqueue("chat", said(NO), Fault("error_500"), MockResponse(text="hm"), said(NO), said(NO))
    state = await run(server)
    assert state["calls"][-1].requests == server.count("chat") == 5


@pytest.mark.parametrize(("limit", "asked"), [(2, 1), (3, 1), (4, 3), (5, 3), (6, 5), (9, 5)])
async def test_no_vote_is_asked_for_beyond_the_limit(server: MockOpenAIServer, limit: int, asked: int) -> None:
    server.enqueue("chat", *map(said, (NO, YES, NO, YES, YES)))
    state = await run(server, max_calls=limit)
    assert server.count("chat") == state["calls"][-1].requests == asked
    assert sum(call.requests for call in state["calls"]) <= limit


async def test_votes_use_up_the_limit_for_what_follows(server: MockOpenAIServer) -> None:
    server.enqueue("chat", *map(said, (NO, YES, NO)))
    state = await run(server, max_calls=4, max_rounds=1)
    assert state["result"].outcome is Outcome.BUDGET_EXHAUSTED
    assert "may make 4 model calls" in state["result"].reason
    assert run_record("votes", state).calls == {"generate": 1, "judge.critique": 3}


def test_an_estimate_counts_votes() -> None:
    judge = VlmJudge(chat=OpenAIChat(model="some-vlm", account=OpenAICredentials("http://localhost/v1", "k")), votes=3)
    one = estimate(RunConfig(max_rounds=0), generator=ScriptedGenerator(), judge=VlmJudge(chat=judge.chat))
    three = estimate(RunConfig(max_rounds=0), generator=ScriptedGenerator(), judge=judge)
    looks = next(role for role in one.roles if role.role == "judge.critique").max_calls
    assert three.max_calls == one.max_calls + 2 * looks
