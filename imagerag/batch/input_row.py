"""One row of a batch: its id, prompt and options, checked."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.types.filters import FilterExpression
from imagerag.evals.suites.prompt_columns import FILTERS
from imagerag.files.inputs import read_image
from imagerag.files.run_request import CommonRunOptions
from imagerag.formatting.interface_terms import PROMPT, python_call
from imagerag.formatting.messages import unknown
from imagerag.store.path_policy import PathPolicy

OPTIONS: Final = frozenset(CommonRunOptions.__annotations__) | {"max_cost_usd"}
"""Columns beside `id` and `prompt`: the options of `ImageRAG.generate`."""

SINGLE_FILES: Final = ("mask", "initial_image")
FILES: Final = frozenset({"subjects", "edit", *SINGLE_FILES})
"""The options that are images."""

_FOR_ALL: Final = frozenset({"preset", "generator", "judge", "embedder", "home"})
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True)
class InputRow:
    """One line of a batch.

    Attributes:
        index: its place, from 1: the line of a file, the row of a CSV, the element of a list.
        id: its own, or its place in five digits.
        prompt: what to draw.
        options: as `ImageRAG.generate` takes them, files as paths.
        problem: why it cannot be run; empty when it can.
        raw: what stood there, where it could not be read.
    """

    index: int
    id: str
    prompt: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    raw: str = ""

    def digest(self, settings: Mapping[str, Any]) -> str:
        """SHA-256 of everything that decides the run: prompt, options, the bytes of its files, and `settings`.

        Raises:
            UsageError: a file cannot be read.
        """
        files = [("subject", *subject) for subject in self.options.get("subjects", ())]
        files += [("edit", *edit) for edit in (self.options.get("edit"),) if edit]
        files += [(role, "", self.options[role]) for role in SINGLE_FILES if role in self.options]
        plain = {name: value for name, value in self.options.items() if name not in FILES}
        hashed = [(role, name, hashlib.sha256(read_image(image)).hexdigest()) for role, name, image in files]
        return row_hash(self.id, self.prompt or self.raw, {**settings, **plain}, hashed)


def parse_row(index: int, value: Any, files: PathPolicy) -> InputRow:
    if isinstance(value, str):
        return _checked_row(InputRow(index, default_id(index), value))
    if not isinstance(value, Mapping):
        kind = "null" if value is None else type(value).__name__
        return InputRow(
            index, default_id(index), problem=f"it is neither a prompt nor an object, but {kind}", raw=repr(value)
        )
    raw = repr(value)
    id_ = value.get("id", default_id(index))
    id_ = str(id_) if isinstance(id_, int) and not isinstance(id_, bool) else id_
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        problem = f"an id is 1 to 80 letters, digits, '.', '-' and '_', not {str(id_)[:40]!r}"
        return InputRow(index, default_id(index), problem=problem, raw=raw)
    prompt, problem = value.get("prompt"), _unknown(value)
    if not problem and not isinstance(prompt, str):
        problem = "it has no prompt"
    if problem:
        return InputRow(index, id_, prompt if isinstance(prompt, str) else "", problem=problem, raw=raw)
    options = {name: option for name, option in value.items() if name in OPTIONS and option is not None}
    try:
        return _checked_row(InputRow(index, id_, str(prompt), _with_files(options, files)))
    except UsageError as error:
        return InputRow(index, id_, str(prompt), problem=str(error), raw=raw)


def _unknown(value: Mapping[Any, Any]) -> str:
    names = [str(name)[:40] for name in value if name not in OPTIONS and name not in ("id", "prompt")]
    for name in names:
        if name in _FOR_ALL:
            return f"{name} is the whole batch's: give `{name}=…` for all lines"
        if name == "select":
            return f"a batch cannot wait for a choice: {python_call('generate', PROMPT, select=True)}"
    there = sorted({*OPTIONS, *FILTERS} - {"tags"})
    return unknown("field", names[0], ["id", "prompt", *there]) if names else ""


def _with_files(options: dict[str, Any], files: PathPolicy) -> dict[str, Any]:
    """The options with subjects as (name, file), and files where they are.

    Raises:
        UsageError: they are not written so, or lie where they may not be read.
    """
    for name in SINGLE_FILES:
        if name in options:
            options[name] = _file(options[name], files)
    if options.get("edit"):
        options["edit"] = _subject(options["edit"], files)
    if "subjects" in options:
        subjects = options["subjects"]
        subjects = [subjects] if isinstance(subjects, str | Mapping) else subjects
        if not isinstance(subjects, list | tuple):
            raise UsageError("subjects: a list of files, or of objects with name and image")
        options["subjects"] = [_subject(subject, files) for subject in subjects]
    return options


def _subject(subject: Any, files: PathPolicy) -> tuple[str, Any]:
    if isinstance(subject, str):
        name, equals, file = subject.partition("=")
        return (name.strip(), _file(file, files)) if equals else ("", _file(subject, files))
    if isinstance(subject, Mapping) and set(subject) <= {"name", "image"} and "image" in subject:
        return str(subject.get("name", "")), _file(subject["image"], files)
    if isinstance(subject, list | tuple) and len(subject) == 2:
        return str(subject[0]), _file(subject[1], files)
    return "", _file(subject, files)


def _file(file: Any, files: PathPolicy) -> Path | bytes:
    if isinstance(file, bytes):
        return file
    if not isinstance(file, str | Path) or not str(file):
        raise UsageError(f"an image is the name of a file, not {type(file).__name__}")
    return files.find(file)


def _checked_row(item: InputRow) -> InputRow:
    from imagerag.graphs.validation import validate_prompt

    try:
        validate_prompt(item.prompt)
    except UsageError as error:
        # A lone surrogate cannot be hashed or written as it is.
        plain = item.prompt.encode("utf-8", "backslashreplace").decode()
        return InputRow(item.index, item.id, plain[:1000], problem=str(error), raw=row_hash(plain))
    return item


def default_id(index: int) -> str:
    return f"{index:05}"


def plain_value(value: Any) -> Any:
    """The form in JSON of a value that an option may have: a filter, a set, a mapping.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(value, FilterExpression):
        return value.plain
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def row_hash(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=_hashed).encode()).hexdigest()


def _hashed(value: Any) -> Any:
    try:
        return plain_value(value)
    except TypeError:
        return str(value)
