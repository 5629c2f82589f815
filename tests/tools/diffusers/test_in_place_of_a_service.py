"""A local pipeline in place of a hosted service whose quota is out."""

import io
from collections.abc import Callable
from dataclasses import replace

from PIL import Image
from tiny_pipelines import SIZE

from imagerag.agent.ports import ImagePart
from imagerag.agent.types import NamedSize, SamplingParams
from imagerag.tools.fallback.generator import FallbackGenerator
from imagerag.tools.generators.diffusers.pipeline import DiffusersGenerator
from imagerag.tools.registry import make_generator
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer


async def test_it_gets_the_size_in_its_own_pixels_and_the_references_that_it_takes(
    make: Callable[..., DiffusersGenerator], references: list[ImagePart]
) -> None:
    local = make("flux-kontext")
    local._family = replace(local._family, size=SIZE)  # a megapixel would take seconds
    with MockOpenAIServer() as server:
        server.enqueue("images.edit", Fault("quota"))
        fallback = FallbackGenerator([make_generator(f"openai:gpt-image-2@{server.base_url}"), local])
        drawn = await fallback.generate(
            "a hat", references[:2], variation=SamplingParams(seed=1), size=NamedSize.of("16:9")
        )
        (request,) = server.of("images.edit")
        assert (request.body["size"], len(request.images)) == ("1360x768", 2)
        assert server.errors == []
    assert Image.open(io.BytesIO(drawn.data)).size == (80, 48)
    assert (str(drawn.size), drawn.references_sent, drawn.served_by) == ("80x48", 1, local.identity)
    assert drawn.fallback_errors[1:] == (f"{local.identity} takes 1 of 2 images",)
