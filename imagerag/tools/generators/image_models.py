"""Table of image models behind OpenAI's protocol and what each accepts; users can extend it.

Sources: openai-python 3.52 (`image_generate_params.py`, `image_edit_params.py`), the servers' own code (vLLM-omni 0.30,
SGLang-diffusion 0.5) and providers' documentation. Models come and go: unlisted ones get `UNKNOWN`, which assumes as
little as possible.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import ReferenceTemplate, SizeRules
from imagerag.agent.types import Size
from imagerag.agent.visible_text import is_blank

MAX_PROMPT: Final = 32_000
MAX_IMAGE_BYTES: Final = 50 * 1024 * 1024 - 1
MAX_MASK_BYTES: Final = 4 * 1024 * 1024 - 1

BACKGROUNDS: Final = ("transparent", "opaque", "auto")
FORMATS: Final = ("png", "jpeg", "webp")
FIDELITIES: Final = ("high", "low")
MODERATIONS: Final = ("low", "auto")

EDIT_TEMPLATE: Final = ReferenceTemplate(
    whole=(
        "The images sent along show how things look:\n{items}\n\n"
        "Do not edit them. Draw one new picture, and let what they show look the same in it: {prompt}"
    ),
    subject=(
        "The images sent along show how things look:\n{items}\n\n"
        "Do not edit them. Draw one new picture in which each subject appears, recognisably the same, and let what the "
        "others show look the same in it: {prompt}"
    ),
    edit=(
        "The images sent along:\n{items}\n\n"
        "Edit the first image. Change only what is asked for, keep everything else in it exactly as it is, and let "
        "what the others show look the same in it: {prompt}"
    ),
    masked=(
        "The images sent along show how things look:\n{items}\n\n"
        "Edit the first image, only where its mask is transparent, and let what the others show look the same in it: "
        "{prompt}"
    ),
    item="Image {n}: {caption}",
    subject_item="Image {n}, a subject: {caption}",
    edit_item="Image {n}, to be edited: {caption}",
    joiner="\n",
)
"""Prompt template for models that were made to edit images."""

CHAT_TEMPLATE: Final = replace(
    EDIT_TEMPLATE,
    subject=(
        "The images of this message:\n{items}\n\n"
        "Answer with one new picture, and with none of these images edited. Each subject appears in it, recognisably "
        "the same; what the others show looks the same in it. The picture: {prompt}"
    ),
    edit=(
        "The images of this message:\n{items}\n\n"
        "Answer with the first image, edited. Change only what is asked for and keep everything else exactly as it is: "
        "the same framing, things, places, light and style. What the others show looks the same in it. The change: "
        "{prompt}"
    ),
)
"""For models that respond to a message with an image: the prompt says what the response must be."""


@dataclass(frozen=True, kw_only=True)
class ImageModel:
    """Parameters and limits of one model.

    Attributes:
        max_references: images beside the prompt, subjects included.
        sizes: the only supported sizes; None if there are others.
        any_size: whether `sizes` is None under OpenAI's rule for gpt-image-2 and later (`OPENAI_SIZES`).
        qualities: values of `quality`; empty if it has no such parameter.
        input_fidelity: values of `input_fidelity`, for edits only.
        transparent: whether `background` may be transparent.
        edits: whether it edits an image that it is sent.
        masks: whether an edit can be limited to the transparent pixels of a mask.
        streams: whether partial images can be streamed.
        response_format: sent if not None. OpenAI's own models refuse it; other servers respond with a URL without it.
        seed: whether it accepts a `seed`, and repeats an image for the same one.
    """

    max_references: int = 1
    sizes: tuple[Size, ...] | None = None
    any_size: bool = False
    qualities: frozenset[str] = frozenset()
    input_fidelity: frozenset[str] = frozenset()
    transparent: bool = False
    edits: bool = True
    masks: bool = False
    streams: bool = False
    response_format: Literal["b64_json", "url"] | None = "b64_json"
    seed: bool = False

    def problem_with(self, size: Size) -> str | None:
        """Reason why a size is not supported, with one that is; None if it is."""
        if self.sizes is not None and size not in self.sizes:
            return f"it draws {', '.join(map(str, self.sizes))}"
        return OPENAI_SIZES.problem_with(size) if self.any_size else None

    @property
    def size_rules(self) -> SizeRules:
        """Limits of its sizes, where `sizes` is None."""
        return OPENAI_SIZES if self.any_size else SizeRules()


OPENAI_SIZES: Final = SizeRules(multiple=16, exact=True, max_aspect=3, longest=3840, shortest=2160)
"""Sizes of gpt-image-2 and later."""

_THREE_SIZES: Final = (Size(width=1024, height=1024), Size(width=1536, height=1024), Size(width=1024, height=1536))
_LEVELS: Final = frozenset({"low", "medium", "high", "auto"})

UNKNOWN: Final = ImageModel()
"""For unlisted models: one reference, base64 responses requested, nothing else assumed."""

_OPENAI: Final = ImageModel(
    max_references=16,
    response_format=None,
    any_size=True,
    qualities=_LEVELS,
    transparent=True,
    masks=True,
    streams=True,
)

MODELS: Final[dict[str, ImageModel]] = {
    "gpt-image-1-mini": replace(_OPENAI, any_size=False, sizes=_THREE_SIZES, input_fidelity=frozenset({"low"})),
    "gpt-image-1.5": replace(_OPENAI, any_size=False, sizes=_THREE_SIZES, input_fidelity=frozenset({"low", "high"})),
    "chatgpt-image": replace(_OPENAI, any_size=False, sizes=_THREE_SIZES),
    "gpt-image-2": _OPENAI,
    "gpt-image-2.5": replace(_OPENAI, qualities=_LEVELS | {"xhigh", "max"}),
    "gpt-image-2.6": _OPENAI,
    "gemini-2.5-flash-image": ImageModel(max_references=3),
    "gemini-3-pro-image": ImageModel(max_references=14),
    "gemini-3.1-flash-image": ImageModel(max_references=14),
    "grok-imagine-image": ImageModel(max_references=3),
    "flux.2-klein": ImageModel(max_references=4),
    "flux.2": ImageModel(max_references=6),
    "qwen-image-edit": ImageModel(max_references=4),
    "hunyuanimage-3": ImageModel(max_references=3),
    "omnigen": ImageModel(max_references=3),
}
"""Model facts by the start of the model's own name (without `openai/` and the like), lower case; the longest match is
used. Add to it, or pass an `ImageModel` to an adapter."""


def model_facts(name: str, table: Mapping[str, ImageModel] = MODELS) -> ImageModel:
    """Facts about a model; `UNKNOWN` for unlisted ones."""
    bare = name.rpartition("/")[2].lower()
    fitting = [prefix for prefix in table if bare.startswith(prefix)]
    return table[max(fitting, key=len)] if fitting else UNKNOWN


def check_options(who: str, facts: ImageModel, options: Mapping[str, Any]) -> None:
    """Refuse options that a model is known not to accept.

    Raises:
        UsageError: an option is not accepted; the message lists those that are.
    """
    if facts.response_format is not None:
        return  # the user must know what an unlisted model accepts
    for name, values in {"quality": facts.qualities, "input_fidelity": facts.input_fidelity}.items():
        if options.get(name) is not None and options[name] not in values:
            message = f"it takes {', '.join(sorted(values))}" if values else "it has no such setting"
            raise UsageError(f"{who}: {name}={options[name]!r} cannot be: {message}")
    opaque = not facts.transparent or options.get("output_format") == "jpeg"
    if opaque and options.get("background") == "transparent":
        raise UsageError(f"{who} draws no transparent background" + " as JPEG" * facts.transparent)


def check_request(who: str, facts: ImageModel, prompt: str, images: int, size: Size | None) -> None:
    """Refuse a request that the service would refuse, before anything is sent.

    Raises:
        UsageError: no prompt or an over-long one, too many images, or an unsupported size.
    """
    if is_blank(prompt):
        raise UsageError(f"{who}: the prompt is empty; say what to draw")
    if len(prompt) > MAX_PROMPT:
        raise UsageError(f"{who}: the prompt has {len(prompt):,} characters; at most {MAX_PROMPT:,} are read")
    if images > facts.max_references:
        raise UsageError(f"{who}: {images} images were to be sent; it takes {facts.max_references}")
    problem = facts.problem_with(size) if size else None
    if problem:
        raise UsageError(f"{who} does not draw {size}: {problem}")
