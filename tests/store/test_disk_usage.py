"""Room on the disk, by kind."""

import os

from imagerag.store.disk_usage import disk_usage


def test_every_file_is_counted_once_and_by_its_kind(home):
    files = {
        "blobs/ab/cd": 100, "libraries/shop.lance/data/x": 20, "libraries/other.lance/y": 3, "runs.sqlite": 7,
        "runs.sqlite-wal": 5, "questions.sqlite": 1, "store.sqlite": 11, "images/run.png": 13, "prices.toml": 17,
        "run_list.sqlite": 19, "evals/a/b": 23,
    }  # fmt: skip
    for name, size in files.items():
        (home.root / name).parent.mkdir(parents=True, exist_ok=True)
        (home.root / name).write_bytes(bytes(size))
    (home.root / "image-links").mkdir()
    os.link(home.root / "blobs/ab/cd", home.root / "image-links/abcd.png")
    (home.root / "pictures").mkdir()
    (home.root / "pictures/abcd.png").write_bytes(b"of a blob that is gone")
    used = disk_usage(home)
    assert used == {
        "libraries": 23, "checkpoints": 12, "threads": 1, "journal": 11, "blobs": 100, "results": 13, "evaluations": 23,
        "caches": 22, "other": 36,
    }  # fmt: skip
    assert sum(used.values()) == sum(files.values()) + 22


def test_a_home_that_is_not_there_takes_nothing(home):
    assert not any(disk_usage(home).values())
