"""Speed of indexing: the whole pipeline beside its encoder alone, an unchanged folder, and the disk space of a library.

The encoder is ViT-B-32 with random weights, which are as fast as learned ones. Photographs are synthetic JPEGs with
different bytes, as costly to decode as real ones. The unchanged folder holds small images.
"""

import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.images.decoding import open_rgb
from imagerag.evals.bench.synthetic_library import SyntheticEmbedder
from imagerag.evals.bench.timing import TimingRow
from imagerag.evals.statistics.estimators import quartiles
from imagerag.store.data_dir import DataDir
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.library_disk_usage import disk_use

if TYPE_CHECKING:
    from imagerag.store.library.indexing.index_report import IndexReport

SECTION: Final = "library"
MODEL: Final = "ViT-B-32"

SIZES: Final = {"1-megapixel JPEGs": (1152, 864, 160, 0.9), "12-megapixel JPEGs": (4000, 3000, 96, 0.6)}
"""Width, height, how many, and what the whole speed is to be of that of the encoder."""

FILES: Final = 10_000
"""Of the folder that does not change."""

_SCENES: Final = 4
"""Different images; files differ by a comment in them."""


async def indexing(repeats: int, *, files: int = FILES) -> list[TimingRow]:
    """Time `index` beside the encoder alone, interleaved, and `index` again where nothing changed.

    Args:
        files: number of images in the unchanged folder; the photographs are at most as many.
    """
    rows: list[TimingRow] = []
    with tempfile.TemporaryDirectory() as name, random_encoder(MODEL, Path(name)) as encoder:
        for kind, (width, height, count, aim) in SIZES.items():
            folder = Path(name) / kind
            photographs(folder, width, height, min(count, files))
            rows += await _beside_the_encoder(kind, aim, folder, encoder, min(repeats, 3))
    fastest = max((one.value or 0 for one in rows if one.name.startswith("index of")), default=0)
    return [*rows, *await _unchanged(files, fastest)]


async def _beside_the_encoder(kind: str, aim: float, folder: Path, encoder: Any, repeats: int) -> list[TimingRow]:
    names = sorted(folder.iterdir())
    inputs = [encoder.prepare(open_rgb(one.read_bytes(), side=encoder.image_side)) for one in names[:32]]
    await encoder.embed_prepared(inputs)
    alone, whole, disk_bytes = list[float](), list[float](), 0
    for turn in range(repeats):
        began = time.perf_counter()
        for start in range(0, len(names), len(inputs)):
            await encoder.embed_prepared(inputs[: len(names) - start])
        alone.append(len(names) / (time.perf_counter() - began))
        report, library = await _indexed(folder, f"photos-{turn}", encoder)
        whole.append(report.images_per_s)
        vectors = 4 * library.embedder.identity.dimension * await library.count()
        disk_bytes = disk_use(library.folder).total - vectors
    size = sum(one.stat().st_size for one in names)
    low, middle, high = quartiles(whole)
    base = quartiles(alone)[1]
    return [
        TimingRow(section=SECTION, name=f"encoder alone, {kind}", value=base, unit="images/s", n=repeats, note=MODEL),
        TimingRow(
            section=SECTION, name=f"index of {kind}", value=middle, unit="images/s", spread=(low, high), n=repeats,
            ratio=middle / base, against="encoder alone", note=f"aim: at least {aim}",
        ),
        TimingRow(
            section=SECTION, name=f"disk of the library of {kind}", value=100 * disk_bytes / size, unit="%", n=1,
            note="of the folder, vectors aside; aim: at most 5 %",
        ),
    ]  # fmt: skip


async def _unchanged(files: int, rate: float) -> list[TimingRow]:
    """Time `index` of an unchanged folder, against encoding all of its images."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        photographs(folder, 256, 192, files)
        first, library = await _indexed(folder, "images", SyntheticEmbedder(), home=DataDir(Path(name) / "home"))
        again = await index([folder], library)
        assert (first.added, again.unchanged) == (files, files), "every image is new, and then known"
    return [
        TimingRow(section=SECTION, name=f"index {files:,} small files", value=first.elapsed, unit="s", n=1,
                  note="with a free encoder"),
        TimingRow(section=SECTION, name="index them again, unchanged", value=again.elapsed, unit="s", n=1,
                  ratio=again.elapsed * rate / files, against=f"the first time with {MODEL}",
                  note="aim: at most 0.01"),
    ]  # fmt: skip


async def _indexed(
    folder: Path, name: str, encoder: Any, *, home: DataDir | None = None
) -> "tuple[IndexReport, Library]":
    library = await Library.create_or_open(home or DataDir(folder.parent / "home"), name, encoder)
    return await index([folder], library), library


@contextmanager
def random_encoder(model: str, folder: Path) -> Iterator[Any]:
    """An encoder of an architecture with random weights, stored in a folder for as long as the block lasts."""
    import torch

    from imagerag.tools.embedders.openclip import OpenClipEmbedder
    from imagerag.tools.embedders.openclip_import import open_clip_for

    torch.manual_seed(0)
    weights = folder / "weights.pt"
    torch.save(open_clip_for().create_model(model, pretrained=None).state_dict(), weights)
    try:
        yield OpenClipEmbedder(f"{model}/{weights}")
    finally:
        weights.unlink()


def photographs(folder: Path, width: int, height: int, count: int) -> None:
    """Write JPEGs that are as large and as costly to decode as photographs."""
    folder.mkdir(parents=True)
    for at in range(count):
        (folder / f"{at:05}.jpg").write_bytes(with_comment(_scene(width, height, at % _SCENES), str(at)))


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The same image with different bytes: a JPEG comment is added."""
    encoded = text.encode()
    return jpeg[:2] + b"\xff\xfe" + (len(encoded) + 2).to_bytes(2, "big") + encoded + jpeg[2:]


@cache
def _scene(width: int, height: int, kind: int) -> bytes:
    import numpy as np
    from PIL import Image

    chance = np.random.default_rng(kind)
    total = np.full((height, width, 3), 128, np.float32)
    for cells, weight in ((8, 90), (64, 40), (256, 20)):
        small = Image.fromarray((chance.random((max(2, cells * height // width), cells, 3)) * 255).astype(np.uint8))
        large = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
        total += (large - 128) * weight / 128
    total += chance.normal(0, 6, (height, width, 1)).astype(np.float32)
    out = io.BytesIO()
    Image.fromarray(np.clip(total, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()
