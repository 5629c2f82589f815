"""Qwen3-VL-Embedding: a vision-language model whose last token is the vector of a conversation.

Source: Qwen3-VL-Embedding, its model card and published code (`Qwen3VLEmbedder`): an instruction as the system's
message, the text or image as the user's, the start of an answer, right padding, the last token's hidden state.
"""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.control_tokens import neutralised, without_tokens
from imagerag.agent.errors import SpecError
from imagerag.tools.embedders.preprocess import middle
from imagerag.tools.embedders.served_models import QUERY, STORED
from imagerag.tools.judges.vlm.tokenizer import control_tokens_of

if TYPE_CHECKING:
    from PIL.Image import Image

_CONTEXT: Final = 8192
_LONGEST: Final = 199
"""Maximum ratio of an image's sides: the model's own resizing refuses 200."""
_LEAST_PIXELS: Final = 4 * 32 * 32
_MOST_PIXELS: Final = 1800 * 32 * 32
_SHORTEST_VECTOR: Final = 64


class Qwen3VL:
    """Conversations of one text or one image, pooled at the last token.

    Args:
        config: the model's configuration.
        processor: its processor.
        dimensions: shorter vectors, the first numbers of the model's own (Matryoshka).
        longest_side: maximum side of an image, in pixels; None for the published limit of 1.8 megapixels alone.
        instruction: of queries; None for the published one.

    Raises:
        SpecError: `dimensions` is out of range.
    """

    images_at_once = 4
    texts_at_once = 16

    def __init__(
        self,
        config: Any,
        processor: Any,
        *,
        dimensions: int | None = None,
        longest_side: int | None = None,
        instruction: str | None = None,
    ) -> None:
        whole = int(config.text_config.hidden_size)
        if dimensions is not None and not min(_SHORTEST_VECTOR, whole) <= dimensions <= whole:
            raise SpecError(f"dimensions must be from {_SHORTEST_VECTOR} to {whole} for this model, not {dimensions}")
        self._processor, self._side = processor, longest_side
        self._query = instruction or QUERY
        self._reading = Lock()  # tokenizers are not thread-safe
        self.dimension = dimensions or whole
        self.context_length = min(_CONTEXT, int(config.text_config.max_position_embeddings))
        self._multiple = patch_side(config)

    @property
    def preprocess(self) -> str:
        """Preprocessing in one line."""
        side = f" and {self._side} px a side" if self._side else ""
        return f"images up to {_MOST_PIXELS} pixels{side}, after {STORED!r}"

    @property
    def image_side(self) -> int:
        """The shorter side that an image is decoded for, in pixels."""
        return self._side or int(_MOST_PIXELS**0.5)

    def count_tokens(self, text: str) -> int:
        """Number of tokens of a conversation with the text, instruction and markers included."""
        return len(self._read([self._conversation(self._plain(text), self._query)])["input_ids"][0])

    def prepare(self, image: "Image") -> "Image":
        """An RGB image in the size that the model sees it in."""
        return sized(image, self._multiple, _MOST_PIXELS, self._side)

    def encode_texts(self, model: Any, texts: Sequence[str], *, query: bool) -> Any:
        """Features [len(texts), dimension] after the instruction for queries, or the one for what is searched."""
        instruction = self._query if query else STORED
        return self._encode(model, self._read([self._conversation(self._fitting(text), instruction) for text in texts]))

    def encode_images(self, model: Any, images: "Sequence[Image]") -> Any:
        """Features [len(images), dimension] of images of `prepare`."""
        conversations = [self._conversation(None, STORED) for _ in images]
        return self._encode(model, self._read(conversations, images))

    def logit_scale(self, model: Any) -> None:
        """None: the published model names no scale."""

    def _encode(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        import torch

        on_device = {name: values.to(model.device) for name, values in inputs.items()}
        if "pixel_values" in on_device:
            on_device["pixel_values"] = on_device["pixel_values"].to(model.dtype)
        states = model(**on_device, use_cache=False).last_hidden_state
        last = on_device["attention_mask"].sum(dim=1) - 1
        return states[torch.arange(len(states), device=states.device), last][:, : self.dimension]

    def _conversation(self, text: str | None, instruction: str) -> list[dict[str, Any]]:
        content = {"type": "image"} if text is None else {"type": "text", "text": text or "NULL"}
        return [
            {"role": "system", "content": [{"type": "text", "text": instruction}]},
            {"role": "user", "content": [content]},
        ]

    def _read(self, conversations: list[Any], images: "Sequence[Image]" = ()) -> Any:
        """The model's inputs, padded on the right."""
        texts = [
            self._processor.apply_chat_template(one, add_generation_prompt=True, tokenize=False)
            for one in conversations
        ]
        image_inputs = {"images": [[image] for image in images], "do_resize": False} if images else {}
        with self._reading:
            return self._processor(text=texts, padding=True, padding_side="right", return_tensors="pt", **image_inputs)

    def _plain(self, text: str) -> str:
        return without_tokens(neutralised(text), control_tokens_of(self._processor))

    def _fitting(self, text: str) -> str:
        """A text of which the start is kept where it is too long, so that the markers after it stay."""
        text = self._plain(text)
        while text and (over := self.count_tokens(text) - self.context_length) > 0:
            tokenizer = self._processor.tokenizer
            with self._reading:
                tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
            text = self._plain(tokenizer.decode(tokens[: max(0, len(tokens) - over)]).rstrip("\ufffd"))
        return text


def patch_side(config: Any) -> int:
    """Pixels of which an image's sides are multiples."""
    return int(config.vision_config.patch_size * config.vision_config.spatial_merge_size)


def sized(image: "Image", multiple: int, most_pixels: int, longest_side: int | None) -> "Image":
    """An RGB image in the size that Qwen3-VL sees it in: its sides are multiples, its shape about the same.

    Args:
        multiple: of a side, in pixels.
        most_pixels: width times height.
        longest_side: None for no other limit than `most_pixels`.
    """
    from PIL.Image import Resampling
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    image = middle(image, _LONGEST)
    if longest_side and max(image.size) > longest_side:
        image = image.copy()
        image.thumbnail((longest_side, longest_side), Resampling.BICUBIC)
    height, width = smart_resize(
        image.height, image.width, factor=multiple, min_pixels=_LEAST_PIXELS, max_pixels=most_pixels
    )
    return image.resize((width, height), Resampling.BICUBIC)
