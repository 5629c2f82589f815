"""A command loads what it needs: open_clip without the packages that a plain CLIP never calls, and the same vectors."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from imagerag.tools.embedders import openclip_import
from imagerag.tools.embedders.openclip_import import COPY, open_clip_for, own_text_tower, plain
from imagerag.tools.embedders.preprocess import preprocessing
from imagerag.tools.sketch.registration import SKETCH_CLIP
from tests.conftest import copied

SLOW = (
    "transformers",
    "timm",
    "torchvision",
    "torch._dynamo",
    "open_clip",
    "scipy",
    "jinja2",
    "matplotlib",
    "langgraph",
    "langchain_core",
    "ftfy",
    "wcwidth",
    "rich.console",
)
LOADED = """
import sys
from imagerag.cli import main
try:
    main({command!r})
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *(name for name in {slow!r} if name in sys.modules))
print("apis:", *(name for name in sys.modules if name.startswith("lance_namespace_urllib3_client.api.")))
"""


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        (["search", "a red circle", "--library", "sketch"], []),
        # Its pictures are looked at, too: the sketch world's judge is a CLIP. LangGraph's httpx imports rich.
        (["generate", "a blue striped square on a mint background"], ["langgraph", "langchain_core", "rich.console"]),
    ],
    ids=["search", "generate"],
)
def test_a_command_loads_neither_transformers_nor_torchvision_nor_an_unused_graph(
    command: list[str], needed: list[str], sketch_home: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(slow=SLOW, command=command)],
        env={**os.environ, "IMAGERAG_HOME": str(copied(sketch_home, tmp_path / "home"))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(":", 1) for line in done.stdout.splitlines()[-2:])
    assert (said["loaded"].split(), said["apis"].split()) == (needed, [])


LANCE = """
from imagerag.store.library.lancedb_import import import_lancedb
import_lancedb()
import lance_namespace_urllib3_client as client
assert "TableApi" not in vars(client) and client.TableApi.__name__ == "TableApi"
from lance_namespace_urllib3_client.api import BranchApi
assert client.BranchApi is BranchApi and client.CreateTableRequest
try:
    client.Nothing
except AttributeError as error:
    assert "Nothing" in str(error)
else:
    raise AssertionError
from lance_namespace_urllib3_client import *
assert TableApi is client.TableApi and ApiClient is client.ApiClient
"""


def test_lancedbs_client_still_has_the_classes_that_are_loaded_late() -> None:
    done = subprocess.run([sys.executable, "-c", LANCE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def light() -> Any:
    copy = openclip_import._copy()
    assert copy is not None
    assert copy.__name__ == COPY
    return copy


def test_the_copy_makes_the_very_same_model_and_tokens(light: Any) -> None:
    import open_clip
    import torch

    words = ["a red solid circle", "Ünïcode & <html>", ""]
    told = []
    for module in (open_clip, light):
        model = module.create_model(f"local-dir:{SKETCH_CLIP}").eval()
        tokens = module.get_tokenizer(f"local-dir:{SKETCH_CLIP}")(words)
        torch.manual_seed(0)
        side = model.visual.image_size
        pixels = torch.rand(2, 3, *(side if isinstance(side, tuple) else (side, side)))
        with torch.inference_mode():
            told.append((tokens, model.encode_text(tokens), model.encode_image(pixels)))
    assert all(torch.equal(one, other) for one, other in zip(*told, strict=True))
    assert light.list_models() == open_clip.list_models()
    assert light.CLIP is not open_clip.CLIP


@settings(deadline=None, max_examples=300)
@given(st.text() | st.text(st.characters(codec="ascii")))
@example("salt &amp; pepper")
@example("a\x1b[31m red\r\ncircle\t\x7f")
@example("caf\u00c3\u00a9, \u201cquoted\u201d, \uff21 \ufb01")
def test_texts_are_mended_as_ftfy_mends_them(text: str) -> None:
    import ftfy

    assert openclip_import._Mender("ftfy").fix_text(text) == ftfy.fix_text(text)


def test_models_with_borrowed_towers_get_open_clip_itself(light: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "open_clip")
    whole = ModuleType("open_clip")
    monkeypatch.setattr(openclip_import, "import_module", lambda name: whole if name == "open_clip" else None)
    kinds = {name: plain(light.get_model_config(name)) for name in light.list_models()}
    assert all(kinds[name] for name in ("ViT-B-32", "ViT-B-32-quickgelu", "RN50"))
    borrowed = ("coca_ViT-B-32", "roberta-ViT-B-32", "xlm-roberta-base-ViT-B-32", "ViT-B-16-SigLIP", "convnext_base")
    assert not any(kinds[name] for name in borrowed)
    own = {name for name in borrowed if own_text_tower(light.get_model_config(name))}
    assert own == {"ViT-B-16-SigLIP", "convnext_base"}
    assert open_clip_for(light.get_model_config("ViT-B-32")) is light
    assert all(open_clip_for(light.get_model_config(name)) is whole for name in borrowed)


def test_where_open_clip_is_loaded_already_it_is_used(light: Any) -> None:
    import open_clip

    assert open_clip_for() is open_clip


def test_a_version_that_imports_in_another_way_is_loaded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in (COPY, "open_clip")]:
        monkeypatch.delitem(sys.modules, name)
    whole = ModuleType("open_clip")
    monkeypatch.setattr(openclip_import, "_NAMED_ONLY", ())
    monkeypatch.setattr(openclip_import, "_ABSENT", ("torchvision",))  # without a way around: the copy cannot be made

    def load(name: str) -> ModuleType:
        return whole if name == "open_clip" else importlib.import_module(name)

    monkeypatch.setattr(openclip_import, "import_module", load)
    monkeypatch.setattr(openclip_import, "_copy", openclip_import._copy.__wrapped__)
    finders = list(sys.meta_path)
    try:
        assert open_clip_for() is whole
    finally:
        sys.meta_path[:] = finders
    assert not [name for name in sys.modules if name.partition(".")[0] == COPY]


MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([16, 32, (32, 32), (24, 32)]),
    st.sampled_from(["shortest", "squash", "longest"]),
    st.sampled_from(["bicubic", "bilinear"]),
)
@example(33, 32, 32, "shortest", "bicubic")
@example(32, 35, 32, "shortest", "bicubic")
@example(32, 32, 32, "squash", "bilinear")
@example(90, 31, 32, "longest", "bicubic")
@example(32, 32, 32, "longest", "bicubic")
@example(20, 33, (24, 32), "longest", "bilinear")
@example(2, 32, 16, "shortest", "bicubic")
def test_pictures_are_prepared_number_by_number_as_open_clip_does(
    width: int, height: int, size: Any, mode: Any, interpolation: Any
) -> None:
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    if mode == "longest":  # open_clip's own transform fails on what would be less than a pixel high or wide
        assume(min(width, height) * 2 * min(size if isinstance(size, tuple) else (size,)) > max(width, height))
    elif mode == "shortest":  # of a line, ours looks at the middle alone: open_clip would enlarge all of it
        assume(max(width, height) <= 16 * min(width, height))
    chosen = {"size": size, "mean": MEAN, "std": STD, "fill_color": 200}
    chosen |= {"interpolation": interpolation, "resize_mode": mode}
    pixels = np.random.default_rng(width * 100 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    theirs = image_transform_v2(PreprocessCfg(**chosen), is_train=False)(picture)
    ours = preprocessing(chosen)(picture)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, theirs)
