"""The columns of descriptions that a model wrote. Only a library of which an image was described has them.

They are apart from the columns of persons' texts: nothing that a model wrote becomes a caption, a title or a tag.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import Field, ValidationError

from imagerag.agent.ports import ImageDescription
from imagerag.agent.types import DescribedElement, DescriptionDetails, FrozenModel, is_low
from imagerag.agent.visible_text import is_blank
from imagerag.formatting.text import clean

DESCRIPTION_COLUMNS: Final = ("description", "described_by", "description_confidence", "description_details")
"""Columns that rows are read from; `description_details` is JSON."""

WORDS: Final = "description_words"
"""Column that a search by words looks into: all that a description says, unless its confidence is low."""

MAX_TEXT: Final = 600
MAX_VISIBLE: Final = 1000
MAX_SHORT: Final = 80
MAX_ELEMENTS: Final = 12
MAX_TAGS: Final = 16
MAX_MODEL: Final = 300
"""Bounds in characters and entries, whatever a model answers: writing in an image may have told it to go on."""

LOW_ELEMENT: Final = 0.5
"""Below this confidence, an element fits most other images better: its words are no text for searches. The bound of a
whole description does not apply, as elements such as a blue sky are rightly in many images."""


def bounded(description: ImageDescription) -> tuple[str, DescriptionDetails]:
    """A model's description as it is stored: on one line each, of bounded length, with normalised tags."""
    elements = _entries(description.key_elements, MAX_ELEMENTS)
    details = DescriptionDetails(
        key_elements=tuple(DescribedElement(text=text) for text in elements),
        visible_text=_text(description.visible_text, MAX_VISIBLE),
        category=_text(description.category, MAX_SHORT),
        tags=tuple(_entries(map(_tag, description.tags), MAX_TAGS)),
    )
    return _text(description.text, MAX_TEXT), details


def _text(text: str, most: int) -> str:
    """Clean text, cut at a word."""
    one = clean(text[: 8 * most])
    return one if len(one) <= most else one[:most].rpartition(" ")[0] or one[:most]


def _entries(texts: Iterable[str], most: int) -> list[str]:
    entries: dict[str, str] = {}
    for text in texts:
        if len(entries) == most:
            break
        if one := _text(text, MAX_SHORT):
            entries.setdefault(one.casefold(), one)
    return list(entries.values())


def _tag(tag: str) -> str:
    """A tag in lower case, composed, without what only marks it: `#`, quotes, a full stop."""
    lower = unicodedata.normalize("NFC", tag[: 8 * MAX_SHORT].casefold())
    return _text(lower, MAX_SHORT).strip("#\"'.,;: ")


def words_of(description: str, confidence: float | None, details: DescriptionDetails | None) -> str:
    """The text of the column `description_words`; empty for a description of low confidence."""
    if not description or is_low(confidence):
        return ""
    fields = details or DescriptionDetails()
    elements = [one.text for one in fields.key_elements if one.confidence is None or one.confidence >= LOW_ELEMENT]
    return "\n".join(filter(None, (description, *elements, fields.visible_text, fields.category, *fields.tags)))


def cleared_description(row: Any) -> dict[str, Any]:
    """The fields of an `ImageRecord` without a description; the next one is asked of the model anew."""
    if row.description_details is None:
        return {}
    attempt = row.description_details.attempt + bool(row.described_by)
    empty = {"description": "", "described_by": "", "description_confidence": None}
    return {**empty, "description_details": DescriptionDetails(attempt=attempt)}


def description_fields() -> list[Any]:
    """The Arrow fields of the columns."""
    import pyarrow as pa

    kinds = {"description_confidence": pa.float64()}
    return [pa.field(name, kinds.get(name, pa.string())) for name in (*DESCRIPTION_COLUMNS, WORDS)]


def description_values(row: Any) -> dict[str, Any]:
    """The values of the columns for an `ImageRecord`."""
    details = row.description_details
    return {
        "description": row.description,
        "described_by": row.described_by,
        "description_confidence": row.description_confidence,
        "description_details": details.model_dump_json(exclude_defaults=True) if details else "",
        WORDS: words_of(row.description, row.description_confidence, details),
    }


def read_description(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an `ImageRecord` from a record with `DESCRIPTION_COLUMNS`, or without."""
    return {
        "description": record.get("description") or "",
        "described_by": record.get("described_by") or "",
        "description_confidence": record.get("description_confidence"),
        "description_details": _details(record.get("description_details")),
    }


def _details(text: str | None) -> DescriptionDetails | None:
    try:
        return DescriptionDetails.model_validate_json(text) if text else None
    except ValidationError:  # of a newer version
        return None


def count_described(table: Any) -> int:
    """The number of images in a LanceDB table that a model described."""
    return int(table.count_rows("described_by <> ''")) if "described_by" in table.schema.names else 0


def described_ids(table: Any) -> list[str]:
    """The images in a LanceDB table that a model described, sorted by id."""
    if "described_by" not in table.schema.names:
        return []
    return sorted(table.search().where("described_by <> ''").select(["id"]).to_arrow()["id"].to_pylist())


def to_description_table(rows: Iterable[Any], table_schema: Any) -> Any:
    """Arrow table of ids and the columns of descriptions, for `ImageRecord`s."""
    import pyarrow as pa

    names = ("id", *DESCRIPTION_COLUMNS, WORDS)
    records = [{"id": row.id, **description_values(row)} for row in rows]
    return pa.Table.from_pylist(records, schema=pa.schema([table_schema.field(name) for name in names]))


class MachineDescription(FrozenModel):
    """A model's description in the sidecar of an exported image. `description` would be a person's caption there.

    Attributes:
        text: one or two sentences.
        described_by: the model.
        confidence: how well it fits the image by the library's encoder, in [0, 1]; None: not measured.
    """

    text: str
    described_by: str
    confidence: float | None = Field(default=None, ge=0, le=1)
    details: DescriptionDetails = DescriptionDetails()

    @classmethod
    def of(cls, row: Any) -> "MachineDescription | None":
        """The description of an `ImageRecord`; None where it has none."""
        if not row.described_by:
            return None
        return cls(
            text=row.description,
            described_by=row.described_by,
            confidence=row.description_confidence,
            details=row.description_details or DescriptionDetails(),
        )

    @classmethod
    def exported(cls, record: Mapping[str, Any]) -> "MachineDescription | None":
        """The description in a sidecar or a row of an export; None where it has none that can be read."""
        fields = record.get("machine_description") or {
            "text": record.get("description"),
            "described_by": record.get("described_by"),
            "confidence": record.get("description_confidence"),
            "details": _details(record.get("description_details")) or DescriptionDetails(),
        }
        try:
            description = cls.model_validate(fields)
        except ValidationError:
            return None
        return description if not is_blank(description.text) and not is_blank(description.described_by) else None


def exported_description(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a description in an export, where it has one.

    An export may be a stranger's, so it is bounded like a model's response.
    """
    description = MachineDescription.exported(record)
    if description is None:
        return {}
    details = description.details
    confidences = {clean(one.text): one.confidence for one in details.key_elements}
    text, fields = bounded(
        ImageDescription(
            text=description.text,
            key_elements=tuple(confidences),
            visible_text=details.visible_text,
            category=details.category,
            tags=details.tags,
        )
    )
    elements = tuple(one.model_copy(update={"confidence": confidences.get(one.text)}) for one in fields.key_elements)
    return {
        "description": text,
        "described_by": _text(description.described_by, MAX_MODEL),
        "description_confidence": description.confidence,
        "description_details": fields.model_copy(update={"key_elements": elements, "attempt": details.attempt}),
    }
