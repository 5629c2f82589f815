"""SigLIP 2, the default: tiny and random, in its own architecture and with a tokenizer of its own, really loaded."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagerag.agent.ports import logit_scale_of
from imagerag.graphs.configuration.settings import PRESETS
from imagerag.tools.embedders import weights
from imagerag.tools.embedders.default_encoder import DEFAULT_ENCODER, DEFAULT_MODEL
from imagerag.tools.embedders.openclip import OpenClipEmbedder
from imagerag.tools.judges.clip.judge import ClipJudge
from imagerag.tools.judges.clip.region_scorer import SLACK
from imagerag.tools.registry import make_embedder, make_judge
from imagerag.tools.testing.fakes import sample_image

WORDS = [
    "<pad>",
    "<eos>",
    "<unk>",
    "a",
    "photo",
    "of",
    "red",
    "blue",
    "ein",
    "rotes",
    "fahrrad",
    "circle",
    "自",
    "転車",
]
SCALE = 112.5


def write_siglip(folder: Path) -> Path:
    """An open_clip folder in the form of SigLIP 2's: a timm tower, no causal mask, a bias, a Hugging Face tokenizer."""
    import open_clip
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    own = open_clip.get_model_config(DEFAULT_MODEL.partition("/")[0])
    text = {**own["text_cfg"], "vocab_size": len(WORDS), "width": 16, "heads": 2, "layers": 1}
    vision = {**own["vision_cfg"], "timm_model_name": "test_vit", "image_size": 160}
    config = {**own, "embed_dim": 64, "vision_cfg": vision, "text_cfg": text}
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(**{name: value for name, value in config.items() if name != "custom_text"})
    with torch.no_grad():
        model.logit_scale.fill_(float(np.log(SCALE)))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    words.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "<eos>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    return folder


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_siglip(tmp_path_factory.mktemp("siglip"))


async def test_it_is_loaded_and_encodes_as_open_clip_does(siglip: Path) -> None:
    import open_clip
    import torch

    embedder = OpenClipEmbedder(f"local-dir:{siglip}")
    texts = ["a photo of a Red circle!", "ein rotes Fahrrad", "自転車"]
    vectors = await embedder.embed_texts(texts)
    model = open_clip.create_model(f"local-dir:{siglip}").eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{siglip}")(texts)
    with torch.inference_mode():
        theirs = model.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)
    image = Image.effect_noise((90, 50), 80).convert("RGB")
    seen = await embedder.embed_prepared([embedder.prepare(image)])
    with torch.inference_mode():
        shown = model.encode_image(embedder.prepare(image)[None], normalize=True).numpy()
    np.testing.assert_allclose(seen, shown, atol=1e-5)
    assert seen.shape == (1, embedder.identity.dimension) == (1, 64)
    assert embedder.context_length == 64
    assert embedder.count_tokens("a photo of a Red circle!") == 7
    assert embedder.count_tokens("red " * 80) == 81
    assert logit_scale_of(embedder) == pytest.approx(SCALE, rel=1e-4)


async def test_a_judge_compares_in_units_of_the_encoders_own_scale(siglip: Path) -> None:
    embedder = OpenClipEmbedder(f"local-dir:{siglip}")
    given, own = (ClipJudge(embedder, slack=slack)._eye for slack in (SLACK / SCALE, None))
    data = sample_image("a")
    asked = ClipJudge(embedder)._split("a red circle")
    assert [one.met for one in await own.look(data, asked)] == [one.met for one in await given.look(data, asked)]
    assert SLACK / logit_scale_of(object()) == 0.02


def test_the_default_is_multilingual_and_the_papers_encoder_has_a_name() -> None:
    assert make_embedder("open_clip").identity == make_embedder(DEFAULT_ENCODER).identity
    identity = make_embedder(DEFAULT_ENCODER).identity
    assert (identity.weights, identity.dimension, identity.spec) == ("webli", 768, DEFAULT_ENCODER)
    assert identity.preprocess.startswith("256x256, squash, bicubic, mean 0.5 0.5 0.5")
    assert {preset["embedder"] for preset in PRESETS.values()} == {"sketch", DEFAULT_ENCODER}
    assert make_judge("clip").identity == f"clip:{DEFAULT_ENCODER}"
    spec = "open_clip:ViT-B-32-quickgelu/openai"
    paper = make_embedder(spec).identity
    assert (paper.spec, paper.weights, paper.dimension) == (spec, "openai", 512)
    assert weights.find(DEFAULT_MODEL).context_length == 64
