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

VERDICTS: Final[Mapping[str, Label]] = {
    "good": Label("good", "the threshold tells matches from others", "good"),
    "usable": Label("usable", "the threshold tells most matches from others", "calm"),
    "ranks_only": Label("ranks only", "matches come first, but no threshold separates them", "warn"),
    "cannot_tell_apart": Label("cannot tell apart", "the encoder cannot tell matches from others", "bad"),
    "not_connected": Label("not connected", "the encoder does not connect captions with their images", "bad"),
    "too_few": Label("too few", "there are too few captions or images", "warn"),
}
"""Verdict on a way, the best first."""

_RATES: Final = "accepts {accept} of matches, rejects {reject} of others"

SENTENCES: Final[Mapping[str, str]] = {
    "good": f"it {_RATES}",
    "usable": f"this encoder tells most matches from others, not all: it {_RATES}",
    "ranks_only": f"{{found}} of matches are among the first ten, but no threshold separates them; it {_RATES}",
    "cannot_tell_apart": f"this encoder cannot tell matches from others; it {_RATES}",
    "not_connected": f"this encoder does not connect the captions with their images; it {_RATES}",
    "too_few": "there are too few captions of different things to measure it",
    "too_few_images": "there are too few images to measure it",
}
"""Verdict on a way, and whether images are searched with → the sentence, with the rates that it is derived from."""

ADVICE: Final[Mapping[str, str]] = {
    "encoder": "try another encoder, which is compared with this one before it is used: {call}",
    "multilingual": "the captions are {language}, and the encoder was trained with English ones: a multilingual one "
    "reads them, {call}",
    "caption_encoder": "try another encoder of captions: {call}",
    "content": "let captions say what is seen in the images, not numbers or names: {call}",
    "ocr": "where images differ in their words, let these be read: {call}; then search with `hybrid=True`",
    "no_threshold": "take the best images whatever their cosine: `threshold=off`",
    "own_threshold": "name a threshold of your own where one error matters more: `threshold=COSINE`",
    "captions": "add captions: {call}",
    "images": "add images: {call}",
}
"""What to do about a verdict, in the terms of the Python API."""

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
