"""Encoders of open_clip through ONNX Runtime: tiny models with random weights, exported and loaded as large ones."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagerag.agent.errors import BackendError, MissingExtraError, SpecError
from imagerag.agent.ports import Embedder
from imagerag.graphs.configuration.trust_policy import is_plain
from imagerag.tools.embedders import openclip_export, weights
from imagerag.tools.embedders.openclip_export import Export, exported
from imagerag.tools.registry import make_judge, new_embedder
from tests.tools.conftest import write_model
from tests.tools.embedders.test_siglip import write_siglip

needs_onnx = pytest.mark.skipif(
    any(find_spec(module) is None for module in ("onnx", "onnxscript", "onnxruntime")), reason="the extra onnx"
)

TEXTS = ["a photo of a red circle", "a", "a photo " * 30]
INT8 = "?runtime=onnx&precision=int8"
ONNX = "?runtime=onnx"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with the exports of the tiny models: an export takes seconds."""
    folder = tmp_path_factory.mktemp("onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGERAG_HOME", str(folder))
        patch.setattr(openclip_export, "_export", exported_once())
        yield folder


def exported_once() -> Callable[..., None]:
    """`_export`; a tower that was exported in 32 bits is not exported again to be quantised."""
    export, files = openclip_export._export, dict[str, bytes]()

    def once(tower: Any, example: Any, file: Path, longest: int | None) -> None:
        numbers = [example, *tower.state_dict().values()]
        of = sha256(repr((file.name, longest, openclip_export._IN_FILE)).encode())
        of.update(b"".join(one.numpy().tobytes() for one in numbers))
        if (found := files.get(of.hexdigest())) is not None:
            file.write_bytes(found)
            return
        export(tower, example, file, longest)
        if not file.with_name(f"{file.name}.data").exists():
            files[of.hexdigest()] = file.read_bytes()

    return once


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {"clip": write_model(root / "clip"), "siglip": write_siglip(root / "siglip")}


@pytest.fixture(scope="module")
def make(home: Path, models: dict[str, Path]) -> Callable[..., Embedder]:
    made: dict[str, Embedder] = {}

    def make_once(name: str, options: str = "") -> Embedder:
        spec = f"open_clip:local-dir:{models[name]}{options}"
        return made.setdefault(spec, new_embedder(spec))

    return make_once


def pixels(embedder: Any, count: int) -> list[Any]:
    chance = np.random.default_rng(0)
    return [embedder.prepare(Image.fromarray(chance.integers(0, 255, (60, 50, 3), np.uint8))) for _ in range(count)]


@needs_onnx
async def test_in_32_bits_it_is_the_same_encoder(make: Callable[..., Any]) -> None:
    torch, onnx = make("clip"), make("clip", ONNX)
    assert onnx.identity == torch.identity
    assert onnx.identity.spec.endswith(ONNX)
    assert onnx.logit_scale() == torch.logit_scale()
    for texts in (TEXTS, TEXTS[1:2]):
        np.testing.assert_allclose(await onnx.embed_texts(texts), await torch.embed_texts(texts), atol=1e-5)
    images = pixels(torch, 3)
    np.testing.assert_allclose(await onnx.embed_prepared(images), await torch.embed_prepared(images), atol=1e-5)


@needs_onnx
async def test_in_8_bits_it_is_another_encoder_whose_vectors_depend_on_no_other_input(make: Callable[..., Any]) -> None:
    torch, int8 = make("clip"), make("clip", INT8)
    assert int8.identity != torch.identity
    assert int8.identity.weights == f"{torch.identity.weights} in int8"
    again = new_embedder(int8.identity.spec)
    assert again.identity == int8.identity
    texts, images = await int8.embed_texts(TEXTS), pixels(torch, 5)
    vectors = await int8.embed_prepared(images)
    for at, text in enumerate(TEXTS):
        np.testing.assert_array_equal((await again.embed_texts([text]))[0], texts[at])
    for at, image in enumerate(images):
        np.testing.assert_array_equal((await again.embed_prepared([image]))[0], vectors[at])
    for mine, exact in ((texts, await torch.embed_texts(TEXTS)), (vectors, await torch.embed_prepared(images))):
        assert mine.dtype == np.float32
        assert 0.98 < (mine * exact).sum(axis=1).min() < 0.9999999


@needs_onnx
async def test_a_model_of_siglip_whose_weights_need_files_of_their_own(
    make: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openclip_export, "_IN_FILE", 0)
    torch, int8 = make("siglip"), make("siglip", INT8)
    images = pixels(torch, 2)
    for mine, exact in (
        (await int8.embed_texts(TEXTS), await torch.embed_texts(TEXTS)),
        (await int8.embed_prepared(images), await torch.embed_prepared(images)),
    ):
        assert 0.98 < (mine * exact).sum(axis=1).min() < 0.9999999
    (folder,) = {path.parent for path in home.glob("onnx/*/*.data")}
    assert sorted(path.name for path in folder.iterdir()) == [
        "export.json", "image.onnx", "image.onnx.data", "text.onnx", "text.onnx.data",
    ]  # fmt: skip


@needs_onnx
async def test_an_export_is_loaded_without_the_model_and_made_anew_where_it_is_damaged(
    make: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    int8 = make("clip", INT8)
    wanted = await int8.embed_texts(TEXTS)
    monkeypatch.delattr(openclip_export, "load_model")
    again = new_embedder(int8.identity.spec)
    np.testing.assert_array_equal(await again.embed_texts(TEXTS), wanted)
    kept = {path.parent for path in home.glob("onnx/*/export.json")}
    (folder,) = (one for one in kept if openclip_export._name(again._source, "int8") == one.name)
    facts = json.loads((folder / "export.json").read_text())
    assert sorted(facts["files"]) == ["image.onnx", "text.onnx"]
    assert 0.95 < facts["cosine"] < 1
    with (folder / "text.onnx").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")

    def write(*_: Any) -> Export:
        raise BackendError("it is exported anew")

    monkeypatch.setattr(openclip_export, "_write_towers", write)
    with pytest.raises(BackendError, match="it is exported anew"):
        await new_embedder(int8.identity.spec).embed_texts(TEXTS)


@needs_onnx
async def test_vectors_that_differ_from_torch_are_refused(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IMAGERAG_HOME", str(tmp_path))
    monkeypatch.setattr(openclip_export, "_export", lambda *_: None)
    monkeypatch.setattr(openclip_export, "_vectors", lambda file, example, alone: np.full((len(example), 16), 0.25))
    with pytest.raises(BackendError, match=r"the image tower has other vectors in fp32.*leave out runtime=onnx"):
        await new_embedder(f"open_clip:local-dir:{models['clip']}{ONNX}").embed_texts(["a"])
    assert list((tmp_path / "onnx").iterdir()) == []


def test_processes_that_export_at_once_leave_one_whole_export(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = weights.find(f"local-dir:{models['clip']}")

    def write(source: Any, precision: str, tokens: Any, folder: Path) -> Export:
        for tower in openclip_export.TOWERS:
            (folder / f"{tower}.onnx").write_bytes(os.urandom(1000))
        return Export(1.0, True, 1.0, openclip_export._digests(folder))

    monkeypatch.setenv("IMAGERAG_HOME", str(tmp_path))
    monkeypatch.setattr(openclip_export, "require_onnx", lambda spec: None)
    monkeypatch.setattr(openclip_export, "version", lambda package: "1")
    monkeypatch.setattr(openclip_export, "_write_towers", write)
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda _: exported(source, "fp32", None), range(8))]
    (folder,) = (tmp_path / "onnx").iterdir()
    assert {one for one, _ in found} == {folder}
    assert exported(source, "fp32", None)[1].files == openclip_export._digests(folder)


@pytest.mark.parametrize("missing", ["onnxruntime", "onnx", "onnxscript"])
def test_without_the_extra_it_is_named(missing: str, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagerag.agent.extras.find_spec", lambda module: None if module == missing else True)
    with pytest.raises(MissingExtraError, match=r"imagerag\[onnx\]|\.\[onnx\]"):
        new_embedder(f"open_clip:local-dir:{models['clip']}{ONNX}")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("precision=int8", "int8 is of onnx"),
        ("runtime=onnx&precision=bf16", "bf16 of torch"),
        ("runtime=tensorrt", "runtime must be torch or onnx"),
        ("dtype=float32", "dtype"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagerag.agent.extras.find_spec", lambda module: True)
    with pytest.raises(SpecError, match=reason):
        new_embedder(f"open_clip:ViT-B-32/laion2b_s34b_b79k?{options}")


def test_options_are_no_reason_to_distrust_an_encoder(models: dict[str, Path]) -> None:
    assert is_plain("open_clip:ViT-B-32/laion2b_s34b_b79k?runtime=onnx&precision=int8")
    assert not is_plain(f"open_clip:local-dir:{models['clip']}?runtime=onnx")
    judge = make_judge(f"clip:open_clip:local-dir:{models['clip']}?precision=fp32")
    assert "precision=fp32" in judge.identity
    with pytest.raises(SpecError, match="takes no options"):
        make_judge("clip?precision=fp32")
