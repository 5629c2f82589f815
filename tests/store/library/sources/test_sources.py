"""Images in archives and tables: each source arrives whole, is followed, and can hold nothing that does harm."""

import bz2
import gzip
import io
import json
import os
import random
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagerag.agent.errors import BlobError, UsageError
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.locations import member_path, path_text, split_member
from imagerag.store.library.sources import archive_listing, image_table, tar_archive
from imagerag.store.library.sources.forward_reader import ForwardReader
from imagerag.store.library.sources.image_table import ColumnarFile, open_table, why_no_images
from imagerag.store.library.sources.manifest import read_manifest
from imagerag.store.library.sources.members import Source
from imagerag.store.library.sources.opening import open_source

COLOURS = ("red", "green", "blue", "yellow")
SAID = {"red": ("red.txt", "a red card"), "green": ("green.json", json.dumps({"caption": "a green card", "price": 3}))}


def zipped(path: Path, content: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, content: Mapping[str, bytes], mode: str = "w", **options: Any) -> Path:
    with tarfile.open(path, mode, **options) as archive:  # type: ignore[call-overload]
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def cards(picture: Callable[..., bytes], *colours: str, mark: int = 0) -> dict[str, bytes]:
    content: dict[str, bytes] = {}
    for colour in colours or COLOURS:
        content[f"cards/{colour}.png"] = picture(colour, mark=mark)
        if colour in SAID:
            content[f"cards/{SAID[colour][0]}"] = SAID[colour][1].encode()
    return content


def names_in(path: Path) -> list[str]:
    source = open_source(path)
    assert source is not None
    return [member.name for member in source.members]


def problems_of(source: Source | None) -> dict[str, str]:
    assert source is not None
    return {name.rpartition("::")[2]: why for name, why in source.problems}


ARCHIVES: dict[str, Callable[[Path, Mapping[str, bytes]], Path]] = {
    "cards.zip": zipped,
    "stored.zip": lambda path, content: zipped(path, content, zipfile.ZIP_STORED),
    "cards.tar": tarred,
    "cards.tar.gz": lambda path, content: tarred(path, content, "w:gz"),
    "cards.tgz": lambda path, content: tarred(path, content, "w:gz", format=tarfile.GNU_FORMAT),
    "cards.tar.bz2": lambda path, content: tarred(path, content, "w:bz2"),
    "cards.tar.xz": lambda path, content: tarred(path, content, "w:xz"),
    "zipped.tar": lambda path, content: tarred(path, content, "w:gz"),
}


# --- archives are indexed and followed ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARCHIVES)
async def test_an_archive_is_indexed_with_what_lies_beside_its_images(
    tmp_path: Path, library: Library, picture: Any, name: str
) -> None:
    archive = ARCHIVES[name](tmp_path / name, cards(picture))
    report = await index([archive], library)
    assert (report.added, report.captions, report.skipped, report.notes) == (4, 2, [], [])
    rows = {row.title: row for row in await library.rows()}
    assert {title: row.caption for title, row in rows.items()} == {
        "red": "a red card", "green": "a green card", "blue": "", "yellow": "",
    }  # fmt: skip
    assert rows["green"].metadata == {"price": 3}
    assert [file.path for file in rows["red"].files] == [f"{archive}::cards/red.png"]
    for title, row in rows.items():
        assert await library.image_bytes(row.id) == picture(title)
        assert row.size_bytes == len(picture(title))
    copied = not open_source(archive).linked  # type: ignore[union-attr]
    assert copied is ("z" in name and not name.endswith(".zip"))
    assert all(library.table.images.has(row.id, row.size_bytes) is copied for row in rows.values())
    again = await index([archive], library)
    assert (again.unchanged, again.seen, again.did_something) == (4, 4, False)


@pytest.mark.parametrize("name", ["cards.zip", "cards.tar", "cards.tar.gz"])
async def test_an_image_folder_of_hugging_face_in_an_archive(
    tmp_path: Path, library: Library, picture: Any, name: str
) -> None:
    table = "file_name,text,price\nred.png,a red card,3\nin/blue.png,a blue card,4\nlost.png,lost,5\n"
    content = {"train/metadata.csv": table.encode(), "train/red.png": picture("red"),
               "train/in/blue.png": picture("blue"), "train/in/blue.txt": b"the sidecar",
               "metadata.jsonl": b'{"file_name": "green.png", "text": "a green card"}\n',
               "green.png": picture("green")}  # fmt: skip
    report = await index([ARCHIVES[name](tmp_path / name, content)], library)
    assert (report.added, report.captions, report.notes) == (3, 3, [])
    [(missing, why)] = report.skipped
    assert missing == "lost.png"
    assert why.endswith(f"{name}::train/metadata.csv, line 4, but there is no such file")
    assert {row.title: (row.caption, row.metadata) for row in await library.rows()} == {
        "red": ("a red card", {"price": "3"}), "blue": ("the sidecar", {"price": "4"}), "green": ("a green card", {}),
    }  # fmt: skip


async def test_a_changed_archive_is_followed_like_a_changed_folder(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    folder = tmp_path / "packed"
    folder.mkdir()
    archive = zipped(folder / "cards.zip", cards(picture))
    await index([folder], library)
    content = cards(picture, "red", "blue")
    content["cards/blue.png"] = picture("blue", mark=7)
    content["moved/yellow.png"] = picture("yellow")
    zipped(archive, content)
    planned = await index([folder], library, dry_run=True)
    report = await index([folder], library)
    assert (planned.moved, planned.paths_removed) == (1, 0)
    assert (report.unchanged, report.changed, report.moved, report.removed, report.paths_removed) == (1, 1, 1, 1, 0)
    rows = {row.title: row for row in await library.rows()}
    assert {title: row.files[0].path.partition("::")[2] for title, row in rows.items()} == {
        "red": "cards/red.png", "blue": "cards/blue.png", "yellow": "moved/yellow.png",
    }  # fmt: skip
    assert await library.image_bytes(rows["blue"].id) == picture("blue", mark=7)
    archive.unlink()
    (folder / "other.txt").write_text("the folder is not empty")
    gone = await index([folder], library)
    assert (gone.removed, await library.count()) == (3, 0)


async def test_an_image_is_found_in_an_archive_that_was_packed_anew_and_missed_in_another(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    for name in ("cards.zip", "cards.tar"):
        archive = ARCHIVES[name](tmp_path / name, cards(picture, "red"))
        await index([archive], library)
        [row] = await library.rows()
        ARCHIVES[name](archive, {"first.png": picture("green"), **cards(picture, "red")})
        assert await library.image_bytes(row.id) == picture("red")
        ARCHIVES[name](archive, {"first.png": picture("green"), "cards/red.png": picture("red", mark=3)})
        with pytest.raises(BlobError, match=r"cards\.\w+::cards/red\.png was changed .* Type: `rag.libraries.index"):
            await library.image_bytes(row.id)
        await library.delete([row.id])


async def test_patterns_leave_out_members_and_take_none_out(tmp_path: Path, library: Library, picture: Any) -> None:
    content = {**cards(picture), "__MACOSX/cards/._red.png": picture("red", mark=9), ".hidden/a.png": picture("red")}
    archive = zipped(tmp_path / "cards.zip", content)
    report = await index([archive], library, exclude=["cards/green.png", "b*.png"])
    assert (report.added, report.skipped) == (2, [])
    assert (await index([archive], library)).added == 2
    report = await index([archive], library, exclude=["cards"])
    assert (report.removed, await library.count()) == (0, 4)


async def test_archives_in_folders_are_read_and_compressed_ones_where_they_are_named(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    folder = tmp_path / "packed"
    folder.mkdir()
    zipped(folder / "one.zip", cards(picture, "red"))
    tarred(folder / "two.tar", cards(picture, "green"))
    compressed = tarred(folder / "three.tar.gz", cards(picture, "blue"), "w:gz")
    report = await index([folder], library)
    assert report.added == 2
    assert report.skipped == [(str(compressed), "a compressed archive is read only where it is named as a PATH")]
    assert (await index([folder, compressed], library)).added == 1


# --- hostile and damaged archives -----------------------------------------------------------------------------------

EVIL = ("../out.png", "/etc/out.png", "a/../../out.png", "C:\\out.png", "..\\out.png", "\\\\host\\share\\out.png/..")


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_leads_out_is_listed_and_nothing_is_written(
    tmp_path: Path, picture: Any, pack: Callable[..., Path]
) -> None:
    inside = tmp_path / "deep" / "deeper"
    inside.mkdir(parents=True)
    archive = pack(inside / f"evil.{'zip' if pack is zipped else 'tar'}", dict.fromkeys(EVIL, picture("red")))
    before = sorted(tmp_path.rglob("*"))
    source = open_source(archive)
    assert source is not None
    assert [member.name for member in source.members] == []
    assert sum("leads out" in why for _, why in source.problems) >= 5
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_encrypted_or_a_link_or_packed_otherwise_is_listed(tmp_path: Path, picture: Any) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as packing:
        packing.writestr("open.png", picture("red"))
        packing.writestr("secret.png", picture("green"))
        packing.writestr("lzma.png", picture("blue"), zipfile.ZIP_LZMA)
        link = zipfile.ZipInfo("link.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        packing.writestr(link, "/etc/passwd")
    data = bytearray(archive.read_bytes())
    for mark, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        at = data.index(b"secret.png", data.index(mark) if mark == b"PK\3\4" else data.index(b"PK\1\2"))
        start = data.rindex(mark, 0, at)
        data[start + flags] |= 1
    archive.write_bytes(data)
    source = open_source(archive)
    assert names_in(archive) == ["open.png"]
    told = problems_of(source)
    assert {name: why.split(":")[0] for name, why in told.items()} == {
        "secret.png": "it is encrypted",
        "lzma.png": "it is compressed with lzma, which is not read",
        "link.png": "it is a link, which is not followed in an archive",
    }


def test_links_devices_and_sparse_files_of_a_tar_are_listed(tmp_path: Path, picture: Any) -> None:
    archive = tarred(tmp_path / "a.tar", {"open.png": picture("red")})
    with tarfile.open(archive, "a") as packing:
        for name, kind in (("sym.png", tarfile.SYMTYPE), ("hard.png", tarfile.LNKTYPE), ("pipe.png", tarfile.FIFOTYPE),
                           ("device.png", tarfile.CHRTYPE)):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            packing.addfile(info)
    assert names_in(archive) == ["open.png"]
    told = problems_of(open_source(archive))
    assert told.keys() == {"sym.png", "hard.png", "pipe.png", "device.png"}
    assert told["sym.png"] == told["hard.png"] == "it is a link, which is not followed in an archive"


async def test_bombs_are_listed_and_not_blown_up(tmp_path: Path, library: Library, picture: Any) -> None:
    honest = zipped(tmp_path / "honest.zip", {"big.png": bytes(65 * 2**20), "red.png": picture("red")})
    lying = bytearray(zipped(tmp_path / "lying.zip", {"big.png": bytes(8 * 2**20)}).read_bytes())
    for mark, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", lying, lying.index(mark) + offset, 100)
    (tmp_path / "lying.zip").write_bytes(lying)
    bomb = tmp_path / "bomb.tar.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as file:
        info = tarfile.TarInfo("big.png")
        info.size = 200 * 2**20
        file.write(info.tobuf())
        for _ in range(200):
            file.write(bytes(2**20))
    report = await index([honest, tmp_path / "lying.zip", bomb], library)
    assert report.added == 1
    told = {path.removeprefix(f"{tmp_path}/"): why for path, why in report.skipped}
    assert told == {
        "honest.zip::big.png": "it has 65 MB; at most 64 MB are read",
        "lying.zip::big.png": "it has not as many bytes as the archive says",
        "bomb.tar.gz::big.png": "it has 200 MB; at most 64 MB are read",
        "bomb.tar.gz": "it is damaged, and read as far as it can be: it unpacks to more than 100 times its size, "
        "as images never do",
    }


def test_of_two_members_of_one_name_the_later_one_counts(tmp_path: Path, picture: Any) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", picture("red"))
        archive.writestr("./a.png", picture("green"))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", picture("blue"))
    tarred(tmp_path / "a.tar", {"a.png": picture("red"), "./a.png": picture("blue")})
    for name, times in (("a.zip", 2), ("a.tar", 1)):
        source = open_source(tmp_path / name)
        assert source is not None
        [member] = source.members
        assert source.read(member) == picture("blue")
        assert [why for _, why in source.problems] == ["a later member of the archive has the same name"] * times


async def test_a_truncated_archive_gives_what_is_whole_and_takes_nothing_out(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    archive = tarred(tmp_path / "cards.tar", cards(picture, "blue", "red", "yellow"))
    whole = archive.read_bytes()
    await index([archive], library)
    position = {member.name: member.position for member in open_source(archive).members}  # type: ignore[union-attr]
    archive.write_bytes(whole[: position["cards/yellow.png"] + 10])
    report = await index([archive], library)
    assert (report.unchanged, report.removed, await library.count()) == (2, 0, 3)
    assert any("it ends within cards/yellow.png" in why for _, why in report.skipped)


@pytest.mark.parametrize("seed", range(40))
def test_damage_anywhere_costs_no_more_than_itself(tmp_path: Path, picture: Any, seed: int) -> None:
    """Whatever bytes are changed, opening and reading end with bytes, or with a reason."""
    chance = random.Random(seed)
    name = chance.choice([*ARCHIVES, "cards.parquet", "cards.arrow"])
    path = tmp_path / name
    content = cards(picture)
    if name in ARCHIVES:
        ARCHIVES[name](path, content)
    else:
        saved(path, {"image": [one for key, one in content.items() if key.endswith(".png")]})
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 5, 50))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])
    with suppress(OSError, ValueError):
        source = open_source(path)
        for member in source.members if source else ():
            with suppress(OSError, ValueError):
                source.read(member)  # type: ignore[union-attr]
                source.sidecar_metadata(member)  # type: ignore[union-attr]


def test_names_that_are_no_utf_8_are_kept(tmp_path: Path, picture: Any) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as packing:
        info = tarfile.TarInfo(os.fsdecode(b"caf\xe9.png"))
        info.size = len(picture("red"))
        packing.addfile(info, io.BytesIO(picture("red")))
    source = open_source(archive)
    assert source is not None
    [member] = source.members
    assert member.title == "caf\ufffd"
    assert split_member(member.entry.path) == (str(archive), os.fsdecode(b"caf\xe9.png"))
    member.entry.path.encode("utf-8")


def test_a_hundred_thousand_members_are_listed_by_the_archive_alone(tmp_path: Path) -> None:
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packing:
        for number in range(100_000):
            packing.writestr(zipfile.ZipInfo(f"{number % 100}/{number:06}.png"), b"x%d" % number)
    source = open_source(archive)
    assert source is not None
    assert (len(source.members), source.problems) == (100_000, [])
    assert source.read(source.members[99_999]) == b"x99999"
    assert source.read(source.members[0]) == b"x0"


def test_archives_beyond_the_bound_are_read_to_it(
    tmp_path: Path, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_listing, "MAX_MEMBERS", 3)
    archive = zipped(tmp_path / "a.zip", {f"{number}.png": b"x" for number in range(5)})
    assert names_in(archive) == ["0.png", "1.png", "2.png"]
    assert problems_of(open_source(archive)) == {str(archive): "only its first 3 members are read"}


def test_marks_in_names_are_told_apart(tmp_path: Path, picture: Any) -> None:
    archive = zipped(tmp_path / "a::b.zip", {"c::d.png": picture("red")})
    assert split_member(path_text(member_path(archive, "c::d.png"))) == (str(archive), "c::d.png")
    assert split_member(str(archive)) == (str(archive), "")


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.zip", b"", "it is no zip archive"),
        ("a.zip", b"PK\5\6", "it is no zip archive"),
        ("a.tar", b"", "it is no tar archive"),
        ("a.tar", b"no tar at all" * 100, "it is no tar archive"),
        ("a.tar.gz", b"\x1f\x8b", "it is no tar archive"),
        ("a.tar.bz2", bz2.compress(b"no tar at all" * 100), "it is no tar archive"),
        ("a.parquet", b"PAR1PAR1", "or a damaged one"),
        ("a.arrow", b"", "or a damaged one"),
        ("a.arrow", b"ARROW1\0\0", "or a damaged one"),
    ],
)
def test_what_is_no_archive_says_so(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=told):
        open_source(tmp_path / name)


def test_archives_in_an_archive_are_named(tmp_path: Path) -> None:
    content = {"a.png": b"x", "in/more.zip": b"x", "rest.tar.gz": b"x", "notes.md": b"x"}
    problems = problems_of(open_source(zipped(tmp_path / "all.zip", content)))
    nested = {name for name, why in problems.items() if why.startswith("an archive or a table in an archive")}
    assert nested == {"in/more.zip", "rest.tar.gz"}
    assert "1 member is no image, going by its name" in problems.values()


# --- WebDataset -----------------------------------------------------------------------------------------------------


async def test_shards_of_a_web_dataset(tmp_path: Path, library: Library, picture: Any) -> None:
    for number, colour in enumerate(COLOURS):
        record = json.dumps({"caption": f"a {colour} card", "lang": "en"}).encode()
        tarred(tmp_path / f"shard-{number:03}.tar", {
            f"./{number:05}.png": picture(colour), f"./{number:05}.json": record, f"./{number:05}.cls": b"7",
            f"./{number:05}.seg.png": picture(colour, mark=4), f"./{number:05}.npy": b"...",
        })  # fmt: skip
    report = await index([f"{tmp_path}/shard-{{000..002}}.tar"], library)
    assert (report.added, report.captions) == (6, 6)
    assert {why for _, why in report.skipped} == {"1 member is no image, going by its name"}
    rows = {row.title: row for row in await library.rows()}
    assert rows["00001"].caption == rows["00001.seg"].caption == "a green card"
    assert rows["00001"].metadata == {"lang": "en", "class": "7"}
    with pytest.raises(UsageError, match="there is no file or folder"):
        await index([f"{tmp_path}/shard-{{007..009}}.tar"], library)
    (tmp_path / "shard-001.tar").unlink()
    report = await index([f"{tmp_path}/shard-{{000..002}}.tar"], library)
    assert (report.unchanged, report.removed) == (4, 2)


# --- tables ---------------------------------------------------------------------------------------------------------


def saved(path: Path, columns: Mapping[str, Any], metadata: Mapping[bytes, bytes] | None = None) -> Path:
    table = pa.table(dict(columns)).replace_schema_metadata(dict(metadata or {}))
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=3)
    else:
        open_writer = pa.ipc.new_file if path.suffix == ".feather" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as file, open_writer(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
async def test_a_dataset_that_names_its_pictures_is_a_manifest(
    tmp_path: Path, library: Library, folder: Path, suffix: str
) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    named = [{"bytes": None, "path": name} for name in ("red.png", str(folder / "blue.png"), "gone.png")]
    table = {"image": pa.array([*named, None], kind), "text": ["red, said anew", "blue, said anew", "lost", "none"]}
    path = saved(folder / f"data{suffix}", table)
    report = await index([folder], library)
    assert {Path(one).name: why for one, why in report.skipped} == {
        path.name: "it is a Hugging Face dataset that names image files and has none in it: "
        f"`rag.libraries.index(..., manifest='{path}')`"
    }
    report = await index([], library, manifest=path)
    assert (report.updated, report.columns) == (2, {"image": "path", "text": "caption"})
    captions = {row.title: row.caption for row in await library.rows()}
    assert (captions["red"], captions["blue"]) == ("red, said anew", "blue, said anew")
    assert len(report.skipped) == 2


@pytest.mark.parametrize("column", ["path", "image", "file_name"])
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_such_a_dataset_may_be_written_as_json(folder: Path, suffix: str, column: str) -> None:
    named = [{"bytes": None, "path": name} for name in ("red.png", str(folder / "blue.png"), "", None, 7)]
    rows = [{column: one, "caption": "a card"} for one in named]
    path = folder / f"data{suffix}"
    path.write_text(json.dumps(rows) if suffix == ".json" else "\n".join(map(json.dumps, rows)))
    manifest = read_manifest(path)
    assert [(file.name, one.caption) for file, one in manifest.entries.items()] == [
        ("red.png", "a card"), ("blue.png", "a card")
    ]  # fmt: skip
    assert [why for _, why in manifest.problems] == ["the row has no path"] * 3


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_rows_are_counted_without_reading_a_picture(
    tmp_path: Path, picture: Any, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = open_table(saved(tmp_path / f"cards{suffix}", {"image": [picture("red", mark=at) for at in range(8)]}))
    assert table

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("rows are read")

    monkeypatch.setattr(image_table.ColumnarFile, "records", refused)
    assert [member.name for member in table.members] == [str(at) for at in range(8)]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
async def test_pictures_in_a_table_are_copied_with_what_the_other_columns_say(
    tmp_path: Path, library: Library, picture: Any, suffix: str
) -> None:
    colours = [*COLOURS, "black", "white", "orange"]
    path = saved(tmp_path / f"cards{suffix}", {
        "jpg": [*(picture(colour) for colour in colours), None, b"no image"],
        "blip_caption": [*(f"a {colour} card" for colour in colours), "lost", "lost"],
        "price": [*range(7), 7, 8],
        "tags": pa.array([["card", colour] for colour in colours] + [[], []]),
        "embedding": [b"\0\1"] * 9,
    })  # fmt: skip
    report = await index([path], library)
    assert report.added == 7
    assert {where.rpartition("::")[2] for where, _ in report.skipped} == {"7", "8"}
    assert report.columns == {"jpg": "image", "blip_caption": "caption", "price": "metadata", "tags": "tags"}
    rows = {row.caption: row for row in await library.rows()}
    row = rows["a black card"]
    assert (row.title, row.metadata, row.tags) == ("cards 4", {"price": 4}, ("card", "black"))
    path.unlink()
    assert await library.image_bytes(row.id) == picture("black")


async def test_a_row_of_a_table_has_the_title_of_the_file_that_it_names(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    columns = {"image": [picture("red"), picture("blue")], "file_name": ["in/rose.png", None], "title": [None, "Sea"]}
    path = saved(tmp_path / "cards.parquet", {**columns, "price": [float("nan"), 2.0]})
    report = await index([path], library)
    assert report.columns == {"image": "image", "file_name": "path", "title": "title", "price": "metadata"}
    assert {row.title: row.metadata for row in await library.rows()} == {"rose": {}, "Sea": {"price": 2.0}}


async def test_a_table_indexed_again_is_not_read_again(tmp_path: Path, library: Library, picture: Any) -> None:
    path = saved(tmp_path / "cards.parquet", {"image": [picture(colour) for colour in COLOURS]})
    await index([path], library)
    report = await index([path], library)
    assert (report.unchanged, report.seen) == (4, 4)
    shutil.rmtree(library.table.images.root)
    report = await index([path], library)  # the copies are made anew
    assert report.seen == 4
    assert [await library.image_bytes(row.id) for row in await library.rows()]


async def test_a_dataset_of_hugging_face_on_the_disk(tmp_path: Path, library: Library, picture: Any) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({
        "image": datasets.Image(), "text": datasets.Value("string"), "mask": datasets.Value("binary"),
        "label": datasets.ClassLabel(names=["warm", "cold"]),
    })  # fmt: skip
    rows = [{"image": {"bytes": picture(colour), "path": f"{colour}.png"}, "text": f"a {colour} card", "mask": b"m",
             "label": int(colour in ("blue", "green"))} for colour in COLOURS]  # fmt: skip
    dataset = datasets.Dataset.from_list(rows, features=features)
    both = datasets.DatasetDict({"train": dataset.select(range(3)), "test": dataset.select([3])})
    both.save_to_disk(str(tmp_path / "cards"))
    (tmp_path / "cards" / "train" / "cache-0123.arrow").write_bytes(b"left over by map()")
    dataset.to_parquet(str(tmp_path / "hub.parquet"))
    report = await index([tmp_path / "cards"], library)
    assert (report.added, report.captions, report.skipped) == (4, 4, [])
    assert report.columns == {"image": "image", "text": "caption", "label": "metadata"}
    found = {row.title: row for row in await library.rows()}
    assert found.keys() == set(COLOURS)
    assert (found["blue"].caption, found["blue"].metadata) == ("a blue card", {"label": "cold"})
    report = await index([tmp_path / "hub.parquet"], library)
    assert (report.added, report.duplicates + report.unchanged + report.moved, report.skipped) == (0, 4, [])


def test_a_column_of_bytes_that_are_no_pictures_is_none(tmp_path: Path) -> None:
    assert open_source(saved(tmp_path / "a.parquet", {"key": [b"\0\1", b"\2"], "text": ["a", "b"]})) is None
    assert open_source(saved(tmp_path / "b.parquet", {"text": ["a", "b"]})) is None


def test_of_several_columns_of_bytes_the_one_with_pictures_is_taken(tmp_path: Path, picture: Any) -> None:
    one = saved(tmp_path / "a.parquet", {"key": [b"\0\1"], "left": [picture("red")]})
    assert names_in(one) == ["0"]
    two = saved(tmp_path / "b.parquet", {"left": [picture("red")], "right": [picture("blue")]})
    assert open_source(two) is None
    assert why_no_images(two) == "it has images in several columns (left, right): rename the one to index to 'image'"


async def test_the_last_row_of_an_image_counts_in_every_table_and_a_note_says_so(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    data = [picture("red"), picture("red"), picture("blue"), picture("blue")]
    captions = ["first", "second", "same", "same"]
    table = saved(tmp_path / "rows.parquet", {"image": data, "caption": captions})
    report = await index([table], library)
    assert sorted(row.caption for row in await library.rows()) == ["same", "second"]
    assert [(Path(path).name, "last one counts" in why) for path, why in report.notes] == [("rows.parquet::1", True)]
    (tmp_path / "a.png").write_bytes(data[0])
    (tmp_path / "m.csv").write_text("path,caption\na.png,first\na.png,second\na.png,third\n")
    read = read_manifest(tmp_path / "m.csv")
    assert [said.caption for said in read.entries.values()] == ["third"]
    assert read.notes == [
        (str(tmp_path / "a.png"), "several rows of m.csv say different things of it: the last counts")
    ]
    report = await index([tmp_path / "a.png"], library, manifest=tmp_path / "m.csv", dry_run=True)
    assert report.notes == read.notes


# --- reading forward ------------------------------------------------------------------------------------------------


def test_items_are_read_forward_and_again_where_they_are_asked_for_late(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def begin(start: int) -> Any:
        begun.append(start)
        return ((number, 10, f"item {number}") for number in range(100))

    monkeypatch.setattr("imagerag.store.library.sources.forward_reader.KEPT_BYTES", 50)
    reader: ForwardReader[str] = ForwardReader(begin)
    order = [1, 0, 2, 5, 4, 3, 99, 98, 50]
    assert [reader.get(number) for number in order] == [f"item {number}" for number in order]
    assert begun == [1, 50]
    with pytest.raises(ValueError, match="no longer"):
        reader.get(100)


def test_rows_are_entered_near_the_one_that_is_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.parquet", {"image": [b"%d" % number for number in range(20)]})
    assert open_source(path) is None
    file = image_table.ColumnarFile(path)
    for start in (0, 2, 3, 19):
        numbers = [number for number, record in file.records(start) if record["image"] == b"%d" % number]
        assert numbers[-1] == 19
        assert numbers[0] in (start, start - start % 3)


def test_a_header_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**32
    with (tmp_path / "a.tar").open("wb") as file:
        file.write(info.tobuf(tarfile.PAX_FORMAT))
        file.truncate(2**32)  # a hole: it takes no room
    with pytest.raises(ValueError, match="one of its headers is too long"):
        tar_archive.open_tar(tmp_path / "a.tar", lambda name: False)


async def test_another_picture_of_a_row_is_no_metadata(tmp_path: Path, library: Library, picture: Any) -> None:
    pictures = {name: [{"bytes": data, "path": f"{name}.png"}] for name, data in
                (("image", picture("red")), ("mask", b"mask"))}  # fmt: skip
    path = saved(tmp_path / "pairs.parquet", {**pictures, "parts": [[b"a", b"b"]]})
    report = await index([path], library)
    assert (report.added, report.skipped) == (1, [])


async def test_an_address_is_not_downloaded_and_that_is_said(library: Library) -> None:
    with pytest.raises(UsageError, match=r"it is an address\. Nothing is downloaded: fetch the images first"):
        await index(["https://example.org/a.png"], library)


async def test_captions_in_a_table_of_images_are_not_counted_as_none_of_a_manifest(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    table = tmp_path / "images.parquet"
    pq.write_table(pa.table({"image": [picture("red")], "caption": ["a red card"]}), table)
    report = await index([], library, manifest=table)
    assert (report.captions, report.manifest_captions) == (1, None)


def test_a_damaged_table_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "images.parquet").write_bytes(b"PAR1" + bytes(50) + b"PAR1")
    with pytest.raises(ValueError, match=r"^it is no Parquet file, or a damaged one: (?!.*cannot be read)"):
        _ = ColumnarFile(tmp_path / "images.parquet").schema
