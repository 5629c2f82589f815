"""When a model that should draw answers in words."""

from collections.abc import Collection

from imagerag.agent.errors import ImageRAGError
from imagerag.tools.model_text import is_refusal
from imagerag.tools.openai.errors import redact, refusal, unreadable


def no_image_error(who: str, text: str, secrets: Collection[str] = ()) -> ImageRAGError:
    """The error for an answer without an image: a refusal when its words decline, else one where again can help."""
    if text and is_refusal(text):
        return refusal(who, text, secrets)
    return unreadable(who, f"words instead of an image: {redact(text, secrets)[:200]}" if text.strip() else "no image")
