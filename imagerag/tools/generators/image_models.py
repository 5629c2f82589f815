"""What is known about image models behind OpenAI's protocol: one table, which a user can extend.

Sources: openai-python 3.52 (`image_generate_params.py`, `image_edit_params.py`), the servers' own code (vLLM-omni
0.30, SGLang-diffusion 0.5) and providers' documentation. Models come and go: what is not listed gets `UNKNOWN`, which
asks for as little as possible.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import ReferenceTemplate
from imagerag.agent.types import Size

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
"""Images in words, for models that were made to edit the images they are sent."""

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
"""For models that answer a message with an image: they are told what their answer is to be."""


@dataclass(frozen=True, kw_only=True)
class ImageModel:
    """What one model takes.

    Attributes:
        max_references: images beside the prompt, subjects included.
        sizes: the only ones it draws; None when it draws others too.
        any_size: whether `sizes` is None under OpenAI's rule for gpt-image-2 and later (see `problem_with`).
        qualities: values of `quality`; empty when it has no such parameter.
        input_fidelity: values of `input_fidelity`, for edits only.
        transparent: whether `background` may be transparent.
        edits: whether it changes an image that it is sent, where one is to be edited.
        masks: whether an edit can be kept to the transparent pixels of a mask.
        streams: whether partial images can be streamed.
        response_format: sent where not None. OpenAI's own models refuse it, other servers answer with a URL without it.
        seed: whether a `seed` is taken, and the same one gives the same image.
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
        """Why a size cannot be drawn, and which one can; None when it can."""
        if self.sizes is not None and size not in self.sizes:
            return f"it draws {', '.join(map(str, self.sizes))}"
        if not self.any_size:
            return None
        short, long = sorted((size.width, size.height))
        if short % 16 or long % 16:
            nearest = [max(16, round(side / 16) * 16) for side in (size.width, size.height)]
            return f"width and height must be divisible by 16, for instance {nearest[0]}x{nearest[1]}"
        if long > 3 * short:
            return "neither side may be more than three times the other"
        return "the largest is 3840x2160" if long > 3840 or short > 2160 else None


_THREE_SIZES: Final = (Size(width=1024, height=1024), Size(width=1536, height=1024), Size(width=1024, height=1536))
_LEVELS: Final = frozenset({"low", "medium", "high", "auto"})

UNKNOWN: Final = ImageModel()
"""For models nobody described: one reference, base64 answers asked for, nothing else assumed."""

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
    "flux.2-klein": ImageModel(max_references=4),
    "flux.2": ImageModel(max_references=6),
    "qwen-image-edit": ImageModel(max_references=4),
    "hunyuanimage-3": ImageModel(max_references=3),
    "omnigen": ImageModel(max_references=3),
}
"""Model facts by the beginning of the model's own name (without `openai/` and the like), lower case; the longest that
fits counts. Add to it, or hand an `ImageModel` to an adapter."""


def model_facts(name: str, table: Mapping[str, ImageModel] = MODELS) -> ImageModel:
    """What is known about a model; `UNKNOWN` for others."""
    bare = name.rpartition("/")[2].lower()
    fitting = [known for known in table if bare.startswith(known)]
    return table[max(fitting, key=len)] if fitting else UNKNOWN


def check_options(who: str, facts: ImageModel, options: Mapping[str, Any]) -> None:
    """Refuse options that a model is known not to take.

    Raises:
        UsageError: one of them, with what the model does take.
    """
    if facts.response_format is not None:
        return  # what a model that is not in the table takes is its user's to know
    for name, values in {"quality": facts.qualities, "input_fidelity": facts.input_fidelity}.items():
        if options.get(name) is not None and options[name] not in values:
            message = f"it takes {', '.join(sorted(values))}" if values else "it has no such setting"
            raise UsageError(f"{who}: {name}={options[name]!r} cannot be: {message}")
    opaque = not facts.transparent or options.get("output_format") == "jpeg"
    if opaque and options.get("background") == "transparent":
        raise UsageError(f"{who} draws no transparent background" + " as JPEG" * facts.transparent)


def check_request(who: str, facts: ImageModel, prompt: str, images: int, size: Size | None) -> None:
    """Refuse what the service would refuse, before anything is sent.

    Raises:
        UsageError: no prompt or an over-long one, too many images, a size it does not draw.
    """
    if not prompt.strip():
        raise UsageError(f"{who}: the prompt is empty; say what to draw")
    if len(prompt) > MAX_PROMPT:
        raise UsageError(f"{who}: the prompt has {len(prompt):,} characters; at most {MAX_PROMPT:,} are read")
    if images > facts.max_references:
        raise UsageError(f"{who}: {images} images were to be sent; it takes {facts.max_references}")
    problem = facts.problem_with(size) if size else None
    if problem:
        raise UsageError(f"{who} does not draw {size}: {problem}")
