"""Letters of other scripts on a page: by a font of the system, and never as the empty boxes of a font without them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from imagerag.reports.contact_sheet import fonts
from imagerag.reports.contact_sheet.canvas import Canvas, measure, plain

ARABIC, HEBREW, RUSSIAN = "مصباح أحمر", "מנורה אדומה", "красная лампа"
JAPANESE, HINDI = "赤いランプ、木の机", "एक लाल दीपक"


def dejavu() -> Path:
    """A font with Arabic, Hebrew and Cyrillic letters, and without Japanese or Hindi ones."""
    return Path(pytest.importorskip("matplotlib").get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def forget() -> None:
    for cached in (
        fonts.font_files,
        fonts.system_font,
        fonts._own,
        fonts._folded,
        fonts._has,
        fonts._empty_boxes,
        fonts.font,
    ):
        cached.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder with fonts, empty."""
    monkeypatch.setattr(fonts, "font_folders", lambda: [tmp_path])
    forget()
    yield tmp_path
    forget()


def test_without_a_font_a_script_is_named(folder: Path) -> None:
    assert plain(JAPANESE) == "[Japanese text]"
    assert plain(HINDI) == "[Devanagari text]"
    assert plain(f"lamp-07 {ARABIC}, 3 x {HEBREW}") == "lamp-07 [Arabic text], 3 x [Hebrew text]"
    assert plain("a lamp 😀🎉 at night") == "a lamp at night"
    assert plain("") == ""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("लाल बिल्ली", "[Devanagari text]"),
        ("กำลัง", "[Thai text]"),
        ("a x\u0304 and e\u0301", "a x and e"),
        ("\u0301abc", "abc"),
    ],
)
def test_a_mark_is_never_a_box(folder: Path, text: str, written: str) -> None:
    assert plain(text) == written
    shutil.copy(dejavu(), folder / "DejaVuSans.ttf")
    forget()
    assert plain(text) == written


def test_a_font_of_the_system_writes_what_it_has(folder: Path) -> None:
    shutil.copy(dejavu(), folder / "DejaVuSans.ttf")
    (folder / "Broken.ttf").write_bytes(b"no font")
    (folder / "notes.txt").write_text("no font either")
    assert plain(RUSSIAN) == RUSSIAN
    assert plain(f"{RUSSIAN} {JAPANESE}") == f"{RUSSIAN} [Japanese text]"
    if features.check("raqm"):
        assert (plain(ARABIC), plain(HEBREW)) == (ARABIC, HEBREW)
    assert fonts.runs(RUSSIAN) == [(RUSSIAN, folder / "DejaVuSans.ttf")]
    page = Image.new("RGB", (900, 80), "white")
    Canvas(page).text(4, 4, RUSSIAN, 16, (0, 0, 0))
    box = Image.eval(page.convert("L"), lambda value: 255 - value).getbbox()
    assert box is not None
    assert box[2] == pytest.approx((4 + measure(RUSSIAN, 16)) * 2, abs=6)


def test_letters_are_not_drawn_from_left_to_right_where_they_run_the_other_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(dejavu(), folder / "DejaVuSans.ttf")
    monkeypatch.setattr(features, "check", lambda feature: False)
    assert plain(ARABIC) == "[Arabic text]"
    assert plain(RUSSIAN) == RUSSIAN


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40))
def test_no_sign_is_written_that_no_font_has(folder: Path, text: str) -> None:
    written = plain(text)
    assert all(fonts._own(sign) for sign in written)
    assert "".join(part for part, _ in fonts.runs(written)) == written
