"""Questions about captioned images of a library: the robustness protocol of ImageRAG's appendix E.5.

For each of n images of different classes there are the paper's three kinds of prompts: "A photo of X", which the image
shows (n prompts); "A photo of X and Y", of which Y is missing (n x (n - 1)); and "A photo of Y" (n x (n - 1)). 20
classes give 20 + 380 + 380 prompts. `others` limits the number of Y for each X: with 1 there are three prompts for each
image.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import ImagePart
from imagerag.evals.judges.questions import JudgeQuestion
from imagerag.formatting.interface_terms import FILE, PATH, python_call
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord

Kind = Literal["there", "there_and_not", "not_there"]
FORMS: Final[Mapping[Kind, str]] = {
    "there": "A photo of {there}",
    "there_and_not": "A photo of {there} and {missing}",
    "not_there": "A photo of {missing}",
}
"""The paper's three forms of prompts."""
CLASSES: Final = 20

_SMALL: Final = frozenset("a an and as at by for from in into is it its of on or the this to with".split(" "))  # noqa: SIM905
_FRAME: Final = re.compile(r"^an?\s+(?:photo|photograph|picture|image)\s+of\s+", re.IGNORECASE)
_BEFORE: Final = frozenset(("a", "an", "the", "one", "two", "three", "some", "many", "several", "my", "our", "this"))


async def library_questions(
    library: Library, *, classes: int = CLASSES, others: int | None = None, seed: int = 0
) -> list[JudgeQuestion]:
    """The questions of the protocol, kind by kind.

    Args:
        classes: number of images, each of another class.
        others: number of absent things for each image, the least similar first; None is all.
        seed: decides the choice of images.

    Raises:
        UsageError: the library has fewer than two captions that differ.
    """
    rows = chosen_rows(await library.rows(), classes, seed)
    images = {row.id: partial(_constant, await _image(library, row)) for row, _ in rows}
    return [
        JudgeQuestion(kind, prompt, images[row.id], not missing, there, (missing,) if missing else ())
        for kind in FORMS
        for row, there, missing, prompt in prompts_of(kind, rows, others)
    ]


def chosen_rows(rows: Sequence[ImageRecord], classes: int, seed: int) -> list[tuple[ImageRecord, str]]:
    """Choose one image for each class, with its content.

    Raises:
        UsageError: fewer than two classes.
    """
    by_class: dict[str, tuple[ImageRecord, str]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        words = concept_of(row)
        if words:
            by_class.setdefault(words.casefold(), (row, words))
    if len(by_class) < 2:
        raise UsageError(
            "a judge is evaluated on at least two images with different captions: "
            + python_call("libraries.index", PATH, manifest=FILE)
        )
    names = sorted(by_class)
    return [by_class[name] for name in Random(seed).sample(names, min(classes, len(names)))]


def prompts_of(
    kind: Kind, rows: Sequence[tuple[ImageRecord, str]], others: int | None = None
) -> list[tuple[ImageRecord, str, str, str]]:
    """(image, its content, missing content, prompt) of a kind; `missing` is empty where the image shows all."""
    if kind == "there":
        return [(row, words, "", FORMS[kind].format(there=_with_article(words))) for row, words in rows]
    prompts = []
    for row, words in rows:
        absent = [other for _, other in rows if other != words]
        if others is not None:
            absent = sorted(absent, key=lambda other: len(content_words(other) & content_words(words)))[:others]
        for other in absent:
            prompt = FORMS[kind].format(there=_with_article(words), missing=_with_article(other))
            prompts.append((row, words, other, prompt))
    return prompts


def concept_of(row: ImageRecord) -> str:
    """The content of an image: its caption without a leading title."""
    caption = row.caption.strip().rstrip(".")
    bare = caption.removeprefix(row.title).strip(" ,:;-") if row.title else caption
    return bare or caption


def content_words(text: str) -> frozenset[str]:
    """The content words of a text."""
    return frozenset(re.findall(r"\w+", text.lower())) - _SMALL


def _with_article(words: str) -> str:
    """A caption's content as part of a sentence: without `a photo of`, and with an article where it is a bare noun."""
    bare = _FRAME.sub("", words.strip()) or words.strip()
    first, space, rest = bare.partition(" ")
    if first.lower() in _BEFORE or first[:1].isdigit():
        return f"{first.lower()}{space}{rest}"
    return f"{'an' if first[:1].lower() in 'aeiou' else 'a'} {bare}"


async def _image(library: Library, row: ImageRecord) -> ImagePart:
    data, media_type = await library.encode_for_model(row.id)
    return ImagePart(data=data, media_type=media_type)


async def _constant(image: ImagePart) -> ImagePart:
    return image
