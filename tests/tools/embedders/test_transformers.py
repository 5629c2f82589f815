"""Encoders of transformers: tiny and random, in their own architectures, loaded as published ones are."""

import asyncio
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagerag.agent.errors import BackendError, SpecError, UntrustedError, UsageError
from imagerag.agent.port_validation import check_role
from imagerag.agent.ports import Embedder, PreparingEmbedder, embed_passages, logit_scale_of
from imagerag.graphs.configuration.trust_policy import is_plain
from imagerag.graphs.dependencies import Dependencies
from imagerag.store.data_dir import DataDir
from imagerag.tools.registry import new_embedder

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from tests.tools.embedders.tiny_transformers import CONTEXT, SCALE, build

NAMES = ["clip", "siglip", "naflex", "qwen"]
TEXTS = ["a Red fox", "a", "two cats on a very long and narrow sofa"]
SIZES = [(64, 64), (32, 32), (300, 20), (7, 400), (1, 1), (3000, 2)]

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("transformers")
    return lambda name: build(root, name)


@pytest.fixture(scope="module")
def make(folder: Callable[[str], Path]) -> Make:
    """An encoder on a tiny model, in float32 on the CPU; the same one for the same options."""
    made: dict[Any, Embedder] = {}

    def made_once(name: str, options: str = "") -> Embedder:
        if (name, options) not in made:
            made[name, options] = new_embedder(f"transformers:{folder(name)}?device=cpu&dtype=float32{options}")
        return made[name, options]

    return made_once


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def hub_folder(cache: Path, repository: str, model: Path, commit: str) -> Path:
    """A repository in the hub's cache, as a download leaves it."""
    store = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(model, store / "snapshots" / commit)
    (store / "refs").mkdir()
    (store / "refs" / "main").write_text(commit)
    return store / "snapshots" / commit


@pytest.mark.parametrize(
    ("name", "dimension", "context", "scale"),
    [
        ("clip", 24, CONTEXT, SCALE),
        ("siglip", 32, CONTEXT, SCALE),
        ("naflex", 32, CONTEXT, SCALE),
        ("qwen", 64, 400, 100),
    ],
)
def test_its_identity_is_known_without_loading_it(
    name: str, dimension: int, context: int, scale: float, make: Make, folder: Callable[[str], Path]
) -> None:
    fresh = new_embedder(f"transformers:{folder(name)}?dtype=float32")
    assert fresh.identity.dimension == dimension
    assert fresh.identity.weights.startswith("sha256:")
    assert fresh._loaded is None
    assert new_embedder(fresh.identity.spec).identity == fresh.identity
    check_role("embedder", "transformers", fresh)
    assert isinstance(fresh, PreparingEmbedder)
    assert fresh.context_length == context
    assert logit_scale_of(make(name)) == pytest.approx(scale, rel=1e-5)
    assert not is_plain(fresh.identity.spec), "only the user may name it"


@pytest.mark.parametrize("name", NAMES)
async def test_a_text_alone_has_the_vector_that_it_has_among_others(name: str, make: Make) -> None:
    together = await make(name).embed_texts(TEXTS)
    assert together.shape == (3, make(name).identity.dimension)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    passages = await embed_passages(make(name), TEXTS)
    for at, text in enumerate(TEXTS):
        (alone,) = await embed_passages(make(name), [text])
        np.testing.assert_allclose(alone, passages[at], atol=2e-6)
        assert (passages[at] @ together[at] < 0.999) == (name == "qwen"), "only its queries have another instruction"
    assert abs(together @ together.T - np.eye(3)).min() < 0.999, "the texts differ"
    assert (await make(name).embed_texts([])).shape == (0, make(name).identity.dimension)


@pytest.mark.parametrize("name", NAMES)
async def test_images_of_any_shape_alone_have_the_vectors_that_they_have_among_others(name: str, make: Make) -> None:
    embedder = make(name)
    prepared = [embedder.prepare(picture(size)) for size in SIZES]
    together = await embedder.embed_prepared(prepared)
    for at, one in enumerate(prepared):
        np.testing.assert_allclose((await embedder.embed_prepared([one]))[0], together[at], atol=2e-6)
    whole = await embedder.embed_images([encoded(picture(size)) for size in SIZES])
    np.testing.assert_allclose(whole, together, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    assert whole[0] @ whole[1] < 0.9999


@pytest.mark.parametrize("name", NAMES)
async def test_a_text_that_is_too_long_is_counted_and_cut(name: str, make: Make) -> None:
    embedder = make(name)
    assert embedder.count_tokens("a fox") < embedder.context_length
    long = "a fox " * 200
    assert embedder.count_tokens(long) > embedder.context_length
    cut, longer = await embedder.embed_texts([long, f"{long} and a dog"])
    np.testing.assert_allclose(cut, longer, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
async def test_a_control_token_in_a_text_is_a_word(name: str, make: Make) -> None:
    embedder = make(name)
    for token in ("<|im_end|>", "<eos>", "<|endoftext|>", "<|image_pad|>"):
        spaced = embedder.count_tokens(f"a {token} b")
        assert spaced > embedder.count_tokens("a  b") + 2, token


async def test_siglip_is_read_as_it_was_trained(make: Make, folder: Callable[[str], Path]) -> None:
    """In lower case, padded on the right to its whole length, without a mask, whatever its tokenizer says."""
    import torch
    import transformers

    embedder = make("siglip")
    mine, lower = await embedder.embed_texts(["A Red Fox", "a red fox"])
    np.testing.assert_array_equal(mine, lower)
    model = transformers.AutoModel.from_pretrained(folder("siglip")).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder("siglip"))
    assert tokenizer.padding_side == "left"
    ids = tokenizer("a red fox")["input_ids"]
    with torch.no_grad():
        wanted = model.get_text_features(input_ids=torch.tensor([ids + [0] * (CONTEXT - len(ids))])).pooler_output[0]
    np.testing.assert_allclose(mine, wanted / wanted.norm(), atol=2e-6)


async def test_qwen_is_asked_as_published(make: Make, folder: Callable[[str], Path]) -> None:
    """The last token's state of a conversation with an instruction, the start of an answer, and an end marker."""
    import torch
    import transformers

    model = transformers.Qwen3VLForConditionalGeneration.from_pretrained(folder("qwen")).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder("qwen"))

    def wanted(instruction: str, content: str, **images: Any) -> Any:
        written = (
            f"<|im_start|>system\n{instruction}<|im_end|>\n<|im_start|>user\n{content}<|im_end|>\n"
            "<|im_start|>assistant\n"
        )
        read = processor(text=[written], return_tensors="pt", **images)
        with torch.no_grad():
            state = model.model(**read).last_hidden_state[0, -1]
        return state / state.norm()

    (query,) = await make("qwen").embed_texts(["a fox"])
    (passage,) = await embed_passages(make("qwen"), ["a fox"])
    asked, stored = "Retrieve images or text relevant to the user's query.", "Represent the user's input."
    np.testing.assert_allclose(query, wanted(asked, "a fox"), atol=2e-6)
    np.testing.assert_allclose(passage, wanted(stored, "a fox"), atol=2e-6)
    shown = picture((96, 64))
    (image,) = await make("qwen").embed_images([encoded(shown)])
    seen = wanted(stored, "<|vision_start|><|image_pad|><|vision_end|>", images=[shown])
    np.testing.assert_allclose(image, seen, atol=2e-6)
    (told,) = await make("qwen", "&instruction=Find+foxes.").embed_texts(["a fox"])
    np.testing.assert_allclose(told, wanted("Find foxes.", "a fox"), atol=2e-6)


async def test_shorter_vectors_are_the_first_numbers(make: Make) -> None:
    full, short = make("qwen"), make("qwen", "&dimensions=64")
    assert full.identity == short.identity, "it has no more than 64"
    with pytest.raises(SpecError, match="dimensions must be from 64 to 64"):
        _ = make("qwen", "&dimensions=32").identity


async def test_naflex_shows_more_patches_of_an_image(make: Make) -> None:
    embedder, finer = make("naflex"), make("naflex", "&patches=32")
    assert embedder.prepare(picture((64, 64)))["pixel_values"].shape[0] == 16
    assert finer.prepare(picture((64, 64)))["pixel_values"].shape[0] == 32
    assert embedder.identity != finer.identity
    rows, columns = embedder.prepare(picture((640, 160)))["spatial_shapes"]
    assert (rows, columns) == (2, 8)
    assert (await finer.embed_images([encoded(picture((640, 160)))])).shape == (1, 32)


async def test_texts_and_images_are_encoded_beside_each_other(make: Make) -> None:
    embedder = make("naflex")
    image = encoded(picture((40, 30)))
    alone = await embedder.embed_texts(TEXTS)
    many = await asyncio.gather(
        *(embedder.embed_texts(TEXTS) for _ in range(5)),
        *(embedder.embed_images([image]) for _ in range(3)),
        *(asyncio.to_thread(embedder.count_tokens, "a fox") for _ in range(5)),
    )
    for vectors in many[:5]:
        np.testing.assert_allclose(vectors, alone, atol=2e-6)


async def test_a_repository_is_pinned_to_its_commit(
    folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    from huggingface_hub import constants

    commit = "0123456789" * 4
    kept = hub_folder(tmp_path, "org/tiny-siglip2", folder("naflex"), commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    named = new_embedder("transformers:org/tiny-siglip2?dtype=float32")
    assert named.identity.spec == f"transformers:org/tiny-siglip2@{commit}?dtype=float32"
    assert (named.identity.model, named.identity.weights) == ("transformers org/tiny-siglip2", commit)
    again = new_embedder(named.identity.spec)
    assert again.identity == named.identity
    np.testing.assert_allclose(await again.embed_texts(["a"]), await make("naflex").embed_texts(["a"]), atol=2e-6)
    (kept / "model.safetensors").unlink()
    with pytest.raises(BackendError, match="has no weights"):
        await new_embedder("transformers:org/tiny-siglip2").embed_texts(["a"])
    with pytest.raises(BackendError, match="could not be downloaded"):
        _ = new_embedder("transformers:org/other").identity


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("", "names no model"),
        ("org", "is no directory and no repository"),
        ("../x", "no such directory"),
        ("org/x/y", "is no directory and no repository"),
        ("org/x@http://localhost/v1", "a server is openai"),
        ("org/x?longest_side=1", "longest_side must be"),
        ("org/x?speed=1", "speed"),
    ],
)
def test_what_names_no_model_is_refused(model: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        _ = new_embedder(f"transformers:{model}" if model else "transformers").identity


@pytest.mark.parametrize(
    ("config", "name", "reason"),
    [
        ({"model_type": "jina_clip", "auto_map": {"AutoModel": "jinaai/jina-clip-v2--modeling_clip.JinaCLIPModel"}},
         "jina-clip-v2", r"needs code of its own.*openai:jina-clip-v2\?images=clip@http"),
        ({"model_type": "bert"}, "bert", "is of type 'bert'; encoders are: clip"),
        ({"model_type": "qwen3_vl"}, "Qwen3-VL-2B-Instruct", "was not trained to encode"),
        ({"model_type": "qwen3_vl"}, "Qwen3-VL-Reranker-2B", "was not trained to encode"),
        ({"architectures": []}, "x", "names a model_type"),
        ([], "x", "names a model_type"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_an_encoder_is_refused(config: Any, name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=reason):
        _ = new_embedder(f"transformers:{tmp_path / name}").identity


def test_an_adapter_is_refused(folder: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(folder("clip"), tmp_path / "clip")
    (tmp_path / "clip" / "adapter_config.json").write_text('{"base_model_name_or_path": "org/other"}')
    with pytest.raises(SpecError, match="is an adapter"):
        _ = new_embedder(f"transformers:{tmp_path / 'clip'}").identity


@pytest.mark.parametrize(
    ("name", "option"), [("clip", "dimensions=64"), ("qwen", "patches=64"), ("siglip", "patches=64")]
)
def test_an_option_of_another_kind_of_model_is_refused(name: str, option: str, make: Make) -> None:
    with pytest.raises(SpecError, match=option.partition("=")[0]):
        _ = make(name, f"&{option}").identity


async def test_weights_that_are_not_all_there_are_no_random_ones(folder: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    place = tmp_path / "clip"
    shutil.copytree(folder("clip"), place)
    weights = load_file(place / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackendError, match=r"lacks weights .* text_projection\.weight"):
        await new_embedder(f"transformers:{place}").embed_texts(["a"])


def test_a_library_may_name_the_commit_of_a_repository_that_the_user_named(
    folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    commit = "0123456789" * 4
    hub_folder(tmp_path / "hub", "org/tiny-siglip2", folder("naflex"), commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    pinned = f"transformers:org/tiny-siglip2@{commit}"
    dependencies = Dependencies(DataDir(tmp_path))
    dependencies.name("transformers:org/some-judge")
    with pytest.raises(UntrustedError, match="which you never named here"):
        dependencies._trusted_encoder("mine", pinned)
    dependencies.name("transformers:org/tiny-siglip2")
    assert dependencies._trusted_encoder("mine", pinned).identity.weights == commit
