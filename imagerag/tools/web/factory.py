"""Make the library of a spec: `web:SERVICE[?OPTIONS][@URL]`."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import SpecError
from imagerag.agent.ports import FREE, BlobStore, Embedder, PriceEstimator
from imagerag.agent.url_redaction import origin
from imagerag.tools.credentials import Key, Variable, key_to
from imagerag.tools.public_addresses import is_this_machine
from imagerag.tools.spec_options import Number, Reader
from imagerag.tools.web.library import WebSearchLibrary
from imagerag.tools.web.licences import ANY, CODES
from imagerag.tools.web.search import ServiceSearch
from imagerag.tools.web.services import SERVICES

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices
    from imagerag.tools.spec import BackendSpec

PROVIDER: Final = "web"


class Licences:
    """Codes of licences, joined by commas or `+`; or `any`."""

    valid_values = f"one or more of {', '.join(CODES)}, joined by commas, or {ANY}"

    def read(self, text: str) -> tuple[str, ...]:
        """The codes in the given order."""
        values = tuple(text.lower().replace("+", " ").replace(",", " ").split())
        if not values or not set(values) <= {*CODES, ANY}:
            raise ValueError(text)
        return values


OPTIONS: Final[Mapping[str, Reader]] = {
    "count": Number(int, least=1, most=20),
    "embedder": str,
    "key_env": Variable(),
    "licences": Licences(),
    "threshold": Number(float, least=-1, most=1),
}
"""Options of a spec, after `?`."""
COUNT: Final = 8
"""Results of a search that are fetched, by default."""


def web_library(
    spec: "BackendSpec",
    *,
    embedder: Embedder,
    blobs: BlobStore,
    threshold: Callable[[], float] | None = None,
    prices: "Prices | None" = None,
) -> WebSearchLibrary:
    """`web:SERVICE[?OPTIONS][@URL]`.

    Args:
        embedder: of the library that it stands beside.
        threshold: that library's, where the spec names none.

    Raises:
        SpecError: no such service, no address or an invalid option; valid ones are in `OPTIONS`.
        AuthError: the service needs a key.
    """
    options, service = spec.settings(OPTIONS), SERVICES.get(spec.model)
    if service is None and (name := spec.model.partition("@")[0]) in SERVICES:
        raise SpecError(f"'{PROVIDER}:{name}@…': its address needs http:// or https:// before it")
    if service is None:
        raise SpecError(f"{str(spec)!r}: there is no such search service; there are {', '.join(map(_form, SERVICES))}")
    address = spec.base_url or service.address
    if not address:
        raise SpecError(f"{str(spec)!r} names no address: write {_form(spec.model)}")
    codes: tuple[str, ...] = options.get("licences", ())
    own = options.get("threshold")
    _, host, port = origin(address)
    return WebSearchLibrary(
        str(spec),
        ServiceSearch(
            name=spec.model,
            service=service,
            address=address,
            key=_key(spec, address),
            count=options.get("count", COUNT),
            codes=tuple(code for code in codes if code != ANY),
            any_licence=ANY in codes,
        ),
        embedder,
        blobs,
        threshold=threshold if own is None else lambda: float(own),
        own_host=(host, port) if spec.base_url else ("", 0),
        tariff=_tariff(spec, address, prices),
    )


def _form(service: str) -> str:
    return f"{PROVIDER}:{service}" + ("" if SERVICES[service].address else "@URL")


def _key(spec: "BackendSpec", address: str) -> Key:
    """The key of a service. Another address gets the one that the spec names, and no other.

    Raises:
        SpecError: it is not set.
    """
    variable = spec.key_env or ("" if spec.base_url else SERVICES[spec.model].key_env)
    if not variable:
        return Key()
    key = key_to(address, key_env=variable)
    if not key.value:
        raise SpecError(f"{str(spec)!r} needs a key: set {variable}, or write ?key_env=VARIABLE")
    return key


def _tariff(spec: "BackendSpec", address: str, prices: "Prices | None") -> PriceEstimator:
    """What a search costs: nothing at free services and on this machine, else what the user's price file says."""
    host = origin(address)[1]
    row = prices.of(spec.model, host).row if prices is not None else None
    if row is not None and row.per_call is not None:
        usd = row.per_call
        return PriceEstimator(known=True, most=lambda *_: usd, usual=lambda *_: usd)
    free = is_this_machine(host) or (not SERVICES[spec.model].paid)
    return FREE if free else PriceEstimator()
