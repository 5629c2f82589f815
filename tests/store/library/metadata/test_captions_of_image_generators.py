"""What image generators write beside a picture: its prompt is the caption, the rest is not what the picture shows."""

from pathlib import Path

import pytest

from imagerag.store.library.metadata.generation_metadata import without_parameters
from imagerag.store.library.metadata.sidecars import Sidecars

MADE_WITH = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64"


@pytest.mark.parametrize(
    ("text", "caption", "negative"),
    [
        (f"a navy circle\nNegative prompt: ugly, red\n{MADE_WITH}", "a navy circle", "ugly, red"),
        (f"a navy circle,\non paper\n{MADE_WITH}\n", "a navy circle,\non paper", None),
        (f"a navy circle\r\nNegative prompt: ugly,\r\nred\r\n{MADE_WITH}", "a navy circle", "ugly, red"),
        (f"{MADE_WITH}", None, None),
    ],
)
def test_the_prompt_is_the_caption_and_the_rest_is_metadata(
    tmp_path: Path, text: str, caption: str | None, negative: str | None
) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode())
    said = Sidecars().of(tmp_path / "a.png")
    assert said.problems == ()
    assert said.description.caption == caption
    assert said.description.metadata is not None
    assert said.description.metadata.get("negative_prompt") == negative
    assert said.description.metadata["generation_parameters"] == MADE_WITH


@pytest.mark.parametrize(
    "text",
    [
        "a red circle",
        "Negative prompt: a study in what nobody asks for",
        "Steps: a photograph of stairs",
        "a leaflet that reads Steps: 20, Sampler: Euler a",
    ],
)
def test_other_words_are_left_as_they_are(text: str) -> None:
    assert without_parameters(text) == (text, {})
