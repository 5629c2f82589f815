"""Class lists as suites: one prompt for each class name of a data set on disk, or of any list.

Formats: a text file of names (also CUB's `classes.txt`, Aircraft's `variants.txt`, ImageNet's
`LOC_synset_mapping.txt`), a JSON object from label to name (Flowers' `cat_to_name.json`), or a folder with a folder of
images per class (CUB, iNaturalist, Dogs, Cars, ImageNet). With images, some of each class become the real photos that
the generated image is compared with (CLIP-I, DINO); the library may hold them, so leave them out of it for a fair
comparison.
"""

import json
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import read_regular_text
from imagerag.evals.suites.case import Case, CaseImage, Suite, Truth

TEMPLATE: Final = "a photo of a {name}"
IMAGES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
REAL: Final = 3
"""Images of a class that stand for the real thing."""

_LEADING: Final = re.compile(r"^\d+[._]\s*")
_WORDNET: Final = re.compile(r"^n\d{8}[\s-]*")


def class_suite(path: str | Path, *, template: str = TEMPLATE, seed: int = 0) -> Suite:
    """Make one case per class.

    Args:
        path: a text file, a JSON file, or a folder with a folder per class.
        template: the prompt, with `{name}`.
        seed: decides the real photos of each class, and is the first seed of every case.

    Raises:
        UsageError: the path names no classes.
    """
    source = Path(path).expanduser()
    if "{name}" not in template:
        raise UsageError(f"the template {template!r} has no {{name}} in it")
    if source.is_dir():
        classes = [(folder.name, _photos(folder, seed)) for folder in sorted(source.iterdir()) if folder.is_dir()]
    else:
        classes = [(line, ()) for line in _lines(source)]
    by_name = {name: case_images for label, case_images in classes if (name := class_name(label))}
    if not by_name:
        raise UsageError(f"{source} names no class: give a list of names, or a folder with a folder for each class")
    cases = [_case(at, name, case_images, template, seed) for at, (name, case_images) in enumerate(by_name.items())]
    return Suite(name=f"classes-{_slug(source.stem) or 'list'}", cases=tuple(cases)).checked()


def class_name(label: str) -> str:
    """The readable class name of a label: of `001.Black_footed_Albatross`, `n02085620-Chihuahua`, `n01440764 tench`.

    iNaturalist's folders (`00001_Animalia_Chordata_…_Genus_species`) give the last two words.
    """
    taxonomy = re.fullmatch(r"\d{5}_(?:[A-Z][\w-]*_){5,6}([A-Z][\w-]*)_([a-z][\w-]*)", label.strip())
    if taxonomy:
        return " ".join(taxonomy.groups())
    bare = _WORDNET.sub("", re.sub(r"^\d+\s+(?=\d+\.)", "", label.strip()))
    bare = _LEADING.sub("", bare).split(",")[0]
    return " ".join(bare.replace("_", " ").split())


def _case(at: int, name: str, case_images: tuple[CaseImage, ...], template: str, seed: int) -> Case:
    prompt = template.format(name=name)
    if name[:1].lower() in "aeiou":
        prompt = prompt.replace(f" a {name}", f" an {name}")
    return Case(
        id=f"{at:04}-{_slug(name)}"[:120].rstrip("-"),
        prompt=prompt,
        truth=Truth(labels=(name,), images=case_images),
        seeds=(seed,),
    )


def _photos(folder: Path, seed: int) -> tuple[CaseImage, ...]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGES)
    sample = random.Random(f"{seed}/{folder.name}").sample(files, min(REAL, len(files)))
    return tuple(CaseImage.of(file) for file in sorted(sample))


def _lines(source: Path) -> Iterable[str]:
    try:
        text = read_regular_text(source, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the class names in {source}: {error}") from error
    if source.suffix.lower() == ".json":
        value = json.loads(text)
        names = value.values() if isinstance(value, dict) else value
        return [str(name) for name in names]
    return [line for line in text.splitlines() if line.strip()]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
