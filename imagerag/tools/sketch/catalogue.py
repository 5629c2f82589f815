"""The sketch catalogue: drawn product images, the reference library of the offline demo.

The eight classic products come first; the rest covers, in several colours, all shapes and patterns that the generator
does not know. It deliberately has no black hexagon, so that a search for one finds nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from imagerag.tools.sketch.renderer import draw
from imagerag.tools.sketch.world import COLOURS, PATTERNS, SHAPES, Placed, Scene, Thing, describe


@dataclass(frozen=True, slots=True)
class Product:
    """A product: name, appearance, and shop metadata. `price` is in US dollars."""

    name: str
    category: str
    thing: Thing
    price: float
    sku: str
    licence: str
    author: str

    @property
    def caption(self) -> str:
        """`Widget A, a red solid circle`."""
        return f"{self.name}, {describe(self.thing)}"

    @property
    def stem(self) -> str:
        """The name as a file name without suffix: `widget-a`."""
        return self.name.lower().replace(" ", "-")


_CLASSIC: Final = (
    ("Widget A", "widget", Thing("circle", "red", "solid"), 19.99),
    ("Widget B", "widget", Thing("square", "blue", "striped"), 24.99),
    ("Gadget X", "gadget", Thing("triangle", "green", "solid"), 39.99),
    ("Gadget Y", "gadget", Thing("circle", "yellow", "dotted"), 34.50),
    ("Tool M", "tool", Thing("rectangle", "purple", "solid"), 49.00),
    ("Tool N", "tool", Thing("diamond", "orange", "striped"), 44.95),
    ("Widget C", "widget", Thing("circle", "teal", "solid"), 21.99),
    ("Gadget Z", "gadget", Thing("square", "pink", "dotted"), 29.95),
)
_LINES: Final = {
    "circle": ("Orbit Puck", "toy"), "square": ("Quad Tray", "kitchen"), "triangle": ("Delta Wedge", "tool"),
    "rectangle": ("Slab Magnet", "office"), "diamond": ("Prisma Tag", "jewellery"), "oval": ("Ellipsa Mat", "kitchen"),
    "hexagon": ("Hexa Coaster", "kitchen"), "star": ("Nova Badge", "badge"), "heart": ("Amora Charm", "jewellery"),
    "crescent": ("Luna Lamp", "lighting"), "cross": ("Medic Kit", "health"), "arrow": ("Pointa Sign", "signage"),
    "semicircle": ("Domo Lid", "kitchen"), "drop": ("Aqua Vial", "garden"), "bolt": ("Volta Charger", "power"),
    "flower": ("Flora Pin", "jewellery"),
}  # fmt: skip
_LICENCES: Final = ("CC0-1.0", "CC-BY-4.0", "CC-BY-4.0", "proprietary")
_AUTHORS: Final = ("Sketch Studio North", "Sketch Studio East", "Sketch Studio South", "Sketch Studio West")
_RARE: Final = ("checkered", "ringed", "split")
_SOURCE: Final = "imagerag sketch catalogue"


def products() -> list[Product]:
    """All products, always in the same order; no two look the same."""
    rng = Random(20_240_611)
    existing = {thing for _, _, thing, _ in _CLASSIC} | {Thing("hexagon", "black", pattern) for pattern in PATTERNS}
    numbers = iter(rng.sample(range(1000, 10_000), 500))

    def product(name: str, category: str, thing: Thing, price: float) -> Product:
        sku = f"{name.split()[0][:3].upper()}-{next(numbers)}"
        return Product(name, category, thing, price, sku, rng.choice(_LICENCES), rng.choice(_AUTHORS))

    catalogue = [product(*classic) for classic in _CLASSIC]
    for shape in SHAPES:
        name, category = _LINES[shape]
        for number, thing in enumerate(_range(rng, shape, existing), start=1):
            price = round(rng.randint(4, 120) + rng.choice((0.49, 0.95, 0.99)), 2)
            catalogue.append(product(f"{name} {number}", category, thing, price))
    return catalogue


def _range(rng: Random, shape: str, existing: set[Thing]) -> list[Thing]:
    """Nine products of one shape: each pattern once, the rare ones twice, in colours that repeat late."""
    colours: list[str] = []
    things: list[Thing] = []
    for pattern in (*PATTERNS, *_RARE):
        while True:
            colours = colours or rng.sample(COLOURS, len(COLOURS))
            thing = Thing(shape, colours.pop(), pattern)
            if thing not in existing:
                break
        existing.add(thing)
        things.append(thing)
    return things


def product_scene(product: Product) -> Scene:
    """The scene of a product's image: the thing alone, large, on plain paper."""
    rng = Random(f"picture of {product.name}")
    outline = 0.0 if product.thing.pattern == "solid" and rng.random() < 0.3 else 0.06
    place = Placed(product.thing, 0.5, 0.5, rng.uniform(0.34, 0.42), rng.uniform(-10, 10), outline, 0.5)
    return Scene((place,), rng.choice(("white", "white", "white", "cream", "mint", "sky")), noise=1.0, seed=1)


def write_catalogue(folder: str | Path, *, size: int = 256) -> Path:
    """Write all products' images into a folder as PNG, with a `manifest.jsonl`.

    Args:
        folder: made when missing; files of earlier calls are overwritten with the same bytes.
        size: side of the images in pixels.

    Returns:
        The manifest's path. Each line has `path` (relative), `caption`, `tags`, `metadata`, `source`, `author`,
        `licence`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for product in products():
        name = f"{product.stem}.png"
        draw(product_scene(product), size).save(folder / name, compress_level=1)
        lines.append(json.dumps(_entry(product, name)))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def _entry(product: Product, name: str) -> dict[str, Any]:
    thing = product.thing
    return {
        "path": name,
        "caption": product.caption,
        "tags": [product.category, thing.shape, thing.colour, thing.pattern],
        "metadata": {
            "name": product.name, "category": product.category, "price": product.price, "sku": product.sku,
            "shape": thing.shape, "colour": thing.colour, "pattern": thing.pattern,
        },
        "source": _SOURCE,
        "author": product.author,
        "licence": product.licence,
    }  # fmt: skip
