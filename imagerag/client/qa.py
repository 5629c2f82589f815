"""`ImageRAG.questions`: questions to libraries, and their answers."""

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imagerag.agent.errors import UnknownThreadError
from imagerag.agent.threads import in_thread
from imagerag.agent.types import RunConfig
from imagerag.client.argument_checks import check_arguments
from imagerag.client.context import ClientContext
from imagerag.client.library_opening import LibraryOpening
from imagerag.client.synchronous import synchronous
from imagerag.client.threads import ThreadsAPI
from imagerag.files.inputs import Image, keep_image
from imagerag.graphs.validation import validate_match_reason

if TYPE_CHECKING:
    from imagerag.agent.qa.qa_record import AnswerRecord


@check_arguments
class QAClient:
    """The questions of a data directory. `ImageRAG.ask` asks one."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context

    @property
    def answerer(self) -> str:
        """Spec of the answerer: the one that was set, else the judge where it can, else `metadata`."""
        from imagerag.tools.registry import answerer_for

        settings = self._context.settings.with_backends
        return settings.answerer or answerer_for(settings.judge)

    @cached_property
    def threads(self) -> ThreadsAPI:
        """The conversations that questions began: list, read and remove them."""
        return ThreadsAPI(self._context)

    async def run(
        self,
        question: str,
        config: RunConfig,
        *,
        images: Image | Sequence[Image],
        by: Literal["image", "words", "both"] | None,
        library: str | None,
        thread: str | None,
        **options: Any,
    ) -> "AnswerRecord":
        """Answer a question. See `ImageRAG.ask`, which makes the config from its arguments."""
        if isinstance(images, str | bytes | Path):
            images = (images,)  # one image, not a sequence of its characters
        validate_match_reason(by, images)  # before anything is kept
        settings = self._context.settings
        stored = [await keep_image(self._context.dependencies.blobs, image) for image in images]
        return await self._context.qa_runner.ask(
            question,
            images=stored,
            by=by,
            reranker=settings.reranker or None,
            judge=settings.with_backends.judge,
            answerer=self.answerer,
            config=config,
            library=library or await self.library(thread),
            thread=thread,
            **options,
        )

    async def library(self, thread: str | None = None) -> str:
        """The library that a question without one of its own is asked of: that of the thread's last question, else the
        one that this object was made with.

        Raises:
            UsageError: there is none.
        """
        noted = None
        if thread is not None:
            with suppress(UnknownThreadError):  # the question begins it
                noted = (await self.get(thread)).library
        return LibraryOpening(self._context).name(noted)

    async def get(self, thread: str) -> "AnswerRecord":
        """Read the record of a thread's last question, cancelled or not.

        Raises:
            UnknownThreadError: there is no such thread.
        """
        return await self._context.qa_runner.record(thread)

    async def images(self, record: "AnswerRecord") -> dict[str, bytes]:
        """Read the images of an answer, by SHA-256: those that came with the question, and the library's."""
        from imagerag.reports.record_images import answer_images

        return await answer_images(self._context.dependencies, record)

    async def contact_sheet(self, record: "AnswerRecord") -> bytes:
        """One image (PNG) of what was retrieved for a question, with similarities and what was cited."""
        from imagerag.reports.contact_sheet.answer_sheet import answer_sheet
        from imagerag.reports.contact_sheet.layout import png

        images_by_id = await self.images(record)
        return await in_thread(lambda: png(answer_sheet(record.as_json(), images_by_id.__getitem__)))

    run_sync = synchronous(run)
    library_sync = synchronous(library)
    get_sync = synchronous(get)
    images_sync = synchronous(images)
    contact_sheet_sync = synchronous(contact_sheet)
