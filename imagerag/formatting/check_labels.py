"""Labels and sentences of libraries (checks, verifications, warnings), and of ends of runs; pages translate them."""

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

TABLES: Final[Mapping[str, str]] = {
    "checks": "Checks: {cases}, {failures}",
    "scores": "Scores, mean ± standard error",
    "against": "Against {arm}, case by case",
    "endings": "How cases ended",
    "settings": "Settings",
    "by_size": "{metric}, by size of the library",
    "by_tag": "{metric}, by kind of case",
    "searches": "What the searches found",
    "work": "What an answer took",
}
"""Titles of an evaluation's tables."""

REASONS: Final[Mapping[str, str]] = {
    "nothing_drawn": "nothing was drawn",
    "aligned": "the judge found everything the prompt asks for",
    "one_round": "still missing after 1 round: {lacking}",
    "rounds": "still missing after {n} rounds: {lacking}",
}
"""Why a run ended by its own logic."""

_FINDS_LITTLE: Final = "only {share} of library {name}'s own captions reach its threshold, so that little will be found"

WARNINGS: Final[Mapping[str, str]] = {
    "toy_finds_little": f"{_FINDS_LITTLE}; give it an encoder for photographs: {{call}}",
    "finds_little": f"{_FINDS_LITTLE}; see {{call}}",
    "toy": "library {name} was encoded with sketch, which knows coloured shapes only: {call}",
}
"""Warnings about a library before it is used."""

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

PROBLEMS: Final[Mapping[str, str]] = {
    "row_id": "its id is no SHA-256",
    "row_fields": "what it says cannot be read: {fields}",
    "row_filters": "filters are answered with other tags or metadata than it has",
    "duplicate_row": "the library has {count} rows of it",
    "file_gone": "it is gone",
    "file_away": "it is gone with all of its folder",
    "file_changed": "it was changed",
    "file_unreadable": "it cannot be read: {reason}",
    "copy": "its bytes have another SHA-256",
    "image": "its bytes are in no file and in no copy of this library",
    "stray": "it belongs to no image of the library",
    "thumbnail": "its thumbnail is missing or damaged",
    "vector": "its vector is not finite or not unit",
    "caption_vector": "the vector of its caption is not finite or not unit",
    "regions_boxes": "its regions have no usable boxes",
    "regions": "its regions do not have a finite unit vector each",
    "other_vector": "a vector of the encoder that searches do not use is not finite or not unit",
    "index": "an index of it cannot be read",
    "index_file": "it has other bytes than were written",
}
"""What is wrong in a library, as `libraries.verify` says it."""

REPAIRS: Final[Mapping[str, str]] = {
    "indexes": "all indexes were built anew",
    "deleted": "deleted",
    "deleted_again": "deleted: {call} encodes it again",
    "deleted_migration": "deleted: the next migration encodes it again",
    "one_row": "one row is kept, with the files of all",
    "taken_out": "the image was taken out",
    "row": "written anew",
    "vector": "encoded anew",
    "thumbnail": "made anew",
    "found_copy": "another library or a run had them: a whole copy is in the library",
    "found_copy_aside": "another library or a run had them: a whole copy is in the library; the damaged one is in "
    "{folder}",
    "copy_aside": "a whole copy is in the library; the damaged one is in {folder}",
    "copy": "a whole copy is in the library",
    "path": "the path was dropped; the image has another file or a copy",
    "changed": "{path} was encoded anew, as {id}",
}
"""What a repair did about a problem."""

REMEDIES: Final[Mapping[str, str]] = {
    "later": "somebody writes: later, {call}",
    "no_bytes": "index the folder where it is now, or: {call}",
    "away": "kept: {path} may come back, as where a disk is not mounted; if it is gone for good: {call}",
    "row_by_hand": "delete the row with LanceDB, {call}, and index its file again",
    "again_or_remove": "{call}, or: {remove}",
}
"""What to do about a problem that a repair leaves."""
