"""The documentation site builds strictly, has every page, asks no other host for anything, and is searched offline."""

import os
import re
import shutil
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
    assert "unfinished images to be told of" in page


def test_schemas_are_part_of_the_site(site: Path) -> None:
    assert (site / "schemas" / "run.json").read_bytes() == (ROOT / "docs" / "schemas" / "run.json").read_bytes()


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.mark.parametrize(
    ("page", "words", "found"),
    [
        ("index.html", "troubleshooting", "troubleshooting.html"),
        ("reference/commands.html", "IMAGERAG_PRICES", "configuration.html"),
        ("index.html", "glossary", "glossary.html"),
    ],
)
def test_the_search_works_from_files(site: Path, tmp_path: Path, page: str, words: str, found: str) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no chromium here: apt-get install chromium")
    address = f"{(site / page).as_uri()}?q={words}"
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        "--virtual-time-budget=20000",
    ]
    shown = subprocess.run([browser, *flags, "--dump-dom", address], capture_output=True, text=True, timeout=120)
    hits = re.findall(r'href="([^"]*)" class="md-search-result__link"', shown.stdout)
    assert hits, shown.stdout[-500:]
    assert all(hit.startswith("file:") for hit in hits)
    assert any(found in hit for hit in hits)
