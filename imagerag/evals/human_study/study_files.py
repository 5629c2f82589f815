"""The files of a study of either form: the raters' page, its key, and the raters' answers."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import read_regular_text
from imagerag.evals.reports.gallery import TEMPLATES
from imagerag.formatting.html.templating import render
from imagerag.store.output_dir_lock import exclusive_writer

SIDE: Final = 512
SCHEMA: Final = "imagerag.study-answers/1"


def page_of(
    title: str,
    intro: str,
    questions: Mapping[str, str],
    choices: Sequence[Sequence[str]],
    items: Sequence[Mapping[str, Any]],
) -> str:
    """The page of a study of either form.

    Args:
        intro: instructions for the raters.
        questions: id → text, in which `{concept}` stands for the object of an item.
        choices: value and text of each possible answer.
        items: the items to rate, in order.
    """
    settings = {"title": title, "intro": intro, "schema": SCHEMA, "questions": questions, "choices": choices}
    return render(TEMPLATES, "study.html", study={**settings, "pairs": items})


def write_two(folder: Path, names: tuple[str, str], text: str, content: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write the page of a study and its key as a pair.

    Raises:
        UsageError: another process writes the folder.
    """
    page, key = (folder / name for name in names)
    with exclusive_writer(folder, instead="another folder"):
        page.write_text(text, encoding="utf-8")
        key.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return page, key


def read_rater(file: Path) -> tuple[str, Mapping[str, Mapping[str, str]]]:
    """Parse a rater's file; returns the rater, and item → question → answer.

    Raises:
        UsageError: the file holds no answers of a study.
    """
    try:
        document = json.loads(read_regular_text(file))
        if document["schema"] != SCHEMA:
            raise UsageError(f"{file} is {document['schema']!r}, not {SCHEMA!r}")
        return str(document["rater"]), document["answers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} holds no answers of a study: {error}") from error


def rater_answers(
    files: Iterable[Path], items: Mapping[str, Any]
) -> Iterator[tuple[Path, str, str, Mapping[str, str]]]:
    """Iterate over (file, rater, item, answers to it) of all files.

    Args:
        items: the part of the study's key that lists its items.

    Raises:
        UsageError: a file has another format, or belongs to another study.
    """
    for file in files:
        rater, answers = read_rater(file)
        for item, answer in answers.items():
            if item not in items:
                raise UsageError(f"{file} answers {item!r}, which is not in this study's key")
            yield file, rater, item, answer


def shown_in(key: Mapping[str, Any]) -> Mapping[str, Any]:
    """The items of a study, by id. Keys that were written earlier say `pictures`: its raters may still be at it."""
    items: Mapping[str, Any] = key.get("pairs") or key.get("images") or key.get("pictures") or {}
    return items


def key_of_answers(folder: Path, files: Sequence[Path], names: Iterable[str]) -> dict[str, Any]:
    """Find the key of the study that the files belong to.

    Args:
        names: the key's file name in each form of study.

    Raises:
        UsageError: there is no key, or it cannot be read.
    """
    answered = {item for file in files for item in read_rater(file)[1]}
    keys: list[dict[str, Any]] = []
    for path in (folder / name for name in names):
        try:
            keys.append(json.loads(read_regular_text(path)))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read {path}: {error}; imagerag eval human-study {folder} writes it") from error
    if not keys:
        raise UsageError(f"there is no study in {folder}: imagerag eval human-study {folder} writes one")
    return max(keys, key=lambda key: len(answered & set(shown_in(key))))
