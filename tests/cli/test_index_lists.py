"""What `imagerag index` lists: sorted, by reason, in the same words before and after; and what a stop says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from imagerag.cli.index_report import report_lines
from imagerag.cli.skipped_files import SHOWN, example_lines, skipped_lines
from imagerag.client.libraries import LibrariesAPI
from imagerag.formatting.interface_terms import as_commands
from imagerag.store.library.indexing.index_report import EXAMPLES, IndexReport
from imagerag.store.library.sources.manifest_hint import manifest_hint
from imagerag.tools.sketch.catalogue import product_scene, products
from imagerag.tools.sketch.renderer import draw
from tests.cli.conftest import Imagerag, one_line

FORMATS = "PNG, JPEG, WebP"


def test_examples_are_the_first_ones_and_end_in_how_many_more_there_are() -> None:
    report = IndexReport(dry_run=True)
    for number in reversed(range(26)):
        report.count("added", f"{number:02}.png")
    report.count("duplicates", "twin.png")
    lines = [click.unstyle(line).split() for line in example_lines(report)]
    assert [line[-1] for line in lines[:EXAMPLES]] == [f"{number:02}.png" for number in range(EXAMPLES)]
    assert lines[EXAMPLES:] == [["and", "16", "more"], ["duplicate", "twin.png"]]


def test_files_stand_below_the_reason_that_they_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    unread = "not an image we read (PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000, PSD, HEIC, camera RAW and others)"
    skipped = [*((f"{one}.txt", unread) for one in range(30)), ("cut.png", f"{unread}: cut")]
    lines = list(map(click.unstyle, skipped_lines([skipped[0], *skipped[-1:], *skipped[1:-1]])))
    assert " ".join(lines).count(FORMATS) == 1
    assert " ".join(" ".join(lines).split()).startswith(f"{unread}: 0.txt 1.txt")
    assert "  cut.png  not an image we read: cut" in lines
    assert lines[-1] == f"  … and {len(skipped) - SHOWN} more: --json lists them all"
    assert all(len(line) <= 80 for line in lines)


def test_every_column_is_shown_in_lines_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    named = {f"column {number}": "metadata" for number in range(30)}
    lines = list(map(click.unstyle, report_lines(IndexReport(columns=named), "mine", None)))
    assert all(len(line) <= 80 for line in lines)
    assert "column 29 → metadata" in " ".join(" ".join(lines).split())


def test_of_very_many_columns_the_first_are_shown_and_every_field() -> None:
    named = {f"column {number}": "metadata" for number in range(300)} | {"text": "caption"}
    lines = list(map(click.unstyle, report_lines(IndexReport(columns=named), "mine", None)))
    end = "column 39 → metadata, text → caption, and 260 more → metadata next"
    assert end in " ".join(" ".join(lines).split())


def test_a_dry_run_says_what_the_run_says(imagerag: Imagerag, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    draw(product_scene(products()[0]), 64).save(folder / "one.png")
    (folder / "twin.png").write_bytes((folder / "one.png").read_bytes())
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_bytes(b"<html>not found</html>")
    (folder / "labels.csv").write_text("file,label\none.png,red\n")
    planned, done = (imagerag("index", folder, "--library", "mine", *flag).stdout for flag in (["--dry-run"], []))
    for words in ("the file is empty", "a web page, not an image", "1 duplicate", "--manifest pictures/labels.csv"):
        assert words in planned
        assert words in done
    assert "duplicates" not in planned


@pytest.mark.parametrize(
    ("name", "text", "is_manifest"),
    [
        ("labels.csv", "file,label\na.jpg,x\n", True),
        ("labels.jsonl", '{"file_name": "a.png", "text": "x"}\n', True),
        ("prices.csv", "path,price\n/shop,3\n", False),
        ("notes.csv", "day,weather\nmonday,rain\n", False),
        ("broken.csv", "\0", False),
        ("empty.csv", "", False),
        ("package.json", '{"name": "x", "path": "y"}', False),
        ("labels.txt", "file,label\na.jpg,x\n", False),
        ("labels.parquet", "no parquet", False),
    ],
)
def test_a_file_whose_rows_name_images_looks_like_a_manifest(
    tmp_path: Path, name: str, text: str, is_manifest: bool
) -> None:
    (tmp_path / name).write_text(text)
    hint = manifest_hint(tmp_path / name)
    assert (hint is not None) == is_manifest
    assert hint is None or f"--manifest {tmp_path / name}" in as_commands(hint)


@pytest.mark.parametrize(
    ("done", "flags", "told"),
    [
        (3, [], "3 of 10 files are done, their images are in library mine; the same command goes on"),
        (3, ["--quiet"], "3 of 10 files are done"),
        (0, [], "nothing new is in the library yet; the same command begins again"),
        (3, ["--dry-run"], "imagerag: stopped"),
    ],
)
def test_a_stop_says_what_is_kept_and_how_it_goes_on(
    imagerag: Imagerag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int, flags: list[str], told: str
) -> None:
    async def stopped(self: object, *paths: object, progress: Callable[[int, int], None], **options: Any) -> None:
        if done:
            progress(done, 10)
        raise KeyboardInterrupt

    monkeypatch.setattr(LibrariesAPI, "index", stopped)
    result = imagerag("index", tmp_path, "--library", "mine", *flags)
    assert result.exit_code == 130
    assert told in one_line(result)
