"""Pipelines with tiny random weights, written by `save_pretrained` so that the real loading code reads them.

Nothing is fetched; a folder has less than 2 MB. Random weights draw noise, but a reference changes the noise.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny_words as words

from imagerag.agent.types import Size

SIZE = Size(width=64, height=64)


def sdxl(folder: Path) -> Path:
    """Stable Diffusion XL."""
    import diffusers
    import torch
    import transformers

    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=32, in_channels=4, out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=(1, 1), projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
    )  # fmt: skip
    text = transformers.CLIPTextConfig(**_CLIP_TEXT)
    pipe = diffusers.StableDiffusionXLPipeline(
        vae=_vae(latents=4), unet=unet, scheduler=diffusers.EulerDiscreteScheduler(),
        text_encoder=transformers.CLIPTextModel(text), tokenizer=words.clip_tokenizer(),
        text_encoder_2=transformers.CLIPTextModelWithProjection(text), tokenizer_2=words.clip_tokenizer(),
    )  # fmt: skip
    return _saved(pipe, folder)


def ip_adapter_plus(folder: Path) -> Path:
    """The 'plus' IP-Adapter for `sdxl`, in the layout of h94/IP-Adapter. The loader fixes depth 4 and 64 per head."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(1)
    seen, inner, out = 32, 64, 64
    weights = {
        "latents": torch.randn(1, 4, inner),
        **_linear("proj_in", seen, inner),
        **_linear("proj_out", inner, out),
    }
    weights |= _norm("norm_out", out)
    for layer in range(4):
        at = f"layers.{layer}"
        weights |= _norm(f"{at}.0.norm1", inner) | _norm(f"{at}.0.norm2", inner) | _norm(f"{at}.1.0", inner)
        for name, sides in {
            "0.to_q": (64, inner), "0.to_kv": (128, inner), "0.to_out": (inner, 64), "1.1": (256, inner),
            "1.3": (inner, 256),
        }.items():  # fmt: skip
            weights[f"{at}.{name}.weight"] = torch.randn(*sides) / 8
    # UNet order: down, up (two blocks of one layer more), middle; every second attention processor looks at the image.
    saved = {f"image_proj.{name}": value for name, value in weights.items()}
    for n in range(4):
        for which in ("k", "v"):
            saved[f"ip_adapter.{2 * n + 1}.to_{which}_ip.weight"] = torch.randn(64, out)
    (folder / "sdxl_models").mkdir(parents=True)
    save_file(saved, folder / "sdxl_models" / "ip-adapter-plus_sdxl_vit-h.safetensors")
    _image_encoder(folder / "models" / "image_encoder")
    return folder


def flux(folder: Path, *, kontext: bool = False) -> Path:
    """FLUX.1-schnell, or FLUX.1-Kontext."""
    import diffusers
    import torch
    import transformers

    torch.manual_seed(0)
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8), guidance_embeds=kontext,
    )  # fmt: skip
    t5 = transformers.T5Config(
        vocab_size=words.T5_VOCABULARY, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, is_encoder_decoder=False,
    )  # fmt: skip
    kind = diffusers.FluxKontextPipeline if kontext else diffusers.FluxPipeline
    pipe = kind(
        vae=_vae(latents=1, plain=True), transformer=transformer, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=transformers.CLIPTextModel(transformers.CLIPTextConfig(**_CLIP_TEXT)),
        tokenizer=words.clip_tokenizer(), text_encoder_2=transformers.T5EncoderModel(t5),
        tokenizer_2=words.t5_tokenizer(),
    )  # fmt: skip
    return _saved(pipe, folder)


def kontext(folder: Path) -> Path:
    """FLUX.1-Kontext."""
    return flux(folder, kontext=True)


def flux_ip_adapter(folder: Path) -> Path:
    """An IP-Adapter for `flux`, as XLabs publish theirs, with its image encoder beside it."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(1)
    saved = {f"image_proj.{name}": value for name, value in (_linear("proj", 32, 128) | _norm("norm", 32)).items()}
    for which in ("k", "v"):
        saved |= {f"ip_adapter.0.{name}": v for name, v in _linear(f"to_{which}_ip", 32, 32).items()}
    folder.mkdir(parents=True)
    save_file(saved, folder / "ip_adapter.safetensors")
    _image_encoder(folder / "image_encoder")
    return folder


def flux2_klein(folder: Path) -> Path:
    """FLUX.2 klein. Its text encoder has 4 layers: call it with `text_encoder_out_layers=(1, 2, 3)`."""
    import diffusers
    import torch
    import transformers

    torch.manual_seed(0)
    transformer = diffusers.Flux2Transformer2DModel(
        in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=48, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    )  # fmt: skip
    qwen = transformers.Qwen3Config(
        hidden_size=16, intermediate_size=16, num_hidden_layers=4, num_attention_heads=2, num_key_value_heads=2,
        head_dim=8, vocab_size=words.QWEN_VOCABULARY, max_position_embeddings=512, eos_token_id=256, bos_token_id=256,
    )  # fmt: skip
    pipe = diffusers.Flux2KleinPipeline(
        vae=_flux2_vae(), transformer=transformer, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=transformers.Qwen3ForCausalLM(qwen), tokenizer=words.qwen_tokenizer(), is_distilled=True,
    )  # fmt: skip
    return _saved(pipe, folder)


def flux2_klein_kv(folder: Path) -> Path:
    """FLUX.2 klein whose first step keeps the references' keys and values."""
    import diffusers

    klein = diffusers.Flux2KleinPipeline.from_pretrained(str(flux2_klein(folder / "klein")))
    return _saved(diffusers.Flux2KleinKVPipeline(**klein.components), folder / "kv")


def flux2_dev(folder: Path) -> Path:
    """FLUX.2 dev. As klein, it is called with `text_encoder_out_layers=(1, 2, 3)`."""
    import diffusers
    import torch
    import transformers

    torch.manual_seed(0)
    transformer = diffusers.Flux2Transformer2DModel(
        in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=48, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=True,
    )  # fmt: skip
    mistral = transformers.Mistral3Config(
        text_config={
            "model_type": "mistral", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 4,
            "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": words.QWEN_VOCABULARY,
            "max_position_embeddings": 512, "bos_token_id": 256, "eos_token_id": 256,
        },
        vision_config={
            "model_type": "pixtral", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "head_dim": 8, "image_size": 28, "patch_size": 14,
        },
        image_token_index=words.QWEN_IDS["<|image_pad|>"],
    )  # fmt: skip
    processor = transformers.PixtralProcessor(
        image_processor=transformers.PixtralImageProcessor(), tokenizer=words.qwen_tokenizer(), patch_size=14,
        image_token="<|image_pad|>", image_break_token="<|vision_start|>", image_end_token="<|vision_end|>",
        chat_template=words.CHAT,
    )  # fmt: skip
    pipe = diffusers.Flux2Pipeline(
        vae=_flux2_vae(), transformer=transformer, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=transformers.Mistral3ForConditionalGeneration(mistral), tokenizer=processor,
    )  # fmt: skip
    return _saved(pipe, folder)


def flux3_klein(folder: Path, *, base: bool = False) -> Path:
    """FLUX.3 klein, with its prompt upsampler. Call it with `text_encoder_out_layers=(1, 2)`."""
    import diffusers
    import torch

    torch.manual_seed(0)
    transformer = diffusers.Flux3Transformer2DModel(
        in_channels=4, cond_in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, axes_dims_rope=(4, 4, 4, 4), flow_map=not base,
    )  # fmt: skip
    blocks = diffusers.Flux3AutoBlocks() if base else diffusers.Flux3DistilledAutoBlocks()
    pipe = blocks.init_pipeline()
    pipe.update_components(
        transformer=transformer, vae=_flux2_vae(), text_encoder=_qwen3_vl(), tokenizer=_qwen3_vl_processor(),
        prompt_upsampler=_qwen3_5(), prompt_upsampler_processor=_qwen3_vl_processor(),
    )  # fmt: skip
    pipe.save_pretrained(str(folder), overwrite_modular_index=True)
    return folder


def flux3_klein_base(folder: Path) -> Path:
    """FLUX.3 klein before its distillation."""
    return flux3_klein(folder, base=True)


def omnigen(folder: Path) -> Path:
    """OmniGen."""
    import diffusers
    import torch

    torch.manual_seed(0)
    transformer = diffusers.OmniGenTransformer2DModel(
        hidden_size=16, num_attention_heads=4, num_key_value_heads=4, intermediate_size=32, num_layers=1, in_channels=4,
        time_step_dim=4, vocab_size=words.LLAMA_VOCABULARY, pad_token_id=2,
        rope_scaling={"long_factor": [1, 2], "short_factor": [1, 2]}, pos_embed_max_size=16,
    )  # fmt: skip
    pipe = diffusers.OmniGenPipeline(
        vae=_vae(latents=4, blocks=4), transformer=transformer, tokenizer=words.llama_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True, num_train_timesteps=1),
    )  # fmt: skip
    return _saved(pipe, folder)


def qwen_edit_plus(folder: Path) -> Path:
    """Qwen-Image-Edit-Plus (2509, 2511)."""
    import diffusers
    import torch

    torch.manual_seed(0)
    transformer = diffusers.QwenImageTransformer2DModel(
        in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=3,
        joint_attention_dim=16, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    encoder, tokenizer, processor = _qwen25_vl()
    pipe = diffusers.QwenImageEditPlusPipeline(
        vae=vae, transformer=transformer, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=encoder, tokenizer=tokenizer, processor=processor,
    )  # fmt: skip
    return _saved(pipe, folder)


def qwen_image_21(folder: Path) -> Path:
    """Qwen-Image-2.1. Call it with `output_resolution=64`, or references are read at a megapixel."""
    import diffusers
    import torch

    torch.manual_seed(0)
    transformer = diffusers.QwenImage21Transformer2DModel(
        in_channels=4, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=2, context_in_dim=16,
        axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    vae = diffusers.AutoencoderKLQwenImage21(
        base_dim=8, decoder_base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1, 1], num_res_blocks=1,
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    pipe = diffusers.QwenImage21Pipeline(
        vae=vae, transformer=transformer, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=_qwen3_vl(), processor=_qwen3_vl_processor(),
    )  # fmt: skip
    return _saved(pipe, folder)


def glm_image(folder: Path) -> Path:
    """GLM-Image: a language model that writes image tokens, and a decoder that draws them."""
    import diffusers
    import torch
    import transformers

    torch.manual_seed(0)
    transformer = diffusers.GlmImageTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=2, text_embed_dim=32,
        time_embed_dim=16, condition_dim=8, prior_vq_quantizer_codebook_size=64,
    )  # fmt: skip
    t5 = transformers.T5Config(
        vocab_size=400, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4, is_encoder_decoder=False,
    )  # fmt: skip
    ids = words.QWEN_IDS
    config = transformers.GlmImageConfig(
        text_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 2, "vocab_size": words.QWEN_VOCABULARY, "vision_vocab_size": 64, "pad_token_id": 256,
            "eos_token_id": None, "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "image_size": 64, "patch_size": 16,
        },
        vq_config={"embed_dim": 16, "num_embeddings": 64, "latent_channels": 16},
        image_token_id=ids["<|image_pad|>"], image_start_token_id=ids["<|vision_start|>"],
        image_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    encoder = transformers.GlmImageForConditionalGeneration(config)
    encoder.generation_config.eos_token_id = None  # random weights would end an image too early
    vae = diffusers.AutoencoderKL(
        block_out_channels=(4,) * 4, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=1, latent_channels=4, norm_num_groups=1,
        sample_size=32, latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    marks = {"image_token": "<|image_pad|>", "grid_bos_token": "<|video_pad|>", "grid_eos_token": "<|endoftext|>"}
    tokenizer = words.qwen_tokenizer(bos_token="<|vision_start|>", extra_special_tokens=marks)
    processor = transformers.GlmImageProcessor(
        image_processor=transformers.GlmImageImageProcessor(
            patch_size=16, temporal_patch_size=1, merge_size=1, min_pixels=64 * 64, max_pixels=256 * 256
        ),
        tokenizer=tokenizer, chat_template=words.CHAT,
    )  # fmt: skip
    pipe = diffusers.GlmImagePipeline(
        tokenizer=transformers.ByT5Tokenizer(), processor=processor, text_encoder=transformers.T5EncoderModel(t5),
        vision_language_encoder=encoder, vae=vae, transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )  # fmt: skip
    return _saved(pipe, folder)


def z_image_omni(folder: Path) -> Path:
    """Z-Image-Omni."""
    import diffusers
    import torch
    import transformers

    torch.manual_seed(0)
    transformer = diffusers.ZImageTransformer2DModel(
        in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
        siglip_feat_dim=16, axes_dims=[8, 4, 4], axes_lens=[2048, 64, 64],
    )  # fmt: skip
    qwen = transformers.Qwen3Config(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        head_dim=8, vocab_size=words.QWEN_VOCABULARY, max_position_embeddings=512, eos_token_id=256, bos_token_id=256,
    )  # fmt: skip
    siglip = transformers.Siglip2VisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_patches=16, patch_size=16
    )
    pipe = diffusers.ZImageOmniPipeline(
        vae=_vae(latents=4, plain=True), transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        text_encoder=transformers.Qwen3Model(qwen), tokenizer=words.qwen_tokenizer(),
        siglip=transformers.Siglip2VisionModel(siglip),
        siglip_processor=transformers.Siglip2ImageProcessor(patch_size=16, max_num_patches=16),
    )  # fmt: skip
    return _saved(pipe.to(torch.bfloat16), folder)


def joyimage_edit_plus(folder: Path) -> Path:
    """JoyImageEditPlus."""
    import diffusers
    import torch

    torch.manual_seed(0)
    transformer = diffusers.JoyImageEditPlusTransformer3DModel(
        in_channels=4, out_channels=4, hidden_size=32, num_attention_heads=2, text_dim=16, num_layers=1,
        rope_dim_list=[4, 6, 6],
    )  # fmt: skip
    vae = diffusers.AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    processor = _qwen3_vl_processor()
    pipe = diffusers.JoyImageEditPlusPipeline(
        vae=vae, transformer=transformer, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=_qwen3_vl(), tokenizer=processor.tokenizer, processor=processor,
    )  # fmt: skip
    return _saved(pipe, folder)


def longcat_image_edit(folder: Path) -> Path:
    """LongCat-Image-Edit."""
    import diffusers
    import torch

    torch.manual_seed(0)
    transformer = diffusers.LongCatImageTransformer2DModel(
        in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, pooled_projection_dim=16, axes_dims_rope=[4, 6, 6],
    )  # fmt: skip
    encoder, tokenizer, processor = _qwen25_vl()
    pipe = diffusers.LongCatImageEditPipeline(
        vae=_vae(latents=16, blocks=4, plain=True), transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        text_encoder=encoder, tokenizer=tokenizer, text_processor=processor,
    )  # fmt: skip
    return _saved(pipe, folder)


def qwen3_vl(folder: Path) -> Path:
    """A vision-language model that talks gibberish."""
    import torch

    torch.manual_seed(0)
    _qwen3_vl().save_pretrained(folder)
    _qwen3_vl_processor().save_pretrained(folder)
    return folder


def _qwen25_vl() -> tuple[Any, Any, Any]:
    """Text encoder, tokenizer and processor of Qwen2.5-VL."""
    import transformers

    ids = words.QWEN_IDS
    qwen = transformers.Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 2, "vocab_size": words.QWEN_VOCABULARY, "bos_token_id": 256, "eos_token_id": 256,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16,
            "fullatt_block_indexes": [0],
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    tokenizer = words.qwen_tokenizer()
    processor = transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=56 * 56),
        tokenizer=tokenizer, video_processor=transformers.Qwen2VLVideoProcessor(), chat_template=words.CHAT,
    )  # fmt: skip
    return transformers.Qwen2_5_VLForConditionalGeneration(qwen), tokenizer, processor


def _qwen3_vl() -> Any:
    import transformers

    ids = words.QWEN_IDS
    config = transformers.Qwen3VLConfig(
        text_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 2, "head_dim": 8, "vocab_size": words.QWEN_VOCABULARY,
            "bos_token_id": 256, "eos_token_id": 258, "initializer_range": 0.5,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0},
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16,
            "patch_size": 16, "num_position_embeddings": 16, "deepstack_visual_indexes": [0], "initializer_range": 0.5,
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    model = transformers.Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = [258, 4]  # a percent sign, which it says soon, ends an answer too
    return model


def _qwen3_5() -> Any:
    import transformers

    ids = words.QWEN_IDS
    config = transformers.Qwen3_5Config(
        text_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 2, "head_dim": 8, "vocab_size": words.QWEN_VOCABULARY, "eos_token_id": 258,
            "layer_types": ["full_attention"] * 2, "initializer_range": 0.5,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0},
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16,
            "patch_size": 16, "num_position_embeddings": 16, "initializer_range": 0.5,
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    return transformers.Qwen3_5ForConditionalGeneration(config)


def _qwen3_vl_processor() -> Any:
    import transformers

    return transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(patch_size=16, min_pixels=64 * 64, max_pixels=64 * 64),
        tokenizer=words.qwen_tokenizer(), video_processor=transformers.Qwen3VLVideoProcessor(),
        chat_template=words.CHAT,
    )  # fmt: skip


_CLIP_TEXT: dict[str, Any] = {
    "vocab_size": words.CLIP_VOCABULARY, "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2,
    "num_attention_heads": 4, "projection_dim": 32, "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513,
}  # fmt: skip


def _vae(*, latents: int, blocks: int = 2, plain: bool = False) -> Any:
    import diffusers

    return diffusers.AutoencoderKL(
        block_out_channels=(4,) * blocks, down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks, layers_per_block=1, latent_channels=latents, norm_num_groups=1,
        sample_size=32, use_quant_conv=not plain, use_post_quant_conv=not plain,
        **({"shift_factor": 0.06, "scaling_factor": 1.5} if plain else {}),
    )  # fmt: skip


def _flux2_vae() -> Any:
    import diffusers

    return diffusers.AutoencoderKLFlux2(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 4), layers_per_block=1, latent_channels=1, norm_num_groups=1, sample_size=32,
    )  # fmt: skip


def _image_encoder(folder: Path) -> None:
    import transformers

    config = transformers.CLIPVisionConfig(
        hidden_size=32, image_size=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=2, patch_size=8,
        projection_dim=32,
    )  # fmt: skip
    transformers.CLIPVisionModelWithProjection(config).save_pretrained(folder)


def _linear(name: str, into: int, out: int) -> dict[str, Any]:
    import torch

    return {f"{name}.weight": torch.randn(out, into) / into**0.5, f"{name}.bias": torch.zeros(out)}


def _norm(name: str, width: int) -> dict[str, Any]:
    import torch

    return {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}


def _saved(pipe: Any, folder: Path) -> Path:
    pipe.set_progress_bar_config(disable=True)
    pipe.save_pretrained(folder)
    return folder


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "sdxl": sdxl,
    "sdxl-adapter": ip_adapter_plus,
    "flux": flux,
    "flux-adapter": flux_ip_adapter,
    "kontext": kontext,
    "klein": flux2_klein,
    "klein-kv": flux2_klein_kv,
    "glm": glm_image,
    "z-omni": z_image_omni,
    "joy": joyimage_edit_plus,
    "longcat": longcat_image_edit,
    "dev": flux2_dev,
    "flux3": flux3_klein,
    "flux3-base": flux3_klein_base,
    "omnigen": omnigen,
    "qwen-edit": qwen_edit_plus,
    "qwen-2.1": qwen_image_21,
    "vlm": qwen3_vl,
}
WEIGHTS: dict[str, tuple[str, ...]] = {
    "sdxl-ip-adapter": ("sdxl", "sdxl-adapter"),
    "flux-schnell-ip-adapter": ("flux", "flux-adapter"),
    "flux-kontext": ("kontext",),
    "flux2-klein": ("klein",),
    "flux2-klein-kv": ("klein-kv",),
    "flux2-dev": ("dev",),
    "flux3-klein": ("flux3",),
    "flux3-klein-base": ("flux3-base",),
    "omnigen": ("omnigen",),
    "qwen-image-edit-plus": ("qwen-edit",),
    "qwen-image-2.1": ("qwen-2.1",),
    "glm-image": ("glm",),
    "z-image-omni": ("z-omni",),
    "joyimage-edit-plus": ("joy",),
    "longcat-image-edit": ("longcat",),
}
CALLS: dict[str, dict[str, Any]] = {
    "flux-schnell-ip-adapter": {"max_sequence_length": 32},
    "flux-kontext": {"max_sequence_length": 32, "_auto_resize": False},
    "flux2-klein": {"max_sequence_length": 32, "text_encoder_out_layers": (1, 2, 3)},
    "flux2-klein-kv": {"max_sequence_length": 32, "text_encoder_out_layers": (1, 2, 3)},
    "z-image-omni": {"max_sequence_length": 32},
    "flux2-dev": {"max_sequence_length": 32, "text_encoder_out_layers": (1, 2, 3)},
    "flux3-klein": {"text_encoder_out_layers": (1, 2), "max_new_tokens": 4},
    "flux3-klein-base": {"text_encoder_out_layers": (1, 2), "max_new_tokens": 4},
    "omnigen": {"max_input_image_size": 64},
    "qwen-image-2.1": {"output_resolution": 64},
}
"""What makes a pipeline small enough: shorter texts, references that are not enlarged to a megapixel."""
SMALLER: dict[str, dict[str, Any]] = {
    "glm-image": {"min_side": 64},
    "flux3-klein": {"max_references": 4},
    "flux3-klein-base": {"max_references": 4},
}
"""What differs in a family's row, to take smaller references or fewer."""
