"""Validation of a folder's `open_clip_config.json`: it may name no code and no other location.

open_clip passes `tokenizer_kwargs` to transformers, including `trust_remote_code`, and downloads the model in
`hf_model_name`. Therefore only keys that describe an architecture in numbers and strings are allowed.
"""

from collections.abc import Mapping
from typing import Any, Final

from imagerag.agent.errors import UsageError

_MODEL: Final = frozenset(
    {
        "embed_dim", "vision_cfg", "text_cfg", "multimodal_cfg", "quick_gelu", "init_logit_scale", "init_logit_bias",
        "nonscalar_logit_scale", "custom_text", "cast_dtype", "output_dict",
    }
)  # fmt: skip
_TOWER: Final = frozenset(
    {
        "layers", "width", "heads", "head_width", "mlp_ratio", "ls_init_value", "pool_type", "proj_type", "proj_bias",
        "final_ln_after_pool", "output_tokens", "act_kwargs", "norm_kwargs", "block_type", "qk_norm",
        "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc",
    }
)  # fmt: skip
_VISION: Final = _TOWER | {
    "patch_size", "image_size", "patch_dropout", "attentional_pool", "attn_pooler_queries", "attn_pooler_heads",
    "no_ln_pre", "pos_embed_type", "timm_model_name", "timm_model_pretrained", "timm_pool", "timm_proj",
    "timm_proj_bias", "timm_drop", "timm_drop_path", "input_patchnorm",
}  # fmt: skip
_TEXT: Final = _TOWER | {
    "context_length", "vocab_size", "hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs", "embed_cls", "pad_id",
    "eos_id", "no_causal_mask", "dim_head", "n_queries", "attn_pooler_heads", "pooler_type",
}  # fmt: skip
_TOKENIZER: Final = frozenset({"clean", "strip_sep_token", "language", "reduction_mask"})
_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "vision_cfg": _VISION, "text_cfg": _TEXT, "multimodal_cfg": _TEXT, "tokenizer_kwargs": _TOKENIZER,
}  # fmt: skip
_NUMBERS_ONLY: Final = frozenset({"act_kwargs", "norm_kwargs"})
_APPROXIMATIONS: Final = frozenset({"none", "tanh"})
"""Of GELU, which SigLIP 2 names: the only words in these tables."""


def checked_config(config: Any, where: str) -> dict[str, Any]:
    """The `model_cfg` of a folder, after a check that nothing in it names code or another location.

    Raises:
        UsageError: a key that is not allowed, or a value of the wrong type; the message names it.
    """
    if not isinstance(config, dict):
        raise UsageError(f"{where}: model_cfg has to be a table")
    _check(config, _MODEL, "model_cfg", where)
    vision = config.get("vision_cfg") or {}
    name = vision.get("timm_model_name") or ""
    if not str(name).replace("_", "").replace(".", "").isalnum() and name:
        raise UsageError(f"{where}: timm_model_name {str(name)[:60]!r} is no model of timm")
    if vision.get("timm_model_pretrained"):
        raise UsageError(f"{where}: timm_model_pretrained fetches other weights: the folder has to hold its own")
    return config


def _check(table: Mapping[str, Any], allowed: frozenset[str], name: str, where: str) -> None:
    for key, value in table.items():
        if key not in allowed:
            raise UsageError(
                f"{where}: {name} has {str(key)[:60]!r}, which no folder may set: a model folder names no code and no "
                "other model. An architecture of open_clip itself goes with these weights as open_clip:NAME/TAG=FILE"
            )
        if key in _PARTS and value is not None:
            if not isinstance(value, dict):
                raise UsageError(f"{where}: {key} has to be a table")
            _check(value, _PARTS[key], key, where)
        elif not _is_plain(value, key):
            raise UsageError(f"{where}: {name} has a {type(value).__name__} for {key}")


def _is_setting(name: object, value: Any) -> bool:
    if name == "approximate":
        return isinstance(value, str) and value in _APPROXIMATIONS
    return isinstance(value, int | float | None)


def _is_plain(value: Any, key: str) -> bool:
    if isinstance(value, dict):
        return key in _NUMBERS_ONLY and all(map(_is_setting, value.keys(), value.values()))
    if isinstance(value, list):
        return all(isinstance(one, int | float) for one in value)
    return isinstance(value, str | int | float | None)
