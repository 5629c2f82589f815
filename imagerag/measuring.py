"""How similar a picture and a text are to an encoder."""

from typing import TYPE_CHECKING

from imagerag.agent.errors import UsageError
from imagerag.agent.threads import in_thread

if TYPE_CHECKING:
    from imagerag.agent.ports import Embedder


def check_text(encoder: "Embedder", text: str) -> None:
    """See that an encoder can read a whole text.

    Raises:
        UsageError: it is empty, or longer than the encoder reads.
    """
    if not text.strip():
        raise UsageError("say what the picture is compared with: imagerag similarity IMAGE TEXT")
    if (tokens := encoder.count_tokens(text)) > encoder.context_length:
        raise UsageError(f"the text has {tokens} tokens, and {encoder.identity.spec} reads {encoder.context_length}")


async def measure_similarity(encoder: "Embedder", image: bytes, text: str) -> float:
    """The cosine between a picture and a text, in [-1, 1].

    Raises:
        UsageError: not a picture that can be read.
    """
    from imagerag.store.imaging import inspect

    await in_thread(inspect, image)
    (seen,) = await encoder.embed_images([image])
    (said,) = await encoder.embed_texts([text])
    return max(-1.0, min(1.0, float(seen @ said)))
