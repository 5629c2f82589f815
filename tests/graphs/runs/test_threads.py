"""The threads of questions: listed, read, and removed with what nothing else needs."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import RunStateError, UnknownThreadError
from imagerag.agent.qa.types import AnswerOutcome
from imagerag.store.blob_references import run_footprints
from imagerag.store.integrity_check import blob_files, integrity_problems
from imagerag.store.thread_lock import question_lock
from imagerag.tools.testing.fakes import sample_image
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse
from tests.conftest import copied


@pytest.fixture
def rag(sketch_home: Path, tmp_path: Path) -> Iterator[ImageRAG]:
    """A client whose answers come from a server, so that its calls are in the journal."""
    copied(sketch_home, tmp_path / "home")
    with MockOpenAIServer() as server:
        answer = {"citations": [{"source": 1, "supports": "it"}], "held": True, "answer": "A thing [1]."}
        server.enqueue("chat", *[MockResponse(text=json.dumps(answer))] * 8)
        spec = f"openai:loopback@{server.base_url}"
        yield ImageRAG(preset="sketch", answerer=spec, library="sketch", home=tmp_path / "home")


def blobs(rag: ImageRAG) -> set[str]:
    return {path.parent.name + path.name for path in blob_files(rag.dependencies.home)}


def test_threads_are_listed_and_read(rag: ImageRAG) -> None:
    assert rag.questions.threads.list_sync() == []
    with pytest.raises(UnknownThreadError, match="there are none yet"):
        rag.questions.threads.get_sync("one")
    rag.ask_sync("what is striped?", thread="one")
    rag.ask_sync("and what is round?", thread="one")
    rag.ask_sync("what is red?", thread="two")
    newest, oldest = rag.questions.threads.list_sync()
    assert (newest.thread_id, newest.questions, newest.question) == ("two", 1, "what is red?")
    assert (oldest.thread_id, oldest.questions, oldest.question) == ("one", 2, "and what is round?")
    assert (oldest.library, oldest.outcome) == ("sketch", AnswerOutcome.ANSWERED)
    assert oldest.bytes > newest.bytes > 1000
    assert [one.thread_id for one in rag.questions.threads.list_sync(1)] == ["two"]
    assert [one.thread_id for one in rag.questions.threads.list_sync(text="STRIPED")] == ["one"]
    assert rag.questions.threads.list_sync(library="other") == []
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert rag.questions.threads.list_sync(since=soon) == []
    assert len(rag.questions.threads.list_sync(until=soon)) == 2
    document = rag.questions.threads.get_sync("on")
    assert [turn.question for turn in document.turns] == ["what is striped?", "and what is round?"]
    assert document.turns[0].answer == "A thing [1]."
    assert document.turns[0].sources
    with pytest.raises(UnknownThreadError, match="did you mean 'one'"):
        rag.questions.threads.get_sync("onee")


def test_a_removed_thread_leaves_nothing_and_the_others_are_whole(rag: ImageRAG) -> None:
    home, shared, own = rag.dependencies.home, sample_image("shared"), sample_image("own")
    rag.ask_sync("what is striped?", images=[shared], by="words", thread="two")
    stored = blobs(rag)
    rag.ask_sync("what is striped?", images=[shared, own], by="words", thread="one")
    assert len(blobs(rag) - stored) == 1
    before = {owner: size.journal for owner, size in run_footprints(home).items()}
    assert {owner.partition("-")[0] for owner in before} == {"one", "two"}
    planned = rag.questions.threads.remove_sync("one", dry_run=True)
    assert len(rag.questions.threads.list_sync()) == 2
    done = rag.questions.threads.remove_sync("one")
    assert (done.freed_bytes, done.kept, [thread.thread_id for thread in done.threads]) == (
        planned.freed_bytes,
        1,
        ["one"],
    )
    assert done.freed_bytes > len(own)
    assert blobs(rag) == stored
    assert {owner.partition("-")[0] for owner in run_footprints(home)} == {"two"}
    assert [*integrity_problems(home)] == []
    with pytest.raises(UnknownThreadError, match="no thread 'one'"):
        rag.questions.get_sync("one")
    assert rag.questions.get_sync("two").answer == "A thing [1]."
    assert rag.ask_sync("once more?", thread="one").new_thread
    assert os.listdir(home.thread_lock("one").parent) == []


def test_old_threads_are_pruned(rag: ImageRAG) -> None:
    for name in ("one", "two", "three"):
        rag.ask_sync("what is red?", thread=name)
    threads = rag.questions.threads
    assert threads.prune_sync().threads == []
    assert threads.prune_sync(older_than=datetime.now(UTC) - timedelta(days=1)).threads == []
    soon = datetime.now(UTC) + timedelta(days=1)
    told = threads.prune_sync(older_than=soon, keep=2, dry_run=True)
    assert ([one.thread_id for one in told.threads], told.kept) == (["one"], 2)
    told = threads.prune_sync(keep=1)
    assert ([one.thread_id for one in told.threads], told.kept) == (["one", "two"], 1)
    assert threads.prune_sync(older_than=soon).kept == 0


def test_a_thread_with_a_question_under_way_stays(rag: ImageRAG) -> None:
    rag.ask_sync("what is red?", thread="one")
    rag.ask_sync("what is blue?", thread="two")

    async def while_asked() -> None:
        async with question_lock(rag.dependencies.home.thread_lock("one"), "one"):
            async with question_lock(rag.dependencies.home.thread_lock("one"), "one"):
                pass  # another question of the same thread takes nothing from the first one's lock
            with pytest.raises(RunStateError, match="thread one is being answered"):
                await rag.questions.threads.remove("one", "two")
            told = await rag.questions.threads.prune(keep=0)
            assert ([one.thread_id for one in told.threads], told.in_use, told.kept) == (["two"], ["one"], 1)

    asyncio.run(while_asked())
    assert rag.questions.threads.remove_sync("one").kept == 0


def test_a_damaged_thread_hides_no_other_and_can_be_removed(rag: ImageRAG) -> None:
    before = datetime.now(UTC)
    rag.ask_sync("what is red?", thread="one")
    rag.ask_sync("what is blue?", thread="two")
    with closing(sqlite3.connect(rag.dependencies.home.conversations)) as connection:
        connection.execute("DELETE FROM checkpoint_values WHERE thread_id = 'two'")
        connection.commit()
    two, one = rag.questions.threads.list_sync()
    assert (two.thread_id, two.question, one.question) == ("two", "", "what is red?")
    assert before - timedelta(seconds=1) < one.updated < two.updated < datetime.now(UTC) + timedelta(seconds=1)
    assert rag.questions.threads.get_sync("two").turns == []
    assert rag.questions.threads.remove_sync("two").kept == 1
