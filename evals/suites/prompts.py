"""Prompt sets from files, read as they are.

* JSON lines or CSV with a column `prompt`, and any of `id`, `image` (a file to start from), `subject` (files),
  `rephrased`, `labels`, `wrong`, `real` (pictures of the real thing), `seed` or `seeds`, `tags`; several values in a
  CSV cell are separated by `|`
* GenEval's `evaluation_metadata.jsonl` (`prompt`, `tag`, `include`)
* PartiPrompts' TSV (`Prompt`, `Category`, `Challenge`)
* T2I-CompBench's text files, and any other with one prompt per line
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.evals.suites.case import Case, Picture, Suite, Truth

OWN: Final = frozenset(
    ("prompt", "id", "image", "subject", "subjects", "rephrased", "labels", "wrong", "real", "seed", "seeds", "tags")
)
TAGS: Final = ("tag", "tags", "category", "challenge")
"""Columns, in lower case, whose values become tags."""


def prompt_suite(path: str | Path) -> Suite:
    """The prompts in a file.

    Raises:
        UsageError: the file cannot be read, or a line of it has no prompt.
    """
    source = Path(path).expanduser()
    try:
        rows = list(_rows(source))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read the prompts in {source}: {error}") from error
    cases = [_case(at, row, source) for at, row in enumerate(rows)]
    name = re.sub(r"[^a-z0-9]+", "-", source.stem.lower()).strip("-")
    return Suite(name=f"prompts-{name}", cases=tuple(cases)).checked()


def _rows(source: Path) -> Iterator[Mapping[str, Any]]:
    kind = source.suffix.lower()
    if kind not in (".jsonl", ".csv", ".tsv", ".txt"):
        raise UsageError(f"{source}: prompts come in .jsonl, .csv, .tsv or .txt")
    with source.open(encoding="utf-8-sig", newline="") as file:
        if kind == ".jsonl":
            yield from (json.loads(line) for line in file if line.strip())
        elif kind == ".txt":
            yield from ({"prompt": line.strip()} for line in file if line.strip())
        else:
            yield from csv.DictReader(file, delimiter="\t" if kind == ".tsv" else ",")


def _case(at: int, row: Mapping[str, Any], source: Path) -> Case:
    told = {str(key).strip().lower(): value for key, value in row.items() if key and value not in (None, "")}
    prompt = str(told.get("prompt", "")).strip()
    if not prompt:
        raise UsageError(f"{source}, case {at + 1} has no prompt")
    seeds = tuple(int(seed) for seed in _several(told.get("seeds", told.get("seed", 0))))
    return Case(
        id=_id(told.get("id"), at),
        prompt=prompt,
        initial=_picture(told["image"], source) if "image" in told else None,
        subjects=tuple(_subject(file, source) for file in _several(told.get("subjects", told.get("subject", [])))),
        rephrased=told.get("rephrased"),
        truth=Truth(
            labels=tuple(map(str, _several(told.get("labels", [])))),
            wrong=tuple(map(str, _several(told.get("wrong", [])))),
            images=tuple(_picture(file, source) for file in _several(told.get("real", []))),
            data={key: value for key, value in told.items() if key not in OWN},
        ),
        seeds=seeds or (0,),
        tags=tuple(str(tag) for name in TAGS for tag in _several(told.get(name, []))),
    )


def _several(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return [part.strip() for part in value.split("|") if part.strip()] if isinstance(value, str) else [value]


def _id(given: Any, at: int) -> str:
    slug = re.sub(r"[^A-Za-z0-9/._-]+", "-", str(given)).strip("-./_") if given is not None else ""
    return slug[:120] or f"{at:05}"


def _picture(file: Any, source: Path) -> Picture:
    return Picture.of(source.parent / Path(str(file)).expanduser())


def _subject(given: Any, source: Path) -> Picture:
    name, equals, file = str(given).partition("=")
    picture = _picture(file if equals else given, source)
    return picture.model_copy(update={"name": name.strip()}) if equals else picture
