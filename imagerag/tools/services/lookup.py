"""Find services by name or by address: the built-in ones, and those of installed packages."""

from functools import lru_cache
from importlib.metadata import entry_points
from typing import Final

from imagerag.agent.errors import SpecError
from imagerag.tools.services.service import Service
from imagerag.tools.services.table import SERVICES

GROUP: Final = "imagerag.services"
"""Entry points of installed packages: NAME = "package.module:SERVICE", a `Service` of that name."""


def service_named(name: str) -> Service | None:
    """The service of a provider's name; None if there is none.

    Raises:
        SpecError: an installed package's service is not valid.
    """
    return SERVICES.get(name) or _installed(name)


def all_services() -> list[Service]:
    """All services, the built-in ones first.

    Raises:
        SpecError: an installed package's service is not valid.
    """
    names = [point.name for point in entry_points(group=GROUP) if point.name not in SERVICES]
    return [*SERVICES.values(), *filter(None, map(_installed, sorted(names)))]


def service_at(address: str) -> Service | None:
    """The built-in service whose key belongs to an address; None if there is none."""
    return next((one for one in SERVICES.values() if one.keys and one.is_at(address)), None)


@lru_cache(maxsize=64)
def _installed(name: str) -> Service | None:
    for point in entry_points(group=GROUP, name=name):
        where = f"the service {name!r} of {point.value}"
        try:
            service = point.load()
        except Exception as error:
            raise SpecError(f"{where} cannot be loaded ({type(error).__name__}: {error})") from error
        if not isinstance(service, Service) or service.name != name:
            raise SpecError(f"{where} is no imagerag.tools.services.service.Service of that name")
        return service
    return None
