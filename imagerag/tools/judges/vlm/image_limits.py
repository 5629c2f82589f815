"""Maximum number of images per request: known limits, and errors of servers whose model takes no images."""

import io
import re
from functools import cache
from typing import Any, Final, Protocol, runtime_checkable

from imagerag.agent.errors import BackendError, JudgeReplyError, NoImagesError, RefusalError
from imagerag.agent.ports import ImageCheck
from imagerag.agent.types import SamplingParams
from imagerag.tools.error_bodies import body_of
from imagerag.tools.judges.vlm.chat_protocol import ChatImage, ChatModel, built_messages
from imagerag.tools.judges.vlm.error_mapping import image_limit
from imagerag.tools.judges.vlm.messages import user

OPENAI_LIMIT: Final = 500
"""Maximum number of images per request, from OpenAI's documentation."""

_KNOWN: Final = (
    ("api.groq.com", re.compile(r"llama-4-|qwen3\.[68]-"), 5),
    ("api.mistral.ai", re.compile(r"^pixtral-"), 8),
    ("", re.compile(r"llama-?3\.2.*vision"), 1),
)
"""(host or any, model, limit), from the services' documentation; for Llama 3.2 from its authors'."""

_FORM: Final = r"[ _-]?/|[ _-](?:format|size|type|detail|dimension|resolution|ur[il]|file)"
_THING: Final = rf"(?:images?|vision|pictures?|multi-?modal)\b(?!{_FORM})"
_NOT: Final = r"(?:(?:does|do|is|are|was|could) ?n[o'’]t|can['’]?t|cannot|not) (?:yet )?"
_TAKE: Final = r"(?:support|accept|allow|process|handle|take|read|understand|capable of)\w*\b"
_OFF: Final = r"(?:not (?:yet )?(?:supported|enabled|available|allowed|accepted)|unsupported)"
_NONE: Final = re.compile(
    "|".join(
        (
            rf"{_NOT}{_TAKE}\W*(?:\w+\W+){{0,3}}?{_THING}",
            rf"{_THING}(?:\W+\w+){{0,5}}?\W+(?:(?:is|are) )?{_OFF}",
            r"not a (?:multi-?modal|vision)",
            r"unknown variant `?image_url",
            r"invalid content type\W+image_url",
            r"only (?:support|accept)s? text",
            r"no endpoints found that support image",
            r"mmproj",
            r"missing data required for image",
            r"content must be a string",
        )
    ),
    re.I,
)
"""Error texts that say that a model takes no images: OpenAI's, vLLM's, llama.cpp's, Ollama's, OpenRouter's, DeepSeek's,
Groq's. Errors about an image's format or size do not match."""

_STATUS: Final = frozenset({400, 404, 415, 422, 500, 501})


@runtime_checkable
class LearnsImageLimit(Protocol):
    """A model whose image limit may be unknown at first."""

    @property
    def image_limit(self) -> int | None: ...
    def image_check_needed(self, count: int) -> bool:
        """Whether it is unknown if the model takes `count` images."""
        ...

    def images_checked(self, count: int, limit: int | None) -> None:
        """Store the result of an earlier check."""
        ...


def known_limit(host: str, model: str) -> int | None:
    """Maximum number of images per request; None if not known for certain.

    OpenAI's text-only models are known to take none only at OpenAI itself: behind a proxy or in a deployment, the name
    may be an alias of any model.
    """
    takes = _openai_profile(model.rpartition("/")[2])
    if takes or (takes is not None and host == "api.openai.com"):
        return OPENAI_LIMIT if takes else 0
    return next((most for at, names, most in _KNOWN if at in ("", host) and names.search(model.lower())), None)


def takes_none(error: Exception) -> bool:
    """Whether an error says that the model takes no images."""
    if getattr(error, "status_code", None) not in _STATUS:
        return False
    return image_limit(error) == 0 or bool(_NONE.search(body_of(error).words))


def no_images(who: str, reason: str = "") -> NoImagesError:
    """Error for a model that takes no images."""
    because = f" ({reason})" if reason else ""
    error = NoImagesError(
        f"{who} takes no images{because}, so it cannot judge any: name one that does, `judge=SPEC`, or say how many "
        "this one takes, ?max_images=1 after its name"
    )
    error.sent = bool(reason)
    return error


async def probe_image_limit(chat: ChatModel, count: int) -> ImageCheck:
    """Send a model `count` tiny images; the content of the response is ignored.

    Raises:
        NoImagesError: the model takes no images.
        BackendError: no response.
    """
    test_image = _test_image()
    question = user(*[test_image] * count, "Is this a red circle? Answer with one word, yes or no.")
    try:
        reply = await chat.ask([question], schema=None, variation=SamplingParams())
        answer: dict[str, Any] = {**built_messages(reply)}
    except (JudgeReplyError, RefusalError) as error:  # the model has taken the images
        answer = {"raw": str(error), "cost_usd": error.cost_usd, "usage": error.usage}
    except BackendError as error:
        if not _was_answering(error):
            raise
        answer = {"raw": str(error)}
    return ImageCheck(limit=chat.image_limit if isinstance(chat, LearnsImageLimit) else None, **answer)


def _was_answering(error: BackendError) -> bool:
    """Whether an error says that the response was too long, so that the images were accepted."""
    return "output limit was reached" in str(error)


@cache
def _test_image() -> ChatImage:
    from PIL import Image, ImageDraw

    image, out = Image.new("RGB", (64, 64), "white"), io.BytesIO()
    ImageDraw.Draw(image).ellipse((12, 12, 52, 52), fill=(220, 30, 30))
    image.save(out, "PNG")
    return ChatImage(out.getvalue(), "image/png")


@cache
def _openai_profile(model: str) -> bool | None:
    """Whether OpenAI's model takes images, by LangChain's model profile (dates of versions aside)."""
    from langchain_openai import ChatOpenAI

    name = re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model)
    profile = ChatOpenAI(model=name, api_key="none").profile or {}  # type: ignore[arg-type]
    takes = profile.get("image_inputs")
    return None if takes is None else bool(takes)
