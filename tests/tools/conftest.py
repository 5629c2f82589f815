"""Tiny models with random weights, and the sketch CLIP."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from imagerag.agent.ports import ImagePart
from imagerag.tools.testing.mock_openai import tiny_png

CONFIG = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "resize_mode": "squash"},
}


def write_model(folder: Path, *, seed: int = 0, **changes: object) -> Path:
    """Write an open_clip folder with random weights."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = {**CONFIG, "model_cfg": {**CONFIG["model_cfg"], **changes}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    model = open_clip.CLIP(**config["model_cfg"])
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def build_model() -> Callable[..., Path]:
    """`build_model(folder, seed=…, **changes of model_cfg)` writes an open_clip folder with random weights."""
    return write_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open_clip folder with a tiny ViT of random weights, 32 pixels, 16 dimensions, 20 tokens."""
    return write_model(tmp_path_factory.mktemp("tiny-clip"))


@pytest.fixture
def references() -> list[ImagePart]:
    """The user's own subject, and an image from the library."""
    return [
        ImagePart(data=tiny_png("subject"), media_type="image/png", role="subject", concept="my cat"),
        ImagePart(data=tiny_png("reference"), media_type="image/png", caption="a blue star"),
    ]
