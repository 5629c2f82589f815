"""Sizes as a person writes them: pixels and words, in texts and in documents."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imagerag.agent.types import NamedSize, RunConfig, RunContext, Size, parse_size
from imagerag.agent.types.sizes import RESOLUTIONS, SIDES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1536x1024", "1536x1024"),
        (" 1536 × 1024 ", "1536x1024"),
        ("1536*1024", "1536x1024"),
        ((64, 48), "64x48"),
        (["64", "48"], "64x48"),
        ("16:9", "16:9"),
        ("16 : 9", "16:9"),
        ("2k", "2K"),
        ("512", "512"),
        ("16:9@2K", "16:9@2K"),
        ("2K 16:9", "16:9@2K"),
        ("16:9 @ 2k", "16:9@2K"),
        ("1.91:1@1K", "1.91:1@1K"),
    ],
)
def test_sizes_that_can_be_read(text: object, expected: str) -> None:
    size = parse_size(text)  # type: ignore[arg-type]
    assert str(size) == expected
    assert parse_size(str(size)) == size
    assert RunConfig(size=text).size == size  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [None, "", "auto", "Default"])
def test_no_size_leaves_it_to_the_generator(text: str | None) -> None:
    assert parse_size(text) is None
    assert RunConfig(size=text).size is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["big", "3K", "1024", "1:2:3", "16:9@16:9", "2K@2K", "0:9", "9:0", "-16:9", "16:9@", "@", "15x20", "99999x20",
     "1000:1@4K", "16/9", (1,), (0, 0), ("a", "b"), "²:1", "9" * 5000 + ":1", "1x" + "9" * 5000],
)  # fmt: skip
def test_what_is_no_size_is_refused_with_how_to_write_one(text: object) -> None:
    with pytest.raises(ValueError, match=r"give WIDTHxHEIGHT|no shape|no generator draws") as caught:
        parse_size(text)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 400
    with pytest.raises(ValidationError):
        RunContext(size=text)


@pytest.mark.parametrize("text", ["1536x1024", "16:9@2K", "4K"])
def test_a_size_survives_its_document(text: str) -> None:
    config = RunConfig(size=text)  # type: ignore[arg-type]
    again = RunConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert type(again.size) is type(config.size)
    assert RunConfig(**config.model_dump()).size == config.size


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)).filter(lambda pair: max(pair) <= 16 * min(pair)),
    st.sampled_from(RESOLUTIONS),
)
def test_words_have_pixels_of_their_shape_and_area(ratio: tuple[int, int], resolution: str) -> None:
    size = parse_size(f"{ratio[0]}:{ratio[1]}@{resolution}")
    assert isinstance(size, NamedSize)
    assert size.width % 16 == size.height % 16 == 0
    side = SIDES[size.resolution or "1K"]
    assert 0.9 < (size.width * size.height) ** 0.5 / side < 1.1
    assert size.width / size.height == pytest.approx(ratio[0] / ratio[1], rel=0.15)


def test_a_resolution_alone_takes_the_shape_of_an_image() -> None:
    size = NamedSize.of("", "2K")
    wide = size.in_shape(1920, 1080)
    assert (str(wide), wide.width > wide.height) == ("1920:1080@2K", True)
    assert wide.in_shape(10, 10) is wide
    assert re.fullmatch(r"\d{1,4}:\d{1,4}@2K", str(size.in_shape(100_000, 20_000)))


def test_pixels_stay_pixels() -> None:
    assert type(RunConfig.model_validate({"size": {"width": 64, "height": 48}}).size) is Size
