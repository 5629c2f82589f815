"""Labels of a library's check: ways to search, verdicts, and kinds of queries without a match."""

from collections.abc import Mapping
from typing import Final

from imagerag.formatting.labels import Label

WAYS: Final[Mapping[str, str]] = {
    "text_to_image": "text → image",
    "text_to_caption": "text → caption",
    "hybrid": "text → both",
    "image_to_image": "image → image",
}
"""Way to search → its label, in the order of reports."""

NEEDS: Final[Mapping[str, str]] = {
    "text_to_image": "captions of different things",
    "text_to_caption": "captions of different things",
    "hybrid": "captions of different things",
    "image_to_image": "images",
}
"""Way to search → what it is measured with."""

VERDICTS: Final[Mapping[str, Label]] = {
    "good": Label("good", "the threshold tells matches from others", "good"),
    "usable": Label("usable", "the threshold tells most matches from others", "calm"),
    "ranks_only": Label("ranks only", "matches come first, but no threshold separates them", "warn"),
    "cannot_tell_apart": Label("cannot tell apart", "the encoder cannot tell matches from others", "bad"),
    "not_connected": Label("not connected", "the encoder does not connect captions with their images", "bad"),
    "too_few": Label("too few", "there are too few captions or images", "warn"),
}
"""Verdict on a way, the best first."""

KINDS: Final[Mapping[str, str]] = {
    "near": "one word changed",
    "left_out": "own image left out",
    "unrelated": "unrelated captions",
    "other_images": "nearest other image",
}
"""Kind of queries without a match → its label."""

PROBLEM_KINDS: Final[Mapping[str, str]] = {
    "row": "row",
    "duplicate-row": "repeated row",
    "file": "file",
    "copy": "copy",
    "image": "image",
    "stray": "stray copy",
    "thumbnail": "thumbnail",
    "vector": "vector",
    "caption-vector": "vector of the caption",
    "regions": "regions",
    "other-vector": "vector of the other encoder",
    "index": "index",
}
"""What a problem of a library is about."""
