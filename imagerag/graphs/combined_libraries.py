"""Libraries that are searched as one: several of the user's own, and services that search the web."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from imagerag.agent.errors import UnknownLibraryError, UsageError
from imagerag.agent.ports import ReferenceLibrary, WebLibrary
from imagerag.agent.retrieval.search_queries import WEB
from imagerag.store.library.joined_libraries import JoinedLibraries
from imagerag.store.library.library_with_web import LibraryWithWeb
from imagerag.tools.embedders.default_encoder import DEFAULT_ENCODER
from imagerag.tools.spec import BackendSpec

if TYPE_CHECKING:
    from imagerag.graphs.dependencies import Dependencies

Made = TypeVar("Made")


def unknown_library(name: str, error: UnknownLibraryError) -> UnknownLibraryError:
    """The error for a library that there is not; of one with the name of a search service, with that service's spec."""
    from imagerag.tools.web.services import SERVICES

    if name.partition("?")[0].lower() not in SERVICES:
        return error
    spec = f"{WEB}{name}"
    return UnknownLibraryError(f"no library {name!r}: the search service is {spec}, as in `library=NAME,{spec}`")


@dataclass
class CombinedLibraries:
    """Makes and keeps what is searched as one: graphs are kept by what they are bound to."""

    _made: dict[tuple[str, ...], tuple[tuple[object, ...], object]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def library(
        self, own: Sequence[ReferenceLibrary], web: Sequence[str], dependencies: "Dependencies"
    ) -> ReferenceLibrary:
        """Libraries of the user's own with the services that are asked for what they lack.

        Args:
            own: none where a service stands alone.
            web: specs of services, in the order in which they are asked.

        Raises:
            SpecError: no such service, or its key is not set.
            UsageError: nothing says by which encoder or threshold images of the web are ranked; or several services
                stand alone.
        """
        if not own and len(web) > 1:
            raise UsageError(f"several services are asked for what a library of yours lacks: NAME,{','.join(web)}")
        first = own[0] if own else None
        services = tuple(self._service(spec, first, dependencies) for spec in web)
        if not own:
            return services[0]
        joined: ReferenceLibrary = own[0]
        if len(own) > 1:
            names = [library.name for library in own]
            joined = self._cached(("joined", *names), tuple(own), lambda: JoinedLibraries(own))
        if not services:
            return joined
        return self._cached(
            ("with web", joined.name, *web), (joined, *services), lambda: LibraryWithWeb(joined, services)
        )

    def _service(self, name: str, first: ReferenceLibrary | None, dependencies: "Dependencies") -> WebLibrary:
        """The library of a service; it ranks by the encoder and the threshold of the first library beside it."""
        from imagerag.tools.web.factory import web_library

        spec = BackendSpec.parse(name)
        options, beside = dict(spec.options), getattr(first, "embedder", None)
        if first is not None and "embedder" not in options and beside is None:
            raise UsageError(
                f"library {first.name!r} does not tell its encoder: write {name}?embedder=SPEC&threshold=COSINE"
            )
        if first is not None and "embedder" in options and "threshold" not in options:
            raise UsageError(f"{name!r} has an encoder of its own, and so needs threshold=COSINE, too")
        spec_name = options.get("embedder") or (DEFAULT_ENCODER if beside is None else None)
        embedder: Any = dependencies.embedder(spec_name) if spec_name else beside

        def make() -> WebLibrary:
            threshold = None if first is None else lambda: first.threshold
            return web_library(
                spec, embedder=embedder, blobs=dependencies.blobs, threshold=threshold, prices=dependencies.prices
            )

        return self._cached(("web", name), (embedder, first), make)

    def _cached(self, name: tuple[str, ...], parts: tuple[object, ...], make: Callable[[], Made]) -> Made:
        with self._lock:
            cached = self._made.get(name)
            if (
                cached is None
                or len(cached[0]) != len(parts)
                or any(a is not b for a, b in zip(cached[0], parts, strict=True))
            ):
                cached = self._made[name] = (parts, make())
            return cast(Made, cached[1])
