"""From a backend spec to the adapter it names.

Built-in providers are listed here by the place of their factory, so that nothing heavy is imported before it is used.
Others come from entry points of installed packages, in the groups `imagerag.generators`, `imagerag.judges`,
`imagerag.embedders`, `imagerag.answerers`, `imagerag.rerankers` and `imagerag.libraries`: a factory takes a
`BackendSpec` (a judge's also `embedder=`, a reranker's also `judge=`, a library's also `home=`, the folder for what it
keeps) and returns the adapter. Several specs with commas between them make a fallback
of generators, judges or answerers (`fallback.py`).
"""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.errors import SpecError
from imagerag.agent.port_validation import check_factory, check_role
from imagerag.agent.ports import Embedder, ImageGenerator, Judge, ReferenceLibrary, Reranker
from imagerag.agent.qa.ports import Answerer
from imagerag.formatting.messages import unknown
from imagerag.tools.spec import BackendSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from imagerag.tools.pricing.price_table import Prices

Role = Literal["generator", "judge", "embedder", "answerer", "reranker", "library"]

_BUILT_IN: Final[dict[Role, dict[str, str]]] = {
    "generator": {
        "diffusers": "imagerag.tools.generators.diffusers.pipeline:DiffusersGenerator.from_spec",
        "localai": "imagerag.tools.generators.openai_images:OpenAIImages.localai",
        "openai": "imagerag.tools.generators.openai_images:OpenAIImages.from_spec",
        "openai-chat": "imagerag.tools.generators.openai_chat:OpenAIChatImages.from_spec",
        "openai-responses": "imagerag.tools.generators.openai_responses:OpenAIResponsesImages.from_spec",
        "sketch": "imagerag.tools.sketch.registration:sketch_generator",
    },
    "judge": {
        "clip": "imagerag.tools.backend_factories:clip_judge",
        "openai": "imagerag.tools.backend_factories:openai_judge",
        "sketch": "imagerag.tools.sketch.registration:sketch_judge",
        "transformers": "imagerag.tools.judges.vlm.transformers_backend:transformers_judge",
    },
    "embedder": {
        "open_clip": "imagerag.tools.backend_factories:open_clip_embedder",
        "sketch": "imagerag.tools.sketch.registration:sketch_embedder",
    },
    "answerer": {
        "clip": "imagerag.tools.answerers.metadata:metadata_answerer",
        "metadata": "imagerag.tools.answerers.metadata:metadata_answerer",
        "openai": "imagerag.tools.answerers.vlm:vlm_answerer",
        "sketch": "imagerag.tools.answerers.metadata:metadata_answerer",
        "transformers": "imagerag.tools.answerers.vlm:vlm_answerer",
    },
    "reranker": {
        "bm25": "imagerag.tools.rerankers.bm25:bm25_reranker",
        "vlm": "imagerag.tools.rerankers.vlm:vlm_reranker",
    },
    "library": {},  # those of the home have a name and no provider
}


_JUDGES_OF_ENCODERS: Final = {"sketch": "sketch"}
"""Encoders that know only their own world → the judge that does, which stands for `clip` there."""

_CATALOGUES: Final = {"sketch": "imagerag.tools.sketch.catalogue:write_catalogue"}
"""Built-in library → what draws its images into a folder and returns the manifest's path."""

_SYNONYMS: Final = ("imagerag.tools.sketch.registration:synonyms",)
"""Other words for those that the metadata of built-in libraries is written in."""


_PRICED: Final[dict[Role, frozenset[str]]] = {
    "generator": frozenset({"localai", "openai", "openai-chat", "openai-responses"}),
    "judge": frozenset({"openai"}),
    "embedder": frozenset(),
    "answerer": frozenset({"openai", "transformers"}),
    "reranker": frozenset({"vlm"}),
    "library": frozenset(),
}
"""The built-in providers whose factories take `prices=`: those that may cost money."""


def make_generator(spec: str | BackendSpec, *, prices: "Prices | None" = None) -> ImageGenerator:
    """The image generator a spec names; a fallback, when it names several.

    Args:
        prices: what calls cost; default the packaged table and the user's own.

    Raises:
        SpecError: no such provider, or a model it does not have.
    """
    generator: ImageGenerator = _one_or_fallback("generator", spec, prices)
    return generator


def make_judge(spec: str | BackendSpec, *, embedder: Embedder | None = None, prices: "Prices | None" = None) -> Judge:
    """The judge a spec names; a fallback, when it names several.

    Args:
        embedder: what `clip` without a model looks through, usually the library's encoder; others may ignore it.
        prices: what calls cost; default the packaged table and the user's own.

    Raises:
        SpecError: no such provider, or a model it does not have.
    """
    judge: Judge = _one_or_fallback("judge", spec, prices, embedder=embedder)
    return judge


def make_answerer(spec: str | BackendSpec, *, prices: "Prices | None" = None) -> Answerer:
    """The answerer a spec names; a fallback, when it names several.

    Args:
        prices: what calls cost; default the packaged table and the user's own.

    Raises:
        SpecError: no such provider, or a model it does not have.
    """
    answerer: Answerer = _one_or_fallback("answerer", spec, prices)
    return answerer


def answerer_for(judge: str) -> str:
    """The answerer that goes with a judge: the very same model where it can answer, else `metadata`.

    Raises:
        SpecError: `judge` is no spec.
    """
    specs, _ = _several(judge)
    return judge if all(is_provider("answerer", one.provider) for one in specs) else "metadata"


def make_reranker(spec: str | BackendSpec, *, judge: Judge, prices: "Prices | None" = None) -> Reranker:
    """The reranker a spec names.

    Args:
        judge: the run's, which `vlm` asks; others may ignore it.
        prices: what calls cost; default the packaged table and the user's own.

    Raises:
        SpecError: no such provider, several of them, or a model it does not have.
    """
    one = spec if isinstance(spec, BackendSpec) else BackendSpec.parse(spec)
    reranker: Reranker = _factory(one, "reranker")(one, judge=judge, **_priced(one, "reranker", prices))
    return reranker


def make_library(spec: str | BackendSpec, *, home: Path) -> ReferenceLibrary:
    """The library of an installed package that a spec names.

    Args:
        home: the folder that everything is kept in.

    Raises:
        SpecError: no such provider.
    """
    one = spec if isinstance(spec, BackendSpec) else BackendSpec.parse(spec)
    library: ReferenceLibrary = _factory(one, "library")(one, home=home)
    return library


def make_embedder(spec: str | BackendSpec) -> Embedder:
    """The embedder a spec names; the same spec gives the same object, so that weights are in memory once.

    Raises:
        SpecError: no such provider, or a model it does not have.
    """
    return _embedder(_single(spec))


def new_embedder(spec: str | BackendSpec) -> Embedder:
    """The embedder a spec names, as an object of its own: what it has encoded for others does not reach it."""
    one = _single(spec)
    embedder: Embedder = _factory(one, "embedder")(one)
    return embedder


@lru_cache(maxsize=8)
def _embedder(spec: BackendSpec) -> Embedder:
    embedder: Embedder = _factory(spec, "embedder")(spec)
    return embedder


def judge_of_encoder(encoder: str) -> str | None:
    """The spec of the judge for the world that an encoder knows; None for an encoder of any image."""
    return _JUDGES_OF_ENCODERS.get(encoder)


def write_catalogue(library: str, folder: str) -> Path:
    """Draw the images of a built-in library into a folder; the manifest's path."""
    manifest: Path = _load(_CATALOGUES[library])(folder)
    return manifest


def synonyms() -> Mapping[str, str]:
    """Other words → the word that the metadata of a built-in library has for it."""
    return {word: meant for place in _SYNONYMS for word, meant in _load(place)().items()}


def providers(role: Role) -> tuple[str, ...]:
    """Every provider there is for a role, sorted: the built-in ones and those of installed packages."""
    return tuple(sorted({*_BUILT_IN[role], *(point.name for point in entry_points(group=group(role)))}))


def is_provider(role: Role, name: str) -> bool:
    """Whether there is such a provider for a role. Installed packages are looked through if it is not built in."""
    return name in _BUILT_IN[role] or name in providers(role)


def group(role: str) -> str:
    """The group of entry points for a role."""
    return "imagerag.libraries" if role == "library" else f"imagerag.{role}s"


def _one_or_fallback(
    role: Literal["generator", "judge", "answerer"], spec: str | BackendSpec, prices: "Prices | None", **bound: Any
) -> Any:
    """The adapter a spec names; a fallback, when it names several. `bound` goes to the factory of each."""
    specs, on_refusal = _several(spec)
    made = [_factory(one, role)(one, **bound, **_priced(one, role, prices)) for one in specs]
    if len(made) == 1:
        return made[0]
    from imagerag.tools.fallback.answerer import FallbackAnswerer
    from imagerag.tools.fallback.generator import FallbackGenerator
    from imagerag.tools.fallback.judge import FallbackJudge

    fallbacks = {"generator": FallbackGenerator, "judge": FallbackJudge, "answerer": FallbackAnswerer}
    return fallbacks[role](made, on_refusal=on_refusal)


def _several(spec: str | BackendSpec) -> tuple[list[BackendSpec], bool]:
    """The backends a spec names, and whether a fallback of them steps down from refusals."""
    if isinstance(spec, BackendSpec):
        return [spec], False
    specs = BackendSpec.parse_all(spec)
    named = [one for one in specs if str(one) != "on-refusal"]
    if len(named) < len(specs) and len(named) < 2:
        raise SpecError(f"{spec!r}: 'on-refusal' needs at least two backends beside it")
    return named, len(named) < len(specs)


def _single(spec: str | BackendSpec) -> BackendSpec:
    if isinstance(spec, BackendSpec):
        return spec
    specs = BackendSpec.parse_all(spec)
    if len(specs) > 1:
        raise SpecError(
            f"{spec!r} is a fallback, which an embedder cannot be: vectors of two do not mix; name {str(specs[0])!r}"
        )
    return specs[0]


def _priced(spec: BackendSpec, role: Role, prices: "Prices | None") -> "dict[str, Prices]":
    if spec.provider not in _PRICED[role]:
        return {}
    return {"prices": default_prices() if prices is None else prices}


def default_prices() -> "Prices":
    """The packaged prices, and the user's own of IMAGERAG_HOME and IMAGERAG_PRICES."""
    from imagerag.tools.pricing.price_table import Prices

    home = os.environ.get("IMAGERAG_HOME")
    return Prices.load(*([os.path.expanduser(home)] if home else []))


def _installed(point: "EntryPoint", role: Role, spec: BackendSpec, **bound: Any) -> Any:
    """What a package's factory makes, once it is seen to be what its role asks for."""
    what = f"the {role} {point.name!r} of {point.value}"
    try:
        factory = point.load()
    except Exception as error:
        raise SpecError(f"{what} cannot be loaded ({type(error).__name__}: {error}); reinstall its package") from error
    check_factory(factory, what, spec, **bound)
    made = factory(spec, **bound)
    check_role(role, str(spec), made)
    return made


def _load(place: str) -> Callable[..., Any]:
    """`package.module:name`, imported only now."""
    module, _, name = place.partition(":")
    loaded: Callable[..., Any] = attrgetter(name)(import_module(module))
    return loaded


def _factory(spec: BackendSpec, role: Role) -> Callable[..., Any]:
    place = _BUILT_IN[role].get(spec.provider)
    if place is not None:
        return _load(place)
    for point in entry_points(group=group(role), name=spec.provider):
        return partial(_installed, point, role)
    raise SpecError(
        unknown(role, spec.provider, providers(role), where="" if str(spec) == spec.provider else repr(str(spec)))
    )
