"""The state of an answering thread, and what a question sets in it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict  # pydantic makes no schema of typing's own before Python 3.12

from imagerag.agent.qa.types import AnswerResponse, ConversationTurn, MetadataResult, QAResult, RetrievedImage, SearchBy
from imagerag.agent.types import ImageRef, ModelCall, SnapshotPins


class QAInput(TypedDict):
    """A question. Everything that the question before it left in the thread is set anew, except `earlier`.

    `images` are the person's own images, in the blob store; `by` says what the library is searched with, by default
    both the images and the words. `library` and `answerer` are names for the record, `started_at` is an ISO 8601
    time; each has a default.
    """

    question: str
    images: NotRequired[list[ImageRef]]
    by: NotRequired[SearchBy]
    compare: NotRequired[bool]
    library: NotRequired[str | None]
    answerer: NotRequired[str]
    started_at: NotRequired[str]


class QAState(TypedDict):
    """A thread: its current question, and those before it.

    Attributes:
        images: images that the question came with.
        snapshots: of each snapshot that the thread has asked (`NAME@TAG`), the hash of what it holds.
        question_snapshots: those of the current question.
        shown: images of the person's own that an answerer is shown: those, or those of the question before it.
        image_threshold: cosine with them that an image had to reach; None when none is claimed, or it was off.
        sources: what was retrieved, the accepted ones numbered and first.
        earlier: questions that have ended, oldest first; the current one joins them at its end.
        asked: how many questions the thread has had.
        run_key: tells this question from others that were asked without a thread.
    """

    question: str
    images: list[ImageRef]
    by: SearchBy
    compare: bool
    library: str | None
    answerer: str
    started_at: str
    snapshots: Annotated[SnapshotPins | None, SnapshotPins.joined]
    question_snapshots: SnapshotPins | None
    shown: list[ImageRef]
    image_threshold: float | None
    sources: list[RetrievedImage]
    finding: MetadataResult | None
    metadata_query: str
    threshold: float | None
    notes: list[str]
    reply: AnswerResponse | None
    without: AnswerResponse | None
    result: QAResult | None
    calls: list[ModelCall]
    earlier: list[ConversationTurn]
    asked: int
    run_key: str


class QAUpdate(TypedDict, total=False):
    """The update that a node may return."""

    shown: list[ImageRef]
    image_threshold: float | None
    sources: list[RetrievedImage]
    finding: MetadataResult | None
    metadata_query: str
    threshold: float | None
    notes: list[str]
    reply: AnswerResponse | None
    without: AnswerResponse | None
    result: QAResult | None
    calls: list[ModelCall]
    earlier: list[ConversationTurn]
    asked: int


def question_name(state: Mapping[str, Any], thread: str) -> str:
    """The journal's name of a question's calls; no question of a thread reuses another one's."""
    key = str(state.get("run_key") or "")
    return f"{thread}-{key[:12]}" if key and key != thread else thread


def fresh(
    question: str,
    *,
    compare: bool,
    library: str | None,
    answerer: str,
    started_at: str,
    images: Sequence[ImageRef] = (),
    by: SearchBy | None = None,
) -> QAInput:
    """The input of a question; `by` is all that it comes with where it does not say."""
    return QAInput(
        question=question,
        images=list(images),
        by=by or ("both" if images else "words"),
        compare=compare,
        library=library,
        answerer=answerer,
        started_at=started_at,
    )
