"""GLM-Image with references: the features of several images of different shapes."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from tiny_pipelines import SIZE

from imagerag.agent.ports import ImagePart
from imagerag.agent.types import SamplingParams
from imagerag.tools.generators.diffusers import images
from imagerag.tools.generators.diffusers.families import FAMILIES
from imagerag.tools.generators.diffusers.glm_image import adapt_encoder
from imagerag.tools.generators.diffusers.pipeline import DiffusersGenerator

Make = Callable[..., DiffusersGenerator]


def part(width: int, height: int, colour: str = "red") -> ImagePart:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return ImagePart(data=buffer.getvalue(), media_type="image/png")


async def test_references_of_different_shapes_are_taken_and_text_alone_is_as_before(make: Make) -> None:
    async def draw(*references: ImagePart) -> bytes:
        variation = SamplingParams(seed=3)
        return (await make("glm-image").generate("a red hat", references, variation=variation, size=SIZE)).data

    before = await draw()
    drawn = [await draw(part(90, 110), part(200, 20, "blue")), await draw(part(64, 64))]
    assert len({before, *drawn}) == 3
    assert await draw() == before


@pytest.mark.parametrize("size", [(512, 512), (600, 700), (40, 40), (4000, 200), (200, 4000), (1500, 1490)])
def test_references_fit_the_rules_of_its_processor(size: tuple[int, int]) -> None:
    (fitted,) = images.opened([part(*size)], FAMILIES["glm-image"])
    assert {side % 32 for side in fitted.size} == {0}
    assert min(fitted.size) >= 512
    assert max(fitted.size) / min(fitted.size) <= 4


class Encoder:
    """An encoder of other versions, whose features are lists of patches."""

    def get_image_features(self, *_inputs: Any, **_named: Any) -> Any:
        import torch

        return type("Output", (), {"pooler_output": [torch.ones(4, 2), torch.zeros(6, 2)]})()

    def get_image_tokens(self, joined: Any, _grids: Any = None) -> Any:
        return joined


def test_nothing_changes_where_the_versions_fit() -> None:
    import torch

    pipe = type("Pipe", (), {})()
    pipe.vision_language_encoder = encoder = Encoder()
    adapt_encoder(pipe)
    features = encoder.get_image_features(1, 2).pooler_output
    assert [tuple(feature.shape) for feature in features] == [(4, 2), (6, 2)]
    joined = torch.cat(features)
    assert encoder.get_image_tokens(joined, None) is joined
