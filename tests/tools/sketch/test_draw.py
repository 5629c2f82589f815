"""Drawings: deterministic, different where things differ, and their subjects can be cut out again."""

from random import Random

import numpy as np
import pytest
from PIL import Image

from imagerag.agent.images.subject_segmentation import cut_subjects, label, regions
from imagerag.tools.sketch.renderer import INK, draw, stamp
from imagerag.tools.sketch.world import (
    BACKGROUNDS,
    COLOURS,
    PATTERNS,
    SHAPES,
    Placed,
    Scene,
    Thing,
    random_scene,
    random_thing,
)


def alone(shape: str, colour: str = "red", pattern: str = "solid", background: str = "white") -> Scene:
    return Scene((Placed(Thing(shape, colour, pattern)),), background)


@pytest.mark.parametrize("size", [64, 256, 300])
def test_the_same_scene_gives_the_same_pixels(size: int) -> None:
    scene = random_scene(Random(5))
    picture = draw(scene, size)
    assert picture.size == (size, size)
    assert picture.mode == "RGB"
    assert picture.tobytes() == draw(scene, size).tobytes()


@pytest.mark.parametrize(
    "scenes",
    [
        [alone(shape) for shape in SHAPES],
        [alone("circle", colour) for colour in COLOURS],
        [alone("circle", "red", pattern) for pattern in PATTERNS],
        [alone("circle", background=background) for background in BACKGROUNDS],
    ],
)
def test_every_word_looks_different_even_when_small(scenes: list[Scene]) -> None:
    pictures = [np.asarray(draw(scene, 64), dtype=np.float32) for scene in scenes]
    for at, picture in enumerate(pictures):
        assert all(np.abs(picture - other).mean() > 1.5 for other in pictures[:at])


def test_colours_stay_apart_under_the_brightness_a_scene_may_have() -> None:
    inks = np.array(list(INK.values()), dtype=np.float32)
    distance = np.linalg.norm(inks[:, None] * 0.96 - inks[None] * 1.03, axis=2)
    assert distance[~np.eye(len(inks), dtype=bool)].min() > 45


def true_mask(scene: Scene, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    canvas = Image.new("L", (size * 2, size * 2))
    for place in scene.placed:
        tile, corner = stamp(place, size * 2)
        canvas.paste(255, corner, tile.getchannel("A"))
    return np.asarray(canvas.resize((size, size), Image.Resampling.BOX)) > 127


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_subjects_are_found_and_cut_out_on_every_background(background: str) -> None:
    rng = Random(f"cut {background}")
    overlaps, counted = [], []
    for count in (1, 1, 1, 2, 3) * 4:
        scene = random_scene(rng, tuple(random_thing(rng) for _ in range(count)), background)
        picture = draw(scene, 256)
        counted.append(len(regions(picture)) == count)
        if count == 1:
            overlaps.append(overlap(picture, true_mask(scene, 256)))
    assert np.mean(counted) >= 0.95
    assert np.median(overlaps) > 0.96
    assert np.quantile(overlaps, 0.1) > 0.9


def overlap(picture: Image.Image, truth: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> float:
    """Intersection over union of the cut-out, put back at its box, and the true mask."""
    cutout = cut_subjects(picture)[0]
    found = np.zeros_like(truth)
    left, top, right, bottom = regions(picture)[0]
    found[top:bottom, left:right] = np.asarray(cutout)[..., 3] > 0
    return float((found & truth).sum() / (found | truth).sum())


def test_large_pictures_are_cut_too() -> None:
    boxes = regions(draw(alone("star", "teal", "dotted", "sky"), 1000))
    assert len(boxes) == 1
    assert np.abs(np.array(boxes[0]) - np.array([120, 120, 880, 860])).max() < 60


def photograph() -> Image.Image:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8))
    return coarse.resize((256, 256), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(photograph(), id="photograph"),
        pytest.param(Image.new("RGB", (256, 256), "white"), id="blank"),
        pytest.param(Image.new("RGB", (3, 3), "red"), id="tiny"),
        pytest.param(Image.effect_noise((256, 256), 90), id="noise"),
    ],
)
def test_nothing_is_found_where_nothing_stands_out(picture: Image.Image) -> None:
    assert regions(picture) == []
    assert cut_subjects(picture) == []


def test_transparent_pictures_are_read_on_white() -> None:
    tile, _ = stamp(Placed(Thing("heart", "red", "solid")), 256)
    assert len(regions(tile)) == 1


def test_components_are_numbered_like_a_flood_fill_would() -> None:
    rng = np.random.default_rng(1)
    for density in (0.2, 0.5, 0.6, 0.9):
        mask = rng.random((40, 50)) < density
        labels = label(mask)
        assert ((labels > 0) == mask).all()
        both_rows = mask[1:] & mask[:-1]
        both_columns = mask[:, 1:] & mask[:, :-1]
        assert (labels[1:] == labels[:-1])[both_rows].all()
        assert (labels[:, 1:] == labels[:, :-1])[both_columns].all()
        assert len(np.unique(labels[mask])) == _flood_count(mask)


def _flood_count(mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> int:
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    count = 0
    while left:
        count, front = count + 1, [left.pop()]
        while front:
            row, column = front.pop()
            for near in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if near in left:
                    left.remove(near)
                    front.append(near)
    return count
