"""Words are found whatever accents they are typed with, in every language, and other letters stay other letters."""

import unicodedata
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.types import ImageRef
from imagerag.store.library.accents import without_accents
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord, NewImage
from tests.store.conftest import DIMENSION

GERMAN = ("ein Café mit Tür und eine Mühle", "der Schlüssel ist auf dem Tisch", "die Katze und das Haus im Cafe")
FRENCH = ("une crème brûlée et le café", "les élèves dans la forêt", "un garçon sur le pont")
ENGLISH = ("a café with a naïve waiter", "a lamp on the table", "the façade of a house")
GREEK = ("ένας καφές δίπλα στη θάλασσα", "ένα σπίτι")
RUSSIAN = ("зелёная ёлка в лесу", "йод на столе", "дом и сад")
ARABIC = ("قَهْوَة في فنجان", "كتاب على طاولة")
HEBREW = ("שָׁלוֹם על הקיר", "בית בגן")
HINDI = ("एक कॉफ़ी का प्याला", "एक घर")
VIETNAMESE = ("một quán cà phê nhỏ", "ngôi nhà màu đỏ")
CZECH = ("žlutá židle u okna", "dům a zahrada")
JAPANESE = ("ガラスの花瓶", "カラスと木")

CASES = [
    (GERMAN, "cafe", {0, 2}), (GERMAN, "café", {0, 2}), (GERMAN, "CAFE", {0, 2}), (GERMAN, "tur", {0}),
    (GERMAN, "tuer", {0}), (GERMAN, "Muehle", {0}), (GERMAN, "schlussel", {1}),
    (FRENCH, "creme brulee", {0}), (FRENCH, "cafe", {0}), (FRENCH, "foret", {1}), (FRENCH, "garcon", {2}),
    (ENGLISH, "cafe", {0}), (ENGLISH, "naive", {0}), (ENGLISH, "facade", {2}), (ENGLISH, "lámp", {1}),
    (GREEK, "καφες", {0}), (GREEK, "σπιτι", {1}), (RUSSIAN, "елка", {0}), (RUSSIAN, "ёлка", {0}),
    (RUSSIAN, "иод", set()), (ARABIC, "قهوة", {0}), (HEBREW, "שלום", {0}), (HINDI, "कॉफी", {0}),
    (VIETNAMESE, "ca phe", {0}), (CZECH, "zluta", {0}), (JAPANESE, "ガラス", {0}), (JAPANESE, "カラス", {1}),
]  # fmt: skip


async def filled(library: Library, captions: Sequence[str]) -> Library:
    """The library with images of these captions, several of each so that their language shows."""
    rows = [
        ImageRecord(
            image=ImageRef(sha256=f"{at:064x}", media_type="image/png", width=9, height=9), caption=text, source="s"
        )
        for at, text in enumerate(captions)
    ]
    vector = np.eye(1, DIMENSION, dtype=np.float32)[0]
    await library.upsert([NewImage(row=row, data=b"", thumbnail=b"", vector=vector) for row in rows])
    await library.optimize()
    return library


@pytest.mark.parametrize("captions", dict.fromkeys(captions for captions, _, _ in CASES))
async def test_words_are_found_however_their_accents_are_typed(library: Library, captions: Sequence[str]) -> None:
    opened = await filled(library, captions)
    for form in ("NFC", "NFD"):
        for text, expected in [(text, found) for of, text, found in CASES if of is captions]:
            hits = await opened.search_words(unicodedata.normalize(form, text), k=5)
            assert {int(hit.image.sha256, 16) for hit in hits} == expected, text
            assert all(hit.found_by[0].words for hit in hits) or "ue" in text, text


async def test_new_captions_bring_new_spellings(library: Library) -> None:
    opened = await filled(library, GERMAN[1:])
    assert len(await opened.search_words("cafe", k=5)) == 1
    await filled(opened, GERMAN)
    assert len(await opened.search_words("cafe", k=5)) == 2


@given(st.text())
def test_folding_is_stable_and_keeps_ascii(text: str) -> None:
    folded = without_accents(text)
    assert without_accents(folded) == folded or not text.isascii()
    assert without_accents(unicodedata.normalize("NFD", text)) == without_accents(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Café", "cafe"),
        ("ёлка", "елка"),
        ("йод", "йод"),
        ("ガラス", "ガラス"),
        ("ｶﾌｪ", "カフェ"),
        ("क्या", "क्या"),
        ("कॉफ़ी", "कॉफी"),
        ("שָׁלוֹם", "שלום"),
    ],
)
def test_marks_of_other_letters_stay(text: str, folded: str) -> None:
    assert without_accents(text) == unicodedata.normalize("NFC", folded)
