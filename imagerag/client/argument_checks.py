"""Arguments of the client's methods, checked against their annotations before anything is done.

Types and ranges hold at run time too, for each public method of a class and for its synchronous version. Values are
compared and not converted: `"3"` and `True` are no numbers. Scalars of NumPy count as those of Python.
"""

import inspect
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial, wraps
from importlib import import_module
from pathlib import Path
from types import GenericAlias, MappingProxyType, SimpleNamespace, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    Unpack,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import AfterValidator, BeforeValidator, ConfigDict, InstanceOf, TypeAdapter, ValidationError
from typing_extensions import TypedDict, is_typeddict

from imagerag.agent.errors import UsageError
from imagerag.formatting.messages import unknown, wrong

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])

_LATER: Final = MappingProxyType(
    {
        "AnswerRecord": "imagerag.agent.qa.qa_record",
        "Describer": "imagerag.agent.ports",
        "DescriptionEstimate": "imagerag.agent.types",
        "ImageChangeOptions": "imagerag.store.library.maintenance.changes",
        "Nodes": "imagerag.agent.nodes",
        "OcrReader": "imagerag.agent.ports",
        "Order": "imagerag.store.library.browsing",
        "RunRecord": "imagerag.agent.run_record",
        "SearchTerm": "imagerag.agent.ports",
        "Source": "imagerag.batch.row_reader",
        "UploadedImage": "imagerag.store.library.indexing.uploads",
        "Workflow": "imagerag.graphs.generation",
    }
)
"""Types of parameters → their modules, which load slowly: each is imported when a call needs it."""

_SCALARS: Final = frozenset({str, bytes, int, float, bool, Path, datetime, type(None)})
_VAR_KEYWORD: Final = inspect.Parameter.VAR_KEYWORD
_COMPARED: Final = ConfigDict(strict=True, allow_inf_nan=False)
_TO_BE: Final = "it has to be "
_SHOWN: Final = 40
"""Characters of a value in a message."""


def check_arguments(client: C) -> C:
    """Have the public methods of a class refuse wrong arguments with a `UsageError`. A decorator."""
    for name, value in list(vars(client).items()):
        if inspect.isfunction(value) and not name.startswith("_"):
            setattr(client, name, checked(value))
    return client


def checked(function: F) -> F:
    """The same function or coroutine function; wrong arguments are refused with a `UsageError`. A decorator."""
    parameters = _Parameters(function)

    @wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        args, keywords = parameters.check(args, keywords)
        return function(*args, **keywords)

    @wraps(function)
    async def coroutine(*args: Any, **keywords: Any) -> Any:
        args, keywords = parameters.check(args, keywords)
        return await function(*args, **keywords)

    return cast(F, coroutine if inspect.iscoroutinefunction(function) else call)


class _Parameters:
    """The parameters of a function, and the types of their values."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = inspect.unwrap(function)
        self._signature = inspect.signature(self._function)
        by_kind = {one.kind: one.name for one in self._signature.parameters.values()}
        self._rest, self._options = by_kind.get(inspect.Parameter.VAR_POSITIONAL), by_kind.get(_VAR_KEYWORD, "")

    def check(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call; an option that is None is left out.

        Raises:
            UsageError: a value of another type or out of its range, a parameter that is missing, or one too many.
        """
        args, parameters = tuple(map(_plain, args)), self._signature.parameters
        keywords = {name: _plain(one) for name, one in keywords.items() if one is not None or name in parameters}
        self._check_names(keywords)
        try:
            values = self._signature.bind(*args, **keywords).arguments
        except TypeError as error:
            raise UsageError(f"{self._function.__name__}: {error}") from error
        values |= values.pop(self._options, {})
        try:
            self._adapter.validate_python({name: one for name, one in values.items() if name in self._types})
        except ValidationError as error:
            raise UsageError("; ".join(_problems(error))) from error
        return args, keywords

    def _check_names(self, keywords: Mapping[str, object]) -> None:
        takes_any = self._options and not is_typeddict(self._option_type)
        names = [name for name in self._types if name != self._rest]
        surplus = [] if takes_any else [name for name in keywords if name not in names]
        if surplus:
            raise UsageError(unknown("argument", surplus[0], names, where=self._function.__name__))

    @cached_property
    def _hints(self) -> dict[str, Any]:
        """Annotations of the parameters."""
        annotations = {name: one for name, one in self._function.__annotations__.items() if name != "return"}
        texts = " ".join(one for one in annotations.values() if isinstance(one, str))
        later = {
            name: getattr(import_module(module), name)
            for name, module in _LATER.items()
            if re.search(rf"\b{name}\b", texts)
        }
        described = SimpleNamespace(__annotations__=annotations)
        return get_type_hints(described, vars(sys.modules[self._function.__module__]), later, include_extras=True)

    @cached_property
    def _option_type(self) -> Any:
        """The `TypedDict` of the keyword arguments that have no parameter of their own; Any takes all."""
        hint = self._hints.get(self._options, Any)
        return get_args(hint)[0] if get_origin(hint) is Unpack else hint

    @cached_property
    def _types(self) -> dict[str, Any]:
        """Name of an argument → what its values are compared with."""
        hints = {name: one for name, one in self._hints.items() if name != self._options}
        if self._rest is not None:
            hints[self._rest] = GenericAlias(Sequence, (hints[self._rest],))
        options = get_type_hints(self._option_type, include_extras=True) if is_typeddict(self._option_type) else {}
        return {name: _comparable(one) for name, one in (hints | options).items()}

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        table = TypedDict("table", self._types, total=False)  # type: ignore[misc]
        table.__pydantic_config__ = _COMPARED  # type: ignore[attr-defined]
        return TypeAdapter(table)


def _plain(value: Any) -> Any:
    """A scalar of NumPy or of a tensor as one of Python, a path of another kind as a `Path`."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return Path(value) if isinstance(value, os.PathLike) and not isinstance(value, Path) else value


def _comparable(hint: Any) -> Any:
    """The type that pydantic compares values with: an instance of a class is not looked into."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[(_comparable(parts[0]), *hint.__metadata__)]
    if origin in (Union, UnionType):
        return Union[tuple(map(_comparable, parts))]  # noqa: UP007
    if origin is Callable:
        return Callable
    if origin is Collection:
        return Annotated[list[_comparable(parts[0])], BeforeValidator(_as_list)]  # type: ignore[misc]
    if origin is Iterable:  # its items are checked as they are read
        return Annotated[InstanceOf[Iterable[Any]], BeforeValidator(_no_text)]
    if origin in (Literal, type) or hint is Any:
        return hint
    if origin is not None:
        return origin[tuple(map(_comparable, parts))]
    if getattr(hint, "_is_protocol", False):
        return Annotated[Any, AfterValidator(partial(_with_methods, hint))]
    return InstanceOf[hint] if isinstance(hint, type) and hint not in _SCALARS else hint  # type: ignore[misc]


def _as_list(value: object) -> object:
    return list(value) if isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping) else value


def _no_text(value: object) -> object:
    if isinstance(value, str | bytes | Mapping):
        raise ValueError(f"{_TO_BE}a list")
    return value


def _with_methods(protocol: type, value: object) -> object:
    if any(not hasattr(value, name) for name in vars(protocol) if not name.startswith("_")):
        raise ValueError(f"{_TO_BE}an object with the methods of {protocol.__name__}")
    return value


def _problems(error: ValidationError) -> Iterator[str]:
    """For each wrong argument: its name, what it has to be, and its value. Of a list, the first item that is wrong."""
    problems = error.errors(include_url=False)
    for name in dict.fromkeys(problem["loc"][0] for problem in problems):
        own = [problem for problem in problems if problem["loc"][0] == name]
        at = max((_place(problem["loc"]) for problem in own), key=len)
        there = [problem for problem in own if _place(problem["loc"]) == at]
        if not at and len(there) == 1 and there[0]["type"] == "literal_error" and isinstance(there[0]["input"], str):
            yield unknown(str(name), there[0]["input"], re.findall(r"'([^']*)'", there[0]["ctx"]["expected"]))
            continue
        words = dict.fromkeys(
            wrong(one["type"], one["msg"], one["input"], one.get("ctx") or {}, repeat=False) for one in there
        )
        yield f"{name}{''.join(f'[{step}]' for step in at)}: {_joined(words)}, not {_shown(there[0]['input'])}"


def _place(steps: Sequence[int | str]) -> tuple[int, ...]:
    """Positions in lists."""
    return tuple(step for step in steps if isinstance(step, int))


def _joined(words: Iterable[str]) -> str:
    """Alternatives: `it has to be text, a path, or a list`."""
    first, *others = words
    parts = [first, *(one.removeprefix(_TO_BE) for one in others)]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def _shown(value: object) -> str:
    if isinstance(value, str | bytes | list | tuple | dict | bool | int | float | None):
        try:
            text = repr(value)
        except ValueError:  # a number of thousands of digits
            text = ""
        if 0 < len(text) <= _SHOWN:
            return text
    return f"a value of type {type(value).__name__}"
