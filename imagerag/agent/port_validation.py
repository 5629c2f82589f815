"""Whether an object is what its role asks for, found out when it is put in and not in the middle of a paid run."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, get_origin, get_type_hints

from imagerag.agent import ports
from imagerag.agent.errors import SpecError
from imagerag.agent.lone_surrogates import valid_text
from imagerag.agent.ports import (
    Capabilities,
    Describer,
    Embedder,
    EmbedderIdentity,
    ImageGenerator,
    Judge,
    OptionalEmbedderMethods,
    OptionalLibraryMethods,
    ReferenceLibrary,
    Reranker,
    capabilities_of,
)
from imagerag.agent.qa.ports import Answerer
from imagerag.formatting.messages import unknown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

PORTS: Final = MappingProxyType(
    {
        "generator": ImageGenerator,
        "judge": Judge,
        "answerer": Answerer,
        "describer": Describer,
        "embedder": Embedder,
        "reranker": Reranker,
        "library": ReferenceLibrary,
    }
)
"""Role → the protocol that its objects follow."""

OPTIONAL: Final[Mapping[type, type]] = MappingProxyType(
    {Embedder: OptionalEmbedderMethods, ReferenceLibrary: OptionalLibraryMethods}
)
"""Protocol → what its objects may have besides."""

ABILITIES: Final = MappingProxyType({"question_images": "takes_images", "language": "takes_language"})
"""Argument → the capability without which a part is never given it."""

_BESIDE: Final = frozenset(one.name for one in fields(Capabilities)) - {"edits", "votes", "members"}
"""Attributes that are read from `capabilities` alone: elsewhere they would be passed over in silence."""

_MISSING: Final = object()


def check_role(role: str, name: str, part: object) -> None:
    """See that `part` can serve as a generator, a judge, an embedder and so on.

    Args:
        role: one of `PORTS`.
        name: what it is called, for the message.

    Raises:
        SpecError: no such role, or something is missing; the message names all of it.
    """
    if role not in PORTS:
        raise SpecError(unknown("role", role, PORTS))
    check_port(PORTS[role], f"{role} {name!r}", part)


def encoder_spec(name: str, part: object) -> str:
    """The spec by which libraries will look for their embedder: `identity.spec`.

    Raises:
        SpecError: its identity cannot be told.
    """
    try:
        identity = part.identity  # type: ignore[attr-defined]
    except Exception as error:
        raise SpecError(f"embedder {name!r} does not tell its identity: {type(error).__name__}: {error}") from error
    if not isinstance(identity, EmbedderIdentity) or not identity.spec:
        raise SpecError(f"embedder {name!r}: its identity has to be an EmbedderIdentity with a spec")
    return identity.spec


def check_embeds_images(embedder: Embedder) -> None:
    """See that an encoder can serve where images are encoded.

    Raises:
        SpecError: it embeds texts only.
    """
    if not capabilities_of(embedder).embeds_images:
        raise no_image_vectors(embedder.identity.spec)


def no_image_vectors(name: str) -> SpecError:
    """Error for an encoder of texts where images are to be encoded."""
    return SpecError(
        f"the encoder {name} embeds texts only, and images are to be found here: name one for both, for instance "
        "`embedder=open_clip`. A server's model that sees images is named so: openai:MODEL?images=messages@URL"
    )


def check_port(port: type, what: str, part: object) -> None:
    """See that `part` has every attribute and method of a protocol, and that its methods, the optional ones too, take
    what they are given.

    Raises:
        SpecError: something is missing; the message names all of it.
    """
    if isinstance(part, type):
        raise SpecError(f"{what} is the class {part.__name__}; give an object of it: {part.__name__}(…)")
    if lacks := list(_lacking(port, part)):
        raise SpecError(
            f"{what} ({type(part).__name__}) cannot be used: {'; '.join(lacks)}. "
            f"What it needs is in {_home(port)}.{port.__name__}, a whole one in docs/how-to/extending.md"
        )


def _home(port: type) -> str:
    """The public module that a port is imported from."""
    return ports.__name__ if port.__module__.startswith(f"{ports.__name__}.") else port.__module__


def check_factory(factory: object, what: str, *positional: object, **keywords: object) -> None:
    """See that a factory can be called with what it will be given.

    Raises:
        SpecError: it is not callable, or takes other arguments.
    """
    if not callable(factory):
        raise SpecError(f"{what}: its entry point names {type(factory).__name__}, which cannot be called")
    if why := _refuses(factory, positional, keywords):
        signature = ", ".join(["spec", *(f"{name}=…" for name in keywords)])
        raise SpecError(f"{what}: its factory is called with ({signature}), but {why}")


def _lacking(port: type, part: object) -> Iterator[str]:
    members = _members(port)
    methods = {name: value for name, value in members.items() if inspect.isfunction(value)}
    absent = [name for name in members if _static(part, name) is _MISSING]
    if missing := [f"{name}()" for name in absent if name in methods]:
        yield f"it has no method {', '.join(missing)}"
    if missing := [name for name in absent if name not in methods]:
        yield f"it has no attribute {', '.join(missing)}"
    if port in OPTIONAL:
        members |= _members(OPTIONAL[port])
    for name, value in members.items():
        if _static(part, name) is _MISSING:
            continue
        if inspect.isfunction(value):
            yield from _unfit(name, value, part)
        elif isinstance(value, property) and value.fget is not None:
            yield from _wrong(name, value.fget, part)
    if port is not ReferenceLibrary:
        yield from _wrong_capabilities(part)


def _members(port: type) -> dict[str, Any]:
    """The methods and properties of a protocol, without those it inherits."""
    return {name: value for name, value in vars(port).items() if not name.startswith("_")}


def _wrong_capabilities(part: object) -> Iterator[str]:
    declared = _static(part, "capabilities")
    if declared is _MISSING:
        if beside := sorted(name for name in _BESIDE if _static(part, name) is not _MISSING):
            yield (
                f"{', '.join(beside)} {'is' if len(beside) == 1 else 'are'} read from its capabilities: write "
                "'capabilities = Capabilities(…)' (imagerag.agent.ports.Capabilities)"
            )
        return
    if _computed(declared):
        return
    if not isinstance(declared, Capabilities):
        yield f"capabilities is {_brief(declared)} and has to be a Capabilities (imagerag.agent.ports.Capabilities)"
        return
    for name, required in _said_of_capabilities().items():
        value = getattr(declared, name)
        if not isinstance(value, get_origin(required) if get_origin(required) is tuple else required):
            type_name = getattr(required, "__name__", None) or required
            yield f"capabilities: {name} is {_brief(value)} and has to be {type_name}"


@cache
def _said_of_capabilities() -> dict[str, Any]:
    return get_type_hints(Capabilities)


def _static(part: object, name: str) -> Any:
    """An attribute as it is written, without computing a property; `_MISSING` where there is none."""
    attribute = inspect.getattr_static(part, name, _MISSING)
    if attribute is _MISSING and hasattr(type(part), "__getattr__"):
        return getattr(part, name, _MISSING)
    return attribute


def _computed(value: object) -> bool:
    return inspect.isdatadescriptor(value) or hasattr(type(value), "__get__")


def _unfit(name: str, port_method: Callable[..., Any], part: object) -> Iterator[str]:
    method = getattr(part, name)
    if not callable(method):
        yield f"{name} is a {type(method).__name__} and has to be a method"
        return
    if inspect.iscoroutinefunction(port_method) and not _awaited(method):
        yield f"{name}() has to be async: write 'async def {name}'"
    if inspect.iscoroutinefunction(method) and not inspect.iscoroutinefunction(port_method):
        yield f"{name}() must not be async"
    parameters = _parameters(port_method)
    positional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD and one.default is one.empty]
    able = {
        one.name: getattr(capabilities_of(part), ABILITIES[one.name]) for one in parameters if one.name in ABILITIES
    }
    keywords = {one.name: None for one in parameters if one.name not in positional and able.get(one.name, True)}
    if why := _refuses(method, positional, keywords):
        call = ", ".join([*positional, *(f"{one}=…" for one in keywords)])
        yield f"it is called as {name}({call}), but {why}"


@cache
def _parameters(port_method: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    """Arguments of a port's method."""
    return tuple(inspect.signature(port_method).parameters.values())[1:]


def _awaited(method: Any) -> bool:
    """Whether a call can be awaited, as far as that shows. A plain function cannot, unless it says what it returns."""
    plain = inspect.isfunction(inspect.unwrap(getattr(method, "__func__", method)))
    if inspect.iscoroutinefunction(method) or inspect.iscoroutinefunction(inspect.unwrap(method)) or not plain:
        return not inspect.isasyncgenfunction(method)
    return any(word in str(getattr(method, "__annotations__", {}).get("return", "")) for word in _AWAITABLES)


_AWAITABLES: Final = ("Awaitable", "Coroutine", "Future", "Task")


def _refuses(called: Callable[..., Any], positional: Any, keywords: Any) -> str:
    """Reason why it cannot be called so; empty when it can, and when that cannot be known."""
    try:
        inspect.signature(called).bind(*positional, **keywords)
    except TypeError as error:
        return f"{error}"
    except ValueError:  # something built in, without a signature
        return ""
    return ""


def _wrong(name: str, getter: Callable[..., Any], part: object) -> Iterator[str]:
    """Whether a plain value has another type than the port's. Computed ones are left alone: a weight file may load."""
    from pydantic import ValidationError

    value = _static(part, name)
    if _computed(value):
        return
    try:
        required, adapter = _value(getter)
    except Exception:  # a type that is only there for type checkers
        return
    try:
        adapter.validate_python(value, strict=required in (str, int, bool))
    except ValidationError:
        yield f"{name} is {_brief(value)} and has to be {getattr(required, '__name__', None) or required}"
    else:
        if isinstance(value, str) and value != valid_text(value):
            yield f"{name} is {_brief(value)} and holds half a character (a lone surrogate)"


@cache
def _value(getter: Callable[..., Any]) -> tuple[Any, "TypeAdapter[Any]"]:
    """The type that a value of a port has, and what sees whether another one is of it."""
    from pydantic import ConfigDict, TypeAdapter

    annotation = get_type_hints(getter)["return"]
    config = None if _own_config(annotation) else ConfigDict(arbitrary_types_allowed=True)
    return annotation, TypeAdapter(annotation, config=config)


def _own_config(annotation: Any) -> bool:
    return isinstance(annotation, type) and (
        hasattr(annotation, "model_config") or hasattr(annotation, "__dataclass_fields__")
    )


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"
