"""Base of the JSON documents."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """A JSON document or a part of one: no unknown fields."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, json_schema_serialization_defaults_required=True)

    def as_json(self) -> dict[str, Any]:
        """The document as JSON-able data, its schema's name first."""
        return self.model_dump(mode="json", by_alias=True)
