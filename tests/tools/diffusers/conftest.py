"""Tiny pipelines, built once, read by the real loading code; no test reaches the Hub."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.ports import ImagePart
from imagerag.tools.generators.diffusers import loading
from imagerag.tools.generators.diffusers.families import FAMILIES
from imagerag.tools.generators.diffusers.pipeline import DiffusersGenerator
from imagerag.tools.testing.fakes import sample_image

if any(find_spec(part) is None for part in ("diffusers", "accelerate", "transformers")):
    collect_ignore_glob = ["test_*.py"]  # the extras are not installed
sys.path.insert(0, str(Path(__file__).parent))

from tiny_pipelines import BUILDERS, CALLS, SIZE, SMALLER, WEIGHTS

Make = Callable[..., DiffusersGenerator]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from further threads, and wait for them on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _small_and_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import diffusers.pipelines.joyimage.image_processor as joyimage
    import diffusers.pipelines.longcat_image.pipeline_longcat_image_edit as longcat
    import diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus as edit_plus
    import huggingface_hub.constants as hub

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(edit_plus, "VAE_IMAGE_SIZE", 64 * 64)
    monkeypatch.setattr(edit_plus, "CONDITION_IMAGE_SIZE", 56 * 56)
    monkeypatch.setitem(joyimage.BUCKETS, 1024, [(64, 64)])
    monkeypatch.setattr(longcat, "calculate_dimensions", lambda area, ratio: (64, 64))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where a tiny model lies; built when first asked for."""
    root, built = tmp_path_factory.mktemp("tiny"), dict[str, Path]()

    def find(name: str) -> Path:
        if name not in built:
            built[name] = BUILDERS[name](root / name)
        return built[name]

    return find


@pytest.fixture
def make(folder: Callable[[str], Path]) -> Make:
    """A generator of a family, on its tiny weights: 2 steps, on the CPU, in float32."""

    def made(family: str, **options: Any) -> DiffusersGenerator:
        weights = "+".join(str(folder(part)) for part in WEIGHTS[family])
        call = CALLS.get(family, {}) | options.pop("call", {})
        dtype = FAMILIES[family].dtype or "float32"
        options = {"device": "cpu", "dtype": dtype, "steps": 2} | options
        generator = DiffusersGenerator(f"{family}={weights}", call=call, **options)
        generator._family = replace(generator._family, **SMALLER.get(family, {}))
        return generator

    return made


@pytest.fixture(scope="session", autouse=True)
def _unloaded() -> Iterator[None]:
    yield
    loading.unload()


@pytest.fixture
def references() -> list[ImagePart]:
    """Pictures that differ, as many as any family takes."""
    drawn = [sample_image(f"reference {n}", SIZE) for n in range(6)]
    return [ImagePart(data=data, media_type="image/png", caption=f"thing {n}") for n, data in enumerate(drawn)]
