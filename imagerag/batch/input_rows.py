"""The input of a batch: one line, one run. JSON lines, a table with a header, or plain text with a prompt on each line.

The columns of a file are those of `imagerag.evals.suites.prompt_columns`, and the options of `ImageRAG.generate`; what
only labels a prompt is passed over. Objects of a program's own are options as `generate` takes them.

Files are read line by line, so a batch may be as long as one likes; a line that cannot be read is told, not raised.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import open_regular, open_regular_text
from imagerag.evals.suites.prompt_columns import FILTERS, LABELS, SUFFIXES, label_note, named, pairs, several, table
from imagerag.files.inputs import read_image
from imagerag.formatting.messages import unknown
from imagerag.store.path_policy import PathPolicy

Source = str | Path | Iterable[str | Mapping[str, Any]]
"""Where lines come from: a file, or prompts and objects of one's own."""

OPTIONS: Final = frozenset(
    {
        "library", "subjects", "edit", "edit_library", "likeness", "mask", "mask_feather", "initial_image",
        "max_rounds", "max_references",
        "threshold", "candidates", "hybrid",
        "references_per_concept",
        "judge_mode", "start", "seed", "size", "where", "tags", "licences", "journal", "max_calls", "max_cost_usd",
        "assume_cost_usd_per_call", "deadline_s", "patience_s",
    }
)  # fmt: skip
"""What a line may say beside `id` and `prompt`: the options of `ImageRAG.generate`."""

SINGLE_FILES: Final = ("mask", "initial_image")
FILES: Final = frozenset({"subjects", "edit", *SINGLE_FILES})
"""The options that are pictures."""

_FOR_ALL: Final = frozenset({"preset", "generator", "judge", "embedder", "home"})
_LONGEST: Final = 1_000_000
"""Bytes of a line; far more than any prompt that is accepted."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_LISTS: Final = ("subjects", "filter_tags", "licences")


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
        files += [("edit", *named) for named in (self.options.get("edit"),) if named]
        files += [(role, "", self.options[role]) for role in SINGLE_FILES if role in self.options]
        plain = {name: value for name, value in self.options.items() if name not in FILES}
        hashed = [(role, name, hashlib.sha256(read_image(image)).hexdigest()) for role, name, image in files]
        return _hash(self.id, self.prompt or self.raw, {**settings, **plain}, hashed)


def read_rows(source: Source, *, allow_outside: bool = False) -> Iterator[InputRow]:
    """The lines of a batch, one after the other.

    Args:
        source: a file (`.jsonl`, `.csv` or `.txt`), or prompts and objects of one's own.
        allow_outside: a file may name pictures outside of its folder.

    Raises:
        UsageError: no such file, or not of a kind that is known; an id that comes twice.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        told = _of_file(path, PathPolicy(path.parent, allow_outside=allow_outside))
    else:
        told = _of_values(source)
    known: dict[str, int] = {}
    for item in told:
        # Files are named by ids, and not every file system tells upper from lower case.
        first = known.setdefault(item.id.casefold(), item.index)
        if first != item.index:
            raise UsageError(f"lines {first} and {item.index} have the same id, {item.id!r}: give each its own")
        yield item


def notes(source: str | Path) -> list[str]:
    """What a file's columns do not do, though one might think so."""
    path = Path(source).expanduser()
    try:
        with open_regular_text(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            if path.suffix.lower() in (".csv", ".tsv"):
                columns = set(named(dict.fromkeys(table(file, path.suffix.lower()).fieldnames or (), "here")))
            else:
                read = json.loads(file.readline(_LONGEST) or "0") if path.suffix.lower() != ".txt" else 0
                columns = set(named(read)) if isinstance(read, dict) else set()
    except (OSError, ValueError, RecursionError, csv.Error):
        return []  # the batch tells it, line by line
    return [note] if (note := label_note(columns)) else []


def _of_values(values: Iterable[str | Mapping[str, Any]]) -> Iterator[InputRow]:
    for index, value in enumerate(values, start=1):
        yield _item(index, value, PathPolicy(Path(), allow_outside=True))


def _of_file(path: Path, files: PathPolicy) -> Iterator[InputRow]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path} is no batch: its name has to end in {', '.join(SUFFIXES)}")
    try:
        if suffix in (".csv", ".tsv"):
            yield from _of_csv(path, files)
            return
        with open_regular(path) as file:
            yield from _of_lines(file, files, suffix == ".txt")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error


def _of_lines(file: IO[bytes], files: PathPolicy, plain: bool) -> Iterator[InputRow]:
    for index, line in enumerate(_lines(file), start=1):
        text, problem = _decoded(line)
        if problem:
            yield InputRow(index, _default_id(index), problem=problem, raw=_hash(line.hex()))
        elif text and plain:
            yield _item(index, text, files)
        elif text:
            yield _of_json(index, text, files)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines; of one that is too long, its beginning."""
    while line := file.readline(_LONGEST + 1):
        rest = line
        while len(rest) > _LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST + 1)
        yield line


def _decoded(line: bytes) -> tuple[str, str]:
    if len(line) > _LONGEST:
        return "", f"it is longer than {_LONGEST:,} bytes"
    try:
        return line.decode("utf-8-sig").strip(), ""
    except UnicodeDecodeError as error:
        return "", f"it is not UTF-8 text ({error.reason} at byte {error.start + 1})"


def _of_json(index: int, text: str, files: PathPolicy) -> InputRow:
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        return InputRow(index, _default_id(index), problem=f"it is not JSON: {error}", raw=text)
    return _item(index, _options(named(value)) if isinstance(value, dict) else value, files)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _of_csv(path: Path, files: PathPolicy) -> Iterator[InputRow]:
    with open_regular_text(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = table(file, path.suffix.lower())
        try:
            if "prompt" not in named(dict.fromkeys(rows.fieldnames or (), "here")):
                raise UsageError(f"{path} has no column 'prompt' in its first row")
            yield from _of_rows(rows, files)
        except csv.Error as error:
            raise UsageError(f"{path}, line {rows.line_num}, is not CSV: {error}") from error


def _of_rows(rows: Iterable[dict[Any, Any]], files: PathPolicy) -> Iterator[InputRow]:
    for index, row in enumerate(rows, start=1):
        if None in row:
            yield InputRow(index, _default_id(index), problem="it has more cells than the first row", raw=str(row))
            continue
        filled = named({name: cell.strip() for name, cell in row.items() if cell and cell.strip()})
        if filled:
            yield _item(index, _options({name: _cell(name, cell) for name, cell in filled.items()}), files)


def _cell(name: str, cell: str) -> Any:
    """A cell's value: lists are written `a; b` or `a|b`, pairs `key=value; key=value`; numbers are read where used."""
    if name == "where":
        return pairs(cell)
    return several(cell) if name in _LISTS else cell


def _options(row: Mapping[str, Any]) -> dict[str, Any]:
    """A file's row as options: labels left out, filters under the names that `generate` has for them."""
    kept = {name: value for name, value in row.items() if name not in LABELS}
    if "filter_tags" in kept:
        kept["tags"] = several(kept.pop("filter_tags"))
    if "seeds" in kept and "seed" not in kept and len(seeds := several(kept["seeds"])) == 1:
        kept["seed"] = seeds[0]
        del kept["seeds"]
    return kept


def _item(index: int, value: Any, files: PathPolicy) -> InputRow:
    if isinstance(value, str):
        return _checked(InputRow(index, _default_id(index), value))
    if not isinstance(value, Mapping):
        kind = "null" if value is None else type(value).__name__
        return InputRow(
            index, _default_id(index), problem=f"it is neither a prompt nor an object, but {kind}", raw=repr(value)
        )
    raw = repr(value)
    id_ = value.get("id", _default_id(index))
    id_ = str(id_) if isinstance(id_, int) and not isinstance(id_, bool) else id_
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        problem = f"an id is 1 to 80 letters, digits, '.', '-' and '_', not {str(id_)[:40]!r}"
        return InputRow(index, _default_id(index), problem=problem, raw=raw)
    prompt, problem = value.get("prompt"), _unknown(value)
    if not problem and not isinstance(prompt, str):
        problem = "it has no prompt"
    if problem:
        return InputRow(index, id_, prompt if isinstance(prompt, str) else "", problem=problem, raw=raw)
    given = {name: given for name, given in value.items() if name in OPTIONS and given is not None}
    try:
        return _checked(InputRow(index, id_, str(prompt), _with_files(given, files)))
    except UsageError as error:
        return InputRow(index, id_, str(prompt), problem=str(error), raw=raw)


def _unknown(value: Mapping[Any, Any]) -> str:
    names = [str(name)[:40] for name in value if name not in OPTIONS and name not in ("id", "prompt")]
    for name in names:
        if name in _FOR_ALL:
            return f"{name} is the whole batch's: imagerag batch --{name}"
        if name == "select":
            return "a batch cannot wait for a choice: imagerag generate --select"
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


def _checked(item: InputRow) -> InputRow:
    from imagerag.graphs.validation import validate_prompt

    try:
        validate_prompt(item.prompt)
    except UsageError as error:
        # A lone surrogate cannot be hashed or written as it is.
        plain = item.prompt.encode("utf-8", "backslashreplace").decode()
        return InputRow(item.index, item.id, plain[:1000], problem=str(error), raw=_hash(plain))
    return item


def _default_id(index: int) -> str:
    return f"{index:05}"


def _hash(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
