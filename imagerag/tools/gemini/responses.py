"""Responses of `generateContent`, read leniently.

The SDK's own types refuse fields that they do not know, and warn of unknown values. A service adds both at any time,
and an image that was paid for must not be lost for it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler
from pydantic import WrapValidator as Wrapped
from pydantic.alias_generators import to_camel

from imagerag.agent.errors import RefusalError
from imagerag.tools.openai.errors import redact, unparsable, unreadable

POLICY: Final = frozenset(
    {
        "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION", "MODEL_ARMOR", "NO_IMAGE",
    }
)  # fmt: skip
"""Finish reasons of a model that declines. `NO_IMAGE` says that it drew nothing although an image was requested; the
same request again is paid for again, and mostly ends the same way."""


def _objects(value: Any) -> Any:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _or_none(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return None


class _Lenient(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


Text = Annotated[str | None, Wrapped(_or_none)]
Count = Annotated[int | None, Field(ge=0), Wrapped(_or_none)]


class Blob(_Lenient):
    """Bytes inside of a response, in base64."""

    mime_type: Text = None
    data: Text = None


class Part(_Lenient):
    """One part of a response: text, an image, or either as a thought."""

    text: Text = None
    thought: Annotated[bool | None, Wrapped(_or_none)] = None
    inline_data: Annotated[Blob | None, Wrapped(_or_none)] = None


class Content(_Lenient):
    """The parts of a response, in order."""

    parts: Annotated[list[Part], BeforeValidator(_objects)] = Field(default_factory=list)


class Page(_Lenient):
    """A web page or an image that the model found: `web` has `uri`, `image` has `source_uri` and `image_uri`."""

    uri: Text = None
    source_uri: Text = None
    image_uri: Text = None
    title: Text = None
    domain: Text = None


class Chunk(_Lenient):
    """One source of a grounded response."""

    web: Annotated[Page | None, Wrapped(_or_none)] = None
    image: Annotated[Page | None, Wrapped(_or_none)] = None


class Grounding(_Lenient):
    """The sources of a response, and the searches that were made for it."""

    grounding_chunks: Annotated[list[Chunk], BeforeValidator(_objects)] = Field(default_factory=list)
    web_search_queries: Annotated[list[str] | None, Wrapped(_or_none)] = None
    image_search_queries: Annotated[list[str] | None, Wrapped(_or_none)] = None

    @property
    def searches(self) -> int:
        """Number of searches, each of which is billed."""
        return len(self.web_search_queries or ()) + len(self.image_search_queries or ())


class Candidate(_Lenient):
    """A response of the model."""

    content: Annotated[Content | None, Wrapped(_or_none)] = None
    finish_reason: Text = None
    finish_message: Text = None
    grounding_metadata: Annotated[Grounding | None, Wrapped(_or_none)] = None


class Feedback(_Lenient):
    """What the service says of the prompt, if it blocked it."""

    block_reason: Text = None
    block_reason_message: Text = None


class ModalityCount(_Lenient):
    """Tokens of one kind."""

    modality: Text = None
    token_count: Count = None


_Details = Annotated[list[ModalityCount], BeforeValidator(_objects)]


class Usage(_Lenient):
    """Tokens of a call; None is no count, and a total that is left out is 0. Thoughts are not among those of the
    candidates."""

    prompt_token_count: Count = None
    tool_use_prompt_token_count: Count = 0
    cached_content_token_count: Count = None
    candidates_token_count: Count = 0
    thoughts_token_count: Count = 0
    prompt_tokens_details: _Details = Field(default_factory=list)
    candidates_tokens_details: _Details = Field(default_factory=list)


class GeminiResponse(_Lenient):
    """A response of `generateContent`."""

    candidates: Annotated[list[Candidate], BeforeValidator(_objects)] = Field(default_factory=list)
    prompt_feedback: Annotated[Feedback | None, Wrapped(_or_none)] = None
    usage_metadata: Annotated[Usage | None, Wrapped(_or_none)] = None

    @property
    def finish_reason(self) -> str:
        """Why the model stopped; empty if it does not say."""
        return next((one.finish_reason for one in self.candidates if one.finish_reason), "").upper()

    @property
    def text(self) -> str:
        """The text, without thoughts."""
        return "".join(part.text for part in self._parts() if part.text and not part.thought)

    @property
    def images(self) -> list[str]:
        """The images in base64, without those of thoughts."""
        blobs = [part.inline_data for part in self._parts() if part.inline_data and not part.thought]
        return [one.data for one in blobs if one.data and (one.mime_type or "image/").startswith("image/")]

    @property
    def grounding(self) -> list[Grounding]:
        """The sources of each candidate that has some."""
        return [one.grounding_metadata for one in self.candidates if one.grounding_metadata]

    @property
    def usage(self) -> dict[str, Any] | None:
        """Tokens by the names that `token_usage.py` reads, and the number of searches; None if there is no count."""
        counts = self.usage_metadata
        if counts is None:
            return None
        prompt_tokens, tool_tokens = counts.prompt_token_count, counts.tool_use_prompt_token_count
        output_tokens, thoughts = counts.candidates_token_count, counts.thoughts_token_count
        if prompt_tokens is None or tool_tokens is None or output_tokens is None or thoughts is None:
            return None
        image_tokens = _of("IMAGE", counts.candidates_tokens_details)
        details = (
            {"image_tokens": image_tokens, "text_tokens": max(0, output_tokens - image_tokens) + thoughts}
            if image_tokens
            else {}
        )
        return {
            "input_tokens": prompt_tokens + tool_tokens,
            "input_tokens_details": {
                "text_tokens": _of("TEXT", counts.prompt_tokens_details),
                "image_tokens": _of("IMAGE", counts.prompt_tokens_details),
                "cached_tokens": counts.cached_content_token_count or 0,
            },
            "output_tokens": output_tokens + thoughts,
            "output_tokens_details": details,
            "searches": sum(one.searches for one in self.grounding),
        }

    def _parts(self) -> Iterator[Part]:
        yield from (part for one in self.candidates if one.content for part in one.content.parts)


def read_response(text: str, who: str) -> GeminiResponse:
    """Parse a response.

    Raises:
        UnreadableImageError: the JSON is damaged and holds an image, which is kept.
        BackendError: it is no JSON object.
    """
    problem = None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = unparsable(who, error)
    if problem is not None:  # outside of the handler, whose error holds the whole response
        raise problem
    if not isinstance(document, Mapping):
        raise unreadable(who, "something that is no response of generateContent")
    return GeminiResponse.model_validate(document)


def refusal_of(response: GeminiResponse, who: str, secrets: tuple[str, ...] = ()) -> RefusalError | None:
    """The error for a blocked prompt, or a response that policy stopped; None for any other."""
    feedback = response.prompt_feedback
    if feedback is not None and feedback.block_reason:
        message = redact(feedback.block_reason_message or "", secrets)
        return RefusalError(f"{who} declined: it blocked the prompt ({_reason_text(feedback.block_reason, message)})")
    if response.finish_reason not in POLICY:
        return None
    message = next((one.finish_message for one in response.candidates if one.finish_message), "") or response.text
    what = "it drew no image" if response.finish_reason == "NO_IMAGE" else "it stopped its response"
    return RefusalError(f"{who} declined: {what} ({_reason_text(response.finish_reason, redact(message, secrets))})")


def _reason_text(reason: str, message: str) -> str:
    return f"{redact(reason)}: {message[:200]}" if message else redact(reason)


def _of(kind: str, details: list[ModalityCount]) -> int:
    return sum(one.token_count or 0 for one in details if (one.modality or "").upper() == kind)
