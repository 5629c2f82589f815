"""Handling of an image model's response that has text only."""

from collections.abc import Collection

from imagerag.agent.errors import ImageRAGError
from imagerag.tools.model_text import is_refusal
from imagerag.tools.openai.errors import redact, refusal, unreadable


def no_image_error(who: str, text: str, secrets: Collection[str] = ()) -> ImageRAGError:
    """Error for a response without an image: a refusal if its text declines, otherwise a retryable one."""
    if text and is_refusal(text):
        return refusal(who, text, secrets)
    return unreadable(who, f"words instead of an image: {redact(text, secrets)[:200]}" if text.strip() else "no image")
