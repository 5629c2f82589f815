"""Adding an image to a library for an assistant: never without the person's consent to this very image."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.threads import in_thread
from imagerag.assistants.tool_inputs import MAX_HITS, AddImage, SearchReferences
from imagerag.assistants.tool_outputs import AddedReport, ErrorReport, ReportedImage
from imagerag.assistants.tool_result import ToolResult
from imagerag.formatting.labels import decision
from imagerag.formatting.numbers import cosine
from imagerag.formatting.quoting import listed, quoted
from imagerag.formatting.text import clean
from imagerag.store.data_dir import DataDir

if TYPE_CHECKING:
    from imagerag.agent.types import ImageRef
    from imagerag.assistants.image_lookup import ImageLookup
    from imagerag.client.client import ImageRAG

Consent = Callable[[str], Awaitable[bool]]
"""Asks the person a question that yes or no answers."""

DECLINED: Final = "the user declined. Do not ask again for this image."
WHY_NOT: Final = "an image is added only when the user agrees, and this client cannot ask them"

_WHOLE: Final = 2_100
"""Characters: more than the longest argument has. A person agrees to words that they have read to the end."""

_ROOM: Final = 1_000
"""Characters of a command."""


@dataclass(frozen=True, kw_only=True)
class Addition:
    """An image that is to be added, as the person is asked about it.

    Attributes:
        library: its name; the library exists and may be changed.
        image: what it is, without its bytes.
        question: the whole of what is done on yes; titles and captions are quoted.
        home: the data directory of the library; None where a command finds it without being told.
    """

    request: AddImage
    library: str
    image: "ImageRef"
    question: str
    home: Path | None = None
    data: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """What the consent is for: this image with these words into this library."""
        words = self.request.model_dump_json()
        return sha256(f"{self.library}\n{self.image.sha256}\n{words}\n{self.question}".encode()).hexdigest()


async def add_with_consent(
    rag: "ImageRAG", images: "ImageLookup", request: AddImage, consent: Consent | None
) -> ToolResult:
    """Ask, and add on yes; without anybody to ask, the answer has the command that the person can type.

    Raises:
        UsageError, BlobError: as `planned_addition`.
    """
    addition = await planned_addition(rag, images, request)
    if consent is None:
        return await not_asked(images, addition)
    return await add(rag, images, addition) if await consent(addition.question) else declined(addition)


async def planned_addition(rag: "ImageRAG", images: "ImageLookup", request: AddImage) -> Addition:
    """Read the image and word the question; nothing is changed.

    Raises:
        UsageError: the image may not be read, no library is named, or the library may not be changed.
        BlobError: no image has that id.
    """
    from imagerag.store.images.image_info import inspect

    name = request.library or _usual_library(rag)
    opened = await rag.libraries._open_to_change(name)
    data = await images.read(request.image, name)
    image = await in_thread(inspect, data)
    (known, *_) = [*await opened.rows([image.sha256]), None]
    licence = request.licence or (known.licence if known else "")
    lines = [
        f"Add this image to the library {quoted(opened.name, 60)}?",
        f"{quoted(request.image, 200)}, {image.width}x{image.height}",
        f"Caption: {quoted(request.caption, _WHOLE)}" if request.caption else "",
        f"Tags: {listed(request.tags, _WHOLE, most=len(request.tags))}" if request.tags else "",
        f"Licence: {quoted(licence, _WHOLE)}" if licence else "Licence: not known",
        f"Author: {quoted(request.author, _WHOLE)}" if request.author else "",
        f"It is in the library already, with the caption {quoted(known.caption, 300)}; what is said here replaces that."
        if known
        else "The library keeps a copy, and runs may then draw with it.",
    ]
    home = rag.dependencies.home
    return Addition(
        request=request,
        library=opened.name,
        image=image,
        question="\n".join(filter(None, lines)),
        home=None if home == DataDir.default() else home.root,
        data=data,
    )


def _usual_library(rag: "ImageRAG") -> str:
    from imagerag.client.web_references import first_own_library

    if not rag.settings.library:
        raise UsageError("there is no usual library here: say which one with library=...")
    return first_own_library(rag.settings.library)


async def add(rag: "ImageRAG", images: "ImageLookup", addition: Addition) -> ToolResult:
    """Add the image, and search for it as a run would. The library keeps its bytes."""
    from imagerag.assistants.image_lookup import named_by_id
    from imagerag.assistants.library_search import search_library
    from imagerag.store.library.indexing.uploads import UploadedImage

    request, image, library = addition.request, addition.image, addition.library
    name = "" if named_by_id(request.image) else PurePath(request.image).name
    upload = UploadedImage(data=addition.data, name=name, caption=request.caption)
    uploads = await rag.libraries.add_images([upload], library=library)
    if uploads.skipped:
        raise UsageError(f"it cannot be added: {uploads.skipped[0][1]}")
    if request.licence or request.author or request.tags:
        await rag.libraries.update(
            image.sha256,
            library=library,
            licence=request.licence or None,
            author=request.author or None,
            add_tags=request.tags,
        )
    images.remember([image.sha256], addition.library)
    report = AddedReport(added=True, new=bool(uploads.new), library=library, image=ReportedImage.of(image))
    (caption, *_) = [*(row.caption for row in uploads.records), ""]
    if caption:
        search = SearchReferences.model_construct(library=addition.library, k=MAX_HITS)  # no query: it has a syntax
        found, _ = await search_library(rag, images, search, caption)
        hit = next((one for one in found.hits if one.uri == report.image.uri), None)
        place = {"rank": hit.number, "similarity": hit.similarity, "accepted": hit.accepted} if hit else {}
        report = report.model_copy(update={"threshold": found.threshold, **place})
    return ToolResult(text=_report_text(report, caption), data=report.model_dump(mode="json"), images=(image,))


def declined(addition: Addition) -> ToolResult:
    """The answer where the person said no."""
    report = AddedReport(added=False, library=addition.library, image=ReportedImage.of(addition.image))
    return ToolResult(text=f"Not added: {DECLINED}", data=report.model_dump(mode="json"))


async def not_asked(images: "ImageLookup", addition: Addition) -> ToolResult:
    """The answer where nobody can be asked: why, and the command that the person can type."""
    command, left_out = _command(addition, await _file_of(images, addition))
    report = ErrorReport(error="UntrustedError", message=WHY_NOT)
    text = f"not done: {WHY_NOT}. The user can do it in a terminal; tell them, in these words:\n{command}"
    if left_out:
        text += f"\nThey add what has no room here: {', '.join(left_out)}"
    return ToolResult(text=text, data=report.model_dump(mode="json"), is_error=True)


def _command(addition: Addition, file: str) -> tuple[str, list[str]]:
    """The command that a person can type, and the options that it has no room for: half a command is none."""
    request = addition.request
    options = [("--licence", request.licence), ("--author", request.author), ("--caption", request.caption)]
    options = [*options, *(("--tag", tag) for tag in request.tags)]
    # The person's terminal may lack the environment that the server was started with.
    home = ["--home", str(addition.home)] if addition.home else []
    command, left_out = shlex.join(["imagerag", *home, "library", "add", addition.library, file]), []
    for option, value in options:
        words = f" {option} {shlex.quote(clean(value))}" if value else ""
        if len(command) + len(words) <= _ROOM:
            command += words
        elif option not in left_out:
            left_out.append(option)
    return command, left_out


async def _file_of(images: "ImageLookup", addition: Addition) -> str:
    """The file that a person adds: the one that was named, that of a run's image, or a placeholder."""
    from imagerag.assistants.image_lookup import named_by_id

    source = addition.request.image
    if source.startswith(("http://", "https://")):
        return "FILE"
    if not named_by_id(source):
        return await asyncio.to_thread(images.file, source)
    return await asyncio.to_thread(images.path, addition.image.sha256, addition.image.media_type) or "FILE"


def _report_text(report: AddedReport, caption: str) -> str:
    what = "Added" if report.new else "Changed, as the library held it already"
    lines = [f"{what}: {report.image.uri} in library {quoted(report.library, 60)}."]
    if not caption:
        lines.append("It has no caption: runs find it by what it shows alone.")
    elif report.rank is None or report.similarity is None:
        lines.append(f"A search for its caption does not have it among the first {MAX_HITS}: say what it shows.")
    else:
        mark = {True: "passes", False: decision("below_threshold").name, None: "no threshold is known"}[report.accepted]
        limit = f" ({cosine(report.threshold)})" if report.threshold is not None else ""
        found = f"A search for its caption finds it as number {report.rank}, similarity {cosine(report.similarity)}"
        lines.append(f"{found}: {mark}{limit}.")
    lines.append("Next: generate_image searches it, too; continue_run(run_id, add_images=[id]) draws with it.")
    return "\n".join(lines)
