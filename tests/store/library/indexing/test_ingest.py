"""Indexing: exactly the right rows, whatever is among the files and whenever it is stopped."""

import asyncio
import csv
import json
import os
import signal

import pytest

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.ports import Filter
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library


async def test_sidecar_text_is_the_caption(folder, library):
    calls = []
    report = await index([folder], library, progress=lambda done, total: calls.append((done, total)))
    assert (report.added, report.updated, report.unchanged, report.skipped) == (8, 0, 0, [])
    assert {row.title: row.caption for row in await library.rows()}["red"] == "a red card"
    assert (await library.search("red", k=1, filter=Filter()))[0].title == "red"
    assert calls == [(8, 8)]
    assert set(report.seconds) == {"read", "embed", "write", "calibrate"}
    assert report.images_per_s > 0
    assert library.metadata.threshold.images == 8


async def test_again_changes_nothing(folder, library, embedder):
    await index([folder], library)
    before, library_metadata = await library.rows(), library.metadata
    asked = embedder.images, embedder.texts
    report = await index([folder], library)
    assert (report.added, report.updated, report.unchanged, report.skipped) == (0, 0, 8, [])
    assert await library.rows() == before
    assert (embedder.images, embedder.texts) == asked
    assert library.metadata == library_metadata


async def test_a_new_caption_is_not_a_new_embedding(folder, library, embedder):
    await index([folder], library)
    asked = embedder.images
    (folder / "red.txt").write_text("a crimson card", encoding="utf-8")
    report = await index([folder], library)
    assert (report.added, report.updated, report.unchanged) == (0, 1, 7)
    assert embedder.images == asked
    hits = await library.search("red", k=1, filter=Filter())
    assert hits[0].caption == "a crimson card"


async def test_what_is_not_said_stays(folder, library):
    await index([folder], library)
    for file in folder.glob("*.txt"):
        file.unlink()
    report = await index([folder], library)
    assert report.unchanged == 8
    assert all(row.caption for row in await library.rows())


ROW = {
    "path": "red.png", "caption": "ein roter, „it's“ Kärtchen", "title": "Red", "tags": ["a", "b c"],
    "licence": "CC0-1.0", "source": "s", "author": "Ada", "metadata": {"price": 1.5, "ok": True},
    "shelf": "A1", "nested": {"x": [1]},
}  # fmt: skip


def write_manifest(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
        return path
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        for row in rows:
            flat = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in row.items()}
            writer.writerow(flat | {"tags": "a; b c"})
    return path


@pytest.mark.parametrize("name", ["manifest.jsonl", "manifest.csv"])
async def test_manifest(folder, library, name):
    manifest = write_manifest(folder / name, [ROW])
    report = await index([folder], library, manifest=manifest)
    assert (report.added, report.skipped) == (8, [])
    row = {row.title: row for row in await library.rows()}["Red"]
    assert (row.caption, row.tags, row.licence) == (ROW["caption"], ("a", "b c"), "CC0-1.0")
    assert (row.source, row.author) == ("s", "Ada")
    assert row.metadata == {"price": 1.5, "ok": True, "shelf": "A1", "nested": '{"x": [1]}'}
    assert (await index([folder], library, manifest=manifest)).unchanged == 8


async def test_manifest_alone_names_the_images(folder, library, tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", [{"path": str(folder / "red.png"), "metadata": {"name": "Rosso"}}])
    report = await index([], library, manifest=manifest)
    assert report.added == 1
    assert [row.title for row in await library.rows()] == ["Rosso"]


async def test_bad_manifest_rows_are_listed(folder, library):
    lines = ['{"path": "gone.png"}', "not json", "[1]", '{"caption": "no path"}', '{"path": "red.png", "tags": null}']
    (folder / "m.jsonl").write_text("\n".join(lines), encoding="utf-8")
    report = await index([folder], library, manifest=folder / "m.jsonl")
    assert report.added == 8
    assert [path for path, _ in report.skipped] == ["gone.png", "m.jsonl, line 2", "m.jsonl, line 3", "m.jsonl, line 4"]
    assert "no such file" in report.skipped[0][1]


async def test_sidecar_json_and_its_damage(folder, library, picture):
    (folder / "x.png").write_bytes(picture("red", mark=1))
    (folder / "x.json").write_text('{"caption": "from json", "tags": "one", "license": "MIT"}', encoding="utf-8")
    (folder / "y.png").write_bytes(picture("red", mark=2))
    (folder / "y.json").write_text("{", encoding="utf-8")
    report = await index([folder], library)
    row = {row.title: row for row in await library.rows()}["x"]
    assert (row.caption, row.tags, row.licence) == ("from json", ("one",), "MIT")
    assert report.skipped == []
    assert [os.path.basename(path) for path, _ in report.notes] == ["y.png"]
    assert "y.json" in report.notes[0][1]
    assert "y" in {row.title for row in await library.rows()}


async def test_bad_files_are_listed_and_the_rest_is_indexed(folder, library, picture):
    bad = {
        "empty.png": b"", "cut.png": picture("red", mark=9)[:-30], "page.jpg": b"<html>", "notes.md": b"# notes",
        "big.png": b"",
    }  # fmt: skip
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    os.truncate(folder / "big.png", MAX_BYTES + 1)
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    (folder / ".hidden.png").write_bytes(b"")
    os.mkfifo(folder / "pipe.png")
    report = await index([folder], library)
    assert report.added == 8
    skipped = {os.path.basename(path): reason for path, reason in report.skipped}
    assert set(skipped) == {*bad, "dangling.png", "pipe.png"}
    assert all(skipped.values())
    assert "64 MB" in skipped["big.png"]
    assert report.seen == 8 + len(skipped)


async def test_names_and_links(tmp_path, library, picture):
    folder = tmp_path / "ünï 🦊 'quoted'"
    folder.mkdir()
    (folder / 'a "b"; DROP TABLE.png').write_bytes(picture("red"))
    os.close(os.open(os.fsencode(folder) + b"/bad\xff.png", os.O_CREAT | os.O_WRONLY))
    (folder / os.fsdecode(b"good\xff.png")).write_bytes(picture("blue"))
    (folder / "loop").symlink_to(folder)
    (folder / "same.PNG").write_bytes(picture("red"))
    report = await index([folder, folder / "same.PNG"], library)
    assert (report.added, report.duplicates, len(report.skipped)) == (2, 1, 1)
    assert {row.title for row in await library.rows()} == {'a "b"; DROP TABLE', "good\ufffd"}


async def test_nothing_to_index(tmp_path, library):
    tmp_path = tmp_path / "empty"
    tmp_path.mkdir()
    report = await index([tmp_path], library)
    assert (report.added, report.skipped, report.images_per_s >= 0) == (0, [], True)
    with pytest.raises(UsageError, match="nowhere"):
        await index([tmp_path / "nowhere"], library)
    with pytest.raises(UsageError, match="manifest"):
        await index([tmp_path], library, manifest=tmp_path / "none.jsonl")
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        await index([tmp_path], library, manifest=tmp_path / "m.csv")


async def test_an_unusable_vector_is_listed(folder, library, embedder, monkeypatch):
    honest = embedder.embed_images

    async def one_bad(images):
        vectors = await honest(images)
        vectors[0] = 0
        return vectors

    monkeypatch.setattr(embedder, "embed_images", one_bad)
    report = await index([folder], library)
    assert report.added == 7
    assert "vector" in report.skipped[0][1]


INDEX = """
async def main():
    library = await Library.create_or_open(home, "shop", conftest.ColourEmbedder())
    await index(given["paths"], library, progress=lambda done, total: print(done, flush=True))
asyncio.run(main())
"""


@pytest.fixture
def hundred(tmp_path, picture):
    folder = tmp_path / "hundred"
    folder.mkdir()
    for mark in range(1, 161):
        (folder / f"{mark:03}.png").write_bytes(picture("red" if mark % 2 else "blue", mark=mark))
        (folder / f"{mark:03}.txt").write_text(f"card {mark}", encoding="utf-8")
    return folder


@pytest.mark.parametrize("batches", [1, 3])
async def test_killed_and_run_again(hundred, home, embedder, child, batches):
    process = child(INDEX, paths=[str(hundred)])
    for _ in range(batches):
        assert process.stdout.readline().strip().isdigit()
    await asyncio.sleep(0.01 * batches)  # somewhere inside the next batch
    process.send_signal(signal.SIGKILL)
    process.communicate()
    library = await Library.create_or_open(home, "shop", embedder)
    there = await library.count()
    assert there >= 32 * batches
    report = await index([hundred], library)
    assert (report.added, report.unchanged) == (160 - there, there)
    rows = await library.rows()
    assert sorted(row.caption for row in rows) == sorted(f"card {mark}" for mark in range(1, 161))
    assert len({row.id for row in rows}) == 160
    assert library.metadata.threshold.images == 160


async def test_stopped_before_calibration_is_made_up_for(folder, library, home, embedder, monkeypatch):
    async def stop(self, **how):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Library, "calibrate", stop)
        with pytest.raises(KeyboardInterrupt):
            await index([folder], library)
    assert library.metadata.threshold is None
    report = await index([folder], await Library.open(home, "shop", embedder))
    assert report.unchanged == 8
    assert (await Library.open(home, "shop", embedder)).threshold > 0


async def test_two_processes_with_overlapping_folders(hundred, folder, home, embedder, child, picture):
    overlap = [str(path) for path in sorted(hundred.glob("*.png"))]
    processes = [
        child(INDEX, paths=[*overlap[:110], str(folder)]),
        child(INDEX, paths=[str(folder), *overlap[50:]]),
    ]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    library = await Library.open(home, "shop", embedder)
    rows = await library.rows()
    assert len(rows) == len({row.id for row in rows}) == 168
    assert await library.count() == 168
    assert library.metadata.threshold is not None
    report = await index([hundred, folder], library)
    assert (report.added, report.updated, report.unchanged) == (0, 0, 168)
