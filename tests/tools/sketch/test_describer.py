"""The sketch world's describer names what is drawn, and the encoder tells its descriptions from those of others."""

from random import Random

import numpy as np

from imagerag.agent.images.encoding import png
from imagerag.agent.ports import ImagePart
from imagerag.agent.types import SamplingParams
from imagerag.tools.registry import make_describer, make_embedder
from imagerag.tools.sketch.renderer import draw
from imagerag.tools.sketch.world import describe, random_scene


async def test_things_and_backgrounds_are_named() -> None:
    rng, describer = Random(3), make_describer("sketch")
    scenes = [random_scene(rng) for _ in range(12)]
    pictures = [png(draw(scene, 128)) for scene in scenes]
    found = [
        await describer.describe(ImagePart(data=data, media_type="image/png"), variation=SamplingParams())
        for data in pictures
    ]
    named = [
        set(map(describe, scene.things)) <= set(one.key_elements) for scene, one in zip(scenes, found, strict=True)
    ]
    assert np.mean(named) > 0.8
    assert np.mean([one.tags[-1] == scene.background for scene, one in zip(scenes, found, strict=True)]) > 0.8
    encoder = make_embedder("sketch")
    cosines = (await encoder.embed_texts([one.text for one in found])) @ (await encoder.embed_images(pictures)).T
    assert np.mean(cosines.argmax(axis=1) == np.arange(len(scenes))) > 0.8
