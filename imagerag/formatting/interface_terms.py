"""Parameters and calls in messages, in the terms of each interface.

Records, errors, notes and warnings are stored in the terms of the Python API, in backticks: a parameter as
`library=NAME`, a call as `rag.libraries.index(PATH, library='mine')`. The command line shows options and commands
instead, an assistant the arguments of its tools. To name a call of another method, add its command to `_COMMANDS`.
"""

import ast
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, Self, TypeVar

_COMMANDS: Final[Mapping[str, str]] = {
    "generate": "generate",
    "ask": "ask",
    "batch": "batch",
    "questions.threads.list": "threads",
    "runs.get": "show",
    "runs.steps": "show --watch",
    "libraries.search": "search",
    "libraries.similarity": "similarity",
    "runs.list": "runs",
    "runs.resume": "resume",
    "runs.continue_": "continue",
    "runs.replay": "replay",
    "runs.remove": "runs remove",
    "libraries.index": "index",
    "libraries.list": "library list",
    "libraries.add": "library add",
    "libraries.verify": "library verify",
    "libraries.remove": "library remove",
    "libraries.delete": "library remove --whole-library",
    "libraries.export": "library export",
    "libraries.migrate": "library migrate",
    "libraries.drop_other_vectors": "library migrate --drop-other",
    "libraries.calibrate": "library calibrate",
    "libraries.check": "library check",
    "libraries.optimize": "library optimize",
    "libraries.snapshots.create": "library snapshot create",
    "libraries.snapshots.remove": "library snapshot remove",
    "libraries.snapshots.restore": "library snapshot restore",
}
"""Methods of `ImageRAG` → commands."""

_OPTIONS: Final[Mapping[str, str]] = {
    "subjects": "subject", "images": "image", "tags": "tag", "add_tags": "tag", "remove_tags": "untag",
    "licences": "licence", "metadata": "set",
    "add_images": "add-image", "exclude_images": "exclude-image", "keep_images": "keep-image", "choose": "select",
    "references": "set-references", "with_bytes": "bytes",
}  # fmt: skip
"""Parameters whose option has another name."""

_WITHOUT_VALUE: Final = (
    "assume_cost_usd_per_call|deadline_s|edit|edit_library|filter|image_out|licences|max_calls|max_cost_usd"
    "|manifest|max_references|max_run_cost_usd|out|patience_s|per_call|per_image|subjects|tags|text_in|thread"
)
"""Parameters that are recognised without a value."""

_CALL: Final = re.compile(r"`(rag\.[a-z_.]+\([^`]*\)(?:\[0\][\w.]*)?)`")
_PARAMETER: Final = re.compile(rf"`(?:({_WITHOUT_VALUE})|([a-z_]+)=([^`]*))`")

_LITERAL: Final = re.compile(r"(?<=: )imagerag [^\0]+$")

COMMANDS: Final = (
    *dict.fromkeys(command.split()[0] for command in _COMMANDS.values()),
    "demo", "report", "diff", "eval", "models", "prices", "ui", "mcp", "trust", "doctor",
)  # fmt: skip
"""The commands of the command line."""

_TYPED: Final = re.compile(rf"\bimagerag (?=(?:{'|'.join(COMMANDS)})\b)")

_FIELD: Final = re.compile(r"(?:^|(?<=; ))([a-z_]+)(?=: |, column \d+: )")
"""The name of a value before what is wrong with it, as `formatting.messages.invalid` says it."""

MESSAGES: Final = frozenset(
    {"reason", "next_steps", "notes", "warnings", "problem", "problems", "repaired", "advice", "stopped", "stop_reason"}
)
"""Fields of documents whose text names parameters and calls."""

_OF_MODELS: Final = frozenset({"verdict", "verdicts"})
"""Fields of documents that hold the words of a model."""


class Placeholder(str):
    """An argument that the user fills in, for instance PATH; it is written without quotes."""

    __slots__ = ()

    __repr__ = str.__str__


PATH: Final = Placeholder("PATH")
FILE: Final = Placeholder("FILE")
NAME: Final = Placeholder("NAME")
PROMPT: Final = Placeholder("PROMPT")
SPEC: Final = Placeholder("SPEC")
QUERY: Final = Placeholder("QUERY")


def python_call(
    method: str, *values: Any, settings: Mapping[str, Any] | None = None, field: str = "", **parameters: Any
) -> str:
    """A call of the Python API for a message; parameters of value None are left out.

    A text that cannot stand between backticks becomes a placeholder.

    Args:
        settings: backends of the client that is called; they are options of the command, too.
        field: what is wanted of the first result, for instance "image.sha256"; the command prints it with `--json`.
    """
    client = f"rag.with_options({', '.join(_keywords(settings))})" if settings else "rag"
    wanted = f"[0].{field}" if field else ""
    return f"`{client}.{method}({', '.join([*map(_literal, values), *_keywords(parameters)])}){wanted}`"


def _keywords(parameters: Mapping[str, Any]) -> list[str]:
    return [f"{name}={_literal(value)}" for name, value in parameters.items() if value is not None]


def _literal(value: Any) -> str:
    text = repr(value)
    return "..." if value is ... or "`" in text or "\n" in text else text


_home: str | None = None


def use_home(home: str | None) -> None:
    """Name a data directory in the commands that this process prints from now on; None is none.

    Args:
        home: one that the user's next command would not find without being told.
    """
    global _home
    _home = home


def in_home(text: str) -> str:
    """A text whose commands name the data directory, if they have to."""
    if _home is None:
        return text
    typed = f"imagerag --home {shlex.quote(_home)} "
    return _TYPED.sub(lambda _: typed, text)


def as_commands(message: str) -> str:
    """Replace calls and parameters of the Python API in a message by commands and options."""
    return in_home(_PARAMETER.sub(_option, _CALL.sub(lambda match: _command(match[1]) or match[0], message)))


def command_parts(message: str) -> list[str]:
    """Split a message in the terms of the command line: every second part is a whole command.

    A literal command counts if it ends the message after a colon; others are words of a sentence.
    """
    plain = message.replace("\0", " ")
    marked = _CALL.sub(lambda match: f"\0{command}\0" if (command := _command(match[1])) else match[0], plain)
    return in_home(_LITERAL.sub(r"\0\g<0>\0", _PARAMETER.sub(_option, marked))).split("\0")


def as_tool_terms(message: str, arguments: frozenset[str]) -> str:
    """Replace calls in a message by commands, which the user types, and parameters by arguments of tools.

    Args:
        arguments: those that a tool takes; other parameters are options of the server.
    """

    def argument(match: re.Match[str]) -> str:
        if (match[1] or match[2]) in arguments:
            return match[0].strip("`")
        return f"the server's {_option(match)}"

    return in_home(_PARAMETER.sub(argument, _CALL.sub(lambda match: _command(match[1]) or match[0], message)))


def as_field_names(message: str, names: Mapping[str, str]) -> str:
    """Replace calls in a message by commands, and parameters by the names of a form's fields.

    Args:
        names: parameter → name of its field; other parameters are options of commands.
    """

    def field(match: re.Match[str]) -> str:
        name, value = match[1] or match[2], match[3] or ""
        if name not in names:
            return _option(match)
        return f"“{names[name]}”" if value in ("", "True", "X", "SPEC") else f"“{names[name]}” {value}"

    return in_home(_PARAMETER.sub(field, _CALL.sub(lambda match: _command(match[1]) or match[0], message)))


def in_field_names(message: str, names: Mapping[str, str]) -> str:
    """What is wrong with values, each named as its field or option is.

    Args:
        names: parameter → name; others stay.
    """
    return _FIELD.sub(lambda match: names.get(match[1], match[1]), message)


def option_names(parameters: Iterable[str]) -> dict[str, str]:
    """The options of parameters."""
    return {name: _option_name(name) for name in parameters}


class Copyable(Protocol):
    """A pydantic model."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """A copy with other values of some fields."""


Record = TypeVar("Record", bound=Copyable)


def in_commands(record: Record) -> Record:
    """A record with commands and options in its messages."""
    messages = {name: value for name, value in vars(record).items() if name in MESSAGES}
    return record.model_copy(update=document_in_commands(messages))


def document_in_commands(document: Any) -> Any:
    """A JSON document with commands and options in its messages. Other texts, and what a judge wrote, stay."""
    return _rendered(document, is_message=False)


def _rendered(value: Any, *, is_message: bool) -> Any:
    if isinstance(value, str):
        return as_commands(value) if is_message else value
    if isinstance(value, Mapping):
        ours = {key: _rendered(one, is_message=key in MESSAGES) for key, one in value.items() if key not in _OF_MODELS}
        return {key: ours.get(key, one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rendered(one, is_message=is_message) for one in value]
    return value


def _option(match: re.Match[str]) -> str:
    name, value = match[1] or match[2], match[3] or ""
    if value.startswith("[") and value.endswith("]"):
        value = re.sub(r"['\"\s]", "", value[1:-1]) or "none"
    return f"{_option_name(name)} {value}" if value and value != "True" else _option_name(name)


def _option_name(parameter: str) -> str:
    return "--" + _OPTIONS.get(parameter, parameter).replace("_", "-")


def _command(call: str) -> str | None:
    """The command of a call; None where there is none, or it is no call."""
    try:
        parsed = ast.parse(call, mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return None
    fields = []
    while isinstance(parsed, ast.Attribute | ast.Subscript):
        fields.append(parsed)
        parsed = parsed.value
    if not isinstance(parsed, ast.Call):
        return None
    function, settings = parsed.func, list[ast.keyword]()
    if isinstance(function, ast.Attribute) and isinstance(client := function.value, ast.Call):
        if ast.unparse(client.func) != "rag.with_options":
            return None
        function, settings = ast.Name(function.attr), client.keywords
    command = _COMMANDS.get(ast.unparse(function).removeprefix("rag."))
    if command is None:
        return None
    command, *flags = command.split(" --")
    values, keywords = [*parsed.args], [*settings, *parsed.keywords]
    if command.startswith("library "):  # their first argument is the library
        values = [*(one.value for one in keywords if one.arg == "library"), *values]
        keywords = [one for one in keywords if one.arg != "library"]
    parts = ["imagerag", command, *map(_value, values), *(f"--{flag}" for flag in flags)]
    if command == "replay" and len(parsed.args) > 1:
        parts.insert(3, "--from")
    for one in keywords:
        parts += _option_values(_option_name(one.arg or ""), one.value)
    return " ".join([*parts, "--json"] if fields else parts)


def _option_values(option: str, value: ast.expr) -> list[str]:
    if isinstance(value, ast.Constant) and value.value is True:
        return [option]
    if option == "--select" and isinstance(value, ast.List):
        return [option, ",".join(map(_value, value.elts)) or "none"]
    several = value.elts if isinstance(value, ast.List) else [value]
    return [part for one in several for part in (option, _value(one))]


def _value(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return "…" if value.value is ... else shlex.quote(str(value.value))
    if isinstance(value, ast.Tuple):
        return "=".join(map(_value, value.elts))
    return ast.unparse(value)
