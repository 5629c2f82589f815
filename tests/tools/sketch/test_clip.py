"""The embedded CLIP: loads with plain open_clip, is small, honest about unknown words, and good at its world."""

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from imagerag.tools import sketch
from imagerag.tools.sketch.caption_text import caption_spec, full_claim
from imagerag.tools.sketch.renderer import draw
from imagerag.tools.sketch.training.dataset import encode_wishes, family
from imagerag.tools.sketch.training.evaluate import Clip, load, separation
from imagerag.tools.sketch.training.losses import holds
from imagerag.tools.sketch.world import all_things, describe, random_scene

FOLDER = Path(sketch.__file__).parent / "clip"


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load(str(FOLDER))


def test_the_weights_are_small_and_half_precision() -> None:
    from safetensors import safe_open

    path = FOLDER / "open_clip_model.safetensors"
    assert path.stat().st_size <= 12_000_000
    with safe_open(path, "pt") as weights:
        table = weights.get_tensor("token_embedding.weight")
    assert str(table.dtype) == "torch.float16"
    assert int((table != 0).any(dim=1).sum()) < 1000


def test_words_that_were_never_trained_mean_nothing(clip: Clip) -> None:
    first, second = clip.texts(["a volcano", "a giraffe"])
    assert float(first @ second) > 0.999


def test_vectors_are_unit_vectors_of_the_configured_dimension(clip: Clip) -> None:
    config = json.loads((FOLDER / "open_clip_config.json").read_text())
    vectors = clip.texts(["a red solid circle", "a heart"])
    assert vectors.shape == (2, config["model_cfg"]["embed_dim"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_captions_find_their_drawings(clip: Clip) -> None:
    rng = Random(910_000)
    things = rng.sample(all_things(), 240)
    pictures = clip.images([draw(random_scene(rng, (thing,)), 128) for thing in things])
    similarity = clip.texts([describe(thing) for thing in things]) @ pictures.T
    assert (similarity.argmax(axis=1) == np.arange(len(things))).mean() >= 0.97


def test_a_threshold_tells_there_from_not_there(clip: Clip) -> None:
    assert separation(clip, 150, captions=60, seed=910_000)["accepted_at_95"] >= 0.9


def test_the_record_of_the_training_is_there() -> None:
    record = json.loads((FOLDER / "training.json").read_text())
    assert {"settings", "steps", "seconds", "metrics"} <= set(record)
    assert "/" not in json.dumps(record["settings"])  # no path of the machine it was trained on


def test_the_truth_table_agrees_with_the_families() -> None:
    import torch

    rng = Random(4)
    for _ in range(20):
        scenes = [random_scene(rng, things, "white") for things in family(rng)]
        table = torch.tensor([encode_wishes([caption_spec(thing) for thing in scene.things]) for scene in scenes])
        claims = torch.tensor([encode_wishes(full_claim(rng, scene).wishes) for scene in scenes])
        truth = holds(table, torch.zeros(4), claims, torch.full((4,), -1))
        for row, scene in enumerate(scenes):
            for column, other in enumerate(scenes):
                missing = list(other.things)
                for thing in scene.things:
                    if thing in missing:
                        missing.remove(thing)
                assert bool(truth[row, column]) == (not missing)
