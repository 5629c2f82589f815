"""Manual changes to the metadata of a library's images."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypedDict

from imagerag.agent.errors import UsageError
from imagerag.agent.types import Scalar
from imagerag.formatting.messages import near
from imagerag.store.library.description_columns import cleared_description
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.image_selection import LISTED, ImageSelection
from imagerag.store.library.metadata.capture_time import TAKEN_OFFSET
from imagerag.store.library.metadata.field_names import TAKEN, fields_of, typed_field
from imagerag.store.library.metadata.image_metadata import read_metadata
from imagerag.store.library.metadata.metadata_values import (
    MAX_CAPTION,
    MAX_KEYS,
    MAX_VALUE,
    POSITION,
    degrees_of,
    time_of,
)
from imagerag.store.library.schema import TEXTS, VALUES, ImageRecord
from imagerag.store.text_files import clean, listed

AT_ONCE: Final = 100_000
"""Rows that are read and written at a time: 0.5 GB. A commit writes the changed columns of all rows of the library,
however few are changed."""


class ImageChangeOptions(TypedDict, total=False):
    """The keyword arguments of `ImageChanges`."""

    title: str | None
    caption: str | None
    licence: str | None
    author: str | None
    source: str | None
    add_tags: Sequence[str]
    remove_tags: Sequence[str]
    set: Mapping[str, Scalar]
    unset: Sequence[str]


_NAMED: Final = 12
"""Fields and tags that a message names."""

_EMPTIED: Final = tuple(name for name in (*TEXTS, *VALUES, "tags", "ocr", "description") if name != "described")
"""Fields that `unset` empties."""


@dataclass(frozen=True, kw_only=True)
class ImageChanges:
    """Changes to images; None keeps a field, "" removes a text.

    Attributes:
        add_tags, remove_tags: each image keeps its other tags.
        set: further fields (`camera`, `taken`, …) and metadata keys, parsed as in a sidecar; None and "" remove one.
        unset: fields and metadata keys to remove.

    Raises:
        UsageError: an invalid date or coordinate, or a text that is longer than what is kept.
    """

    title: str | None = None
    caption: str | None = None
    licence: str | None = None
    author: str | None = None
    source: str | None = None
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()
    set: Mapping[str, Scalar] = field(default_factory=dict)
    unset: Sequence[str] = ()

    def __post_init__(self) -> None:
        _check_lengths(self)
        blank = [key for key, value in self.set.items() if value is None or clean(str(value)) == ""]
        object.__setattr__(self, "set", _checked({key: self.set[key] for key in self.set if key not in blank}))
        for name in ("add_tags", "remove_tags", "unset"):
            object.__setattr__(self, name, [one for one in listed(getattr(self, name)) if clean(one)])
        object.__setattr__(self, "unset", tuple(dict.fromkeys([*self.unset, *blank])))

    @property
    def is_empty(self) -> bool:
        """Whether there is no change."""
        return all(value is None or (not value and not isinstance(value, str)) for value in vars(self).values())

    def applied_to(self, row: ImageRecord) -> ImageRecord:
        """The row with the changes."""
        new_values = read_metadata(self.set)
        if new_values.taken:  # what the camera's clock showed before says nothing of a time that is set
            before = {key: value for key, value in row.metadata.items() if key != TAKEN_OFFSET}
            row = replace(row, taken=None, metadata=before)
        row = new_values.applied_to(row)
        metadata = dict(row.metadata)
        texts = {name: clean(value) for name in TEXTS if (value := getattr(self, name, None)) is not None}
        unset = _with_companions(self.unset)
        emptied: dict[str, Any] = {name: "" if name in TEXTS else None for name in TEXTS + VALUES if name in unset}
        emptied |= {"ocr": "", "ocr_confidence": None} if "ocr" in self.unset else {}  # the next `--ocr` reads it again
        emptied |= cleared_description(row) if "description" in self.unset else {}
        tags = dict.fromkeys([*(() if "tags" in self.unset else row.tags), *map(clean, self.add_tags)])
        remaining = tuple(tag for tag in tags if tag and tag not in self.remove_tags)
        for key in unset:
            metadata.pop(key, None)
        return replace(row, **{**texts, **emptied}, tags=remaining, metadata=metadata)


def _check_lengths(changes: ImageChanges) -> None:
    """Check that no text is longer than what sidecars and manifests may have.

    Raises:
        UsageError: one is, or there are too many tags or values.
    """
    for name in TEXTS:
        check_length(name, getattr(changes, name, None), MAX_CAPTION)
    for tag in changes.add_tags:
        check_length("a tag", tag, MAX_VALUE)
    for key, value in changes.set.items():
        check_length("the name of a field", key, MAX_VALUE)
        check_length(key, value, MAX_CAPTION if fields_of({key: value}).get(key) in TEXTS else MAX_VALUE)
    if (most := max(len(changes.add_tags), len(changes.set))) > MAX_KEYS:
        raise UsageError(f"{most:,} tags or fields at once are too many: an image has at most {MAX_KEYS} of each")


class TakenAway:
    """Fields, metadata keys and tags that changes take away, and those that images have."""

    def __init__(self, changes: ImageChanges) -> None:
        self._changes = changes
        self._keys, self._tags = set[str](), set[str]()

    def see(self, rows: Iterable[ImageRecord]) -> None:
        """Note what some images have."""
        if not self._changes.unset and not self._changes.remove_tags:
            return
        for row in rows:
            self._keys |= row.metadata.keys() | {name for name in _EMPTIED if getattr(row, name) not in (None, "", ())}
            self._tags |= {*row.tags}

    def nowhere(self) -> str:
        """What is to be taken away, and no image has it; empty where each is somewhere."""
        keys = [_nobody_has("field", key, self._keys) for key in self._changes.unset if key not in self._keys]
        tags = [_nobody_has("tag", tag, self._tags) for tag in self._changes.remove_tags if tag not in self._tags]
        return "; ".join(keys + tags)


def _nobody_has(what: str, name: str, names: Collection[str]) -> str:
    guess, listed = near(name, names), sorted(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    there = f"did you mean {guess!r}?" if guess else f"{what}s there: {', '.join(listed[:_NAMED])}{more}"
    return f"no image here has a {what} {name[:60]!r}; {there if names else f'none has a {what}'}"


def check_length(name: str, value: Scalar, most: int) -> None:
    """Check the length of a text of an image.

    Raises:
        UsageError: it has more than `most` characters.
    """
    if isinstance(value, str) and len(value) > most:
        raise UsageError(f"{name}: it has {len(value):,} characters, and at most {most:,} are kept")


def _with_companions(names: Sequence[str]) -> set[str]:
    """Fields to empty, with what means nothing without them: half of a position, and the offset of a time."""
    both = POSITION if any(axis in names for axis in POSITION) else ()
    return {*names, *both, *([TAKEN_OFFSET] if TAKEN in names else ())}


def _checked(values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Validate the values to set: an invalid date or coordinate would otherwise become metadata.

    Raises:
        UsageError: a date or coordinate is invalid, half of a position is missing, or a name is empty.
    """
    checked_values: dict[str, Scalar] = {}
    for key, value in values.items():
        if not clean(key):
            raise UsageError("the name of a field is empty")
        name, is_set = typed_field(key), value not in (None, "")
        if name == TAKEN and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # a year, parsed as a number
        if is_set and name == TAKEN and time_of(value) is None:
            raise UsageError(f"{key}: {str(value)[:60]!r} is no date: 2024, 2024-05, 2024-05-03, 2024-05-03T10:00")
        if is_set and name in POSITION and degrees_of(value, name) is None:
            most = POSITION[name]
            raise UsageError(f"{key}: {str(value)[:60]!r} is no number of degrees from -{most} to {most}")
        checked_values[key] = value
    half = {typed_field(key): key for key, value in checked_values.items() if value not in (None, "")}
    axes = [half[name] for name in POSITION if name in half]
    if len(axes) == 1:
        raise UsageError(f"{axes[0]} is half of a position: set latitude and longitude together")
    return checked_values


def scalar_of(text: str) -> Scalar:
    """Parse a typed value: a JSON number, true, false or null, else text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if value is None or isinstance(value, str | int | float | bool) else text


def changed(rows: Iterable[ImageRecord], changes: ImageChanges) -> list[ImageRecord]:
    """The rows that the changes affect, with the changes."""
    return [new for row in rows if (new := changes.applied_to(row)) != row]


def _different_fields(before: Iterable[ImageRecord], after: Sequence[ImageRecord]) -> set[str]:
    """The fields that are different in some of the rows."""
    row_by_id, fields = {row.id: vars(row) for row in before}, set[str]()
    for row in after:
        was = row_by_id[row.id]
        fields |= {name for name, value in vars(row).items() if value is not was[name] and value != was[name]}
    return fields


async def change_images(
    library: Library, ids: Sequence[str], changes: ImageChanges, *, dry_run: bool = False
) -> ImageSelection:
    """Apply changes to images and write those that are different then, some thousands at a time; if it is stopped, the
    same changes complete the rest.

    Args:
        ids: sorted.
        dry_run: write nothing.

    Returns:
        The images that are different, with the changes, and what of the changes concerns no image.

    Raises:
        UsageError: no change is named.
    """
    if changes.is_empty:
        raise UsageError(
            "say what changes: `title=TEXT`, `caption=TEXT`, `licence=TEXT`, `author=TEXT`, `source=TEXT`, "
            "`add_tags=TAG`, `remove_tags=TAG`, `set=KEY=VALUE`, `unset=KEY`"
        )
    different, listed, taken_away = list[str](), list[ImageRecord](), TakenAway(changes)
    for at in range(0, len(ids), AT_ONCE):
        before = await library.rows(ids[at : at + AT_ONCE])
        taken_away.see(before)
        rows = changed(before, changes)
        fields = _different_fields(before, rows)
        del before
        if not dry_run:
            await library.update(rows, fields)
        different += [row.id for row in rows]
        listed += rows[: LISTED - len(listed)]
    reason = taken_away.nowhere() if ids else ""
    if ids and not different and not reason:
        reason = "they are so already" if len(ids) > 1 else "it is so already"
    return ImageSelection(different, listed, reason)
