"""Which files count, and what programs that make folders of images say of them: patterns, ignore files, manifests."""

import json
import os
import subprocess
import tarfile
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.metadata.foreign_records import our_record
from imagerag.store.library.metadata.image_metadata import ImageMetadata, read_metadata
from imagerag.store.library.schema import ImageRecord
from imagerag.store.library.sources import ignored_files
from imagerag.store.library.sources.file_selection import IgnoreFiles
from imagerag.store.library.sources.manifest import read_manifest, read_manifests
from imagerag.store.library.sources.path_patterns import NamedPaths, base_of, expand
from tests import metadata_files


def put(folder: Path, *names: str, data: bytes = b"") -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


async def rows_of(library: Library, *paths: Path | str, **options: Any) -> tuple[IndexReport, dict[str, ImageRecord]]:
    report = await index(paths, library, **options)
    return report, {row.title: row for row in await library.rows()}


# --- patterns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.png", ["a.png"]),
        ("**/*.png", ["a.png", "deep/b.png", "deep/deeper/c.png"]),
        ("*/[bx].png", ["deep/b.png"]),
        ("de?p", ["deep"]),
        ("shard-{000..002}.tar", ["shard-001.tar", "shard-002.tar"]),
        ("shard-{001,002}.tar", ["shard-001.tar", "shard-002.tar"]),
        ("{a,deep/b}.png", ["a.png", "deep/b.png"]),
        ("odd[1].png", ["odd[1].png"]),
        ("odd{1,2}.png", ["odd{1,2}.png"]),
    ],
)
def test_patterns_stand_for_files(tmp_path: Path, pattern: str, found: list[str]) -> None:
    put(tmp_path, "a.png", "deep/b.png", "deep/deeper/c.png", "shard-001.tar", "shard-002.tar")
    put(tmp_path, *(one for one in found if one.startswith("odd")))
    named = expand([tmp_path / pattern])
    assert [str(path.relative_to(tmp_path)) for path in named.paths] == found
    if named.patterns:
        assert all(named.matches(str(path)) for path in named.paths)
        assert not named.matches(str(tmp_path / "other.jpg"))


def test_a_pattern_without_a_match_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="as a pattern it matches none"):
        expand([tmp_path / "*.png"])
    assert expand([tmp_path / "*.png"], may_be_gone=True).paths == []
    put(tmp_path, "s-1.tar")
    named = expand([tmp_path / "s-{0..2}.tar", tmp_path / "*.{tar,zip}"])
    assert named.paths == [tmp_path / "s-1.tar"]
    assert [Path(path).name for path, _ in named.problems] == ["s-0.tar", "s-2.tar"]
    with pytest.raises(UsageError, match="more than 100,000 files"):
        expand([tmp_path / "{0..999999}.tar"])
    with pytest.raises(UsageError, match="more than 100,000 files"):
        expand([tmp_path / "{0..9999}{0..9999}.tar"])


def test_what_is_watched_of_a_pattern_is_the_folder_before_it(tmp_path: Path) -> None:
    assert base_of(tmp_path / "a" / "**" / "*.png") == tmp_path / "a"
    assert base_of(tmp_path / "a" / "shard-{0..9}.tar") == tmp_path / "a"
    assert base_of(tmp_path / "a") == tmp_path / "a"


async def test_files_of_a_pattern_are_followed(tmp_path: Path, library: Library, picture: Any) -> None:
    folder = tmp_path / "in"
    for name in ("red", "green", "blue"):
        put(folder, f"{name}.png", data=picture(name))
    put(folder, "note.txt", data=b"kept")
    report, _ = await rows_of(library, folder / "**" / "*.png")
    assert report.added == 3
    (folder / "red.png").unlink()
    report, rows = await rows_of(library, folder / "**" / "*.png")
    assert (report.unchanged, report.removed, rows.keys()) == (2, 1, {"green", "blue"})


# --- ignore files ---------------------------------------------------------------------------------------------------


async def test_ignore_files_leave_out_what_they_name(tmp_path: Path, library: Library, picture: Any) -> None:
    folder = tmp_path / "in"
    for at, name in enumerate(("a.png", "drafts/b.png", "raw/c.png", "raw/keep/d.png", "deep/e.png", "deep/f.png")):
        put(folder, name, data=picture("red", mark=at))
    put(folder, ".imagerag-ignore", data=b"# comment\n/drafts/\nraw/*\n!raw/keep\n[ef].png\n")
    put(folder, "deep/.imagerag-ignore", data=b"!e.png\n")
    report, rows = await rows_of(library, folder)
    assert (rows.keys(), report.skipped) == ({"a", "d", "e"}, [])
    put(folder, ".imagerag-ignore", data=b"drafts\nraw\\\n")
    report, rows = await rows_of(library, folder)
    where = str(folder / ".imagerag-ignore")
    assert report.skipped == [(f"{where}, line 2", "it leaves out nothing, as it is no pattern")]
    put(folder, ".imagerag-ignore", data=b"\xff\xfe\x00")
    report, rows = await rows_of(library, folder)
    assert rows.keys() == {"a", "b", "c", "d", "e", "f"}
    assert [(path, why.split(":")[0]) for path, why in report.skipped] == [
        (where, "it leaves out nothing, as it cannot be read")
    ]


LINES = st.lists(
    st.sampled_from(["a", "/a", "a/", "*.png", "!b.png", "a/*", "**/b.png", "a/**", "!a/b.png", "# a", "", "\\#c",
                     "?.png", "[ab]*", "!*", "c/d", "!*/", "!/a/", "*/", "a/**/e.png", "**/d/", "[[:alpha:]].png",
                     "b\\", "!c/*"]),
    max_size=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = put(
        tmp_path_factory.mktemp("repository"), "a/b.png", "a/c/d/e.png", "b.png", "c/d/b.png", "c/a", "#c", "a/x"
    )
    subprocess.run(["git", "init", "-q", folder], check=True)
    return folder


@settings(max_examples=40, deadline=None)
@given(above=LINES, below=LINES)
def test_ignore_files_mean_what_git_means(repository: Path, above: list[str], below: list[str]) -> None:
    for folder, lines in ((repository, above), (repository / "a", below)):
        for name in (".gitignore", ".imagerag-ignore"):
            (folder / name).write_text("\n".join(lines))
    ignored = IgnoreFiles(repository, {})

    def walk(folder: Path) -> list[str]:
        found = []
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and not ignored.match(path):
                found += walk(path) if path.is_dir() else [path.relative_to(repository).as_posix()]
        return found

    listed = ["git", "-C", str(repository), "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"]
    told = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    assert sorted(walk(repository)) == sorted(name for name in told if name and "/." not in f"/{name}")


# --- manifests ------------------------------------------------------------------------------------------------------


def test_of_several_manifests_the_last_one_counts_field_by_field(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "one.csv").write_text("path,caption,licence,price,stock\na.png,first,CC0-1.0,1,5\nb.png,only,,,\n")
    (tmp_path / "two.jsonl").write_text('{"path": "a.png", "caption": "second", "price": 2}\n{"path": "lost.png"}\n')
    read = read_manifests([tmp_path / "one.csv", tmp_path / "two.jsonl"])
    said = read.entries[tmp_path / "a.png"]
    assert (said.caption, said.licence, said.metadata) == ("second", "CC0-1.0", {"price": 2, "stock": "5"})
    assert read.entries[tmp_path / "b.png"].caption == "only"
    assert read.problems == [("lost.png", "named in two.jsonl, line 2, but there is no such file")]
    assert read.columns["stock"] == "metadata"


def test_a_column_that_looks_like_a_caption_is_one_where_none_is_called_so(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    for header, caption in (
        ("path,blip_caption,caption_source", "one"), ("path,caption_0,short_caption", "one"),
        ("path,caption_source,caption_model", None), ("path,text,blip_caption", "one"), ("path,caption_1,text", "two"),
    ):  # fmt: skip
        (tmp_path / "said.csv").write_text(f"{header}\na.png,one,two\n")
        read = read_manifest(tmp_path / "said.csv")
        assert read.entries[tmp_path / "a.png"].caption == caption
        assert [name for name, meant in read.columns.items() if meant == "caption"] == (
            [header.split(",")[("one", "two").index(caption) + 1]] if caption else []
        )


async def test_several_manifests_in_one_call(tmp_path: Path, library: Library, picture: Any) -> None:
    put(tmp_path / "in", "a.png", data=picture("red"))
    (tmp_path / "one.csv").write_text("path,caption\nin/a.png,first\n")
    (tmp_path / "two.csv").write_text("path,caption\nin/a.png,second\n")
    report, rows = await rows_of(library, manifest=[tmp_path / "one.csv", tmp_path / "two.csv"])
    assert (rows["a"].caption, report.manifest_captions, report.columns) == (
        "second", 1, {"path": "path", "caption": "caption"},
    )  # fmt: skip


async def test_a_parquet_manifest_names_files_or_has_the_pictures(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    put(tmp_path / "in", "a.png", data=picture("red"))
    table = pa.table({"file_name": ["in/a.png", "../../etc/passwd"], "caption": ["a red card", "no"], "n": [1, 2]})
    pq.write_table(table, tmp_path / "said.parquet")
    pq.write_table(pa.table({"image": [picture("green")], "caption": ["a green card"]}), tmp_path / "pictures.parquet")
    report, rows = await rows_of(library, manifest=[tmp_path / "said.parquet", tmp_path / "pictures.parquet"])
    assert {row.caption for row in rows.values()} == {"a red card", "a green card"}
    assert rows["a"].metadata == {"n": 1}
    assert [path for path, _ in report.skipped] == ["../../etc/passwd"]


@pytest.mark.parametrize("name", ["urls.csv", "urls.parquet", "urls.jsonl", "paths.csv"])
def test_urls_are_not_downloaded_and_the_row_says_so(tmp_path: Path, name: str) -> None:
    column = "path" if name == "paths.csv" else "url"
    url = "https://images.example.org/a.png"
    if name.endswith(".csv"):
        (tmp_path / name).write_text(f"{column},caption\n{url},a card\n")
    elif name.endswith(".jsonl"):
        (tmp_path / name).write_text(json.dumps({column: url, "caption": "a card"}))
    else:
        pq.write_table(pa.table({column: [url], "caption": ["a card"]}), tmp_path / name)
    [(_, why)] = read_manifest(tmp_path / name).problems
    assert "Nothing is downloaded: fetch the images first, as with img2dataset" in why


# --- conventions of other programs ----------------------------------------------------------------------------------


async def test_image_folders_of_hugging_face(tmp_path: Path, library: Library, picture: Any) -> None:
    folder = put(tmp_path / "in", "train/red.png", data=picture("red"))
    put(folder, "train/green.png", data=picture("green"))
    put(folder, "train/metadata.csv", data=b"file_name,text\nred.png,a red card\nlost.png,no\n../../out.png,no\n")
    put(folder, "train/green.txt", data=b"a green card")
    report, rows = await rows_of(library, folder)
    assert {title: row.caption for title, row in rows.items()} == {"red": "a red card", "green": "a green card"}
    assert {name for name, _ in report.skipped} == {"lost.png", "../../out.png"}
    put(folder, "train/metadata.csv", data=b"file_name,text\nred.png,a scarlet card\ngreen.png,not this\n")
    report, rows = await rows_of(library, folder)
    assert {row.caption for row in rows.values()} == {"a scarlet card", "a green card"}
    assert (report.updated, report.skipped) == (1, [])


async def test_a_manifest_in_a_folder_that_links_elsewhere_is_left_out(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    folder = put(tmp_path / "in", "red.png", data=picture("red"))
    (tmp_path / "secret.csv").write_text("file_name,text\nred.png,TOKEN=hunter2\n")
    (folder / "metadata.csv").symlink_to("../secret.csv")
    report, rows = await rows_of(library, folder)
    [(path, why)] = report.skipped
    assert (rows["red"].caption, Path(path).name, "`allow_outside=True`" in why) == ("", "metadata.csv", True)
    report, rows = await rows_of(library, folder, allow_outside=True)
    assert (rows["red"].caption, report.skipped) == ("TOKEN=hunter2", [])


async def test_folders_of_kohya(tmp_path: Path, library: Library, picture: Any) -> None:
    folder = put(tmp_path / "in", "10_ada lovelace/red.png", data=picture("red"))
    put(folder, "10_ada lovelace/green.png", data=picture("green"))
    put(folder, "2019_holiday/blue.png", data=picture("blue"))
    put(folder, "10_ada lovelace/red.caption", data=b"ada in red")
    told = {"red": {"tags": "dress, 1girl"}, "green": {"caption": "ada in green", "tags": "1girl"}}
    put(folder, "10_ada lovelace/meta_lat.json", data=json.dumps(told).encode())
    report, rows = await rows_of(library, folder)
    assert report.skipped == []
    assert (rows["red"].caption, rows["red"].tags) == ("ada in red", ("dress", "1girl"))
    assert (rows["green"].caption, rows["green"].tags) == ("ada in green", ("1girl",))
    assert rows["red"].metadata == {"repeats": 10}
    assert (rows["blue"].tags, rows["blue"].metadata) == ((), {})
    (folder / "10_ada lovelace" / "meta_lat.json").unlink()
    put(folder, "10_ada lovelace/white.png", data=picture("white"))
    assert (await rows_of(library, folder))[1]["white"].tags == ("ada lovelace",)


@pytest.mark.parametrize("form", ["files", "webdataset"])
async def test_folders_of_img2dataset(tmp_path: Path, library: Library, picture: Any, form: str) -> None:
    folder, shard = tmp_path / "in", tmp_path / "in" / "00000"
    for at, colour in enumerate(("red", "green")):
        key = f"{at:09}"
        record = {"caption": f"a {colour} card", "url": f"https://images.example.org/{colour}", "key": key,
                  "status": "success", "error_message": None, "width": 24, "height": 16, "original_width": 48,
                  "original_height": 32, "exif": "{}", "sha256": "0" * 64, "similarity": 0.31}  # fmt: skip
        put(shard, f"{key}.jpg", data=picture(colour, form="JPEG"))
        put(shard, f"{key}.json", data=json.dumps(record).encode())
        put(shard, f"{key}.txt", data=f"a {colour} card".encode())
    if form == "webdataset":
        with tarfile.open(folder / "00000.tar", "w") as archive:
            for file in sorted(shard.iterdir()):
                archive.add(file, file.name)
                file.unlink()
        shard.rmdir()
    pq.write_table(pa.table({"key": ["000000000"], "status": ["success"]}), folder / "00000.parquet")
    put(folder, "00000_stats.json", data=b'{"count": 2}')
    report, rows = await rows_of(library, folder)
    assert (report.added, report.captions, report.skipped, report.notes) == (2, 2, [], [])
    row = rows["000000001"]
    assert (row.caption, row.source, row.metadata) == (
        "a green card", "https://images.example.org/green", {"similarity": 0.31},
    )  # fmt: skip


GALLERY = [
    (
        {"category": "pixiv", "subcategory": "work", "extension": "png", "filename": "1_p0", "id": 1, "title": "Card",
         "tags": ["red", "card"], "user": {"id": 3, "name": "Ada", "account": "ada"}, "url": "https://p.example/1.png",
         "width": 24, "height": 16},
        ImageMetadata(title="Card", tags=("red", "card"), author="Ada", source="https://p.example/1.png"),
    ),
    (
        {"category": "danbooru", "subcategory": "post", "extension": "png", "tags_general": ["red"],
         "tags_artist": ["ada"], "tag_count": 2, "file_url": "https://d.example/1.png"},
        ImageMetadata(tags=("ada", "red"), source="https://d.example/1.png"),
    ),
    (
        {"category": "flickr", "subcategory": "image", "extension": "jpg", "description": "a red card",
         "author": "Ada", "license_name": "CC-BY-4.0", "uploader": None},
        ImageMetadata(caption="a red card", author="Ada", licence="CC-BY-4.0"),
    ),
    (
        {"category": "flickr", "subcategory": "image", "extension": "jpg",
         "user": {"nsid": "1", "username": "ada_1815", "realname": "Ada"}},
        ImageMetadata(author="Ada"),
    ),
    (
        {"category": "flickr", "subcategory": "image", "extension": "jpg", "license": "4",
         "license_name": "Attribution License"},
        ImageMetadata(licence="Attribution License"),
    ),
    (
        {"category": "gelbooru", "subcategory": "tag", "extension": "png", "tags": "1girl blue_eyes",
         "caption": "a <3 b"},
        ImageMetadata(tags=("1girl", "blue_eyes"), caption="a <3 b"),
    ),
    (
        {"category": "twitter", "subcategory": "user", "extension": "jpg", "content": "a red card", "hashtags": ["red"],
         "author": {"name": "ada"}},
        ImageMetadata(caption="a red card", tags=("red",), author="ada"),
    ),
    (
        {"category": "pixiv", "subcategory": "user", "extension": "jpg", "tags": ["red"], "username": "ada",
         "caption": "<p>a <b>card</b><br />red &amp; <a href=\"https://x.example\">more</a></p>"},
        ImageMetadata(caption="a card\nred & more", tags=("red",), author="ada"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("record", "wanted"), GALLERY)
def test_records_of_gallery_dl(record: dict[str, Any], wanted: ImageMetadata) -> None:
    read = read_metadata(our_record(record))
    named = ("title", "caption", "tags", "author", "licence", "source")
    assert {name: getattr(read, name) for name in named} == {name: getattr(wanted, name) for name in named}
    assert not {"filename", "width", "user", "extension"} & (read.metadata or {}).keys()


async def test_films_of_live_photos_and_files_of_takeout_are_not_told(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    folder = put(tmp_path / "in", "IMG_1.jpg", data=picture("red", form="JPEG"))
    put(folder, "IMG_1-edited.jpg", data=picture("green", form="JPEG"))
    put(folder, "IMG_1.MOV", "IMG_1.mp4", "film.mov", data=b"film")
    put(folder, "IMG_1.jpg.supplemental-metadata.json", data=b'{"title": "IMG_1.jpg", "description": "a red card"}')
    put(folder, "print-subscriptions.json", "user-generated-memory-titles.json", data=b"{}")
    album = b'{"title": "Trip", "description": "", "access": "protected", "date": {"timestamp": "1"}}'
    put(folder, "metadata.json", "m\u00e9tadonn\u00e9es(1).json", data=album)
    put(folder, "Metadaten.json", data=b'{"albumData": {"title": "Trip"}}')
    put(folder, "metadata-of-mine.json", data=b'{"title": "Trip"}')
    report, rows = await rows_of(library, folder)
    assert sorted(Path(path).name for path, _ in report.skipped) == ["film.mov", "metadata-of-mine.json"]
    assert {row.caption for row in rows.values()} == {"a red card"}


async def test_what_cameras_and_editors_leave_beside_images_is_not_told(
    tmp_path: Path, library: Library, picture: Any
) -> None:
    folder = put(tmp_path / "in", "IMG_1.jpg", data=picture("red", form="JPEG"))
    put(
        folder,
        "IMG_1.AAE",
        "IMG_1.jpg.pp3",
        "IMG_1.THM",
        "IMG_1_01.jpg.xmp",
        "film.MP4.supplemental-meta.json",
        data=b"{}",
    )
    put(folder, "film.MP4", "IMG_2.aae", "IMG_2_01.jpg.xmp", "other.MP4.json", data=b"{}")
    report, _ = await rows_of(library, folder)
    named = ["IMG_2.aae", "IMG_2_01.jpg.xmp", "film.MP4", "other.MP4.json"]
    assert sorted(Path(path).name for path, _ in report.skipped) == named


def test_names_of_other_accents_are_the_same_without_their_endings(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "café")
    put(tmp_path, f"{name}.png")
    (tmp_path / "meta_cap.json").write_text(json.dumps({"caf\u00e9": {"caption": "a card"}}))
    read = read_manifest(tmp_path / "meta_cap.json")
    assert [said.caption for said in read.entries.values()] == ["a card"]


@pytest.mark.parametrize("name", ["shot.xmp", "shot.png.xmp"])
async def test_what_lightroom_and_darktable_write_beside_an_image(
    tmp_path: Path, library: Library, picture: Any, name: str
) -> None:
    put(tmp_path, "shot.png", data=picture("red"))
    fields = "<dc:subject><rdf:Bag><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>"
    (tmp_path / name).write_bytes(metadata_files.xmp(fields, 'xmp:Rating="4"'))
    _, rows = await rows_of(library, tmp_path)
    assert rows["shot"].tags == ("sea",)
    assert rows["shot"].metadata == {"rating": 4}


PARTS = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4).map(lambda parts: Path("/", *parts))


@given(st.lists(PARTS, max_size=4), PARTS)
def test_what_lies_below_named_paths_is_covered(named: list[Path], path: Path) -> None:
    assert NamedPaths(named).covers(str(path)) == any(path.is_relative_to(one) for one in named)


def test_a_dataset_s_state_is_parsed_once_for_all_of_its_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed, load = list[str](), ignored_files.json.loads
    monkeypatch.setattr(ignored_files.json, "loads", lambda text: parsed.append(text) or load(text))
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"_data_files": [{"filename": f"data-{at}.arrow"} for at in range(9)]}))
    shards = [tmp_path / f"data-{at}.arrow" for at in range(10)]
    assert [ignored_files.is_companion(one, shards) for one in shards] == [False] * 9 + [True]
    assert len(parsed) == 1
    state.write_text(json.dumps({"_data_files": [{"filename": "data-9.arrow"}]}))
    os.utime(state, ns=(1, 1))
    assert [ignored_files.is_companion(one, shards) for one in shards] == [True] * 9 + [False]
