"""Tiny models of transformers with random weights, saved in the form of published ones and read by the real loading."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tools.diffusers import tiny_words as words

CONTEXT = 16
"""Tokens that the text towers read."""
SCALE = 30.0
_TOWER: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4,
}  # fmt: skip
_BYTES = [f"<0x{number:02X}>" for number in range(256)]
_GEMMA = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *_BYTES, "▁", *map(chr, range(33, 127))]
_ANSWERS = {"yes": words.QWEN_VOCABULARY, "no": words.QWEN_VOCABULARY + 1}


def clip(folder: Path) -> Path:
    """CLIP, which reads a text up to its end marker."""
    import transformers as t

    text = {**_TOWER, "vocab_size": words.CLIP_VOCABULARY, "max_position_embeddings": CONTEXT, "pad_token_id": 513,
            "bos_token_id": 512, "eos_token_id": 513}  # fmt: skip
    vision = {**_TOWER, "image_size": 32, "patch_size": 16}
    config = t.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    return _saved(folder, t.CLIPModel(config), t.CLIPProcessor(t.CLIPImageProcessor(**size), words.clip_tokenizer()))


def siglip(folder: Path) -> Path:
    """SigLIP 2 of one size: the model is SigLIP's, its words are Gemma's, and it is said to pad on the left."""
    import transformers as t

    config = t.SiglipConfig(text_config=_siglip_text(), vision_config={**_TOWER, "image_size": 32, "patch_size": 16})
    pixels = t.SiglipImageProcessor(size={"height": 32, "width": 32})
    return _saved(folder, t.SiglipModel(config), t.SiglipProcessor(pixels, _gemma_tokenizer()))


def naflex(folder: Path) -> Path:
    """SigLIP 2 NaFlex: patches of an image in its own shape."""
    import transformers as t

    config = t.Siglip2Config(text_config=_siglip_text(), vision_config={**_TOWER, "patch_size": 16, "num_patches": 16})
    pixels = t.Siglip2ImageProcessor(max_num_patches=16)
    return _saved(folder, t.Siglip2Model(config), t.Siglip2Processor(pixels, _gemma_tokenizer()))


def qwen3_vl(folder: Path) -> Path:
    """Qwen3-VL: with a word for "yes" and for "no", and the end marker that its embedding models put after all."""
    import transformers as t
    from tokenizers import processors

    ids = words.QWEN_IDS
    text = {
        "hidden_size": 64, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "head_dim": 8, "vocab_size": words.QWEN_VOCABULARY + 2, "initializer_range": 0.5,
        "bos_token_id": 256, "eos_token_id": 258, "max_position_embeddings": 400, "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0},
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 64,
        "patch_size": 16, "num_position_embeddings": 16, "deepstack_visual_indexes": [0], "initializer_range": 0.5,
    }  # fmt: skip
    config = t.Qwen3VLConfig(
        text_config=text, vision_config=vision, image_token_id=ids["<|image_pad|>"], tie_word_embeddings=True,
        video_token_id=ids["<|video_pad|>"], vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    tokenizer = words.qwen_tokenizer()
    assert tokenizer.add_tokens(list(_ANSWERS)) == 2
    end = ("<|endoftext|>", ids["<|endoftext|>"])
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end[0]}", special_tokens=[end]
    )
    processor = t.Qwen3VLProcessor(
        image_processor=t.Qwen2VLImageProcessor(patch_size=16), tokenizer=tokenizer,
        video_processor=t.Qwen3VLVideoProcessor(), chat_template=words.CHAT,
    )  # fmt: skip
    return _saved(folder, t.Qwen3VLForConditionalGeneration(config), processor)


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "clip": clip, "siglip": siglip, "naflex": naflex, "qwen": qwen3_vl,
}  # fmt: skip


def build(root: Path, name: str) -> Path:
    """The folder of a model, written once."""
    import torch

    folder = root / name
    if not folder.exists():
        torch.manual_seed(0)
        BUILDERS[name](folder)
    return folder


def _siglip_text() -> dict[str, Any]:
    special = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    return {**_TOWER, **special, "vocab_size": len(_GEMMA), "max_position_embeddings": CONTEXT, "projection_size": 32}


def _gemma_tokenizer() -> Any:
    import transformers as t
    from tokenizers import processors

    made = t.Siglip2Tokenizer(vocab={word: at for at, word in enumerate(_GEMMA)}, merges=[], padding_side="left")
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    return made


def _saved(folder: Path, model: Any, processor: Any) -> Path:
    import torch

    with torch.no_grad():
        if hasattr(model, "logit_scale"):
            model.logit_scale.fill_(float(torch.tensor(SCALE).log()))
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)  # so that vectors of different inputs differ
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
