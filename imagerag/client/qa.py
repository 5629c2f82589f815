"""The Python front door to answers: ask a library, and get an answer that cites its pictures."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.agent.threads import in_thread
from imagerag.agent.types import PATIENCE_S
from imagerag.client.libraries import Libraries
from imagerag.files.inputs import Image, keep_image, make_knobs, run_sync
from imagerag.graphs.validation import validate_match_reason

if TYPE_CHECKING:
    from imagerag.agent.qa.qa_record import AnswerRecord
    from imagerag.graphs.runs.qa_runner import QARunner


class Asking(Libraries):
    """What can be asked of libraries; the part of `ImageRAG` that needs no generator."""

    @cached_property
    def asker(self) -> "QARunner":
        """What runs the answering graph; for those who need more than this class offers."""
        from imagerag.graphs.runs.qa_runner import QARunner

        return QARunner(wiring=self.wiring)

    async def ask(
        self,
        question: str,
        *,
        library: str | None = None,
        thread: str | None = None,
        follow_up: bool = False,
        compare: bool = False,
        images: Sequence[Image] = (),
        by: Literal["image", "words", "both"] | None = None,
        k: int = 8,
        hybrid: bool = False,
        where: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
        licences: Sequence[str] = (),
        threshold: float | Literal["auto", "off"] = "auto",
        journal: Literal["record", "reuse", "replay"] = "record",
        max_calls: int | None = None,
        max_cost_usd: float | None = None,
        assume_cost_usd_per_call: float | None = None,
        deadline_s: float | None = None,
        patience_s: float | None = None,
    ) -> "AnswerRecord":
        """Answer a question from a library's pictures and their metadata, and from nothing else.

        Args:
            question: what to ask, at most 4,000 characters.
            library: which one, when not the one this object was made with.
            thread: the `thread_id` of an earlier answer, to ask on; or an id of one's own, which begins a thread where
                there is none of that id (the record's `new_thread` says so). A new one when None.
            follow_up: never begin a thread of a given id.
            compare: let the same model answer without the library, too.
            images: pictures of one's own that the question is about (paths or bytes), 8 at most. The answerer is shown
                them as the person's own; they are never cited.
            by: what the library is searched with: these pictures ("image"), the words, or "both", which is the default
                where there are pictures.
            k: pictures taken for their similarity to the question, 1 to 100.
            hybrid: rank by the words of captions and titles too, beside similarity.
            where: metadata a picture must have; tags and licences likewise.
            threshold: cosine in [-1, 1] that such a picture must reach; "auto" is the library's calibrated one. A
                number is between pictures and words, with by="image" between pictures.
            journal: "reuse" takes answers that were paid for before; "replay" makes no call at all.
            max_calls: model calls at most.
            max_cost_usd: US dollars at most; no call is made whose price is not known. 0 allows what is free.
            assume_cost_usd_per_call: US dollars that a call counts as whose price is not known: more than it costs. The
                record says how much was assumed.
            deadline_s: seconds at most.
            patience_s: seconds that a call waits at most for a service that says when to ask again; None is 120.

        Returns:
            The record: `outcome`, `answer`, `citations`, everything that was `retrieved`, and what it cost. Beside
            what is similar, the metadata of the whole library is looked through (up to 10,000 pictures), for "the
            cheapest" need not look like the question.

        Raises:
            UsageError: something asked for cannot be. What goes wrong later is an outcome, never an exception.
            UnknownThreadError: a `follow_up` in a thread that there is not.
        """
        name = library or self.settings.library
        if not name:
            raise UsageError("say which library: --library NAME")
        knobs = make_knobs(
            candidates=k,
            hybrid=hybrid,
            threshold=threshold,
            where=dict(where or {}),
            tags=tuple(tags),
            licences=tuple(licences),
            journal=journal,
            max_calls=max_calls,
            max_cost_usd=max_cost_usd,
            assume_cost_usd_per_call=assume_cost_usd_per_call,
            patience_s=PATIENCE_S if patience_s is None else patience_s,
        )
        if isinstance(images, str | bytes | Path):
            images = (images,)  # one picture, not a sequence of its characters
        validate_match_reason(by, images)  # before anything is kept
        kept = [await keep_image(self.wiring.blobs, image) for image in images]
        return await self.asker.ask(
            question,
            images=kept,
            by=by,
            reranker=self.settings.reranker or None,
            judge=self.settings.judge,
            answerer=self.answerer_spec,
            library=name,
            knobs=knobs,
            compare=compare,
            thread=thread,
            follow_up=follow_up,
            deadline_s=deadline_s,
        )

    def ask_sync(self, question: str, **options: Any) -> "AnswerRecord":
        """`ask`, for programs without an event loop. Works inside one too (a notebook), in a thread of its own."""
        return run_sync(self.ask(question, **options))

    async def answer_record(self, thread: str) -> "AnswerRecord":
        """The record of a thread's last question, also of one that was cancelled.

        Raises:
            UnknownThreadError: there is no such thread.
        """
        return await self.asker.record(thread)

    @property
    def answerer_spec(self) -> str:
        """What answers: the `answerer` that was set, else the judge where it can, else `metadata`."""
        from imagerag.tools.registry import answerer_for

        return self.settings.answerer or answerer_for(self.settings.judge)

    async def answer_sheet(self, record: "AnswerRecord") -> bytes:
        """One picture (PNG) of what was retrieved for a question, with similarities and what was cited."""
        from imagerag.reports.contact_sheet.answer_sheet import answer_sheet
        from imagerag.reports.contact_sheet.layout import png

        pictures = await self.answer_pictures(record)
        return await in_thread(lambda: png(answer_sheet(record.as_json(), pictures.__getitem__)))

    async def answer_pictures(self, record: "AnswerRecord") -> dict[str, bytes]:
        """The bytes of the pictures of an answer by their id: those that the question came with, and the library's.

        One that is no longer there is left out.
        """
        pictures: dict[str, bytes] = {}
        for own in {*record.shown, *(image.sha256 for image in record.images)}:
            with suppress(ImageRAGError):
                pictures[own] = await self.wiring.blobs.get(own)
        with suppress(ImageRAGError):  # removed since: the sheet shows empty frames
            library = await self.wiring.library(record.library) if record.library else None
            for one in record.retrieved if library else ():
                with suppress(ImageRAGError):
                    assert library is not None
                    pictures[one.id] = await library.image_bytes(one.id)
        return pictures
