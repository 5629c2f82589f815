"""The catalogue: what must be in it, what must not, and that writing it is repeatable."""

import json
from collections import Counter
from pathlib import Path

from PIL import Image

from imagerag.tools.sketch.catalogue import products, write_catalogue
from imagerag.tools.sketch.painting import KNOWN_PATTERNS, KNOWN_SHAPES
from imagerag.tools.sketch.world import PATTERNS, SHAPES, Thing


def test_the_classic_products_come_first() -> None:
    assert [product.caption for product in products()[:8]] == [
        "Widget A, a red solid circle",
        "Widget B, a blue striped square",
        "Gadget X, a green solid triangle",
        "Gadget Y, a yellow dotted circle",
        "Tool M, a purple solid rectangle",
        "Tool N, an orange striped diamond",
        "Widget C, a teal solid circle",
        "Gadget Z, a pink dotted square",
    ]


def test_there_are_enough_products_and_no_two_are_alike() -> None:
    catalogue = products()
    assert len(catalogue) >= 128
    for value in ("name", "sku", "thing", "stem"):
        assert len({getattr(product, value) for product in catalogue}) == len(catalogue)
    assert all(product.price > 0 for product in catalogue)
    assert {product.licence for product in catalogue} == {"CC0-1.0", "CC-BY-4.0", "proprietary"}


def test_what_the_painter_does_not_know_is_well_represented() -> None:
    things = [product.thing for product in products()]
    for shape in set(SHAPES) - set(KNOWN_SHAPES):
        of_shape = [thing for thing in things if thing.shape == shape]
        assert len({thing.colour for thing in of_shape}) >= 5
        assert {thing.pattern for thing in of_shape} == set(PATTERNS)
    counts = Counter(thing.pattern for thing in things)
    assert all(counts[pattern] >= 30 for pattern in set(PATTERNS) - set(KNOWN_PATTERNS))


def test_there_is_no_black_hexagon() -> None:
    assert not any(thing == Thing("hexagon", "black", thing.pattern) for thing in (p.thing for p in products()))


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_catalogue(tmp_path / "first", size=24)
    second = write_catalogue(tmp_path / "second", size=24)
    names = sorted(path.name for path in first.parent.iterdir())
    assert names == sorted(path.name for path in second.parent.iterdir())
    assert all((first.parent / name).read_bytes() == (second.parent / name).read_bytes() for name in names)


def test_every_line_of_the_manifest_is_whole(tmp_path: Path) -> None:
    manifest = write_catalogue(tmp_path, size=32)
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len(products())
    for line in lines:
        assert set(line) == {"path", "caption", "tags", "metadata", "source", "author", "licence"}
        with Image.open(tmp_path / line["path"]) as picture:
            assert picture.size == (32, 32)
