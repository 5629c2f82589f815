"""Sidecars: files beside an image that describe it.

An image `circle.png` may have `circle.json` or `circle.png.json` (an object with our fields, or with what others call
them; what `imagerag generate` writes too), `circle.txt` or `circle.png.txt` (its caption; `.caption` does as well), and
what Google Takeout writes, `circle.png.supplemental-metadata.json`, whose name Takeout cuts short; and `circle.xmp` or
`circle.png.xmp`, as Lightroom and darktable write them. Later sidecars fill fields that the first ones lack. An invalid
sidecar never excludes its image: it is reported, and the image is indexed without it.

Captions are shown and sent to services. So a sidecar that is a link may not lead outside of the indexed folders: in a
folder from another person, it could point to any text on the machine.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from imagerag.agent.visible_text import is_blank
from imagerag.store.library.metadata.embedded import read_xmp_sidecar
from imagerag.store.library.metadata.foreign_records import our_record
from imagerag.store.library.metadata.generation_metadata import without_parameters
from imagerag.store.library.metadata.image_metadata import ImageMetadata, read_metadata
from imagerag.store.library.metadata.metadata_values import DETECTIONS, MAX_CAPTION
from imagerag.store.path_policy import OUTSIDE, PathPolicy
from imagerag.store.text_files import clean, parsed, plain_name, read_text

SUFFIXES: Final = (".json", ".txt", ".caption", ".xmp")

MEMBER_SUFFIXES: Final = (*SUFFIXES, ".cls")
"""Of what lies beside an image in an archive: WebDataset's classes, too."""

_JSON: Final = ".json"
"""Also a key, which no name is, of folders with such files."""

_TAKEOUT: Final = ".supplemental-metadata"
_TAKEOUT_LONGEST: Final = 46
"""Takeout cuts a name (without `.json`) off there."""

_CONCEPT: Final = re.compile(r"^(?P<repeats>\d{1,4})_(?P<concept>.*\S)$")
_CAPTIONS: Final = (".txt", ".caption")

_EDITED: Final = re.compile(
    r"-(?:edited|effects|smile|mix|bearbeitet|bewerkt|modifié|modificato|ha editado|editado|editat|edytowane|編集済み)"
    r"(?=(?:\(\d+\))?\.[^.]+$)"
)
"""What Google Photos adds to the name of an edited image, in the language of its user."""

_NUMBERED: Final = re.compile(r"^(?P<stem>.*)(?P<number>\(\d+\))(?P<suffix>\.[^.]+)$")
_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class SidecarMetadata:
    """The metadata in the sidecars of one image.

    Attributes:
        description: all of it.
        problems: name and reason of each unusable sidecar, and of what is left out of others.
        oversized: names of objects and lists in them that are too long to be kept.
    """

    description: ImageMetadata = field(default_factory=ImageMetadata)
    problems: tuple[str, ...] = ()
    oversized: tuple[str, ...] = ()

    @classmethod
    def of_row(cls, description: ImageMetadata) -> "SidecarMetadata":
        """The metadata in the row of a table that has an image, too."""
        problems = tuple(f"of its row, {one}" for one in description.left_out)
        return cls(description, problems, description.oversized)


@dataclass(frozen=True)
class Sidecars:
    """Finds and reads sidecars; each folder is listed once.

    Attributes:
        given: the indexed files and folders. A linked sidecar outside of them is left out.
        allow_outside: links may lead to any file of the machine.
    """

    given: Sequence[Path] = ()
    allow_outside: bool = False
    _folders: dict[Path, Mapping[str, str]] = field(default_factory=dict)
    _found: dict[Path, Sequence[str]] = field(default_factory=dict)

    def of(self, image: Path) -> SidecarMetadata:
        """The metadata in the sidecars of an image."""
        return read_all((name, partial(self._read, image.with_name(name))) for name in self._beside(image))

    def concept(self, image: Path) -> ImageMetadata:
        """The concept in kohya's folder name `10_ada lovelace` (repeats and content). It counts only if the folder
        holds captions, as many folders are numbered."""
        match = _CONCEPT.match(image.parent.name)
        if not match or not any(name.endswith(_CAPTIONS) for name in self._folder(image.parent)):
            return ImageMetadata()
        return ImageMetadata(tags=(clean(match["concept"]),), metadata={"repeats": int(match["repeats"])})

    def _read(self, sidecar: Path) -> ImageMetadata:
        return sidecar_metadata(sidecar.name, read_text(self._allowed(sidecar)))

    def _allowed(self, sidecar: Path) -> Path:
        files = PathPolicy(sidecar.parent, self.given, self.allow_outside)
        if sidecar.is_symlink() and not files.allows(sidecar):
            raise ValueError(f"it is a link to a file outside of what is indexed: {OUTSIDE}")
        return sidecar

    def beside(self, images: Iterable[Path]) -> set[Path]:
        """Every sidecar of these images."""
        return {image.with_name(name) for image in images for name in self._beside(image)}

    def _beside(self, image: Path) -> Sequence[str]:
        there = self._folder(image.parent)
        if not there:
            return ()
        if image not in self._found:
            matches = (there.get(name_key(name)) for name in names_of(image.name, takeout=_JSON in there))
            names = dict.fromkeys(name for name in matches if name is not None and name != image.name)
            self._found[image] = tuple(names)
        return self._found[image]

    def _folder(self, folder: Path) -> Mapping[str, str]:
        if folder not in self._folders:
            try:
                names = sorted(entry.name for entry in folder.iterdir())
            except OSError:
                names = []
            ours = [name for name in names if name.lower().endswith(SUFFIXES)]
            by_key = {name_key(name): name for name in reversed(ours)}
            if any(name.endswith(_JSON) for name in by_key):
                by_key[_JSON] = ""
            self._folders[folder] = by_key
        return self._folders[folder]


def read_all(sidecars: "Iterable[tuple[str, Callable[[], ImageMetadata]]]") -> SidecarMetadata:
    """Merge the metadata of sidecars, most likely name first; given name → reader."""
    description, problems, oversized = ImageMetadata(), list[str](), list[str]()
    for name, load in sidecars:
        try:
            loaded = load()
            description = description.or_else(loaded)
            problems += [f"of its sidecar {clean(name)}, {one}" for one in loaded.left_out]
            oversized += loaded.oversized
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            problems.append(f"its sidecar {clean(name)} was left out: {why}")
    return SidecarMetadata(description, tuple(problems), tuple(oversized))


def member_names_of(image: str) -> Iterator[str]:
    """The names of an image's sidecars in an archive: in WebDataset's, all up to a name's first dot is its key."""
    yield from names_of(image)
    for key in dict.fromkeys((image.partition(".")[0], Path(image).stem)):
        yield from (key + suffix for suffix in MEMBER_SUFFIXES)


def names_of(image: str, *, takeout: bool = True) -> Iterator[str]:
    """The possible names of an image's sidecars, the most likely first.

    Args:
        takeout: Google Takeout's, too: most of the names.
    """
    path = Path(image)
    for suffix in SUFFIXES:
        yield path.stem + suffix
        yield image + suffix
    if not takeout:
        return
    yield from _takeout(image)
    if (unedited := _EDITED.sub("", composed := unicodedata.normalize("NFC", image))) != composed:
        yield f"{unedited}.json"
        yield from _takeout(unedited)


def _takeout(image: str) -> Iterator[str]:
    """Google Takeout's names for what it says of an image: cut short, and numbered behind the cut."""
    numbered = _NUMBERED.match(image)
    forms = [(image, "")]
    if numbered:
        forms.append((numbered["stem"] + numbered["suffix"], numbered["number"]))
    for name, number in forms:
        if number:
            yield f"{name}{number}.json"
        for length in range(len(_TAKEOUT), 0, -1):
            yield f"{name}{_TAKEOUT[:length]}{number}.json"
        if len(name) > _TAKEOUT_LONGEST:
            yield f"{name[:_TAKEOUT_LONGEST]}{number}.json"


def sidecar_metadata(name: str, text: str) -> ImageMetadata:
    """Parse a sidecar by its name.

    Raises:
        ValueError: it has no usable content; the message has the reason.
    """
    if name.lower().endswith(".cls"):
        return read_metadata({"class": text.strip()})
    if name.lower().endswith(".xmp"):
        return read_xmp_sidecar(text.encode())
    if not name.lower().endswith(".json"):
        return _of_text(text)
    record: Any = parsed(text)
    if isinstance(record, list) and len(record) == 1:
        record = record[0]
    if isinstance(record, str):
        return _of_text(record)
    if isinstance(record, list) and record and all(isinstance(part, str) for part in record):
        return read_metadata({"tags": record})
    if not isinstance(record, dict):
        raise ValueError("it is neither an object nor a text")
    return read_metadata(_without_labels(our_record(record)))


def _of_text(text: str) -> ImageMetadata:
    text, parameters = without_parameters(text)
    caption = clean(text)
    if is_labels(caption):
        raise ValueError("it holds a detector's labels, not a caption")
    if len(caption) > MAX_CAPTION:
        raise ValueError(f"it is longer than {MAX_CAPTION:,} characters, which is no caption")
    return ImageMetadata(caption=caption or None, metadata=parameters or None)


def is_labels(text: str) -> bool:
    """Whether a text holds boxes, as detectors write them: in each line four numbers or more, and little else."""
    lines = [line for line in text.splitlines() if not is_blank(line) and ":" not in line.split()[0]]
    return bool(lines) and all(_is_box(line) for line in lines)


def _is_box(line: str) -> bool:
    words = re.split(r"[\s,;]+", line.strip())
    numbers = sum(bool(_NUMBER.fullmatch(word)) for word in words)
    return numbers >= 4 and len(words) - numbers <= 2


def _without_labels(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record of a detector or a labelling tool without its labels, which are no caption."""
    if not any(plain_name(key).replace("_", "") in DETECTIONS for key in record):
        return record
    return {key: value for key, value in record.items() if plain_name(key) not in ("label", "text")}


def name_key(name: str) -> str:
    """Normalise a name for lookup: composed accents, lower case."""
    return unicodedata.normalize("NFC", name).casefold()
