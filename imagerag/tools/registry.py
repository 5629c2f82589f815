"""Make adapters from backend specs.

Built-in providers are listed in `built_in_providers.py`. Others come from entry points of installed packages, in the
groups `imagerag.generators`, `imagerag.judges`, `imagerag.embedders`, `imagerag.answerers`, `imagerag.describers`,
`imagerag.rerankers` and `imagerag.libraries`: a factory takes a `BackendSpec` (a judge's also `embedder=`, a reranker's
also `judge=`, a library's also `home=`, the folder for its data) and returns the adapter. A service
(`services/table.py`) is served by the adapters of `openai`. Several specs with commas between them make a fallback of
generators, judges, answerers or describers (`fallback/`).
"""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.errors import SpecError
from imagerag.agent.port_validation import check_factory, check_role
from imagerag.agent.ports import Describer, Embedder, ImageGenerator, Judge, ReferenceLibrary, Reranker
from imagerag.agent.qa.ports import Answerer
from imagerag.formatting.messages import unknown
from imagerag.tools.built_in_providers import BUILT_IN, CATALOGUES, JUDGES_OF_ENCODERS, PRICED, SYNONYMS, Role
from imagerag.tools.services.lookup import all_services, service_named
from imagerag.tools.spec import BackendSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from imagerag.tools.pricing.price_table import Prices

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


def make_generator(
    spec: str | BackendSpec, *, prices: "Prices | None" = None, own: Mapping[str, Any] = _NONE
) -> ImageGenerator:
    """The image generator of a spec; a fallback if it names several.

    Args:
        prices: price table; by default the packaged one with the user's own.
        own: objects by the specs that they stand for.

    Raises:
        SpecError: unknown provider or model.
    """
    generator: ImageGenerator = _one_or_fallback("generator", spec, prices, own)
    return generator


def make_judge(
    spec: str | BackendSpec,
    *,
    embedder: Embedder | None = None,
    prices: "Prices | None" = None,
    own: Mapping[str, Any] = _NONE,
) -> Judge:
    """The judge of a spec; a fallback if it names several.

    Args:
        embedder: the encoder of `clip` without a model, usually the library's; other judges may ignore it.
        prices: price table; by default the packaged one with the user's own.
        own: objects by the specs that they stand for.

    Raises:
        SpecError: unknown provider or model.
    """
    judge: Judge = _one_or_fallback("judge", spec, prices, own, embedder=embedder)
    return judge


def make_answerer(
    spec: str | BackendSpec, *, prices: "Prices | None" = None, own: Mapping[str, Any] = _NONE
) -> Answerer:
    """The answerer of a spec; a fallback if it names several.

    Args:
        prices: price table; by default the packaged one with the user's own.
        own: objects by the specs that they stand for.

    Raises:
        SpecError: unknown provider or model.
    """
    answerer: Answerer = _one_or_fallback("answerer", spec, prices, own)
    return answerer


def make_describer(
    spec: str | BackendSpec, *, prices: "Prices | None" = None, own: Mapping[str, Any] = _NONE
) -> Describer:
    """The describer of a spec; a fallback if it names several.

    Args:
        prices: price table; by default the packaged one with the user's own.
        own: objects by the specs that they stand for.

    Raises:
        SpecError: unknown provider or model.
    """
    describer: Describer = _one_or_fallback("describer", spec, prices, own)
    return describer


def answerer_for(judge: str) -> str:
    """The answerer for a judge: the same model if it can answer, otherwise `metadata`.

    Raises:
        SpecError: `judge` is no valid spec.
    """
    specs, _ = _several(judge)
    return judge if all(has_provider("answerer", one.provider) for one in specs) else "metadata"


def make_reranker(spec: str | BackendSpec, *, judge: Judge, prices: "Prices | None" = None) -> Reranker:
    """The reranker of a spec.

    Args:
        judge: the run's judge, which `vlm` uses; other rerankers may ignore it.
        prices: price table; by default the packaged one with the user's own.

    Raises:
        SpecError: unknown provider or model, or several specs.
    """
    one = spec if isinstance(spec, BackendSpec) else BackendSpec.parse(spec)
    reranker: Reranker = _factory(one, "reranker")(one, judge=judge, **_priced(one, "reranker", prices))
    return reranker


def make_library(spec: str | BackendSpec, *, home: Path) -> ReferenceLibrary:
    """The library of a spec, from an installed package.

    Args:
        home: the data folder.

    Raises:
        SpecError: unknown provider.
    """
    one = spec if isinstance(spec, BackendSpec) else BackendSpec.parse(spec)
    library: ReferenceLibrary = _factory(one, "library")(one, home=home)
    return library


def make_embedder(spec: str | BackendSpec) -> Embedder:
    """The embedder of a spec; the same spec returns the same object, so that its weights are in memory once.

    Raises:
        SpecError: unknown provider or model.
    """
    return _embedder(_single(spec))


def new_embedder(spec: str | BackendSpec) -> Embedder:
    """The embedder of a spec as a new object, without the cache of earlier ones."""
    one = _single(spec)
    embedder: Embedder = _factory(one, "embedder")(one)
    return embedder


@lru_cache(maxsize=8)
def _embedder(spec: BackendSpec) -> Embedder:
    embedder: Embedder = _factory(spec, "embedder")(spec)
    return embedder


def judge_of_encoder(encoder: str) -> str | None:
    """The spec of the judge for an encoder's image domain; None for an encoder of any image."""
    return JUDGES_OF_ENCODERS.get(encoder)


def write_catalogue(library: str, folder: str) -> Path:
    """Draw the images of a built-in library into a folder, and return the manifest's path."""
    manifest: Path = _load(CATALOGUES[library])(folder)
    return manifest


def synonyms() -> Mapping[str, str]:
    """Synonym → the word in the metadata of a built-in library."""
    return {word: canonical for place in SYNONYMS for word, canonical in _load(place)().items()}


def providers(role: Role) -> tuple[str, ...]:
    """All providers of a role, sorted: built-in ones, services, and those of installed packages."""
    services = (service.name for service in all_services() if role in service.roles)
    installed = (point.name for point in entry_points(group=group(role)))
    return tuple(sorted({*BUILT_IN[role], *services, *installed}))


def has_provider(role: Role, name: str) -> bool:
    """Whether a provider exists; installed packages are searched only if it is not built in."""
    return _place(role, name) is not None or bool(entry_points(group=group(role), name=name))


def is_served(provider: str) -> bool:
    """Whether a provider's models are behind an address that lists them."""
    return provider in _SERVED or service_named(provider) is not None


_SERVED: Final = frozenset({"openai", "openai-chat", "openai-responses", "localai"})


def group(role: str) -> str:
    """The group of entry points for a role."""
    return "imagerag.libraries" if role == "library" else f"imagerag.{role}s"


def _one_or_fallback(
    role: Literal["generator", "judge", "answerer", "describer"],
    spec: str | BackendSpec,
    prices: "Prices | None",
    own: Mapping[str, Any],
    **bound: Any,
) -> Any:
    """The adapter of a spec; a fallback if it names several. `bound` is passed to each factory."""
    specs, on_refusal = _several(spec)
    backends = [
        own[str(one)] if str(one) in own else _factory(one, role)(one, **bound, **_priced(one, role, prices))
        for one in specs
    ]
    if len(backends) == 1:
        return backends[0]
    from imagerag.tools.fallback.answerer import FallbackAnswerer
    from imagerag.tools.fallback.describer import FallbackDescriber
    from imagerag.tools.fallback.generator import FallbackGenerator
    from imagerag.tools.fallback.judge import FallbackJudge

    fallbacks = {
        "generator": FallbackGenerator,
        "judge": FallbackJudge,
        "answerer": FallbackAnswerer,
        "describer": FallbackDescriber,
    }
    return fallbacks[role](backends, on_refusal=on_refusal)


def _several(spec: str | BackendSpec) -> tuple[list[BackendSpec], bool]:
    """The backends of a spec, and whether their fallback goes on after refusals."""
    if isinstance(spec, BackendSpec):
        return [spec], False
    specs = BackendSpec.parse_all(spec)
    backends = [one for one in specs if str(one) != "on-refusal"]
    if len(backends) < len(specs) and len(backends) < 2:
        raise SpecError(f"{spec!r}: 'on-refusal' needs at least two backends beside it")
    return backends, len(backends) < len(specs)


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
    own = spec.provider in BUILT_IN[role]
    if (spec.provider if own or not service_named(spec.provider) else "openai") not in PRICED[role]:
        return {}
    return {"prices": default_prices() if prices is None else prices}


def default_prices() -> "Prices":
    """The packaged prices, with the user's own in IMAGERAG_HOME and IMAGERAG_PRICES."""
    from imagerag.tools.pricing.price_table import Prices

    home = os.environ.get("IMAGERAG_HOME")
    return Prices.load(*([os.path.expanduser(home)] if home else []))


def _installed(point: "EntryPoint", role: Role, spec: BackendSpec, **bound: Any) -> Any:
    """Call a package's factory, and check that the result implements the role's port."""
    plugin = f"the {role} {point.name!r} of {point.value}"
    try:
        factory = point.load()
    except Exception as error:
        raise SpecError(
            f"{plugin} cannot be loaded ({type(error).__name__}: {error}); reinstall its package"
        ) from error
    check_factory(factory, plugin, spec, **bound)
    backend = factory(spec, **bound)
    check_role(role, str(spec), backend)
    return backend


def _load(place: str) -> Callable[..., Any]:
    """Import `package.module:name`."""
    module, _, name = place.partition(":")
    loaded: Callable[..., Any] = attrgetter(name)(import_module(module))
    return loaded


def _place(role: Role, provider: str) -> str | None:
    """Import path of the built-in factory of a provider; None if it is an installed package's, or none."""
    if provider in BUILT_IN[role]:
        return BUILT_IN[role][provider]
    service = service_named(provider)
    return BUILT_IN[role]["openai"] if service is not None and role in service.roles else None


def _factory(spec: BackendSpec, role: Role) -> Callable[..., Any]:
    place = _place(role, spec.provider)
    if place is not None:
        return _load(place)
    for point in entry_points(group=group(role), name=spec.provider):
        return partial(_installed, point, role)
    if service := service_named(spec.provider):
        raise SpecError(f"{str(spec)!r}: {service.title} is no {role} here; it is {', '.join(sorted(service.roles))}")
    raise SpecError(
        unknown(role, spec.provider, providers(role), where="" if str(spec) == spec.provider else repr(str(spec)))
    )
