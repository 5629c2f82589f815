"""Texts that were cut within a character, or hold half of one, are read without a letter that nobody wrote."""

import os
from pathlib import Path

import pytest

from imagerag.store.library.metadata.embedded.texts import decode_text, decode_utf_16
from imagerag.store.library.metadata.sidecars import sidecar_metadata
from imagerag.store.text_files import clean, decoded, is_windows_1252

CAT = "Eine Katze \U0001f408"


@pytest.mark.parametrize("length", range(len(CAT.encode()) - 3, len(CAT.encode())))
def test_a_character_that_a_limit_on_bytes_cut_in_two_is_left_out(tmp_path: Path, length: int) -> None:
    data = f"Größe: {CAT}".encode()[: length + len("Größe: ".encode())]
    (tmp_path / "cut.txt").write_bytes(data)
    assert {decoded(data), decode_text(data), decode_text(data, "ascii")} == {"Größe: Eine Katze "}
    assert not is_windows_1252(tmp_path / "cut.txt")
    assert decode_utf_16(CAT.encode("utf-16-le")[:-2], "utf-16-le") == "Eine Katze "
    assert decode_utf_16(CAT.encode("utf-16-le")[:-1], "utf-16-le") == "Eine Katze "


def test_one_letter_of_windows_1252_at_the_end_is_a_letter(tmp_path: Path) -> None:
    data = "un café".encode("cp1252")
    (tmp_path / "a.txt").write_bytes(data)
    assert {decoded(data), decode_text(data)} == {"un café"}
    assert is_windows_1252(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("a cat \ud83d", "a cat \ufffd"), ("\udc08 cat", "\ufffd cat"), ("\ud83d\udc08", "\U0001f408"),
        (os.fsdecode(b"caf\xe9"), "caf\ufffd"), ("is it a cat?", "is it a cat?"),
    ],
)  # fmt: skip
def test_half_a_character_is_no_question_mark(text: str, whole: str) -> None:
    assert clean(text) == whole
    assert clean(clean(text)) == whole


def test_half_a_character_in_a_sidecar() -> None:
    described = sidecar_metadata("a.json", r'{"caption": "a cat \ud83d", "tags": ["\ud83d\udc08"], "author": "\udc08"}')
    assert (described.caption, described.tags) == ("a cat \ufffd", ("\U0001f408",))
