"""The loopback provider keeps to the documented limits of the Images API."""

import openai
import pytest
from openai.types import image_edit_params, image_generate_params

from imagerag.tools.testing.mock_openai import MockOpenAIServer, tiny_png
from imagerag.tools.testing.mock_openai.api_limits import PARAMETERS

PNG = ("a.png", tiny_png("a"), "image/png")
BROKEN_LIMITS = {
    "17 images": ({"image": [PNG] * 17}, "array_above_max_length"),
    "no type": ({"image": tiny_png("a")}, "unsupported_file_type"),
    "a gif": ({"image": ("a.gif", b"GIF89a", "image/gif")}, "unsupported_file_type"),
    "empty": ({"image": ("a.png", b"", "image/png")}, "invalid_image_file"),
    "50 MB": ({"image": ("a.png", bytes(50 * 2**20), "image/png")}, "file_too_large"),
    "a long prompt": ({"image": PNG, "prompt": "x" * 32_001}, "string_above_max_length"),
    "a blank prompt": ({"image": PNG, "prompt": " "}, "missing_required_parameter"),
    "fidelity": ({"image": PNG, "input_fidelity": "high"}, "unsupported_parameter"),
    "moderation": ({"image": PNG, "extra_body": {"moderation": "low"}}, "unsupported_parameter"),
    "style": ({"image": PNG, "extra_body": {"style": "vivid"}}, "unsupported_parameter"),
    "response_format": ({"image": PNG, "response_format": "b64_json"}, "unsupported_parameter"),
    "a size": ({"image": PNG, "size": "1000x1000"}, "invalid_value"),
    "a ratio": ({"image": PNG, "size": "1024x256"}, "invalid_value"),
    "a quality": ({"image": PNG, "quality": "hd"}, "invalid_value"),
    "a mask": ({"image": PNG, "mask": ("m.jpg", b"\xff\xd8", "image/jpeg")}, "invalid_image_file"),
}


@pytest.mark.parametrize("case", BROKEN_LIMITS)
def test_the_documented_limits_are_enforced(server: MockOpenAIServer, client: openai.OpenAI, case: str) -> None:
    options, code = BROKEN_LIMITS[case]
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.edit(**{"model": "gpt-image-2", "prompt": "a cat", **options})
    assert refused.value.code == code


def test_the_parameters_are_those_of_the_sdk() -> None:
    generate = set(image_generate_params.ImageGenerateParamsNonStreaming.__annotations__)
    edit = set(image_edit_params.ImageEditParamsNonStreaming.__annotations__)
    assert PARAMETERS["images.generate"] == generate - {"response_format", "style"}
    assert PARAMETERS["images.edit"] - {"images"} == edit - {"response_format"}
