"""References as JSON fields, for servers without an edits endpoint."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from imagerag.agent.ports import ImagePart
from imagerag.tools.generators.image_decoding import data_url


@dataclass(frozen=True)
class JsonReferences:
    """JSON format of references at a server without an edits endpoint.

    Attributes:
        field: the JSON field with their list.
        path: the endpoint.
        form: bare base64, a data URL, or the `image_url` part of a chat message.
    """

    field: str
    path: str = "/images/generations"
    form: Literal["base64", "data_url", "image_url"] = "base64"

    def value(self, part: ImagePart) -> Any:
        """One reference in this format."""
        url = data_url(part.data, part.media_type)
        if self.form == "image_url":
            return {"type": "image_url", "image_url": {"url": url}}
        return url if self.form == "data_url" else url.partition(",")[2]


LOCALAI: Final = JsonReferences("ref_images")
OPENROUTER: Final = JsonReferences("input_references", path="/images", form="image_url")
