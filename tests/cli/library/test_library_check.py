"""`library check`, the check of `index`, and the rates of thresholds in `info` and `stats`."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from imagerag.cli.library.check import check_lines, last_check_lines
from imagerag.cli.library.threshold_rates import NOT_MEASURED
from imagerag.formatting.check_labels import KINDS, WAYS
from imagerag.store.data_dir import DataDir
from imagerag.store.library.check.last_check import LastCheck
from imagerag.store.library.check.library_check import LibraryCheck, WayCheck
from imagerag.store.library.check.rates import Share, ranked
from imagerag.store.library.check.verdicts import CheckVerdict, LibraryFacts, advice_of, sentence_of
from imagerag.store.library.database import open_table
from imagerag.store.library.library_metadata import library_metadata_of, write_library_metadata
from imagerag.tools.sketch.catalogue import product_scene, products
from imagerag.tools.sketch.renderer import draw
from tests.cli.conftest import Imagerag, document, one_line

BETTER = "open_clip:ViT-B-32-SigLIP2-256/webli"


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def fits(lines: list[str]) -> bool:
    """Whether no line is too long; commands are never broken."""
    return all(len(line) <= 80 for line in lines if not line.strip().startswith("imagerag "))


def test_verdicts_come_before_the_figures(imagerag: Imagerag) -> None:
    lines = imagerag("library", "check", "sketch", "--queries", "40").stdout.splitlines()
    assert lines[0].startswith("library sketch: ")
    assert lines[0].endswith(" in English")
    assert lines[3].startswith("  text → image   ")
    table = next(at for at, line in enumerate(lines) if line.split() == ["text", "→", "image", "image", "→", "image"])
    assert [line.split()[0] for line in lines[table + 1 : table + 7]] == [
        "queries", "recall@1", "recall@5", "recall@10", "MRR", "nDCG@10",
    ]  # fmt: skip
    assert fits(lines)


def test_the_document_has_every_way(imagerag: Imagerag) -> None:
    found = document(imagerag("library", "check", "sketch", "--queries", "40", "--json"))
    assert (found["schema"], found["library"]) == ("imagerag.library-check/1", "sketch")
    assert [way["way"] for way in found["check"]["ways"]] == [
        way for way in WAYS if way not in ("text_to_caption", "hybrid")
    ]
    assert {kind for way in found["check"]["ways"] for kind in way["reject_rates"]} == set(KINDS)


@pytest.mark.parametrize(("text", "said"), [("\n \n", "holds no captions"), (None, "cannot read the captions")])
def test_a_file_of_captions_that_is_of_no_use_is_refused(
    imagerag: Imagerag, tmp_path: Path, text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / "other.txt").write_text(text)
    result = imagerag("library", "check", "sketch", "--unrelated", "other.txt")
    assert (result.exit_code, said in one_line(result)) == (2, True)


def test_captions_of_a_file_are_used(imagerag: Imagerag, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("a whale\na train\n")
    checked = imagerag("library", "check", "sketch", "--queries", "20", "--unrelated", "other.txt", "--json")
    assert document(checked)["check"]["ways"][0]["reject_rates"]["unrelated"]["n"] == 2


def test_index_prints_the_verdicts_once(imagerag: Imagerag, tmp_path: Path) -> None:
    rows = []
    for product in products()[:16]:
        draw(product_scene(product), 64).save(tmp_path / f"{product.stem}.png")
        rows.append({"path": f"{product.stem}.png", "caption": product.caption})
    (tmp_path / "captions.json").write_text(json.dumps(rows))
    given = ("index", "--manifest", tmp_path / "captions.json", "--library")
    first = imagerag(*given, "mine").stdout
    assert "imagerag library check mine" in first
    assert "\n  text → image   " in first
    assert "\n  image → image  " in first
    assert "text → image" not in imagerag(*given, "mine").stdout
    assert "text → image" not in imagerag(*given, "yours", "--no-check").stdout


@pytest.mark.parametrize("verdict", CheckVerdict)
def test_every_verdict_is_pleasant_to_read(verdict: CheckVerdict) -> None:
    share, few = Share.of([True] * 89 + [False] * 11), verdict is CheckVerdict.TOO_FEW
    ranking = None if few else ranked([["a"]] * 100, [{"a"}] * 100)
    facts = LibraryFacts(name="a-library", embedder="open_clip:x", language="de", better_embedder=BETTER)
    ways = [
        WayCheck(
            way=way,
            verdict=verdict,
            summary=sentence_of(way, verdict, ranking, share, share),
            advice=advice_of(way, verdict, facts),
            queries=0 if few else 100,
            ranking=ranking,
            threshold=0.25,
            held_out=None if few else "halves",
            accept_rate=share,
            reject_rate=share,
            reject_rates=dict.fromkeys(KINDS, share),
        )
        for way in ("text_to_image", "image_to_image")
    ]
    found = LibraryCheck(
        library="a-library", embedder="open_clip:x", images=1_000, captions=900, language="de", ways=tuple(ways)
    )
    lines = [click.unstyle(line) for line in check_lines(found)]
    assert fits(lines)
    assert lines[0] == "library a-library: 1,000 images, 900 captions in German"
    assert ("what to do" in lines) == (verdict is not CheckVerdict.GOOD)
    assert not any("`" in line for line in lines)
    advice = [line for line in lines if line.startswith("  - ")]
    assert len(advice) == len(set(advice))


def test_rates_that_an_earlier_version_did_not_note_are_not_measured(imagerag: Imagerag, home: Path) -> None:
    told = " ".join(imagerag("library", "info", "sketch").stdout.split())
    assert "of nearly matching ones" in told
    assert "of views, rejects" in told
    table = open_table(DataDir(home), "sketch")
    kept = library_metadata_of(table, "sketch")
    assert kept.threshold is not None
    assert kept.image_threshold is not None
    earlier = {
        "threshold": kept.threshold.model_copy(update={"reject_rate": None, "near_reject_rate": None}),
        "image_threshold": kept.image_threshold.model_copy(update={"accept_rate": None, "reject_rate": None}),
    }
    write_library_metadata(table, kept.model_copy(update=earlier))
    told = " ".join(imagerag("library", "info", "sketch").stdout.split())
    assert "of nearly matching ones not measured" in told
    assert f"{NOT_MEASURED}: imagerag library calibrate sketch" in told
    assert " ".join(imagerag("library", "stats", "sketch").stdout.split()).count(NOT_MEASURED) == 2


def test_info_and_stats_show_the_last_check(imagerag: Imagerag) -> None:
    assert "checked" not in imagerag("library", "info", "sketch").stdout
    assert document(imagerag("library", "stats", "sketch", "--json"))["last_check"] is None
    imagerag("library", "check", "sketch", "--queries", "40")
    for command in ("info", "stats"):
        shown = imagerag("library", command, "sketch").stdout
        assert "with 40 captions at most\n  text → image   " in shown
        assert "before the last change" not in shown
        last = document(imagerag("library", command, "sketch", "--json"))["last_check"]
        assert (last["queries"], last["is_current"], last["check"]["library"]) == (40, True, "sketch")


def test_a_check_before_the_last_change_is_marked() -> None:
    check = LibraryCheck(library="a b", embedder="sketch", images=1, captions=0, ways=())
    last = LastCheck(checked=datetime(2026, 3, 4, 5, 6, tzinfo=UTC), queries=200, is_current=False, check=check)
    shown = " ".join(line.strip() for line in last_check_lines(last, "a b"))
    assert shown == (
        "checked 2026-03-04 05:06 UTC, with 200 captions at most, before the last change; again: "
        "imagerag library check 'a b'"
    )
