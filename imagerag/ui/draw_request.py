"""What the form of a new run sends, and what is made of it: a client with its backends, and options of a run."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imagerag.agent.errors import UntrustedError, UsageError
from imagerag.agent.retrieval.search_queries import names_of
from imagerag.agent.threads import in_thread
from imagerag.assistants.tool_result import RunLimits, least
from imagerag.client.client import ImageRAG
from imagerag.graphs.configuration.trust_policy import check_web_library, may_name
from imagerag.store.trust_store import is_named
from imagerag.ui.image_bytes import image_bytes
from imagerag.ui.requests import data_of
from imagerag.ui.state import UiState

MOST_IMAGES: Final = 16
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Words = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=50)]
Text = Annotated[str, Field(max_length=2000)]

_APART: Final = frozenset({"prompt", "preset", "generator", "judge", "images", "mask"})
"""Fields that are no option of a run by the same name."""


class SourceImage(BaseModel):
    """An image of the person's own that a run takes.

    Attributes:
        sha256: the image, kept by `POST /images`, or of an earlier run or of a library.
        library: the library it is of; empty for an image of a run, or one that was dropped in.
        use: it appears in the result ("subject"), it is changed ("edit"), or it is judged in place of a first drawing.
        name: what the prompt calls it.
    """

    model_config = ConfigDict(extra="forbid")

    sha256: Hash
    library: Text = ""
    use: Literal["subject", "edit", "initial_image"] = "subject"
    name: Annotated[str, Field(max_length=200)] = ""


class DrawRequest(BaseModel):
    """What the form sends. What is left out is as for `ImageRAG.generate`.

    Attributes:
        library: where references come from; empty is nowhere, None is as the server was started.
        preset, generator, judge: backends, when not those that the server was started with.
        images: images of the person's own.
        mask: a PNG, kept by `POST /images`, transparent where the first of them may change.
    """

    model_config = ConfigDict(extra="forbid")

    prompt: str
    library: Text | None = None
    preset: Text | None = None
    generator: Text | None = None
    judge: Text | None = None
    images: Annotated[list[SourceImage], Field(max_length=MOST_IMAGES)] = []
    mask: Hash | None = None
    max_rounds: int | None = None
    max_references: int | None = None
    references_per_concept: int | None = None
    threshold: float | Literal["auto", "off"] | None = None
    candidates: int | None = None
    hybrid: bool | None = None
    judge_mode: Text | None = None
    start: Text | None = None
    likeness: Text | None = None
    reference_crop: Text | None = None
    select: bool | None = None
    seed: int | None = None
    size: Text | None = None
    partial_images: int | None = None
    mask_feather: int | None = None
    filter: Text | None = None
    tags: Words | None = None
    licences: Words | None = None
    max_calls: int | None = None
    max_cost_usd: float | None = None
    assume_cost_usd_per_call: float | None = None
    deadline_s: float | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> "DrawRequest":
        for use in ("edit", "initial_image"):
            if sum(one.use == use for one in self.images) > 1:
                raise ValueError(f"`{use}=FILE`: one image only")
        return self


async def client_of(state: UiState, body: DrawRequest) -> ImageRAG:
    """The client with the backends of a request.

    Raises:
        UntrustedError: a backend with an address or a path of its own, or a service, that the server was not started
            with: whoever reaches the page would have it called otherwise.
    """
    for role in ("generator", "judge"):
        check_backend(state, role, getattr(body, role))
    check_library(state, body.library)
    options = {role: getattr(body, role) for role in ("preset", "generator", "judge") if getattr(body, role)}
    options |= {"library": ""} if body.library == "" else {}
    return await in_thread(state.rag.with_options, **options) if options else state.rag  # it reads settings


def check_backend(state: UiState, role: str, spec: str | None) -> None:
    """See that a request names a backend that comes with the package, or that the server was started with.

    Raises:
        UntrustedError: one with an address or a path of its own, or of an installed package.
    """
    if spec and not (spec in state.rag.dependencies.user_named_specs or may_name(role, spec) or is_named(spec)):
        raise UntrustedError(
            f"{role} {spec} has an address or a path of its own, or is of an installed package: name it where the page "
            f"is started (`{role}={spec}`)"
        )


def check_library(state: UiState, library: str | None) -> None:
    """See that a request names libraries of the home, or those that the server was started with.

    Raises:
        UntrustedError: a search service, or a library of an installed package.
    """
    own = state.rag.settings.library
    check_web_library(library, own, "the page")
    known = (*names_of(own or ""), *state.rag.dependencies.own_libraries)
    for name in names_of(library) if library else ():
        if name not in known and not may_name("library", name) and not name.startswith("web:"):
            raise UntrustedError(f"{name} is a library of an installed package: name it where the page is started")


async def run_options(state: UiState, body: DrawRequest) -> dict[str, Any]:
    """The options of `ImageRAG.stream`, within the limits of the server.

    Raises:
        UsageError: a limit that the server does not allow.
        BlobError: an image that is not there any more.
    """
    options = {name: value for name, value in data_of(body).items() if name not in _APART}
    if not options.get("library"):
        options.pop("library", None)
    options |= within(state.limits, options)
    options |= await _images(state, body)
    if body.mask:
        options["mask"] = await image_bytes(state.rag, body.mask)
    return options


def within(limits: RunLimits, options: Mapping[str, Any]) -> dict[str, Any]:
    """The limits of a new run, those of the server where a request has none or higher ones.

    Raises:
        UsageError: what a call of unknown price counts as, on a server that limits the cost.
    """
    rounds = options.get("max_rounds")
    if limits.max_rounds is not None:
        rounds = least(3 if rounds is None else rounds, limits.max_rounds)
    return spending_within(limits, options) | ({} if rounds is None else {"max_rounds": rounds})


def spending_within(limits: RunLimits, options: Mapping[str, Any]) -> dict[str, Any]:
    """The limits of calls, cost and time of a run, those of the server where a request has none or higher ones.

    Raises:
        UsageError: what a call of unknown price counts as, on a server that limits the cost.
    """
    spending = limits.spending(*(options.get(name) for name in ("max_calls", "max_cost_usd", "deadline_s")))
    assumed = options.get("assume_cost_usd_per_call")
    if assumed is not None and limits.max_cost_usd is not None and assumed != limits.assume_cost_usd_per_call:
        raise UsageError("what a call of unknown price counts as is set where the page is started")
    if limits.assume_cost_usd_per_call is None:
        spending["assume_cost_usd_per_call"] = assumed
    return {name: value for name, value in spending.items() if value is not None}


async def _images(state: UiState, body: DrawRequest) -> dict[str, Any]:
    options: dict[str, Any] = {}
    subjects = []
    for one in body.images:
        if one.use == "edit" and one.library and one.library == body.library:
            options["edit_library"] = one.sha256  # with its title, author and licence
            continue
        data = await image_bytes(state.rag, one.sha256, one.library)
        if one.use == "subject":
            subjects.append((one.name, data))
        else:
            options[one.use] = (one.name, data) if one.use == "edit" else data
    return options | ({"subjects": subjects} if subjects else {})
