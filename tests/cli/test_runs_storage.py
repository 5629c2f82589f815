"""`imagerag runs mark`, `save`, `remove` and `prune`, as they are typed."""

import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from imagerag import ImageRAG
from imagerag.cli.runs_storage import size_of
from imagerag.diagnostics.doctor import Diagnosis
from imagerag.formatting.numbers import size_of_bytes
from imagerag.graphs.runs.removal import RunsRemoved
from imagerag.store.file_lock import run_lock
from tests.cli.conftest import HELD, KNOWN, Imagerag, document, one_line


@pytest.fixture
def runs(imagerag: Imagerag) -> list[str]:
    """Two runs, newest first; the newer one was drawn with a reference."""
    for prompt in (KNOWN, HELD):
        assert imagerag("generate", prompt, "--out", "picture.png", "--overwrite").exit_code == 0
    return [entry["run_id"] for entry in document(imagerag("runs", "--json"))["runs"]]


def test_the_list_is_still_what_runs_alone_gives(imagerag: Imagerag, runs: list[str]) -> None:
    assert len(runs) == 2
    assert document(imagerag("runs", "-n", "1", "--json"))["runs"][0]["run_id"] == runs[0]
    assert "prune" in imagerag("runs", "--help").stdout


def test_a_dry_run_says_what_would_go_and_takes_nothing(imagerag: Imagerag, runs: list[str]) -> None:
    told = RunsRemoved.model_validate(document(imagerag("runs", "prune", "--keep", "1", "--dry-run", "--json")))
    assert (told.dry_run, [one.run_id for one in told.runs], told.kept) == (True, [runs[1]], 1)
    assert told.freed_bytes == told.runs[0].bytes > 1000
    text = imagerag("runs", "remove", "last", "--dry-run").stdout
    assert runs[0] in text
    assert "1 run would be removed" in text
    assert len(document(imagerag("runs", "--json"))["runs"]) == 2


def test_removing_asks_and_is_refused_where_nobody_answers(imagerag: Imagerag, runs: list[str]) -> None:
    refused = imagerag("runs", "remove", "last")
    assert refused.exit_code == 2
    assert "--yes" in one_line(refused)
    assert "--dry-run" in one_line(refused)
    assert imagerag("runs", "prune", "--yes").exit_code == 2
    done = RunsRemoved.model_validate(document(imagerag("runs", "remove", *runs, "--yes", "--json")))
    assert ({one.run_id for one in done.runs}, done.kept) == (set(runs), 0)
    assert document(imagerag("runs", "--json"))["runs"] == []
    assert imagerag("show", runs[0]).exit_code == 2


def test_a_run_that_there_is_not_is_told_before_anything_is_asked(imagerag: Imagerag) -> None:
    refused = imagerag("runs", "remove", "nonesuch")
    assert "no run 'nonesuch'" in one_line(refused)
    assert "--yes" not in one_line(refused)


def test_a_folder_given_as_an_argument_is_named_with_its_option(imagerag: Imagerag) -> None:
    refused = imagerag("runs", "save", "last", "out.png")
    assert refused.exit_code == 2
    assert "--out out.png" in one_line(refused)


def test_a_run_that_is_being_made_is_refused_by_name(imagerag: Imagerag, runs: list[str], home: Path) -> None:
    lock = ImageRAG(home=home).dependencies.home.lock(runs[0])
    with run_lock(lock, runs[0]):
        refused = imagerag("runs", "remove", runs[0], "--yes")
        assert f"run {runs[0]} is being made right now" in one_line(refused)
        kept = document(imagerag("runs", "prune", "--keep", "0", "--yes", "--json"))
    assert [one["run_id"] for one in kept["runs"]] == [runs[1]]


def test_a_run_is_saved_as_a_folder_that_stands_alone(imagerag: Imagerag, runs: list[str], tmp_path: Path) -> None:
    saved = document(imagerag("runs", "save", "last", "--out", "saved", "--json"))
    folder = tmp_path / "saved"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(saved["files"])
    assert json.loads((folder / "run.json").read_text())["run_id"] == runs[0]
    (best,) = folder.glob("attempt-*-best.png")
    sidecar = json.loads(best.with_name(best.name + ".json").read_text())
    assert sidecar["references"]
    first = json.loads((folder / "attempt-1.png.json").read_text())
    assert first["references"] == []
    assert first["sha256"] != sidecar["sha256"]
    (credit,) = json.loads((folder / "references" / "credits.json").read_text())
    assert credit["licence"]
    assert (folder / "references" / credit["file"]).stat().st_size
    assert "<html" in (folder / "report.html").read_text()
    imagerag("runs", "remove", "last", "--yes")
    assert best.exists()


def test_an_archive_holds_the_same_files(imagerag: Imagerag, runs: list[str], tmp_path: Path) -> None:
    imagerag("runs", "save", "last", "--out", "saved")
    told = document(imagerag("runs", "save", "last", "--out", "saved.zip", "--json"))
    with ZipFile(tmp_path / "saved.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == told["files"]
        for name in told["files"]:
            assert archive.read(name) == (tmp_path / "saved" / name).read_bytes()
    assert len(told["files"]) == sum(path.is_file() for path in (tmp_path / "saved").rglob("*"))
    assert "is there already" in one_line(imagerag("runs", "save", runs[1], "--out", "saved.zip"))
    before = (tmp_path / "saved.zip").read_bytes()
    assert imagerag("runs", "save", "last", "--out", "saved.zip", "--overwrite").exit_code == 0
    assert (tmp_path / "saved.zip").read_bytes() == before


def test_favourites_are_listed_and_stay(imagerag: Imagerag, runs: list[str], home: Path) -> None:
    assert f"run {runs[1]} is a favourite" in imagerag("runs", "mark", runs[1]).stdout
    assert [one["run_id"] for one in document(imagerag("runs", "--favourite", "--json"))["runs"]] == [runs[1]]
    assert [one["run_id"] for one in document(imagerag("runs", "--no-favourite", "--json"))["runs"]] == [runs[0]]
    assert imagerag("runs").stdout.count("★") == 1
    assert "no run 'nonesuch'" in one_line(imagerag("runs", "mark", runs[0], "nonesuch"))
    (home / "run_list.sqlite").unlink()  # the list is made anew from the checkpoints
    listed = document(imagerag("runs", "--json"))["runs"]
    assert [(one["run_id"], one["favourite"]) for one in listed] == [(runs[0], False), (runs[1], True)]
    taken = document(imagerag("runs", "prune", "--keep", "0", "--yes", "--json"))
    assert [one["run_id"] for one in taken["runs"]] == [runs[0]]
    assert document(imagerag("runs", "prune", "--keep", "0", "--favourites", "--yes", "--json"))["runs"]
    assert list((home / "favourites").iterdir()) == []


def test_a_mark_is_taken_back(imagerag: Imagerag, runs: list[str]) -> None:
    imagerag("runs", "mark", *runs)
    (entry,) = document(imagerag("runs", "mark", "last", "--no-favourite", "--json"))["runs"]
    assert (entry["run_id"], entry["favourite"]) == (runs[0], False)
    assert [one["run_id"] for one in document(imagerag("runs", "--favourite", "--json"))["runs"]] == [runs[1]]


def test_somebody_elses_folder_is_not_written_into(imagerag: Imagerag, runs: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.json").write_text("{}")
    assert "holds something else" in one_line(imagerag("runs", "save", "last", "--out", "mine"))
    assert imagerag("runs", "save", "last", "--out", "mine", "--overwrite").exit_code == 0
    assert imagerag("runs", "save", "last", "--out", "mine").exit_code == 0
    # What somebody changed there since is his, and the files of another run are not this one's.
    (tmp_path / "mine" / "report.html").write_text("MINE")
    assert "report.html is there already" in one_line(imagerag("runs", "save", "last", "--out", "mine"))
    assert (tmp_path / "mine" / "report.html").read_text() == "MINE"
    assert imagerag("runs", "save", "last", "--out", "mine", "--overwrite").exit_code == 0
    before = (tmp_path / "mine" / "run.json").read_bytes()
    assert "is there already, and differs" in one_line(imagerag("runs", "save", runs[1], "--out", "mine"))
    assert (tmp_path / "mine" / "run.json").read_bytes() == before


def test_doctor_says_what_takes_the_room(imagerag: Imagerag, runs: list[str]) -> None:
    found = Diagnosis.model_validate(document(imagerag("doctor", "--json")))
    assert {"libraries", "checkpoints", "journal", "blobs"} <= {kind for kind, size in found.disk.items() if size}
    assert "checkpoints" in imagerag("doctor").stdout


@pytest.mark.parametrize(
    ("given", "size"), [("2GB", 2 * 10**9), ("500 mb", 5 * 10**8), ("1.5k", 1500), ("12", 12), ("0", 0)]
)
def test_sizes_are_read(given: str, size: int) -> None:
    assert size_of(None, None, given) == size  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["", "GB", "-1", "2 gigs", "1e9"])
def test_what_is_no_size_is_refused(imagerag: Imagerag, given: str) -> None:
    assert "is no size: 2GB, 500MB" in one_line(imagerag("runs", "prune", "--max-size", given, "--yes"))


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123 kB"), (2 * 10**9, "2.0 GB")]
)
def test_sizes_are_told(number: int, text: str) -> None:
    assert size_of_bytes(number) == text
