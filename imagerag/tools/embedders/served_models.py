"""Facts about embedding models behind servers, by their names. Options of the spec overrule all of them."""

import re
from dataclasses import dataclass
from typing import Final, Literal

ImageForm = Literal["no", "clip", "messages", "qwen3-vl"]
"""How a server is sent images: not at all; in vLLM's chat form of `/embeddings`, with texts as `input` (models of two
towers, which no chat template concerns); in that form as texts are; and in it with the system message and the open
answer that Qwen3-VL-Embedding was trained with."""

READ: Final = 512
"""Tokens of a text that an unknown model is taken to read; most text encoders read that many."""

QUERY: Final = "Retrieve images or text relevant to the user's query."
"""Instruction of Qwen3-VL-Embedding for queries, as published with the model."""

STORED: Final = "Represent the user's input."
"""Its instruction for what is searched: images and passages."""


@dataclass(frozen=True)
class ServedModel:
    """Facts about a model, known by its name.

    Attributes:
        length: length of its vectors; None means that the server has to be asked.
        context: tokens of a text that it reads.
    """

    length: int | None = None
    context: int = READ


_MODELS: Final = (
    (re.compile(r"text-embedding-3-large"), ServedModel(3072, 8191)),
    (re.compile(r"text-embedding-3-small|text-embedding-ada-002"), ServedModel(1536, 8191)),
    (re.compile(r"mistral-embed$"), ServedModel(1024, 8192)),
    (re.compile(r"embed-v4\.0"), ServedModel(1536)),
    (re.compile(r"qwen3-vl-embedding-2b", re.I), ServedModel(2048, 8192)),
    (re.compile(r"qwen3-vl-embedding-8b", re.I), ServedModel(4096, 8192)),
)
_TAUGHT: Final = re.compile(r"qwen3-vl-embedding", re.I)
_TOWERS: Final = re.compile(r"(?:^|[-_/.])(?:clip|siglip2?)(?:[-_.]|$)", re.I)
_SEES: Final = re.compile(r"(?:^|[-_/.])(?:vlm2vec|vl)(?:[-_.]|$)", re.I)


def served_model(name: str) -> ServedModel:
    """Facts about a model."""
    return next((model for pattern, model in _MODELS if pattern.search(name)), ServedModel())


def image_form(name: str) -> ImageForm:
    """Form in which a model takes images, as far as its name tells."""
    if _TAUGHT.search(name):
        return "qwen3-vl"
    if _TOWERS.search(name):
        return "clip"
    return "messages" if _SEES.search(name) else "no"
