"""From a backend spec to the adapter it names.

Built-in providers are listed here by the place of their factory, so that nothing heavy is imported before it is used.
Others come from entry points of installed packages, in the groups `imagerag.generators`, `imagerag.judges` and
`imagerag.embedders`: a factory takes a `BackendSpec` (a judge's also `embedder=`) and returns the adapter.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any, Final, Literal

from imagerag.agent.errors import SpecError
from imagerag.agent.ports import Embedder, ImageGenerator, Judge
from imagerag.tools.specs import BackendSpec

Role = Literal["generator", "judge", "embedder"]

_BUILT_IN: Final[dict[Role, dict[str, str]]] = {
    "generator": {
        "localai": "imagerag.tools.generators.openai_images:OpenAIImages.localai",
        "openai": "imagerag.tools.generators.openai_images:OpenAIImages.from_spec",
        "openai-chat": "imagerag.tools.generators.openai_chat:OpenAIChatImages.from_spec",
        "openai-responses": "imagerag.tools.generators.openai_responses:OpenAIResponsesImages.from_spec",
        "sketch": "imagerag.tools.builtin:sketch_generator",
    },
    "judge": {
        "clip": "imagerag.tools.builtin:clip_judge",
        "openai": "imagerag.tools.builtin:openai_judge",
        "sketch": "imagerag.tools.builtin:sketch_judge",
    },
    "embedder": {
        "open_clip": "imagerag.tools.builtin:open_clip_embedder",
        "sketch": "imagerag.tools.builtin:sketch_embedder",
    },
}


def make_generator(spec: str | BackendSpec) -> ImageGenerator:
    """The image generator a spec names.

    Raises:
        SpecError: no such provider, or a model it does not have.
    """
    parsed = _single(spec, "generator")
    generator: ImageGenerator = _factory(parsed, "generator")(parsed)
    return generator


def make_judge(spec: str | BackendSpec, *, embedder: Embedder | None = None) -> Judge:
    """The judge a spec names.

    Args:
        embedder: what `clip` without a model looks through, usually the library's encoder; others may ignore it.

    Raises:
        SpecError: no such provider, or a model it does not have.
    """
    parsed = _single(spec, "judge")
    judge: Judge = _factory(parsed, "judge")(parsed, embedder=embedder)
    return judge


def make_embedder(spec: str | BackendSpec) -> Embedder:
    """The embedder a spec names; the same spec gives the same object, so that weights are in memory once.

    Raises:
        SpecError: no such provider, or a model it does not have.
    """
    return _embedder(_single(spec, "embedder"))


@lru_cache(maxsize=8)
def _embedder(spec: BackendSpec) -> Embedder:
    embedder: Embedder = _factory(spec, "embedder")(spec)
    return embedder


def providers(role: Role) -> tuple[str, ...]:
    """Every provider there is for a role, sorted: the built-in ones and those of installed packages."""
    return tuple(sorted({*_BUILT_IN[role], *(point.name for point in entry_points(group=f"imagerag.{role}s"))}))


def _single(spec: str | BackendSpec, role: Role) -> BackendSpec:
    if isinstance(spec, BackendSpec):
        return spec
    specs = BackendSpec.parse_all(spec)
    if len(specs) > 1:
        raise SpecError(f"{spec!r} is a cascade, which a {role} cannot be yet: name one of them, {str(specs[0])!r}")
    return specs[0]


def _factory(spec: BackendSpec, role: Role) -> Callable[..., Any]:
    place = _BUILT_IN[role].get(spec.provider)
    if place is not None:
        module, _, name = place.partition(":")
        factory: Callable[..., Any] = attrgetter(name)(import_module(module))
        return factory
    for point in entry_points(group=f"imagerag.{role}s", name=spec.provider):
        loaded: Callable[..., Any] = point.load()
        return loaded
    known = ", ".join(providers(role))
    raise SpecError(f"there is no {role} {spec.provider!r} (in {str(spec)!r}); there is: {known}")
