"""References and sizes as the fields of a request, for OpenAI and servers whose image endpoints differ from its."""

from collections.abc import Sequence
from typing import Any, Final

from imagerag.agent.ports import ImagePart
from imagerag.agent.types import Size
from imagerag.tools.generators.image_decoding import data_url
from imagerag.tools.generators.openai_chat import nearest_ratio
from imagerag.tools.generators.reference_checks import MEDIA_TYPES
from imagerag.tools.services.service import ImagesProtocol

OPENAI: Final = ImagesProtocol()
LOCALAI: Final = ImagesProtocol(references="ref_images", form="base64")


def reference_fields(protocol: ImagesProtocol, references: Sequence[ImagePart]) -> dict[str, Any]:
    """The field with the references, in their order; empty without references."""
    return {protocol.references: [_value(protocol, part) for part in references]} if references else {}


def edit_files(references: Sequence[ImagePart]) -> dict[str, Any]:
    """Files of an edit, with their types: bare bytes are sent as octet-stream, which is refused."""
    files = [
        (f"image-{n}.{MEDIA_TYPES[part.media_type]}", part.data, part.media_type)
        for n, part in enumerate(references, start=1)
    ]
    hole = references[0].mask
    return {"image": files, **({"mask": ("mask.png", hole, "image/png")} if hole else {})}


def size_fields(protocol: ImagesProtocol, size: Size | None) -> dict[str, Any]:
    """The fields of a size; empty for the service's own choice."""
    if size is None:
        return {}
    if protocol.size == "aspect_ratio":
        return {"aspect_ratio": nearest_ratio(size)}
    return {"width": size.width, "height": size.height} if protocol.size == "width_height" else {"size": str(size)}


def _value(protocol: ImagesProtocol, part: ImagePart) -> Any:
    url = data_url(part.data, part.media_type)
    if protocol.form == "image_url":
        return {"type": "image_url", "image_url": {"url": url}}
    if protocol.form == "url":
        return {"url": url}
    return url if protocol.form == "data_url" else url.partition(",")[2]
