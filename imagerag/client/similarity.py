"""Similarity of an image and texts under an encoder."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imagerag.agent.errors import UsageError
from imagerag.agent.port_validation import check_embeds_images
from imagerag.agent.ports import embed_images, embed_texts
from imagerag.agent.threads import in_thread
from imagerag.agent.visible_text import is_blank
from imagerag.files.inputs import Image, naming, read_image
from imagerag.formatting.interface_terms import Placeholder, python_call

if TYPE_CHECKING:
    from imagerag.agent.ports import Embedder


def check_text(encoder: "Embedder", text: str) -> None:
    """See that an encoder can read a whole text.

    Raises:
        UsageError: it is empty, or longer than the encoder reads.
    """
    if is_blank(text):
        call = python_call("libraries.similarity", Placeholder("IMAGE"), Placeholder("TEXT"))
        raise UsageError(f"say what the image is compared with: {call}")
    if (tokens := encoder.count_tokens(text)) > encoder.context_length:
        raise UsageError(f"the text has {tokens} tokens, and {encoder.identity.spec} reads {encoder.context_length}")


async def measure_similarities(encoder: "Embedder", image: Image, texts: Sequence[str]) -> list[float]:
    """The cosine between an image and each text, in [-1, 1].

    Raises:
        SpecError: the encoder embeds texts only.
        UsageError: no image that can be read, an empty text, or one that is longer than the encoder reads.
    """
    from imagerag.store.images.image_info import inspect

    check_embeds_images(encoder)
    for text in texts:
        check_text(encoder, text)
    data = await in_thread(read_image, image)
    with naming(image):
        await in_thread(inspect, data)
    (image_vector,) = await embed_images(encoder, [data])
    return [max(-1.0, min(1.0, float(image_vector @ vector))) for vector in await embed_texts(encoder, texts)]
