"""The image of a job among all that its workflow kept."""

from collections.abc import Mapping
from typing import Any, Final

from imagerag.agent.errors import BackendError
from imagerag.tools.generators.comfyui.placeholders import Nodes

_KINDS: Final = ("output", "temp")
"""Folders of the server, the preferred first: saved images before previews."""


def image_of(
    who: str, entry: Mapping[str, Any], nodes: Nodes, *, node_id: str | None = None
) -> tuple[dict[str, str], int]:
    """The first image, and the number of images that there were: (`filename`, `subfolder` and `type`; number).

    The first is that of the first node in the workflow's file that saved one; the first of a batch.

    Args:
        entry: history of the job.
        node_id: the only node whose images count.

    Raises:
        BackendError: there is none.
    """
    outputs = entry.get("outputs")
    kept = outputs if isinstance(outputs, Mapping) else {}
    names = (
        [node_id] if node_id else [*(one for one in nodes if one in kept), *(one for one in kept if one not in nodes)]
    )
    found = [image for name in names for image in _images(kept.get(name))]
    for kind in _KINDS:
        if fitting := [image for image in found if image["type"] == kind]:
            return fitting[0], len(fitting)
    where = f"node {node_id}" if node_id else "the workflow"
    raise BackendError(f"{who}: {where} ran and kept no image: end it with SaveImage or PreviewImage", retryable=False)


def _images(told: object) -> list[dict[str, str]]:
    images = told.get("images") if isinstance(told, Mapping) else None
    return [
        {
            "filename": one["filename"],
            "subfolder": str(one.get("subfolder") or ""),
            "type": str(one.get("type") or "output"),
        }
        for one in (images if isinstance(images, list) else ())
        if isinstance(one, Mapping) and isinstance(one.get("filename"), str) and one["filename"]
    ]
