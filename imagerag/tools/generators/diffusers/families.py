"""Table of local pipelines and how each takes references; users extend it with `register`.

diffusers has no uniform parameter for reference images. A row names a family's parameter, its shape, the maximum number
of images, the prompt template, and the makers' recommended settings. Names and behaviour were checked against diffusers
0.42.1; counts and settings come from the ImageRAG paper (section 4: SDXL 1 reference at scale 0.5, OmniGen up to 3 at
guidance 2.5 and image guidance 1.6), the pipelines' own examples, and BFL's documentation (FLUX.2).

Every row was tested with tiny random weights (`tests/diffusion`), none with its real ones. For pipelines without a row,
the signature is inspected (`weight_sources.py`); how well that works was not tested.

Models that people name and that cannot be loaded so are in `NOT_HERE`, with the reason and what to use.

Example:
    ```python
    from dataclasses import replace
    from imagerag.tools.generators.diffusers.families import FAMILIES, register

    register("my-kontext", replace(FAMILIES["flux-kontext"], repo="/models/kontext", steps=12))
    # and then: --generator diffusers:my-kontext
    ```
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import ReferenceTemplate, SizeRules
from imagerag.agent.ports.size_rules import MEGAPIXEL
from imagerag.agent.types import Size
from imagerag.tools.generators.image_models import EDIT_TEMPLATE

Shape = Literal["one", "list", "batch"]
"""An image; a list of images; a list of lists with one per prompt of the batch (here one prompt)."""


@dataclass(frozen=True, kw_only=True)
class IPAdapter:
    """An IP-Adapter: additional weights that condition a text-only pipeline on one image.

    Attributes:
        repo: repository id or local directory.
        load: arguments of `load_ip_adapter` after the repository; `{adapter}` in a value stands for `repo`, and the
            value `{dtype}` for the pipeline's dtype.
        local: `load` for a local directory, if it differs.
        scale: weight of the image relative to the text, 0 to 1.
    """

    repo: str
    load: Mapping[str, str]
    local: Mapping[str, str] = field(default_factory=dict)
    scale: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Family:
    """Loading and call arguments of one family of pipelines.

    Attributes:
        repo: default repository id or local directory.
        pipeline: class name in diffusers; empty uses the class that the model names.
        parameter: the argument for references; empty if there is none.
        shape: form of that argument.
        max_references: images beside the prompt, the user's own included.
        edits: whether it edits an image that it is sent; an `adapter` takes only the image's look.
        needs_reference: whether it needs an image; if none is sent, it gets a plain light grey canvas.
        tag: text that must be in the prompt for each image, with {n}; empty for none.
        template: prompt template for references.
        steps: denoising steps.
        guidance: name and value of guidance arguments.
        call: more arguments of every call.
        sized: more arguments, computed from the image size.
        size: default image size; None leaves it to the pipeline.
        multiple: width and height are rounded to multiples of this many pixels; 0 uses the pipeline's value.
        min_side: references with a shorter side are enlarged to this many pixels.
        max_aspect: longer references are padded with white to this aspect ratio; 0 for any.
        max_area: larger references are reduced to this many pixels.
        reference_multiple: the sides of references are rounded to multiples of this many pixels.
        adapter: the IP-Adapter for the references, which then go through `ip_adapter_image`.
        load: more arguments of `from_pretrained`.
        fixed_size: whether it takes no size: it draws the shape of its first image, at about a megapixel.
        dtype: the only dtype that its code runs in; empty for any.
        upsampler: whether a language model of its own expands each prompt before the pipeline draws.
        licence: of the weights, by their model card; empty if it was not looked up.
    """

    repo: str = ""
    pipeline: str = ""
    parameter: str = ""
    shape: Shape = "list"
    max_references: int = 0
    edits: bool = True
    needs_reference: bool = False
    tag: str = ""
    template: ReferenceTemplate = EDIT_TEMPLATE
    steps: int | None = None
    guidance: Mapping[str, float] = field(default_factory=dict)
    call: Mapping[str, Any] = field(default_factory=dict)
    sized: Callable[[Size], Mapping[str, Any]] | None = field(default=None, repr=False)
    size: Size | None = None
    multiple: int = 16
    min_side: int = 16
    max_aspect: float = 0
    max_area: int = 1024 * 1024
    reference_multiple: int = 1
    adapter: IPAdapter | None = None
    load: Mapping[str, Any] = field(default_factory=dict)
    fixed_size: bool = False
    dtype: str = ""
    upsampler: bool = False
    licence: str = field(default="", compare=False)

    @property
    def size_rules(self) -> SizeRules:
        """Rules for computing a size in pixels from words."""
        area = self.size.width * self.size.height if self.size else MEGAPIXEL
        return SizeRules(multiple=self.multiple or 16, area=area)


_SQUARE: Final = Size(width=1024, height=1024)

WORDS_FIRST: Final = ReferenceTemplate(whole="{prompt}, according to this image of {items}")
"""For CLIP text encoders, which truncate after 77 tokens: the user's own prompt comes first, so that a caption is
truncated. The paper's order is the other one, `ReferenceTemplate()`."""

INSTRUCTION: Final = replace(EDIT_TEMPLATE, edit="{prompt}, while everything else stays exactly as it is")
"""For pipelines that take one image and an instruction."""

IMAGES: Final = replace(
    EDIT_TEMPLATE,
    edit="{items}\nEdit picture 1: {prompt}. Keep everything else in picture 1 exactly as it is.",
    edit_item="Picture {n}: {caption}",
)
"""For Qwen's pipelines, which name their inputs picture 1, picture 2 and so on."""

_H94: Final = IPAdapter(
    repo="h94/IP-Adapter",
    load={
        "subfolder": "sdxl_models",
        "weight_name": "ip-adapter-plus_sdxl_vit-h.safetensors",
        "image_encoder_folder": "models/image_encoder",
    },
)
_XLABS: Final = IPAdapter(
    repo="XLabs-AI/flux-ip-adapter",
    load={
        "weight_name": "ip_adapter.safetensors",
        "image_encoder_pretrained_model_name_or_path": "openai/clip-vit-large-patch14",
        "image_encoder_dtype": "{dtype}",
    },
    local={"image_encoder_pretrained_model_name_or_path": "{adapter}", "image_encoder_subfolder": "image_encoder"},
    scale=1.0,
)

_FLUX2: Final = Family(
    pipeline="Flux2Pipeline", repo="black-forest-labs/FLUX.2-dev", parameter="image", max_references=6,
    steps=50, guidance={"guidance_scale": 4.0}, size=_SQUARE, min_side=64, max_aspect=8,
    licence="FLUX non commercial",
)  # fmt: skip

_FLUX3: Final = Family(
    pipeline="Flux3DistilledModularPipeline", repo="black-forest-labs/flux-3-image-klein", parameter="image",
    max_references=10, steps=16, size=_SQUARE, min_side=64, max_area=4 * 1024 * 1024, upsampler=True,
    licence="FLUX Kommunity",
)  # fmt: skip

FAMILIES: Final[dict[str, Family]] = {
    "sdxl-ip-adapter": Family(
        pipeline="StableDiffusionXLPipeline", repo="stabilityai/stable-diffusion-xl-base-1.0",
        parameter="ip_adapter_image", shape="batch", max_references=1, template=WORDS_FIRST,
        steps=50, guidance={"guidance_scale": 5.0},
        call={"negative_prompt": "monochrome, lowres, bad anatomy, worst quality, low quality"},
        size=_SQUARE, multiple=8, adapter=_H94,
        licence="OpenRAIL++-M",
    ),
    "flux-schnell-ip-adapter": Family(
        pipeline="FluxPipeline", repo="black-forest-labs/FLUX.1-schnell",
        parameter="ip_adapter_image", shape="batch", max_references=1, template=WORDS_FIRST,
        steps=4, guidance={"guidance_scale": 0.0}, call={"max_sequence_length": 256}, size=_SQUARE, adapter=_XLABS,
    ),
    "flux-kontext": Family(
        pipeline="FluxKontextPipeline", repo="black-forest-labs/FLUX.1-Kontext-dev",
        parameter="image", shape="one", max_references=1, template=INSTRUCTION,
        steps=28, guidance={"guidance_scale": 2.5}, size=_SQUARE,
        sized=lambda size: {"max_area": size.width * size.height},  # otherwise each size becomes about a megapixel
        licence="FLUX.1 non commercial",
    ),
    "flux2-klein": Family(
        pipeline="Flux2KleinPipeline", repo="black-forest-labs/FLUX.2-klein-4B", parameter="image", max_references=4,
        steps=4, guidance={"guidance_scale": 1.0}, size=_SQUARE, min_side=64, max_aspect=8,
        licence="Apache-2.0",
    ),
    "flux2-klein-kv": Family(
        pipeline="Flux2KleinKVPipeline", repo="black-forest-labs/FLUX.2-klein-9b-kv", parameter="image",
        max_references=4, steps=4, size=_SQUARE, min_side=64, max_aspect=8, licence="FLUX non commercial",
    ),
    "flux2-dev": _FLUX2,
    "flux3-klein": _FLUX3,
    "flux3-klein-base": replace(
        _FLUX3, pipeline="Flux3ModularPipeline", repo="black-forest-labs/flux-3-image-klein-base", steps=50,
        guidance={"guidance_scale": 4.0},
    ),
    "omnigen": Family(
        pipeline="OmniGenPipeline", repo="Shitao/OmniGen-v1-diffusers",
        parameter="input_images", shape="batch", max_references=3, tag="<img><|image_{n}|></img>",
        template=ReferenceTemplate(
            edit="{items}. {prompt}, and keep everything else as it is",
            item="{caption}: <img><|image_{n}|></img>",
            edit_item="<img><|image_{n}|></img>",
        ),
        steps=50, guidance={"guidance_scale": 2.5, "img_guidance_scale": 1.6}, size=_SQUARE,
        licence="MIT",
    ),
    "qwen-image-edit-plus": Family(
        pipeline="QwenImageEditPlusPipeline", repo="Qwen/Qwen-Image-Edit-2511",
        parameter="image", max_references=3, needs_reference=True, template=IMAGES,
        steps=50, guidance={"true_cfg_scale": 4.0}, call={"negative_prompt": " "}, size=_SQUARE,
        licence="Apache-2.0",
    ),
    "qwen-image-2.1": Family(
        pipeline="QwenImage21Pipeline", repo="Qwen/Qwen-Image-2.1",
        parameter="image", max_references=3, template=IMAGES,
        steps=40, guidance={"true_cfg_scale": 1.0}, size=_SQUARE,
        multiple=32,
    ),
    "glm-image": Family(
        pipeline="GlmImagePipeline", repo="zai-org/GLM-Image", parameter="image", max_references=3,
        steps=50, guidance={"guidance_scale": 1.5}, size=_SQUARE, multiple=32, min_side=512, max_aspect=3,
        reference_multiple=32, licence="MIT",
    ),
    "z-image-omni": Family(
        pipeline="ZImageOmniPipeline", parameter="image", max_references=4, template=IMAGES,
        steps=50, guidance={"guidance_scale": 5.0}, size=_SQUARE, min_side=64, dtype="bfloat16",
    ),
    "joyimage-edit-plus": Family(
        pipeline="JoyImageEditPlusPipeline", repo="jdopensource/JoyAI-Image-Edit-Plus-Diffusers", parameter="images",
        max_references=4, template=IMAGES, steps=30, guidance={"guidance_scale": 4.0}, size=_SQUARE,
    ),
    "longcat-image-edit": Family(
        pipeline="LongCatImageEditPipeline", repo="meituan-longcat/LongCat-Image-Edit", parameter="image", shape="one",
        max_references=1, needs_reference=True, template=INSTRUCTION, steps=50, guidance={"guidance_scale": 4.5},
        fixed_size=True, licence="Apache-2.0",
    ),
}  # fmt: skip
"""Families by their name after `diffusers:`.

The Qwen models' limits are the recommendation for editing (1 to 3); their code has none, and `?max_references=` sets
another; so it is with Z-Image-Omni, JoyImage and GLM-Image. GLM-Image's processor needs references of at least 512
pixels a side and at most four times as long as wide, and its pipeline `glm_image.py` to take them. Klein's distilled
weights ignore guidance; for klein-base set 50 steps and 4.0. `flux2-klein-kv` computes the references' keys and values
in its first step and uses them again in the others. FLUX.3 is a modular pipeline (`modular.py`); it reduces several
references to a megapixel each, and was trained on the captions that its prompt upsampler writes. XLabs trained their
adapter on FLUX.1-dev. The weights of Z-Image-Omni were not published by 2026-11: name a folder."""

NOT_HERE: Final[Mapping[str, str]] = {
    "omnigen.?2": "OmniGen2 is not in diffusers, and its own pipeline is code that is never run from a repository: use "
    "omnigen or qwen-image-edit-plus, or serve it and name it openai:MODEL@URL",
    "omini.?control": "OminiControl is in no maintained package: use flux-kontext or flux2-klein, which do the same",
}
"""Pattern of a name → why it cannot be loaded, and what to use instead."""

BUILT_IN: Final[Mapping[str, Family]] = dict(FAMILIES)
"""The built-in table; a changed row shows in a generator's identity."""


def why_not_here(model: str) -> str:
    """The reason why a model that people name cannot be loaded, with what to use instead; empty where none is known."""
    pattern = r"(?:^|[:/-]){}(?![0-9a-z])"
    reasons = (why for name, why in NOT_HERE.items() if re.search(pattern.format(name), model, re.IGNORECASE))
    return next(reasons, "")


def register(name: str, family: Family) -> None:
    """Add a family to the table, or replace one.

    Args:
        name: its name after `diffusers:`, lower case letters, digits, `-`, `_` and `.`.

    Raises:
        UsageError: the name looks like a repository id or a path, or the row contradicts itself.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise UsageError(f"{name!r} cannot name a family: use lower case letters, digits, '-', '_' and '.'")
    if bool(family.parameter) != (family.max_references > 0):
        raise UsageError(f"family {name!r}: `parameter` and `max_references` go together")
    FAMILIES[name] = family
