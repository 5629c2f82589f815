"""The image of a job among all that its workflow kept."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from imagerag.agent.errors import BackendError

_KINDS: Final = ("output", "temp")
"""Folders of the server, the preferred first: saved images before previews."""


def image_of(who: str, entry: Mapping[str, Any], node_ids: Sequence[str]) -> tuple[dict[str, str], int]:
    """The first image, and the number of images that there were: (`filename`, `subfolder` and `type`; number).

    The first is that of the first node that saved one; the first of a batch.

    Args:
        entry: history of the job.
        node_ids: the nodes whose images count.

    Raises:
        BackendError: there is none.
    """
    outputs = entry.get("outputs")
    by_node = outputs if isinstance(outputs, Mapping) else {}
    images = [image for name in node_ids for image in _images(by_node.get(name))]
    for kind in _KINDS:
        if fitting := [image for image in images if image["type"] == kind]:
            return fitting[0], len(fitting)
    where = ", ".join(node_ids)
    raise BackendError(
        f"{who}: the workflow ran and kept no image in {where}: end it with SaveImage or PreviewImage", retryable=False
    )


def _images(output: object) -> list[dict[str, str]]:
    images = output.get("images") if isinstance(output, Mapping) else None
    return [
        {
            "filename": one["filename"],
            "subfolder": str(one.get("subfolder") or ""),
            "type": str(one.get("type") or "output"),
        }
        for one in (images if isinstance(images, list) else ())
        if isinstance(one, Mapping) and isinstance(one.get("filename"), str) and one["filename"]
    ]
