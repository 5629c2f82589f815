"""Regions of images: separate things, tiles, their crops, and boxes that are drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from imagerag.agent.images.regions import MOST, crops_at, outlined, regions_of, shown_crop
from imagerag.agent.types import Region

RED, BLUE, WHITE = (220, 30, 30), (40, 60, 210), (250, 250, 250)


def scene(
    *boxes: tuple[tuple[int, int, int, int], tuple[int, int, int]], size: tuple[int, int] = (200, 100)
) -> Image.Image:
    image = Image.new("RGB", size, WHITE)
    for box, colour in boxes:
        ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=colour)
    return image


TWO = scene(((20, 20, 70, 80), RED), ((80, 30, 120, 70), BLUE))


def test_each_of_several_things_is_a_region_shown_alone() -> None:
    (red, first), (blue, second) = regions_of(TWO)
    assert red.pixels(TWO.size) == (20, 20, 70, 80)
    assert blue.pixels(TWO.size) == (80, 30, 120, 70)
    for crop, own, other in ((first, RED, BLUE), (second, BLUE, RED)):
        colours = {tuple(pixel) for pixel in np.asarray(crop).reshape(-1, 3)}
        assert own in colours
        assert other not in colours
    assert [crop.tobytes() for crop in crops_at(TWO, [red, blue])] == [first.tobytes(), second.tobytes()]


def test_one_thing_is_a_region_only_where_it_is_small() -> None:
    assert regions_of(scene(((20, 10, 100, 90), RED))) == []
    small = regions_of(scene(((150, 60, 170, 80), RED)))
    assert [region.pixels((200, 100)) for region, _ in small] == [(150, 60, 170, 80)]


def test_a_photograph_has_tiles() -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8))
    found = regions_of(photo)
    assert len(found) == MOST
    assert all(crop.tobytes() == photo.crop(region.pixels(photo.size)).tobytes() for region, crop in found)
    assert regions_of(photo.resize((40, 40))) == []  # tiles of a few pixels show nothing


def test_a_shown_crop_has_a_margin_inside_the_image() -> None:
    region = Region.of_pixels((20, 20, 70, 80), TWO.size)
    assert shown_crop(TWO, region).size == (50 + 2 * 9, 60 + 2 * 9)
    assert shown_crop(TWO, Region(left=0, top=0, right=1, bottom=1)).size == TWO.size


def test_a_box_is_drawn_on_a_copy() -> None:
    before = TWO.tobytes()
    shown = outlined(TWO, Region.of_pixels((20, 20, 70, 80), TWO.size))
    assert TWO.tobytes() == before
    assert shown.getpixel((20, 20)) == (255, 255, 255)
    assert shown.getpixel((23, 40)) == (20, 20, 20)
    assert outlined(TWO, Region(left=1, top=1, right=1, bottom=1)).size == TWO.size


@given(st.tuples(*[st.floats(0, 1)] * 4), st.integers(1, 3000), st.integers(1, 3000))
def test_pixels_of_a_region_are_a_box_inside_the_image(shares: tuple[float, ...], width: int, height: int) -> None:
    left, top, right, bottom = shares
    region = Region.of_shares((min(left, right), min(top, bottom), max(left, right), max(top, bottom)))
    box = region.pixels((width, height))
    assert 0 <= box[0] < box[2] <= width
    assert 0 <= box[1] < box[3] <= height
    assert Region.of_shares(region.shares) == region


def test_the_region_around_several_holds_them_all() -> None:
    one, other = Region(left=0.1, top=0.5, right=0.2, bottom=0.6), Region(left=0.4, top=0.2, right=0.9, bottom=0.3)
    assert Region.around([one, other]).shares == (0.1, 0.2, 0.9, 0.6)
    with pytest.raises(ValueError, match="left"):
        Region(left=-0.1, top=0, right=1, bottom=1)
