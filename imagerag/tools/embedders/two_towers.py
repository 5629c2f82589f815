"""Encoders of transformers with an image tower and a text tower: CLIP, SigLIP, SigLIP 2 and its NaFlex models."""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.control_tokens import all_neutralised
from imagerag.agent.errors import SpecError
from imagerag.tools.embedders.preprocess import middle

if TYPE_CHECKING:
    from PIL.Image import Image

_SIGLIP: Final = frozenset({"siglip", "siglip2"})
_PREPROCESSING: Final = (
    "size", "do_center_crop", "crop_size", "resample", "patch_size", "max_num_patches", "image_mean", "image_std",
)  # fmt: skip


class TwoTowers:
    """Texts and images through towers of their own.

    SigLIP reads texts in lower case, padded on the right to its whole length without a mask, as it was trained.

    Args:
        config: the model's configuration.
        tokenizer: its tokenizer.
        image_processor: its preprocessing, computed by Pillow.
        patches: maximum number of patches of an image, for NaFlex models; None for the number in the configuration.

    Raises:
        SpecError: `patches` for a model that has no choice.
    """

    images_at_once = 32
    texts_at_once = 128

    def __init__(self, config: Any, tokenizer: Any, image_processor: Any, *, patches: int | None = None) -> None:
        self._siglip = config.model_type in _SIGLIP
        self._tokenizer, self._image_processor = tokenizer, image_processor
        self._reading = Lock()  # tokenizers are not thread-safe
        self._sizes: dict[str, Any] = {}
        own = getattr(image_processor, "max_num_patches", None)
        if patches is not None:
            if own is None:
                raise SpecError("patches is an option of NaFlex models: this one takes images of one size")
            self._sizes = {"max_num_patches": patches}
        self._patches = patches or own
        self.context_length = int(config.text_config.max_position_embeddings)
        self.dimension = int(config.vision_config.hidden_size if self._siglip else config.projection_dim)

    @property
    def preprocess(self) -> str:
        """Preprocessing in one line."""
        settings = {name: getattr(self._image_processor, name, None) for name in _PREPROCESSING} | self._sizes
        return ", ".join(f"{name} {_in_words(value)}" for name, value in settings.items() if value is not None)

    @property
    def image_side(self) -> int:
        """The shorter side that an image is decoded for, in pixels."""
        if self._patches:
            return int(self._image_processor.patch_size * self._patches**0.5)
        size = getattr(self._image_processor, "crop_size", None) or self._image_processor.size
        return int(max(value for value in dict(size).values() if value))

    def count_tokens(self, text: str) -> int:
        """Number of tokens, start and end markers included."""
        with self._reading:
            return len(self._tokenizer(self._prepared_texts([text]))["input_ids"][0])

    def prepare(self, image: "Image") -> dict[str, Any]:
        """An RGB image as the arrays that the image tower takes."""
        processed = self._image_processor(images=[middle(image)], return_tensors="np", **self._sizes)
        return {name: values[0] for name, values in processed.items()}

    def encode_texts(self, model: Any, texts: Sequence[str], *, query: bool) -> Any:
        """Features [len(texts), dimension]; those of queries and passages are the same."""
        with self._reading:
            tokens = self._tokenizer(
                self._prepared_texts(texts),
                padding="max_length" if self._siglip else True,
                padding_side="right",
                truncation=True,
                max_length=self.context_length,
                return_tensors="pt",
            ).to(model.device)
        masked = {} if self._siglip else {"attention_mask": tokens["attention_mask"]}
        return _pooled(model.get_text_features(input_ids=tokens["input_ids"], **masked))

    def encode_images(self, model: Any, images: Sequence[Mapping[str, Any]]) -> Any:
        """Features [len(images), dimension]."""
        import numpy as np
        import torch

        inputs = {name: torch.from_numpy(np.stack([image[name] for image in images])) for name in images[0]}
        inputs = {name: values.to(model.device) for name, values in inputs.items()}
        inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
        return _pooled(model.get_image_features(**inputs))

    def logit_scale(self, model: Any) -> float:
        """The factor of cosines in the loss that the model was trained with."""
        return float(model.logit_scale.detach().float().exp().mean())

    def _prepared_texts(self, texts: Sequence[str]) -> list[str]:
        neutral_texts = all_neutralised(texts)
        return [text.lower() for text in neutral_texts] if self._siglip else neutral_texts


def _pooled(features: Any) -> Any:
    return getattr(features, "pooler_output", features)


def _in_words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(f"{number:.4g}" for number in value)
    if hasattr(value, "items"):
        return "x".join(str(number) for _, number in value.items() if number is not None)
    return str(value)
