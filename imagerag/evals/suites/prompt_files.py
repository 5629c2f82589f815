"""Prompt sets from files, in these formats.

* JSON lines or tables with a column `prompt`, and any of those in `prompt_columns.py`, which `imagerag batch` reads
  too: `id`, `initial_image` or `image` (a file to start from), `subjects`, `seed` or `seeds`, `filter_tags`, `licences`
  and `filter` (what references must have), `tags` (labels of the case), `rephrased`, `labels`, `wrong`, `real` (images
  of the real thing); several values in a cell are separated by `|` or `;`
* GenEval's `evaluation_metadata.jsonl` (`prompt`, `tag`, `include`)
* PartiPrompts' TSV (`Prompt`, `Category`, `Challenge`)
* T2I-CompBench's text files, and any other with one prompt per line
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.types.filters import parse_filter
from imagerag.agent.visible_text import is_blank
from imagerag.evals.suites.case import Case, CaseImage, Suite, Truth
from imagerag.evals.suites.prompt_columns import (
    FILTERS,
    LABELS,
    SUFFIXES,
    TAGS,
    TRUTH,
    canonical_row,
    encoding_note,
    filters,
    open_prompts,
    several,
    table,
)
from imagerag.store.path_policy import PathPolicy

OWN: Final = frozenset(("prompt", "id", "initial_image", "subjects", "seed", "seeds", "tags", *FILTERS, *TRUTH))
KNOWN: Final = OWN | LABELS


def prompt_suite(path: str | Path, *, allow_outside: bool = False) -> Suite:
    """Read the prompts of a file as a suite.

    Args:
        path: the file.
        allow_outside: the file may name images outside of its folder.

    Raises:
        UsageError: the file names an outside image without permission, cannot be read, or has a line without a prompt.
    """
    source = Path(path).expanduser()
    try:
        rows, guess = list(_rows(source)), encoding_note(source)
    except UsageError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"cannot read the prompts in {source}: {error}") from error
    files = PathPolicy(source.parent, allow_outside=allow_outside)
    cases = [_case(at, row, source, files) for at, row in enumerate(rows)]
    name = re.sub(r"[^a-z0-9]+", "-", source.stem.lower()).strip("-")
    return Suite(name=f"prompts-{name}", cases=tuple(cases), notes=_notes(rows, guess)).checked()


def _notes(rows: Sequence[Mapping[str, Any]], guess: str) -> tuple[str, ...]:
    """Warnings about columns that an evaluation does not use, such as misspelt ones, after the file's own."""
    before = (guess,) if guess else ()
    unknown = [
        column for column in dict.fromkeys(name for row in rows for name in canonical_row(row)) if column not in KNOWN
    ]
    if not unknown:
        return before
    columns = ", ".join(unknown[:12]) + (" …" if len(unknown) > 12 else "")
    return (*before, f"columns that are kept with the cases and change nothing: {columns}")


def _rows(source: Path) -> Iterator[Mapping[str, Any]]:
    kind = source.suffix.lower()
    if kind not in SUFFIXES:
        raise UsageError(f"{source}: prompts come in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    with open_prompts(source) as file:
        if kind in (".jsonl", ".ndjson"):
            yield from (_object(line) for line in file if not is_blank(line))
        elif kind == ".txt":
            yield from ({"prompt": line.strip()} for line in file if not is_blank(line))
        else:
            yield from _filled(table(file, kind), source)


def _filled(rows: Iterable[Mapping[Any, Any]], source: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a table that are not empty."""
    for at, row in enumerate(rows, start=1):
        if None in row:
            raise UsageError(
                f"{source}, case {at} has more cells than the first row: quote a cell with separators in it"
            )
        if any(cell and cell.strip() for cell in row.values()):
            yield row


def _object(line: str) -> Mapping[str, Any]:
    """Parse a line of JSON lines: an object, or just a prompt."""
    try:
        value = json.loads(line)
    except RecursionError:
        raise UsageError("a line of the prompts is nested too deeply") from None
    if isinstance(value, str):
        return {"prompt": value}
    if not isinstance(value, dict):
        raise UsageError(f"a line of the prompts is neither an object nor a text: {line.strip()[:60]}")
    return value


def _case(at: int, row: Mapping[str, Any], source: Path, files: PathPolicy) -> Case:
    cells = canonical_row(row)
    prompt = str(cells.get("prompt", "")).strip()
    if not prompt:
        raise UsageError(f"{source}, case {at + 1} has no prompt")
    seeds = tuple(_seed(seed, f"{source}, case {at + 1}") for seed in several(cells.get("seeds", cells.get("seed", 0))))
    return Case(
        id=_id(cells.get("id"), at),
        prompt=prompt,
        initial=_image(cells["initial_image"], files) if "initial_image" in cells else None,
        subjects=tuple(_subject(file, files) for file in several(cells.get("subjects", []))),
        rephrased=cells.get("rephrased"),
        truth=Truth(
            labels=tuple(map(str, several(cells.get("labels", [])))),
            wrong=tuple(map(str, several(cells.get("wrong", [])))),
            images=tuple(_image(file, files) for file in several(cells.get("real", []))),
            data={key: value for key, value in cells.items() if key not in OWN},
        ),
        seeds=seeds or (0,),
        filter_tags=tuple(map(str, several(cells.get("filter_tags", [])))),
        licences=tuple(map(str, several(cells.get("licences", [])))),
        filter=parse_filter(filters(cells.get("filter", {}))),
        tags=tuple(str(tag) for name in TAGS for tag in several(cells.get(name, []))),
    )


def _seed(value: Any, place: str) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and int(text) < 2**32):
        raise UsageError(f"{place}: a seed is a whole number from 0 to {2**32 - 1}, not {value!r}")
    return int(text)


def _id(value: Any, at: int) -> str:
    slug = re.sub(r"[^A-Za-z0-9/._-]+", "-", str(value)).strip("-./_") if value is not None else ""
    return slug[:120] or f"{at:05}"


def _image(file: Any, files: PathPolicy) -> CaseImage:
    return CaseImage.of(files.find(str(file)))


def _subject(value: Any, files: PathPolicy) -> CaseImage:
    name, equals, file = str(value).partition("=")
    image = _image(file if equals else value, files)
    return image.model_copy(update={"name": name.strip()}) if equals else image
