"""Every file of a home damaged in turn, before every command that reads: a right answer or an error that says why."""

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imagerag import ImageRAG
from imagerag.cli import main
from imagerag.store.data_dir import DataDir
from imagerag.store.integrity_check import TABLES
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge
from tests.small_disk import SmallDisk, mounted

RUN = "the-run"
FULL = os.environ.get("STORM") == "full"

DAMAGES: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"\x00\xffgarbage" * 997),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "deleted": lambda path: path.unlink(),
    "flipped": lambda path: path.write_bytes(_flipped(path.read_bytes())),
}

READING = [
    ["runs", "--json"],
    ["show", RUN],
    ["show", RUN, "--json"],
    ["show", RUN, "--rounds"],
    ["report", RUN, "--out", "{tmp}/report.html"],
    ["search", "a red square", "--library", "shop", "--json"],
    ["search", "a red square", "--library", "shop", "--hybrid", "--json"],
    ["library", "list", "--json"],
    ["library", "info", "shop", "--json"],
    ["ask", "how many pictures are there?", "--library", "shop", "--json"],
    ["diff", RUN, RUN],
    ["doctor", "--json"],
]


LOOKS_AT_LIBRARIES = ("search", "library", "ask", "doctor")
"""Of those, the ones that open a library, or look through its files."""

WRITING = ("ask", "doctor")
"""Of those, the ones that cannot do all of their work without writing: a conversation is kept, a disk is tried."""


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(byte ^ 0xFF for byte in data[middle : middle + 512]) + data[middle + 512 :]


def imagerag(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--home", str(home), *arguments])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a library, a run that ended, and a question that was answered."""
    from tests.store.conftest import picture

    root = tmp_path_factory.mktemp("whole")
    home, folder = root / "home", root / "pictures"
    folder.mkdir()
    for number, name in enumerate(("red", "green", "blue", "yellow")):
        (folder / f"{name}.png").write_bytes(picture(name, mark=number))
        (folder / f"{name}.txt").write_text(f"a {name} square")
    assert imagerag(home, "index", str(folder), "--library", "shop", "--embedder", "sketch").exit_code == 0
    assert imagerag(home, "ask", "how many pictures are there?", "--library", "shop").exit_code == 0
    rag = ImageRAG(preset="sketch", generator="mine", judge="mine", library="shop", home=home)
    rag.dependencies.use("generator", "mine", ScriptedGenerator())
    rag.dependencies.use("judge", "mine", ScriptedJudge(lambda prompt, image: []))
    rag.generate_sync("a red square", run_id=RUN)
    return home


@pytest.fixture
def home(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PRESET", "GENERATOR", "JUDGE", "EMBEDDER", "LIBRARY", "DEBUG", "HOME"):
        monkeypatch.delenv(f"IMAGERAG_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(whole, tmp_path / "home"))


def kinds(home: Path) -> list[str]:
    """One file of each kind that there is, relative to the home."""
    chosen: dict[str, str] = {}
    for path in sorted(file for file in home.rglob("*") if file.is_file()):
        name = str(path.relative_to(home))
        kind = re.sub(r"[0-9a-f-]{12,}|\d+", "#", re.sub(r"blobs/.*", "blobs", name))
        chosen.setdefault(kind, name)
    return list(chosen.values())


def _some(names: list[str], damage: str) -> list[str]:
    """All of them in a full storm; else every file of ours, and of Lance's a part that depends on the damage."""
    if FULL:
        return names
    lance = [name for name in names if name.startswith("libraries")]
    part = lance[list(DAMAGES).index(damage) % 3 :: 3]
    return [name for name in names if name not in lance] + part


def assert_typed(result: Result, what: str) -> None:
    told = f"{what}: {result.output[-600:]} {result.exception!r}"
    assert result.exit_code in (0, 1, 2, 3), told
    assert result.exception is None or isinstance(result.exception, SystemExit), told
    assert "unexpected " not in result.output, told
    assert "Traceback" not in result.output, told
    assert "library remove" not in result.output, told


def read(home: Path, tmp: Path, turn: int | None = None, always: tuple[str, ...] = ()) -> Iterator[tuple[str, Result]]:
    """Every command that reads; with a turn, every third of them, from that one on, and those that are always meant."""
    for number, command in enumerate(READING):
        if turn is not None and number % 3 != turn % 3 and command[0] not in always:
            continue
        yield " ".join(command), imagerag(home, *(part.format(tmp=tmp) for part in command))


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_file_of_a_home_damaged_in_turn(damage: str, whole: Path, home: Path, tmp_path: Path) -> None:
    for number, name in enumerate(_some(kinds(whole), damage)):
        shutil.rmtree(home)
        shutil.copytree(whole, home)
        DAMAGES[damage](home / name)
        # Of five damages, one third of the commands each: every command meets every file, and every damage. What opens
        # a library meets each damage of each of its files that are tried.
        turn = None if FULL else number + list(DAMAGES).index(damage)
        always = LOOKS_AT_LIBRARIES if name.startswith("libraries") else ()
        for command, result in read(home, tmp_path, turn, always):
            assert_typed(result, f"{name} {damage}, {command}")
        repaired = imagerag(home, "doctor", "--repair", "--json")
        assert_typed(repaired, f"{name} {damage}, repair")
        if FULL:
            for command, result in read(home, tmp_path):
                assert_typed(result, f"{name} {damage} and repaired, {command}")
        after = json.loads(imagerag(home, "doctor", "--json").stdout)
        assert not [one for one in after["files"] if one["damaged"]], f"{name} {damage}: {after['files']}"


@pytest.mark.parametrize("damage", ["emptied", "garbage", "cut short"])
@pytest.mark.parametrize(
    "pattern", ["*.sqlite", "blobs/*/*", "libraries/shop.lance/data/*.lance"], ids=["sqlite", "image", "library"]
)
def test_the_doctor_sees_it(pattern: str, damage: str, home: Path) -> None:
    healthy = json.loads(imagerag(home, "doctor", "--json").stdout)
    assert (healthy["files"], healthy["unlisted"], healthy["problems"]) == ([], 0, [])
    for path in sorted(home.glob(pattern)):
        kept = path.read_bytes()
        DAMAGES[damage](path)
        result = imagerag(home, "doctor", "--json")
        found = json.loads(result.stdout)
        assert result.exit_code == 1, path
        assert found["files"] or found["unlisted"], path
        path.write_bytes(kept)


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_list_of_runs_is_made_anew(damage: str, home: Path) -> None:
    before = json.loads(imagerag(home, "runs", "--json").stdout)["runs"]
    DAMAGES[damage](DataDir(home).run_list)
    if damage not in ("emptied", "deleted", "flipped"):
        result = imagerag(home, "runs")
        assert result.exit_code == 1
        assert f"imagerag --home {home} doctor --repair" in result.output
        assert imagerag(home, "show", RUN).exit_code == 0  # a whole id needs no list
    assert imagerag(home, "doctor", "--repair").exit_code == 0
    after = json.loads(imagerag(home, "runs", "--json").stdout)["runs"]
    told = ("run_id", "prompt", "status", "outcome", "library", "score", "calls")
    assert [[one[name] for name in told] for one in after] == [[one[name] for name in told] for one in before]
    assert [one["created"][:16] for one in after] == [one["created"][:16] for one in before]


@pytest.mark.parametrize("damage", ["emptied", "deleted"])
def test_a_list_that_is_gone_is_made_anew_by_whoever_reads_it(damage: str, home: Path) -> None:
    DAMAGES[damage](DataDir(home).run_list)
    assert [one["run_id"] for one in json.loads(imagerag(home, "runs", "--json").stdout)["runs"]] == [RUN]
    DAMAGES[damage](DataDir(home).run_list)
    assert imagerag(home, "show", RUN[:4]).exit_code == 0


def test_what_is_set_aside_is_still_there(home: Path) -> None:
    DataDir(home).checkpoints.write_bytes(b"garbage" * 1000)
    result = imagerag(home, "doctor", "--repair")
    assert "set aside as" in result.stdout
    assert [path.read_bytes()[:7] for path in home.glob("set-aside/*/runs.sqlite")] == [b"garbage"]


@pytest.mark.parametrize("name", ["runs.sqlite", "store.sqlite", "questions.sqlite"])
def test_what_can_still_be_read_is_saved(name: str, home: Path) -> None:
    """A page in the middle is overwritten: the rows of all others are in the new file, and it is said how many."""
    rag = ImageRAG(preset="sketch", generator="mine", judge="mine", library="shop", home=home)
    rag.dependencies.use("generator", "mine", ScriptedGenerator())
    rag.dependencies.use("judge", "mine", ScriptedJudge(lambda prompt, image: []))
    for number in range(3):
        rag.generate_sync("a red square", run_id=f"another-{number}")
        assert imagerag(home, "ask", "how many pictures are there?", "--library", "shop").exit_code == 0
    path = home / name
    rows = _rows(path)
    data = path.read_bytes()
    page = data.rindex(b"another-1" if name != "questions.sqlite" else b"library") // 4096 * 4096
    path.write_bytes(data[:page] + b"\xa5" * 4096 + data[page + 4096 :])
    result = imagerag(home, "doctor", "--repair", "--json")
    (line,) = [line for line in json.loads(result.stdout)["repaired"] if line.startswith(f"{path}:")]
    told = re.search(r"made anew: ([\d,]+) rows saved, (at least )?([\d,]+) lost; the damaged one is in (.+);", line)
    assert told, line
    assert int(told[1]) == _rows(path) > rows / 2
    assert told[2] or int(told[1]) + int(told[3]) == rows
    assert Path(told[4]).read_bytes()[page : page + 4096] == b"\xa5" * 4096
    assert json.loads(imagerag(home, "doctor", "--json").stdout)["files"] == []
    shown = [imagerag(home, "show", run).exit_code for run in (RUN, "another-0", "another-1", "another-2")]
    assert shown.count(0) >= 3


def _rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for name in TABLES[path.name] if name != "store_migrations"]
        tables += ["checkpoint_values"] if "checkpoints" in tables else []  # which files of earlier versions lack
        return sum(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)


def test_a_damaged_picture_is_written_anew_from_a_copy(home: Path, tmp_path: Path) -> None:
    record = json.loads(imagerag(home, "show", RUN, "--json").stdout)
    blob = DataDir(home).blobs / record["image"]["sha256"][:2] / record["image"]["sha256"][2:]
    data = blob.read_bytes()
    (home / "images").mkdir(exist_ok=True)
    (home / "images" / "saved.png").write_bytes(data)
    blob.write_bytes(data[:100])
    assert imagerag(home, "doctor", "--repair").exit_code == 0
    assert blob.read_bytes() == data


def test_a_library_of_a_newer_version_is_not_called_damaged(home: Path) -> None:
    from imagerag.store.library.database import open_table
    from imagerag.store.library.library_metadata import METADATA_KEY, read_library_metadata

    library_metadata = read_library_metadata(DataDir(home), "shop").model_dump(mode="json")
    newer = json.dumps({**library_metadata, "version": 99, "something": "new"})
    open_table(DataDir(home), "shop").update_field_metadata({"path": "vector", "metadata": {METADATA_KEY: newer}})
    for command in (["search", "red", "--library", "shop"], ["library", "info", "shop"], ["doctor"]):
        result = imagerag(home, *command)
        assert result.exit_code == 1, result.output
        assert "a newer version of imagerag" in result.output
        assert "remove" not in result.output
        assert "cannot be used" not in result.output
    imagerag(home, "doctor", "--repair")
    assert (home / "libraries" / "shop.lance").exists()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with mounted(tmp_path / "disk", 60) as disk:
        yield disk


def test_a_read_only_home_can_be_read(whole: Path, disk: SmallDisk, tmp_path: Path) -> None:
    home = Path(shutil.copytree(whole, disk.path / "home"))
    with disk.read_only():
        for command, result in read(home, tmp_path):
            assert_typed(result, command)
            assert result.exit_code == (1 if command.startswith(WRITING) else 0), f"{command}: {result.output}"
            assert not command.startswith(WRITING) or "the file system is read-only" in result.output
        for command in (["generate", "a red square"], ["resume", RUN], ["index", str(tmp_path), "--library", "new"]):
            result = imagerag(home, *command)
            assert_typed(result, " ".join(command))
            assert result.exit_code in (1, 2)
        assert "the file system is read-only" in imagerag(home, "generate", "a red square").output


def test_a_full_home_can_be_read(whole: Path, disk: SmallDisk, tmp_path: Path) -> None:
    home = Path(shutil.copytree(whole, disk.path / "home"))
    disk.fill()
    for command, result in read(home, tmp_path):
        assert_typed(result, command)
        assert result.exit_code == (1 if command.startswith(WRITING) else 0), f"{command}: {result.output}"
        assert not command.startswith(WRITING) or "the disk is full" in result.output


def test_changes_that_lie_in_a_wal_are_read_in_a_read_only_home(disk: SmallDisk) -> None:
    from imagerag.store.sqlite.connection import connect

    path = disk.path / "a.sqlite"
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE t (x)")
    writer.execute("INSERT INTO t VALUES (42)")
    writer.commit()
    copy = disk.path / "copy"
    copy.mkdir()
    for name in ("a.sqlite", "a.sqlite-wal"):  # as a process leaves them that was killed
        shutil.copy(disk.path / name, copy / name)
    writer.close()
    with disk.read_only():
        reader = connect(copy / "a.sqlite")
        assert reader.execute("SELECT x FROM t").fetchall() == [(42,)]
        with pytest.raises(sqlite3.OperationalError):
            reader.execute("INSERT INTO t VALUES (1)")
        reader.close()
