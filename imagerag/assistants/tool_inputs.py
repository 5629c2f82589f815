"""Inputs of the tools. A model reads the descriptions: when to use which, and what is limited."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from imagerag.agent.qa.types import MAX_QUESTION_IMAGES
from imagerag.agent.visible_text import is_blank
from imagerag.assistants.argument_types import (
    Deadline,
    Feedback,
    ImageId,
    Label,
    Library,
    Licences,
    MaxCalls,
    MaxCost,
    Name,
    Pick,
    Picks,
    Prompt,
    Question,
    RunId,
    Source,
    Tags,
    Text,
    Where,
    parse_size_text,
)

MAX_HITS: Final = 10
"""Of a search: so many fit into one answer, each with its whole id."""

MAX_SIDE: Final = 1024
"""Pixels, of an image that is looked at."""

_LISTS: Final = frozenset(
    {"choose", "images", "keep_images", "licences", "subjects", "tags", "add_images", "exclude_images", "filter"}
)


def _unpacked(value: object) -> object:
    """A list or an object, where it came as JSON text or as its only entry."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    single = (isinstance(value, str | int) and not isinstance(value, bool)) or (
        isinstance(value, Mapping) and "image" in value
    )
    return [value] if single else value


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) or (annotation,)


def _no_switch(value: object) -> object:
    """True and false as words: as 1 and 0 they would pass for numbers."""
    return str(value) if isinstance(value, bool) else value


class Request(BaseModel):
    """Base of what tools are asked with: frozen, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _as_models_send_it(cls, arguments: object) -> object:
        """Null and empty texts mean "not given", for arguments that there are not too: nothing was asked with them.
        Lists may come as JSON text or as their only entry; true and false are no numbers."""
        if not isinstance(arguments, Mapping):
            return arguments
        needed = {name for name, field in cls.model_fields.items() if field.is_required()}
        numbers = {name for name, field in cls.model_fields.items() if {int, float} & set(_kinds(field.annotation))}
        return {
            name: _unpacked(value) if name in _LISTS else _no_switch(value) if name in numbers else value
            for name, value in arguments.items()
            if not (name not in needed and (value is None or (isinstance(value, str) and is_blank(value))))
        }


class SubjectImage(Request):
    """One of the user's own images that is to be in the result."""

    image: Source = Field(description="A file path, or image://SHA256.")
    name: Label = Field(default="", description="What the prompt calls it.")


class GenerateImage(Request):
    """Arguments of `generate_image`."""

    prompt: Prompt = Field(
        description="Everything that is to be in the image, content and style, in plain words. It is judged "
        "against exactly this text."
    )
    library: Library = None
    initial_image: Source | None = Field(
        default=None,
        description="An image to improve instead of drawing first: a file path, or image://SHA256.",
    )
    subjects: tuple[SubjectImage, ...] = Field(
        default=(), max_length=8, description="The user's own images that are to be in the result."
    )
    edit: Source | None = Field(default=None, description="Instead of subjects: the image that the prompt changes.")
    max_rounds: int = Field(default=3, ge=0, le=20, description="Redrawings. 0 draws once.")
    max_references: int | None = Field(default=None, ge=1, le=16, description="Images sent at most.")
    references_per_concept: int | None = Field(default=None, ge=1, le=16, description="Images for each missing thing.")
    select: bool = Field(
        default=False,
        description="Stop when references are found and let the user choose; answer with continue_run(choose=...).",
    )
    start: Literal["generate", "retrieve"] = Field(
        default="generate",
        description="'generate' draws first; 'retrieve' looks for references first (for variants of the user's own "
        "products).",
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Another seed, another image.")
    size: Annotated[str | None, BeforeValidator(parse_size_text), WithJsonSchema({"type": "string"})] = Field(
        default=None, description="1024x1024, 16:9, 2K, 16:9@2K, auto."
    )
    partial_images: int = Field(default=0, ge=0, le=3, description="Unfinished images to show; cost extra.")
    filter: Where = None
    tags: Tags = ()
    licences: Licences = ()
    max_calls: MaxCalls = None
    max_cost_usd: MaxCost = None
    deadline_s: Deadline = None


class ListLibraries(Request):
    """Arguments of `list_libraries`."""

    library: Annotated[Name | None, Field(description="Only this one.")] = None
    check: bool = Field(default=False, description="How well it can be searched.")


class SearchReferences(Request):
    """Arguments of `search_references`."""

    query: Prompt | None = Field(
        default=None,
        description="What it shows, as in a caption; terms combine: a sofa + 2:velvet - leather.",
    )
    image: Source | None = Field(default=None, description="Instead or too: a file path, or image://SHA256.")
    library: Library = None
    k: int = Field(default=6, ge=1, le=MAX_HITS, description="How many.")
    by: Literal["images", "captions", "hybrid"] = Field(default="images", description="What words are compared with.")
    filter: Where = None
    tags: Tags = ()
    licences: Licences = ()

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.query is None and self.image is None:
            raise ValueError("give query (words) or image, or both")
        if self.by == "captions" and self.image is not None:
            raise ValueError("captions are compared with words alone: leave image or by out")
        return self


class AddImage(Request):
    """Arguments of `add_image`."""

    image: Source = Field(description="A file path, an address, or image://SHA256.")
    library: Library = None
    caption: Annotated[str, Field(max_length=2_000, description="What it shows, in the user's words."), Text] = ""
    tags: Annotated[tuple[Name, ...], Field(max_length=16, description="Its tags.")] = ()
    licence: Annotated[Label, Field(description="Such as CC0-1.0.")] = ""
    author: Annotated[Label, Field(description="Who made it.")] = ""


class ContinueRun(Request):
    """Arguments of `continue_run`."""

    run_id: RunId = Field(description="The run, as the earlier answer named it.")
    choose: Annotated[tuple[Pick, ...], Field(max_length=16)] | None = Field(
        default=None,
        description="Only for a run that waits for a choice: the numbers it offered, best first; [] takes none.",
    )
    edit: Pick | None = Field(
        default=None,
        description="The same: one to edit.",
    )
    more_rounds: int = Field(default=2, ge=0, le=20, description="Rounds at most, from its best image on.")
    exclude_images: Picks = Field(default=(), description="References never to use again: numbers or image ids.")
    keep_images: Picks = Field(default=(), description="References to keep: numbers or image ids.")
    add_images: Picks = Field(default=(), description="Library images to use, by image id.")
    feedback: Feedback | None = Field(default=None, description="What to change, in the user's words.")
    prompt: Prompt | None = Field(default=None, description="Instead: a whole new prompt.")
    max_calls: MaxCalls = None
    max_cost_usd: MaxCost = None
    deadline_s: Deadline = None

    @model_validator(mode="after")
    def _choose_alone(self) -> Self:
        if (self.choose is not None or self.edit is not None) and self.steers:
            raise ValueError("choose goes alone: answer first, then continue")
        return self

    @property
    def steers(self) -> bool:
        """Whether it says what is to be different."""
        return bool(self.exclude_images or self.keep_images or self.add_images or self.feedback or self.prompt)


class AskLibrary(Request):
    """Arguments of `ask_library`."""

    question: Question = Field(description="The user's question, whole and in plain words.")
    images: Annotated[tuple[Source, ...], Field(max_length=MAX_QUESTION_IMAGES)] = Field(
        default=(),
        description="The user's own images that it is about: paths or image://SHA256.",
    )
    by: Literal["image", "words", "both"] | None = Field(default=None, description="What to search with.")
    library: Library = None
    thread: RunId | None = Field(default=None, description="For a follow-up: the thread of the earlier answer.")
    compare: bool = Field(default=False, description="Also answer without the library.")
    max_calls: MaxCalls = None
    max_cost_usd: MaxCost = None
    deadline_s: Deadline = None


class ViewImage(Request):
    """Arguments of `view_image`."""

    image_id: ImageId = Field(description="image://… (or its digits alone) from an earlier answer.")
    library: Library = None
    max_side: int = Field(default=512, ge=64, le=MAX_SIDE, description="Longer side in pixels.")


TOOLS: Final[dict[str, type[Request]]] = {
    "generate_image": GenerateImage,
    "list_libraries": ListLibraries,
    "search_references": SearchReferences,
    "add_image": AddImage,
    "continue_run": ContinueRun,
    "ask_library": AskLibrary,
    "view_image": ViewImage,
}
"""Every tool by its name, in the order in which they are listed."""

DESCRIPTIONS: Final = {
    "generate_image": (
        "Draw an image, check it against the prompt, find what is missing in the user's own image library, and draw "
        "again with those images as references. Takes seconds to minutes. For every new image; to "
        "change one that it made, use continue_run. The answer begins with the outcome: aligned (all of the "
        "prompt was found in the image), best_effort (rounds spent), no_usable_reference (something is missing "
        "and no reference was left; the reason says why), refused (content policy: do not ask the same again), "
        "budget_exhausted, judge_unavailable (nobody checked it: look yourself), failed, cancelled, interrupted "
        "(references wait to be chosen). Say to the user what the outcome was; only aligned means that the "
        "image was found right."
    ),
    "list_libraries": (
        "Which image libraries there are, and what their images can be filtered by: tags, licences, metadata keys "
        "with some values. Use it before you pass these on; with check if one finds nothing."
    ),
    "search_references": (
        "Look into the user's image library, with words or with an image. Use it before "
        "drawing, or to find images for continue_run(add_images=...). Draws nothing. Each hit has an image:// "
        "id, its similarity, and whether a run would use it by itself."
    ),
    "add_image": (
        "Add an image to a library, so that runs find it. The user is asked first; where they cannot be asked, or say "
        "no, nothing is added. The answer says whether a search for its caption finds it."
    ),
    "continue_run": (
        "Go on from a run, in a new one that starts from its best image: a change to it (feedback), more rounds, "
        "without a reference, keeping one, using images that search_references found, or a new prompt. Also answers "
        "a run that waits for a choice (choose=[numbers]), and resumes one that was stopped."
    ),
    "ask_library": (
        "Answer a question from the images of the user's library and what is recorded about them (captions, prices, "
        "...), or about the user's own image (images), citing which image supports what. Says so when they "
        "do not hold the answer: then tell the user that, and do not guess. To find images use search_references."
    ),
    "view_image": (
        "Look at a small copy of an image of a run or the library, by its image:// id. Use it when you must judge an "
        "image yourself (judge_unavailable, a choice of references, a doubt); the other answers already say what "
        "the judge found."
    ),
}
"""Descriptions of the tools, for a model."""
