"""A small world whose geometry is planted: an image is a colour, a text is the sum of its words."""

import hashlib
import io
import json
import textwrap
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.ports import EmbedderIdentity
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library import Library

COLOURS = {
    "red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 210), "yellow": (240, 210, 30),
    "black": (10, 10, 10), "white": (250, 250, 250), "orange": (250, 130, 20), "purple": (130, 40, 170),
}  # fmt: skip
DIMENSION = 32


@cache
def direction(word: str) -> NDArray[np.float32]:
    """A unit vector that belongs to a word."""
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@cache
def said(text: str) -> NDArray[np.float32]:
    """The vector of a text."""
    return unit(sum((direction(word) for word in text.lower().split()), np.zeros(DIMENSION)))


LOOKS: dict[str, NDArray[np.float32]] = {}
"""The vectors of pictures by their SHA-256: all tests look at the same few."""


def looks(data: bytes) -> NDArray[np.float32]:
    """The vector of a picture."""
    digest = hashlib.sha256(data).hexdigest()
    if digest not in LOOKS:
        mean = np.asarray(open_rgb(data), dtype=float).mean(axis=(0, 1))
        name = min(COLOURS, key=lambda colour: float(((mean - COLOURS[colour]) ** 2).sum()))
        LOOKS[digest] = unit(direction(name) + 0.1 * direction(digest))
    return LOOKS[digest]


class ColourEmbedder:
    """Images by the named colour nearest to their mean, with a little of their own bytes; texts by their words."""

    context_length = 16

    def __init__(self, weights: str = "one") -> None:
        self.identity = EmbedderIdentity(
            spec=f"colours:{weights}", model="colours", weights=weights, preprocess="mean", dimension=DIMENSION
        )
        self.texts = 0
        self.images = 0

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2

    async def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += len(texts)
        return np.stack([said(text) for text in texts]) if texts else np.zeros((0, DIMENSION), np.float32)

    async def embed_images(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        self.images += len(images)
        return np.stack([looks(data) for data in images])


@cache
def picture(colour: str = "red", *, mark: int = 0, size: tuple[int, int] = (24, 16), form: str = "PNG") -> bytes:
    """An encoded picture of one colour; another `mark` gives other bytes."""
    image = Image.new("RGB", size, COLOURS[colour])
    image.putpixel((0, 0), (mark % 256, mark // 256 % 256, 7))
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


@pytest.fixture
def home(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path / "home")


@pytest.fixture
def embedder() -> ColourEmbedder:
    return ColourEmbedder()


@pytest.fixture
async def library(home: DataDir, embedder: ColourEmbedder) -> Library:
    return await Library.create_or_open(home, "shop", embedder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight pictures, one of each colour, each with its caption in a text file beside it."""
    path = tmp_path / "pictures"
    path.mkdir()
    for name in COLOURS:
        (path / f"{name}.png").write_bytes(picture(name))
        (path / f"{name}.txt").write_text(f"a {name} card\n", encoding="utf-8")
    return path


@pytest.fixture(name="picture")
def picture_fixture() -> Callable[..., bytes]:
    return picture


@pytest.fixture
def other_embedder() -> ColourEmbedder:
    return ColourEmbedder("two")


@pytest.fixture
def planted() -> Callable[[str], NDArray[np.float32]]:
    return direction


@pytest.fixture
def child(home: DataDir) -> Callable[..., Any]:
    """Start Python code in a process of its own; it finds `home`, `conftest` and the arguments by name."""
    from tests.processes import Python

    prelude = (
        "import asyncio, importlib.util, json, sys; from pathlib import Path;"
        f"spec = importlib.util.spec_from_file_location('conftest', {__file__!r});"
        "conftest = importlib.util.module_from_spec(spec); spec.loader.exec_module(conftest);"
        "from imagerag.store.data_dir import DataDir; from imagerag.store.library.library import Library;"
        "from imagerag.store.library.indexing.ingest import index;"
        f"home = DataDir(Path({str(home.root)!r})); given = json.loads(sys.argv[1])\n"
    )

    def start(code: str, **given: object) -> Any:
        return Python("-c", prelude + textwrap.dedent(code), json.dumps(given))

    return start
