"""Synthetic library of any size for benchmarks: clustered vectors, captions that name the cluster, no image files.

As with CLIP, images and texts are two narrow cones. Any two images have a cosine of about .78, those of a cluster of
.9; a text has .2 with any image, and .05 more with those of its cluster. Every value is derived from the row's number,
so that any part can be made without the others.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.ports import EmbedderIdentity
from imagerag.agent.types import Scalar
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library import Library
from imagerag.store.library.metadata_columns import columns_of, values_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imagerag.tools.spec import BackendSpec

    Vectors = NDArray[np.float32]

DIMENSION: Final = 512
BATCH: Final = 10_000
ALIKE, COPY = 100, 98
"""Of so many rows, this one (from 0) and the next are nearly the same image."""

ROW_OF_THUMBNAIL: Final = b"row "
"""What the number of a row follows at the end of its thumbnail, where decoders do not look."""

LICENCES: Final = ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "MIT", "Apache-2.0")

_LOOKS: Final = (
    "red", "blue", "green", "yellow", "black", "white", "striped", "dotted", "wooden", "golden",
    "shiny", "rusty", "old", "new", "tiny", "huge", "broken", "folded", "painted", "carved",
)  # fmt: skip
_THINGS: Final = (
    "car", "boat", "house", "tree", "dog", "cat", "chair", "table", "lamp", "bicycle", "bridge",
    "tower", "flower", "bird", "horse", "train", "cup", "book", "clock", "guitar", "violin", "kite",
    "drum", "ladder", "basket", "bottle", "anchor", "candle", "crown", "door", "fence", "gate", "hammer",
    "kettle", "mirror", "pillow", "ribbon", "saddle", "tent", "umbrella", "vase", "wheel", "window", "wagon",
)  # fmt: skip
_PLACES: Final = (
    "on a white table", "in the rain", "by a lake", "in a dark room",
    "at a market", "under a bridge", "in front of a wall", "on a beach",
)  # fmt: skip


class SyntheticEmbedder:
    """Encodes texts that name a cluster near its images, all others at random. Implements `Embedder`.

    Args:
        model: one of another name gives the same vectors, and has an identity of its own.
    """

    context_length = 77

    def __init__(self, model: str = "") -> None:
        self.identity = EmbedderIdentity(
            spec=f"synthetic:{model}" if model else "synthetic",
            model=model or "clusters",
            weights="1",
            preprocess="none",
            dimension=DIMENSION,
        )
        self._known: dict[str, NDArray[np.float32]] = {}
        self._centres: dict[str, NDArray[np.float32]] = {}

    def count_tokens(self, text: str) -> int:
        """The number of words plus two."""
        return len(text.split()) + 2

    async def embed_texts(self, texts: Sequence[str]) -> "Vectors":
        """Unit vectors of texts."""
        import numpy as np

        return (
            np.stack([self.text_vector(text) for text in texts])
            if texts
            else np.zeros((0, DIMENSION), dtype=np.float32)
        )

    async def embed_images(self, images: Sequence[bytes]) -> "Vectors":
        """Unit vectors derived from the bytes; those of a thumbnail of the library near its cluster."""
        import numpy as np

        return self.cone(np.stack([self._content(image) for image in images]))

    def _content(self, image: bytes) -> "NDArray[np.float32]":
        own = _normal(hashlib.sha256(image).hexdigest(), 1)[0]
        _, mark, row = image.rpartition(ROW_OF_THUMBNAIL)
        return _unit(self.centre(SyntheticRows.thing(int(row))) + 0.7 * own) if mark else _unit(own)

    def text_vector(self, text: str) -> "NDArray[np.float32]":
        """The unit vector of a text; cached."""
        if text not in self._known:
            self._known[text] = self._encoded(text)
        return self._known[text]

    def _encoded(self, text: str) -> "NDArray[np.float32]":
        words = text.lower().split()
        things = [f"{one} {other}" for one, other in pairwise(words)
                  if one in _LOOKS and other in _THINGS]  # fmt: skip
        near = sum((self.centre(thing) for thing in things), _normal(text, 1)[0] * (0.6 if things else 1.0))
        return _unit(0.2 * near + self._axis("texts") + 0.25 * self._axis("images"))

    def cone(self, vectors: "Vectors") -> "Vectors":
        """Unit vectors of images with these contents: rows of length 1."""
        import numpy as np

        whole = vectors + 1.9 * self._axis("images")
        units: Vectors = (whole / np.linalg.norm(whole, axis=1, keepdims=True)).astype(np.float32)
        return units

    def centre(self, thing: str) -> "NDArray[np.float32]":
        """The vector around which images of a thing, a look and a name lie."""
        if thing not in self._centres:
            look, name = thing.split()
            parts = 0.5 * self._parts[look] + 0.7 * self._parts[name] + 0.6 * _normal(thing, 1)[0]
            self._centres[thing] = _unit(parts)
        return self._centres[thing]

    @cached_property
    def _parts(self) -> "dict[str, NDArray[np.float32]]":
        return {word: _normal(word, 1)[0] for word in (*_LOOKS, *_THINGS)}

    @staticmethod
    @cache
    def _axis(cone: str) -> "NDArray[np.float32]":
        return _unit(_normal(f"cone of {cone}", 1)[0])


class SyntheticRows:
    """The rows of a library: content and vectors."""

    def __init__(self, rows: int, embedder: SyntheticEmbedder) -> None:
        self.rows = rows
        self.embedder = embedder

    @staticmethod
    def thing(at: int) -> str:
        """The content of a row."""
        spread = at * 2654435761 % 2**32
        return f"{_LOOKS[spread % len(_LOOKS)]} {_THINGS[spread // 32 % len(_THINGS)]}"

    @staticmethod
    def caption(at: int) -> str:
        """The caption of a row; every eighth has none."""
        if at % 8 == 7:
            return ""
        return f"Object {at}, a {SyntheticRows.thing(at)} {_PLACES[at * 7919 % 65537 % len(_PLACES)]}"

    @cached_property
    def _centres(self) -> "tuple[dict[str, int], Vectors]":
        import numpy as np

        things = [f"{look} {name}" for look in _LOOKS for name in _THINGS]
        return {thing: at for at, thing in enumerate(things)}, np.stack([self.embedder.centre(one) for one in things])

    def vectors(self, start: int, stop: int) -> "Vectors":
        """Unit vectors of rows `start` to `stop`: the sum of a cluster's centre, a smaller group's, and noise."""
        import numpy as np

        places, centres = self._centres
        thing_places = np.array([places[self.thing(at)] for at in range(start, stop)])
        own = _normal(f"rows {start}", stop - start)
        groups = _normal("groups", 4096)[np.arange(start, stop) * 40503 % 4096]
        vectors = centres[thing_places] + 0.5 * groups + 0.7 * own
        first = (COPY - start) % ALIKE
        vectors[first + 1 :: ALIKE] = vectors[first:-1:ALIKE] + 0.1 * own[first + 1 :: ALIKE]
        return self.embedder.cone(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def batches(self) -> Iterator[tuple[int, "Vectors"]]:
        """The first row and the vectors of each part."""
        for start in range(0, self.rows, BATCH):
            yield start, self.vectors(start, min(start + BATCH, self.rows))


def synthetic_embedder(spec: "BackendSpec") -> SyntheticEmbedder:
    """Make the encoder of a spec; the factory that the entry point names."""
    return SyntheticEmbedder(spec.model)


async def synthetic_library(home: DataDir, name: str, rows: int, embedder: SyntheticEmbedder | None = None) -> Library:
    """Make a library with a number of rows and the indexes for that size; not calibrated."""
    embedder = embedder or SyntheticEmbedder()
    library = await Library.create_or_open(home, name, embedder)
    await library.table.prepare([{"shelf": 1, "maker": "text", "kind": "text"}])
    world = SyntheticRows(rows, embedder)
    for start, vectors in world.batches():
        library.table.lance.add(_arrow(start, vectors, library.table.lance.schema))
    await library.optimize()
    return library


def row_id(at: int) -> str:
    """The id of a row."""
    return hashlib.sha256(f"row {at}".encode()).hexdigest()


def _arrow(start: int, vectors: "Vectors", schema: Any) -> Any:
    import pyarrow as pa

    keys = columns_of(schema)
    records = [_record(at, keys) for at in range(start, start + len(vectors))]
    table = pa.Table.from_pylist(records, schema=pa.schema([field for field in schema if field.name != "vector"]))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return table.append_column(schema.field("vector"), flat).select(schema.names)


def _record(at: int, keys: Any) -> dict[str, Any]:
    kind = SyntheticRows.thing(at).split()[1]
    metadata: dict[str, Scalar] = {"shelf": at % 50, "maker": f"maker {at % 20}", "kind": kind}
    return {
        "id": row_id(at), "thumbnail": _thumbnail(at % 64) + ROW_OF_THUMBNAIL + b"%d" % at,
        "media_type": "image/jpeg", "width": 1024, "height": 768, "size_bytes": 50_000, "tags": [], "labels": "",
        "metadata": json.dumps(metadata), "created": datetime(2026, 1, 1, tzinfo=UTC),
        "title": f"Object {at}", "caption": SyntheticRows.caption(at), "licence": LICENCES[at % len(LICENCES)],
        "source": "", "author": "", "files": [_file(at)], **values_of(metadata, keys),
    }  # fmt: skip


def _file(at: int) -> dict[str, Any]:
    return {"path": f"/nowhere/{at // 1000}/{at}.jpg", "size": 50_000, "mtime_ns": 10**18 + at, "inode": at + 1}


@cache
def _thumbnail(kind: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (16, 12), (4 * kind, 255 - 3 * kind, 40 + kind)).save(out, "WEBP")
    return out.getvalue()


def _normal(text: str, count: int) -> "Vectors":
    """`count` random vectors of length about 1, seeded by the text."""
    import numpy as np

    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vectors: Vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION), dtype=np.float32)
    return vectors / np.float32(DIMENSION**0.5)


def _unit(vector: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    unit: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit
