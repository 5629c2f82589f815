"""Scores by encoders: similarity of the image with the prompt (CLIP-T, SigLIP) and with real photos (CLIP-I, DINO).

Any open_clip model can be used, by name or from a folder; `independent` is the sketch world's second encoder, which
neither retrieves nor judges. DINO and other image-only models are loaded with timm.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from imagerag.agent.errors import BackendError, UsageError
from imagerag.agent.ports import Embedder
from imagerag.agent.ports.embedder import embed_texts, unit_rows
from imagerag.agent.regular_files import read_regular
from imagerag.evals.metrics.base import DIGITS, Sample
from imagerag.evals.result_record import Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

INDEPENDENT: Final = Path(__file__).parent / "clip"
KEPT: Final = 512
"""Images that stay encoded: arms that keep the initial image share it."""


class ImageEncoder(Protocol):
    """Encodes images as unit vectors."""

    async def embed_images(self, images: Sequence[bytes]) -> Any:
        """float32 [len(images), dimension], rows of norm 1."""
        ...


Encoder = TypeVar("Encoder", bound=ImageEncoder)


class CachedEncoder:
    """A caching encoder that encodes one image at a time, so that other images never change a vector."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder
        self._kept: OrderedDict[bytes, Vector] = OrderedDict()

    async def encode(self, image: bytes) -> "Vector":
        """The image's unit vector."""
        from hashlib import sha256

        key = sha256(image).digest()
        if key not in self._kept:
            vectors, identity = await self._encoder.embed_images([image]), getattr(self._encoder, "identity", None)
            self._kept[key] = vectors[0] if identity is None else unit_rows(vectors, 1, identity)[0]
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]


class Encoded(Generic[Encoder]):
    """Base of metrics that compare vectors of images."""

    needs_image = True

    def __init__(self, spec: str, embedder: Encoder, encoder: CachedEncoder) -> None:
        self.spec, self.embedder, self._cached = spec, embedder, encoder


class TextScore(Encoded[Embedder]):
    """`text:ENCODER`: cosine of prompt and image (CLIP-T; SigLIP with a SigLIP model)."""

    async def measure(self, sample: Sample) -> Mapping[str, Score]:
        """The cosine, in [-1, 1]."""
        assert sample.image is not None, "it needs one"
        fits = self.embedder.count_tokens(sample.case.prompt) <= self.embedder.context_length
        if not fits:
            raise UsageError(f"the prompt is longer than {self.embedder.identity.spec} reads")
        text = (await embed_texts(self.embedder, [sample.case.prompt]))[0]
        return {self.spec: round(float(text @ await self._cached.encode(sample.image)), DIGITS)}


class RightScore(Encoded[Embedder]):
    """`right:ENCODER`: whether the image fits the prompt better than every hard negative of the case."""

    async def measure(self, sample: Sample) -> Mapping[str, Score]:
        """Compute true or false; None where the case has no hard negative."""
        assert sample.image is not None, "it needs one"
        if not sample.case.truth.wrong:
            return {self.spec: None}
        texts = await embed_texts(self.embedder, [sample.case.prompt, *sample.case.truth.wrong])
        cosines = texts @ await self._cached.encode(sample.image)
        return {self.spec: bool(cosines[0] > cosines[1:].max())}


class ImageScore(Encoded[ImageEncoder]):
    """`image:ENCODER` (CLIP-I), `dino:MODEL`: mean cosine of the image with the case's real photos."""

    async def measure(self, sample: Sample) -> Mapping[str, Score]:
        """Compute the mean cosine, in [-1, 1]; None where the case has no real photo."""
        assert sample.image is not None, "it needs one"
        real = await reference_photos(sample)
        if not real:
            return {self.spec: None}
        own = await self._cached.encode(sample.image)
        cosines = [float(own @ await self._cached.encode(photo)) for photo in real]
        return {self.spec: round(sum(cosines) / len(cosines), DIGITS)}


class Diversity(Encoded[ImageEncoder]):
    """`diversity:ENCODER`: 1 - mean pairwise cosine of the images of a case's seeds."""

    async def measure(self, sample: Sample) -> Mapping[str, Score]:
        """No score: diversity needs several images."""
        return {}

    async def across(self, samples: Sequence[Sample]) -> Mapping[str, Score]:
        """Compute the diversity, in [0, 2]; 0 when all images are the same."""
        vectors = [await self._cached.encode(sample.image) for sample in samples if sample.image is not None]
        pairs = [float(a @ b) for at, a in enumerate(vectors) for b in vectors[at + 1 :]]
        return {self.spec: round(1 - sum(pairs) / len(pairs), DIGITS)} if pairs else {self.spec: None}


async def reference_photos(sample: Sample) -> list[bytes]:
    """The real photos: the files of the case, or for the sketch world three new drawings."""
    files = [Path(photo.path) for photo in sample.case.truth.images]
    if files:
        return [await asyncio.to_thread(read_regular, file) for file in files]
    if "things" not in sample.case.truth.data:
        return []
    return await asyncio.to_thread(_sketch_images, sample.case.id, sample.case.truth.data)


def drawn_scene(id: str, data: Mapping[str, Any], side: int = 256) -> bytes:
    """A new drawing of the content of a sketch case, for people to see."""
    from imagerag.evals.synthetic_images import SyntheticImage, chance
    from imagerag.tools.sketch.world import Thing, random_scene

    things = tuple(Thing(*words) for words in data["things"])
    return SyntheticImage.of(random_scene(chance(0, "shown", id), things, data["background"] or "white"), side).data


def _sketch_images(id: str, data: Mapping[str, Any]) -> list[bytes]:
    from imagerag.evals.synthetic_images import SyntheticImage, chance
    from imagerag.tools.sketch.world import Thing, random_scene

    things = tuple(Thing(*words) for words in data["things"])
    rng = chance(0, "real", id)
    return [SyntheticImage.of(random_scene(rng, things, data["background"] or "white"), 128).data for _ in range(3)]


class TimmEncoder:
    """An image-only model of timm (DINO, DINOv2, …), by name or from a local folder or weight file.

    Args:
        model: timm's name, `NAME=FILE` for weights in a file, or `local-dir:DIR`.
    """

    def __init__(self, model: str) -> None:
        self._spec = self.model = model

    @cached_property
    def _loaded(self) -> Any:
        import timm
        import torch

        name, _, file = self._spec.partition("=")
        try:
            if file:
                model = timm.create_model(name, pretrained=False, num_classes=0, checkpoint_path=file)
            else:
                model = timm.create_model(name, pretrained=True, num_classes=0)
        except Exception as error:
            raise BackendError(
                f"timm could not load {self._spec!r} ({error}). Without a network: dino:NAME=FILE or "
                "dino:local-dir:FOLDER",
                retryable=False,
            ) from error
        data: Any = import_module("timm.data")
        transform = data.create_transform(**data.resolve_model_data_config(model), is_training=False)
        return model.eval().to(torch.float32), transform

    async def embed_images(self, images: Sequence[bytes]) -> "Vector":
        """float32 [len(images), dimension], rows of norm 1."""
        return await asyncio.to_thread(self._encode, images)

    def _encode(self, images: Sequence[bytes]) -> "Vector":
        import torch

        from imagerag.agent.images.decoding import open_rgb

        model, transform = self._loaded
        tensors = [transform(open_rgb(image)) for image in images]
        with torch.inference_mode():
            vectors = torch.nn.functional.normalize(model(torch.stack(tensors)).float(), dim=1)
        array: Vector = vectors.numpy()
        return array
