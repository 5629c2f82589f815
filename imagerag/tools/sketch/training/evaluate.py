"""Evaluate a CLIP on the sketch world: `python -m imagerag.tools.sketch.training.evaluate [DIR]` prints it as JSON.

Works on any open_clip model; the results are a pure function of the model and the seed.

Evaluation seeds start at 900 000, training seeds stay below, so no drawing is shared.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from imagerag.tools.sketch.renderer import draw
from imagerag.tools.sketch.world import Thing, all_things, describe, listing, random_scene, random_thing

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    from PIL import Image

SEED: Final = 900_000


@dataclass(frozen=True)
class Clip:
    """An open_clip model with preprocessing and tokenizer, which embeds images and texts as unit vectors."""

    model: Any
    preprocess: Callable[[Image.Image], Any]
    tokenizer: Callable[[list[str]], Any]

    def images(self, drawings: Sequence[Image.Image], batch: int = 128) -> npt.NDArray[np.float32]:
        """Unit vectors `(len(drawings), dim)`."""
        import torch

        chunks = (drawings[at : at + batch] for at in range(0, len(drawings), batch))
        return self._gather(
            self.model.encode_image(torch.stack([self.preprocess(drawing) for drawing in chunk]), normalize=True)
            for chunk in chunks
        )

    def texts(self, texts: Sequence[str], batch: int = 256) -> npt.NDArray[np.float32]:
        """Unit vectors `(len(texts), dim)`."""
        chunks = (list(texts[at : at + batch]) for at in range(0, len(texts), batch))
        return self._gather(self.model.encode_text(self.tokenizer(chunk), normalize=True) for chunk in chunks)

    def _gather(self, vectors: Any) -> npt.NDArray[np.float32]:
        import numpy as np
        import torch

        with torch.inference_mode():
            return np.concatenate([chunk.float().numpy() for chunk in vectors])


def load(folder: str) -> Clip:
    """Load the open_clip model in a folder with plain `open_clip`."""
    import open_clip

    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    return Clip(model.eval(), preprocess, open_clip.get_tokenizer(f"local-dir:{folder}"))


def measure(clip: Clip, *, sizes: Sequence[int] = (50, 500, 5000), captions: int = 200) -> dict[str, Any]:
    """All measurements: `grid`, `swapped`, `separation` per library size, and `separation_scenes` at the middle size.

    `separation_scenes` uses libraries whose images hold up to three things. One vector per image represents each of
    them less well, so such images are better indexed by their regions.
    """
    return {
        "grid": grid_retrieval(clip),
        "swapped": swapped_pairs(clip),
        "separation": [separation(clip, size, captions=captions) for size in sizes],
        "separation_scenes": separation(clip, sorted(sizes)[len(sizes) // 2], captions=captions, most=3),
    }


def grid_retrieval(clip: Clip, *, seed: int = SEED) -> dict[str, float]:
    """Text to image over all 1152 things, one drawing each: `r@1`, `r@5`, `n`."""
    import numpy as np

    rng = Random(seed)
    things = all_things()
    drawings = [draw(random_scene(rng, (thing,)), 128) for thing in things]
    similarity = clip.texts([describe(thing) for thing in things]) @ clip.images(drawings).T
    rank = (similarity > np.diag(similarity)[:, None]).sum(axis=1)
    return {"r@1": float((rank < 1).mean()), "r@5": float((rank < 5).mean()), "n": float(len(things))}


def swapped_pairs(clip: Clip, *, count: int = 300, seed: int = SEED) -> dict[str, float]:
    """Two-thing scenes against the same scene with one attribute exchanged between the things.

    A pair counts if both images prefer their own caption. `shape`, `colour`, `pattern`: the exchanged attribute.
    """
    import numpy as np

    rng = Random(seed + 1)
    pairs = [_swapped(rng, name) for name in ("shape", "colour", "pattern") for _ in range(count // 3)]
    scenes = [things for pair in pairs for things in pair]
    vectors = clip.images([draw(random_scene(rng, things), 128) for things in scenes])
    words = clip.texts([listing([describe(thing) for thing in things]) for things in scenes])
    shape = (len(pairs), 2, vectors.shape[1])
    similarity = np.einsum("pid,pjd->pij", vectors.reshape(shape), words.reshape(shape))
    own, other = similarity[:, (0, 1), (0, 1)], similarity[:, (0, 1), (1, 0)]
    right = (own > other).all(axis=1)
    thirds = right.reshape(3, -1).mean(axis=1)
    return {
        "accuracy": float(right.mean()), "shape": float(thirds[0]), "colour": float(thirds[1]),
        "pattern": float(thirds[2]), "n": float(len(right)),
    }  # fmt: skip


def _swapped(rng: Random, name: str) -> tuple[tuple[Thing, Thing], tuple[Thing, Thing]]:
    while True:
        a, b = random_thing(rng), random_thing(rng)
        # If only one other word differed, exchanging this one could give the same scene again.
        if all(getattr(a, word) != getattr(b, word) for word in ("shape", "colour", "pattern")):
            swapped = replace(a, **{name: getattr(b, name)}), replace(b, **{name: getattr(a, name)})
            return (a, b), swapped


def separation(clip: Clip, size: int, *, captions: int = 200, most: int = 1, seed: int = SEED) -> dict[str, float]:
    """Measure whether one cosine threshold separates captions with a match in a library from captions without.

    The library holds `size` images of one thing, or of up to `most`, but none of `captions` absent things. Many images
    differ from an absent caption in one attribute only, so these captions face the hardest negatives.

    Returns:
        `present_p10`, `absent_p95`: the 10th percentile of the best match's cosine, and the 95th percentile of the
        best cosine without a match; `accepted_at_95`: share of captions with a match that a threshold accepts when it
        rejects 95% of those without; `threshold`: that threshold; `first_is_right`: top result truly holds the thing.
    """
    import numpy as np

    rng = Random(seed + 2 + size)
    things = all_things()
    rng.shuffle(things)
    absent, others = things[:captions], things[captions:]
    scenes = [
        random_scene(rng, tuple(rng.sample(others, rng.choices(range(1, most + 1), (6, 3, 1)[:most])[0])))
        for _ in range(size)
    ]
    present = sorted({thing for scene in scenes for thing in scene.things}, key=describe)
    present = rng.sample(present, min(captions, len(present)))
    vectors = clip.images([draw(scene, 128) for scene in scenes])
    holds = np.array([[thing in scene.things for scene in scenes] for thing in present])
    cosines = clip.texts([describe(thing) for thing in present]) @ vectors.T
    best = np.where(holds, cosines, -1).max(axis=1)
    wrong = (clip.texts([describe(thing) for thing in absent]) @ vectors.T).max(axis=1)
    threshold = float(np.quantile(wrong, 0.95))
    return {
        "present_p10": float(np.quantile(best, 0.10)), "absent_p95": threshold, "threshold": threshold,
        "accepted_at_95": float((best > threshold).mean()), "n": float(size),
        "first_is_right": float(holds[np.arange(len(present)), cosines.argmax(axis=1)].mean()),
    }  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Measure the model in the given folder, or the embedded one, and print JSON."""
    folder = arguments[0] if arguments else str(Path(__file__).parents[1] / "clip")
    print(json.dumps(measure(load(folder)), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
