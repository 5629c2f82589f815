"""Documents about conversations: the list of threads, one thread, and removed ones."""

from typing import Literal

from pydantic import AwareDatetime, Field

from imagerag.agent.qa.types import AnswerOutcome
from imagerag.agent.types import Document


class ThreadEntry(Document):
    """One line of the list of threads.

    Attributes:
        question: the last question; empty where its state cannot be read: it is damaged, or an earlier version made it.
        questions: how many were asked, that one included.
        outcome: of the last question.
        library: that it was asked of.
        updated: when it was last written.
        bytes: its size in the file of conversations, without images and recorded calls.
    """

    thread_id: str
    question: str
    questions: int
    outcome: AnswerOutcome | None
    library: str | None
    updated: AwareDatetime
    bytes: int


class ThreadsDocument(Document):
    """Threads, the one with the newest question first, `imagerag.threads/1`."""

    schema_name: Literal["imagerag.threads/1"] = Field(default="imagerag.threads/1", alias="schema")
    threads: list[ThreadEntry]


class ThreadTurn(Document):
    """A question of a thread and its answer.

    Attributes:
        images: SHA-256 of the images that the question came with.
        sources: ids of the images that the answer is about.
    """

    question: str
    answer: str
    outcome: AnswerOutcome
    library: str | None
    images: list[str]
    sources: list[str]


class ThreadDocument(Document):
    """A thread with its questions, oldest first, `imagerag.thread/1`. Of a long one the last 50 are stored."""

    schema_name: Literal["imagerag.thread/1"] = Field(default="imagerag.thread/1", alias="schema")
    thread: ThreadEntry
    turns: list[ThreadTurn]


class RemovedThread(ThreadEntry):
    """A thread that was removed, or would be; `bytes` is all that it takes and no other thread and no run needs."""


class ThreadsRemoved(Document):
    """Result of `threads remove` and `threads prune`, `imagerag.threads-removed/1`.

    Attributes:
        dry_run: nothing was removed; this is what would be.
        threads: oldest first.
        freed_bytes: what all of them take together, images that several of them share counted once.
        kept: how many threads stay.
        in_use: threads that were passed over, because a question of them is being answered.
    """

    schema_name: Literal["imagerag.threads-removed/1"] = Field(default="imagerag.threads-removed/1", alias="schema")
    dry_run: bool = False
    threads: list[RemovedThread] = Field(default_factory=list)
    freed_bytes: int = 0
    kept: int = 0
    in_use: list[str] = Field(default_factory=list)
