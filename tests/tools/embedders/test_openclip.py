import asyncio
import io
import json
import logging
import resource
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from imagerag.agent.errors import BackendError, SpecError, UsageError
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.ports import PreparingEmbedder
from imagerag.store.images.image_info import image_info
from imagerag.tools.embedders import openclip_model, weights
from imagerag.tools.embedders.openclip import OpenClipEmbedder
from imagerag.tools.embedders.openclip_model import encode_images
from imagerag.tools.registry import new_embedder
from imagerag.tools.testing.fakes import sample_image

TEXT_CONFIG = {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
CAPTIONS = ["a red circle", "a blue square beside a green star", "a", "", "a red circle"]


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def embedder(folder: Path, **options) -> OpenClipEmbedder:
    return OpenClipEmbedder(f"local-dir:{folder}", **options)


def reference(folder: Path):
    import open_clip  # here: with all that it imports, each process that runs tests would pay seconds for it

    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    return model.eval(), preprocess, open_clip.get_tokenizer(f"local-dir:{folder}")


async def test_vectors_are_those_of_open_clip(tiny: Path) -> None:
    model, preprocess, tokenizer = reference(tiny)
    images = [noise(50, 40, seed) for seed in range(3)]
    with torch.inference_mode():
        texts = model.encode_text(tokenizer(CAPTIONS), normalize=True).numpy()
        pictures = model.encode_image(torch.stack([preprocess(image) for image in images]), normalize=True).numpy()
    mine = embedder(tiny)
    found = await mine.embed_texts(CAPTIONS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, texts, atol=1e-5)
    np.testing.assert_allclose(await mine.embed_images([encoded(image) for image in images]), pictures, atol=1e-5)


def test_a_model_is_that_of_open_clip_though_no_random_numbers_are_put_where_its_weights_go(tiny: Path) -> None:
    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, function, _, given=(), named=None):
            called.add(function.__name__.split(".")[0])
            return function(*given, **(named or {}))

    with Watched():
        called = set[str]()
        whole = reference(tiny)[0]
        assert {"normal_", "uniform_"} <= called
        called = set()
        mine = embedder(tiny)._load().model
        assert called & {"normal_", "uniform_"} == set()
    assert mine.state_dict().keys() == whole.state_dict().keys()
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in mine.state_dict().items())
    assert torch.equal(mine.attn_mask, whole.attn_mask)


async def test_a_text_tower_that_is_not_causal_reads_all_positions(build_model, tmp_path: Path) -> None:
    folder = build_model(tmp_path / "open", text_cfg={**TEXT_CONFIG, "no_causal_mask": True})
    model, _, tokenizer = reference(folder)
    with torch.inference_mode():
        expected = model.encode_text(tokenizer(CAPTIONS), normalize=True).numpy()
    np.testing.assert_allclose(await embedder(folder).embed_texts(CAPTIONS), expected, atol=1e-5)


async def test_parts_of_a_batch_are_encoded_side_by_side_with_the_same_vectors_in_the_same_order(tiny: Path) -> None:
    mine = embedder(tiny)
    images = torch.stack([mine.prepare(noise(33, 20, seed)) for seed in range(20)])
    loaded, passes = mine._load(), list[tuple[int, int]]()
    whole = encode_images(loaded, images)

    def encode(part: torch.Tensor) -> torch.Tensor:
        passes.append((len(part), torch.get_num_threads()))
        return loaded.model.encode_image(part)

    parts = encode_images(replace(loaded, model=SimpleNamespace(encode_image=encode), threads=5), images)
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    assert passes == [(10, 2), (10, 2)], "parts are of eight images at least, and share the threads"


def test_passes_side_by_side_leave_as_many_threads_to_others_as_a_pass_alone(tiny: Path) -> None:
    before = torch.get_num_threads()
    many = replace(embedder(tiny)._load(), model=SimpleNamespace(encode_image=lambda part: part), threads=5)
    try:
        encode_images(many, torch.ones(20, 4))
        with ThreadPoolExecutor(1) as other:
            assert other.submit(torch.get_num_threads).result() == 5
    finally:
        torch.set_num_threads(before)


def test_a_small_model_does_not_decide_how_many_threads_a_large_one_has(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    openclip_model.available_threads.cache_clear()
    try:
        torch.set_num_threads(3)
        with embedder(tiny)._load().computing():
            assert torch.get_num_threads() == 1
        monkeypatch.setattr(openclip_model, "_LARGE", 1)
        assert embedder(tiny)._load().threads == 3
    finally:
        openclip_model.available_threads.cache_clear()
        torch.set_num_threads(before)


async def test_batches_do_not_change_vectors(tiny: Path) -> None:
    images = [encoded(noise(33, 20, seed)) for seed in range(70)]
    texts = [f"a thing number {n}" + " indeed" * (n % 4) for n in range(150)]
    mine = embedder(tiny)
    together, words = await mine.embed_images(images), await mine.embed_texts(texts)
    for at in (0, 31, 32, 69):
        np.testing.assert_allclose((await mine.embed_images([images[at]]))[0], together[at], atol=1e-5)
    alone = embedder(tiny)
    for at in (0, 149):
        np.testing.assert_allclose((await alone.embed_texts([texts[at]]))[0], words[at], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


async def test_nothing_gives_no_rows(tiny: Path) -> None:
    assert (await embedder(tiny).embed_texts([])).shape == (0, 16)
    assert (await embedder(tiny).embed_images([])).shape == (0, 16)


async def test_bf16_gives_nearly_the_same(tiny: Path) -> None:
    images = [encoded(noise(40, 40, seed)) for seed in range(4)]
    exact, fast = embedder(tiny, precision="fp32"), embedder(tiny, precision="bf16")
    for one, other in (
        (await exact.embed_images(images), await fast.embed_images(images)),
        (await exact.embed_texts(CAPTIONS), await fast.embed_texts(CAPTIONS)),
    ):
        assert other.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(other, axis=1), 1, atol=1e-5)
        assert (one * other).sum(axis=1).min() > 0.999
    assert fast.identity == exact.identity


async def test_concurrent_calls_are_one_batch_and_texts_are_kept(tiny: Path, monkeypatch) -> None:
    mine = embedder(tiny)
    batches: list[list[str]] = []
    encode = mine._encode_texts
    monkeypatch.setattr(mine._texts, "_encode", lambda texts: batches.append(texts) or encode(texts))
    found = await asyncio.gather(*(mine.embed_texts([text]) for text in ("one", "two", "three", "one")))
    assert [sorted(batch) for batch in batches] == [["one", "three", "two"]]
    np.testing.assert_array_equal(found[0], found[3])
    await mine.embed_texts(["three", "two"])
    assert len(batches) == 1
    await mine.embed_texts(["three", "four"])
    assert batches[1:] == [["four"]]


async def test_what_was_least_recently_used_is_forgotten(tiny: Path, monkeypatch) -> None:
    mine = embedder(tiny, keep=2)
    batches: list[list[str]] = []
    encode = mine._encode_texts
    monkeypatch.setattr(mine._texts, "_encode", lambda texts: batches.append(texts) or encode(texts))
    await mine.embed_texts(["a", "b"])
    await mine.embed_texts(["a"])
    await mine.embed_texts(["c"])
    await mine.embed_texts(["a", "b"])
    assert batches == [["a", "b"], ["c"], ["b"]]
    assert (await mine.embed_texts(list("abcdefg"))).shape == (7, 16)


async def test_a_failure_reaches_every_caller_and_the_next_call_works(tiny: Path, monkeypatch) -> None:
    mine = embedder(tiny)
    encode = mine._encode_texts

    def broken(texts: list[str]) -> np.ndarray:
        raise BackendError("broken")

    monkeypatch.setattr(mine._texts, "_encode", broken)
    answers = await asyncio.gather(*(mine.embed_texts([text]) for text in "ab"), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["broken", "broken"]
    monkeypatch.setattr(mine._texts, "_encode", encode)
    assert (await mine.embed_texts(["a"])).shape == (1, 16)


async def test_a_cancelled_caller_takes_nobody_down(tiny: Path) -> None:
    mine = embedder(tiny)
    first, second = (asyncio.ensure_future(mine.embed_texts([text])) for text in "ab")
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).shape == (1, 16)
    assert first.cancelled()


def test_every_event_loop_and_thread_may_use_it(tiny: Path) -> None:
    mine = embedder(tiny)
    found: list[np.ndarray] = []

    def work() -> None:
        async def both() -> None:
            texts, images = await asyncio.gather(
                mine.embed_texts(["a", "b"]), mine.embed_images([sample_image("x")] * 2)
            )
            found.append(np.concatenate([texts, images]))

        asyncio.run(both())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work()
    assert len(found) == 5
    for rows in found:
        np.testing.assert_allclose(rows, found[0], atol=1e-5)


def test_tokens_are_counted_beyond_what_is_read(tiny: Path) -> None:
    mine = embedder(tiny)
    assert mine.context_length == 20
    assert mine.count_tokens("") == 2
    assert mine.count_tokens("a red circle") == 5
    assert mine.count_tokens("circle " * 30) == 32


def test_the_identity_follows_the_weights_and_not_the_place(build_model, tiny: Path, tmp_path: Path) -> None:
    one = embedder(tiny).identity
    moved = embedder(Path(shutil.copytree(tiny, tmp_path / "moved"))).identity
    other = embedder(build_model(tmp_path / "other", seed=1)).identity
    assert one.weights.startswith("sha256:")
    assert (one.model, one.weights, one.preprocess) == (moved.model, moved.weights, moved.preprocess)
    assert one.weights != other.weights
    assert one.dimension == 16
    assert one.preprocess == "32x32, squash, bicubic, mean 0.5 0.5 0.5, std 0.25 0.25 0.25"
    assert OpenClipEmbedder(one.spec.removeprefix("open_clip:")).identity == one


def test_the_preprocessing_is_the_models_own(tiny: Path) -> None:
    model, preprocess, _ = reference(tiny)
    mine = weights.find(f"local-dir:{tiny}").preprocess
    theirs = {key: model.visual.preprocess_cfg[key] for key in mine}
    assert {**theirs, "size": 32, "mean": tuple(theirs["mean"]), "std": tuple(theirs["std"])} == mine
    noise = Image.effect_noise((50, 41), 80).convert("RGB")
    assert torch.equal(embedder(tiny)._preprocess(noise), preprocess(noise))


@pytest.mark.parametrize(
    ("name", "becomes"),
    [("ViT-B-32/openai", "ViT-B-32-quickgelu/openai"), ("ViT-L-14/openai", "ViT-L-14-quickgelu/openai")],
)
def test_quick_gelu_weights_get_their_activation(name: str, becomes: str, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        identity = OpenClipEmbedder(name).identity
    assert identity.spec == f"open_clip:{becomes}"
    assert identity.weights == "openai"
    assert becomes.partition("/")[0] in caplog.text
    assert identity == OpenClipEmbedder(becomes, spec=identity.spec).identity


def test_a_weight_file_takes_what_belongs_to_it_from_its_tag(tmp_path: Path, caplog) -> None:
    file = tmp_path / "openai-weights.safetensors"
    file.write_bytes(b"weights")
    with caplog.at_level(logging.WARNING):
        tagged = weights.find(f"ViT-B-32/openai={file}")
        assert tagged.quick_gelu
        assert tagged.name == "ViT-B-32-quickgelu"
        assert tagged.file == file
        assert not weights.find(f"ViT-B-32/{file}").quick_gelu
        assert "looks like QuickGELU" in caplog.text
    assert weights.find(f"ViT-B-32-quickgelu/{file}").quick_gelu
    assert weights.find(f"ViT-B-32/{file}", quick_gelu=True).quick_gelu
    half = weights.find(f"ViT-L-14/laion2b_s32b_b82k={file}")
    assert half.preprocess["mean"] == (0.5, 0.5, 0.5)
    assert weights.find(half.spec) == half


async def test_quick_gelu_can_be_forced_on_a_folder(tiny: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "quick"))
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["quick_gelu"] = True
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    plain, said, forced = embedder(tiny), embedder(folder), embedder(tiny, quick_gelu=True)
    text = ["a red circle"]
    np.testing.assert_allclose(await said.embed_texts(text), await forced.embed_texts(text), atol=1e-6)
    assert np.abs(await said.embed_texts(text) - await plain.embed_texts(text)).max() > 1e-5
    assert forced.identity.model != plain.identity.model


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        ("ViT-B-32", SpecError, "NAME/TAG"),
        ("NoSuch-B/openai", SpecError, "it has: .*ViT-B-32"),
        ("ViT-B-32-quickgelu/nosuch", SpecError, "it has: .*openai"),
        ("hf-hub:some", SpecError, "is no repository"),
        ("local-dir:/no/such/folder", UsageError, "open_clip_config.json"),
        ("ViT-B-32//no/such/file.pt", UsageError, "no weight file"),
        ("ViT-B-32/openai=/no/such/file", UsageError, "no weight file"),
    ],
)
def test_what_is_not_there_is_said(model: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        _ = OpenClipEmbedder(model).identity


async def test_a_failed_download_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(config: object) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr("open_clip.download_pretrained", offline)
    with pytest.raises(BackendError, match=r"ViT-B-32-quickgelu/openai=/path/to/weights") as caught:
        await OpenClipEmbedder("ViT-B-32-quickgelu/openai").embed_texts(["a"])
    assert not caught.value.retryable


async def test_weights_of_another_model_are_refused(tiny: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "broken"))
    (folder / "open_clip_model.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(BackendError, match="does not hold weights"):
        await embedder(folder).embed_texts(["a"])


async def test_pictures_are_turned_upright(tiny: Path) -> None:
    image = noise(40, 20)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(image.transpose(Image.Transpose.ROTATE_90), exif=exif)
    mine = embedder(tiny)
    upright, rotated = await mine.embed_images([encoded(image), turned])
    np.testing.assert_allclose(upright, rotated, atol=1e-6)


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert open_rgb(encoded(clear)).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (8, 8), 0)
    assert open_rgb(encoded(palette, transparency=0)).getpixel((0, 0)) == (255, 255, 255)
    grey = Image.fromarray(np.full((4, 4), 0x8000, np.uint16))
    assert open_rgb(encoded(grey)).getpixel((0, 0)) == (128, 128, 128)
    assert open_rgb(encoded(Image.new("CMYK", (8, 8)), "JPEG")).mode == "RGB"


def test_a_large_jpeg_is_decoded_reduced() -> None:
    large = encoded(Image.radial_gradient("L").resize((800, 600)).convert("RGB"), "JPEG")
    reduced = open_rgb(large, side=64)
    assert reduced.size == (200, 150)
    assert open_rgb(large).size == (800, 600)


@pytest.mark.parametrize("data", [b"", b"no image", encoded(noise(60, 60))[:900], encoded(noise(60, 60), "JPEG")[:400]])
async def test_what_cannot_be_read_is_said_and_which(tiny: Path, data: bytes) -> None:
    with pytest.raises(UsageError, match=r"image 1: .*cannot be read"):
        await embedder(tiny).embed_images([sample_image("fine"), data])


async def test_decoded_images_give_the_vectors_of_their_files(tiny: Path) -> None:
    mine = embedder(tiny)
    assert isinstance(mine, PreparingEmbedder)
    files = [encoded(noise(900, 700), "JPEG"), encoded(noise(40, 90, 1)), encoded(noise(300, 300, 2), "WEBP")]
    prepared = [mine.prepare(image_info(data, side=mine.image_side).decoded) for data in files]
    np.testing.assert_array_equal(await mine.embed_prepared(prepared), await mine.embed_images(files))
    assert (await mine.embed_prepared([])).shape == (0, mine.identity.dimension)


async def test_a_reduced_decoding_changes_next_to_nothing(tiny: Path) -> None:
    mine = embedder(tiny)
    smooth = noise(60, 45).resize((2400, 1800), Image.Resampling.BICUBIC)
    data = encoded(smooth, "JPEG", quality=90)
    reduced, whole = image_info(data, side=mine.image_side).decoded, open_rgb(data)
    assert reduced is not None
    assert (reduced.size, whole.size) == ((600, 450), (2400, 1800))
    assert image_info(encoded(smooth.resize((4000, 3000)), "JPEG"), side=mine.image_side).decoded.size == (500, 375)
    one, other = await mine.embed_prepared([mine.prepare(reduced), mine.prepare(whole)])
    assert float(one @ other) > 0.9999


@pytest.mark.parametrize("size", [(1, 50_000), (50_000, 1), (3, 9_000)])
async def test_a_line_of_pixels_needs_no_more_memory_than_a_picture(tiny: Path, size: tuple[int, int]) -> None:
    line = Image.new("RGB", size, "teal")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line_vector, square_vector = await embedder(tiny).embed_images(
        [encoded(line), encoded(Image.new("RGB", (64, 64), "teal"))]
    )
    np.testing.assert_allclose(line_vector, square_vector, atol=1e-5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


async def test_a_repository_of_the_hub_is_pinned_to_its_commit(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    commit, store = "0123456789" * 4, tmp_path / "models--org--tiny.clip"
    shutil.copytree(tiny, store / "snapshots" / commit)
    (store / "refs").mkdir()
    (store / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    mine = OpenClipEmbedder("hf-hub:org/tiny.clip")
    assert mine.identity.spec == f"open_clip:hf-hub:org/tiny.clip@{commit}"
    assert (mine.identity.model, mine.identity.weights) == ("open_clip org/tiny.clip", commit)
    again = new_embedder(mine.identity.spec)
    assert again.identity == mine.identity
    texts = ["a red circle"]
    np.testing.assert_array_equal(await again.embed_texts(texts), await embedder(tiny).embed_texts(texts))
    (store / "snapshots" / commit / "open_clip_model.safetensors").unlink()
    with pytest.raises(BackendError, match="has none of"):
        await OpenClipEmbedder("hf-hub:org/tiny.clip").embed_texts(texts)
    (store / "snapshots" / commit / "open_clip_config.json").unlink()
    with pytest.raises(UsageError, match=r"has no open_clip_config\.json"):
        weights.find("hf-hub:org/tiny.clip")
    with pytest.raises(BackendError, match=r"open_clip:local-dir:FOLDER"):
        weights.find("hf-hub:org/other")
    for name in ("hf-hub:org", "hf-hub:../x", "hf-hub:org/../x"):
        with pytest.raises(SpecError, match="is no repository"):
            weights.find(name)
