"""What killed processes left half-written in a home is deleted, and nothing else."""

import os
from pathlib import Path

from imagerag.store.data_dir import DataDir
from imagerag.store.unfinished_files import AGE_S, remove_unfinished


def age(path: Path, seconds: float) -> None:
    times = path.stat().st_mtime - seconds
    os.utime(path, (times, times))


def test_only_old_unfinished_files_and_folders_go(tmp_path: Path) -> None:
    home = DataDir(tmp_path / "home")
    outside = tmp_path / "outside"
    for folder in (home.libraries, home.blobs / "ab", home.image_links, home.root / ".tmp-database", outside):
        folder.mkdir(parents=True)
    unfinished = [home.libraries / ".tmp-1", home.blobs / "ab" / ".tmp-2", home.image_links / ".tmp-3"]
    (link := home.root / ".tmp-link").symlink_to(outside)
    files = [*unfinished, home.root / ".tmp-database" / "runs.sqlite"]
    complete = [home.run_list, home.blobs / "ab" / "cd", outside / "mine"]
    for path in (*files, *complete):
        path.write_bytes(b"1234")
    assert remove_unfinished(home) == 0
    for path in (*files, *complete, home.root / ".tmp-database"):
        age(path, AGE_S + 60)
    (fresh := home.blobs / "ab" / ".tmp-now").write_bytes(b"")
    (growing := home.root / ".tmp-growing").mkdir()
    (growing / "runs.sqlite").write_bytes(b"")
    age(growing, AGE_S + 60)
    assert remove_unfinished(home) == 16
    assert not any(path.exists() for path in files)
    assert all(path.exists() for path in (*complete, fresh, growing / "runs.sqlite"))
    assert link.is_symlink()
    remove_unfinished(home, age_s=-1)
    assert not link.is_symlink()
    assert (outside / "mine").exists()


def test_a_home_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert remove_unfinished(DataDir(tmp_path / "none")) == 0
