"""The documentation site builds strictly, offers every page, and asks no other host for anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FETCHED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(https?:)?//|<link\b[^>]*\bhref=\"(https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    # A proxy that nobody answers at: whatever wanted the network would fail.
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(made)],
        cwd=ROOT,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_every_document_is_a_page(site: Path) -> None:
    pages = {file.relative_to(ROOT / "docs").with_suffix(".html") for file in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if not (site / page).exists()} == set()


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    assert {page.name: found[0] for page in pages if (found := FETCHED.search(page.read_text("utf-8")))} == {}
    assert FETCHED.search('<link rel="stylesheet" href="https://fonts.example/css">')
    sheets = [file for file in site.rglob("*.css") if re.search(r"url\([\"']?(https?:)?//", file.read_text("utf-8"))]
    assert sheets == []


def test_the_reference_is_made_of_the_docstrings(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text("utf-8")
    for anchor in (
        "imagerag.client.client.ImageRAG.stream",
        "imagerag.client.runs.RunsAPI.replay",
        "imagerag.agent.ports.Judge.critique",
    ):
        assert f'id="{anchor}"' in page
    assert "unfinished pictures to be told of" in page


def test_schemas_are_part_of_the_site(site: Path) -> None:
    assert (site / "schemas" / "run.json").read_bytes() == (ROOT / "docs" / "schemas" / "run.json").read_bytes()
