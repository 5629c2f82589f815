"""ChatOpenAI that takes images by their hashes: tracers, callbacks and caches see no pixels."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from imagerag.tools.judges.vlm.chat_protocol import ChatImage
from imagerag.tools.judges.vlm.reasoning import keep_reasoning
from imagerag.tools.openai.client import OpenAICredentials

if TYPE_CHECKING:
    from langchain_core.outputs import ChatResult
    from langchain_openai import ChatOpenAI


_PIXELS: ContextVar[Mapping[str, ChatImage] | None] = ContextVar("imagerag_pixels", default=None)


BY_HASH: Final = "sha256:"


class UnansweredError(Exception):
    """Error for tracers: only the class name, because a service's message may quote the key or the request."""

    def __init__(self, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.error = error


@contextmanager
def image_bytes(images: Mapping[str, ChatImage]) -> Iterator[None]:
    """Context manager that provides the images of the requests inside it, by SHA-256."""
    token = _PIXELS.set(images)
    try:
        yield
    finally:
        _PIXELS.reset(token)


def new_client(model: str, account: OpenAICredentials, *, identity: str, timeout_s: float) -> "ChatOpenAI":
    """Create a client of one model for one event loop, without retries or caching.

    Args:
        identity: names the backend in the error for a missing key.
        timeout_s: for one request, in seconds.

    Raises:
        AuthError: there is no key.
    """
    import openai

    from imagerag.tools.http_client import http_client, ssl_context

    # ChatOpenAI warns about a refused schema before it raises; the next form is tried without a warning.
    warnings.filterwarnings("ignore", message=r"This model does not support OpenAI's structured", append=False)
    warnings.filterwarnings("ignore", message=r"Invalid schema for OpenAI's structured", append=False)
    key: Any = account.sent_key(identity)
    return _hashed_chat_openai()(
        model=model,
        base_url=account.base_url,
        default_query=dict(account.query) or None,
        api_key=key,
        timeout=timeout_s,
        max_retries=0,
        use_responses_api=False,
        cache=False,
        disable_streaming=True,
        # Never used; ChatOpenAI's own client would read the certificates again.
        http_client=openai.DefaultHttpxClient(verify=ssl_context()),
        http_async_client=http_client(),
    )


def _hashed_chat_openai() -> "type[ChatOpenAI]":
    """ChatOpenAI subclass that takes images by their hash and inserts the bytes when the request is sent.

    So callbacks, tracers and caches see hashes, not pixels. Message contents are in their final form and skip the
    conversions of LangChain and the SDK, which together take longer than all other steps of a call.
    """
    from langchain_openai import ChatOpenAI

    class HashedChatOpenAI(ChatOpenAI):
        def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
            messages = self._convert_input(input_).to_messages()
            bare = [message.model_copy(update={"content": ""}) for message in messages]
            payload: dict[str, Any] = super()._get_request_payload(bare, stop=stop, **kwargs)
            final = [
                {**converted_message, "content": _final(message.content)}
                for converted_message, message in zip(payload["messages"], messages, strict=True)
            ]
            return {**payload, "messages": [], "extra_body": {**(payload.get("extra_body") or {}), "messages": final}}

        def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> "ChatResult":
            return keep_reasoning(super()._create_chat_result(response, generation_info), response)

        async def _agenerate(self, *args: Any, **kwargs: Any) -> "ChatResult":
            try:
                return await super()._agenerate(*args, **kwargs)
            except Exception as error:
                lost = error
            raise UnansweredError(lost)  # raised outside of the handler, so that the error is not its context

    return HashedChatOpenAI


def _final(content: Any) -> Any:
    return [_with_bytes(part) for part in content] if isinstance(content, list) else content


def _with_bytes(part: dict[str, Any]) -> dict[str, Any]:
    from base64 import b64encode

    if part.get("type") != "image_url":
        return part
    image = (_PIXELS.get() or {})[part["image_url"]["url"].removeprefix(BY_HASH)]
    url = f"data:{image.media_type};base64,{b64encode(image.data).decode('ascii')}"
    return {**part, "image_url": {**part["image_url"], "url": url}}
