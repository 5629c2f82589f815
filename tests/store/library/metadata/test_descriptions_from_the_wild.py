"""Sidecars and manifests as other programs write them: what they say arrives, and nothing in them costs an image."""

import io
import json
import unicodedata
from dataclasses import replace

import pytest
from PIL import Image

from imagerag.agent.errors import UsageError
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.metadata.image_metadata import ImageMetadata, read_metadata
from imagerag.store.library.metadata.metadata_values import MAX_KEYS, degrees_of
from imagerag.store.library.metadata.sidecars import Sidecars, is_labels, names_of
from imagerag.store.library.sources.manifest import read_manifest

DEEP = "[" * 100_000


@pytest.fixture
def shot(tmp_path, picture):
    """One picture in a folder of its own."""
    folder = tmp_path / "shots"
    folder.mkdir()
    (folder / "shot.png").write_bytes(picture("red"))
    return folder


async def rows_of(folder, library, **options):
    report = await index([folder], library, **options)
    return report, {row.title: row for row in await library.rows()}


@pytest.mark.parametrize(
    ("value", "language", "metadata"),
    [
        ("de", "de", None),
        ("pt-BR", "pt-BR", None),
        ("en_US", "en_US", None),
        ("German", None, {"language": "German"}),
        ("tlh", None, {"language": "tlh"}),
        (7, None, {"language": 7}),
        ("", None, None),
    ],
)
def test_the_tag_of_a_language_is_that_of_the_caption(value, language, metadata):
    read = read_metadata({"caption": "ein Krug", "Language": value} if language else {"language": value})
    assert (read.language, read.metadata) == (language, metadata)


@pytest.mark.parametrize(
    ("said", "taken", "metadata"),
    [
        ({"taken": "2024-05-03T10:00:30+02:00"}, "2024-05-03 10:00:30", {"taken_offset": "+02:00"}),
        ({"DateTimeOriginal": "2023:12:31 23:30:00-05:00"}, "2023-12-31 23:30:00", {"taken_offset": "-05:00"}),
        ({"taken": "2024-05-03T10:00"}, "2024-05-03 10:00:00", None),
        ({"taken": "2024-05-03T10:00Z", "taken_offset": "+01:00"}, "2024-05-03 10:00:00", {"taken_offset": "+01:00"}),
    ],
)
def test_the_offset_of_a_time_is_kept_beside_it(said, taken, metadata):
    read = read_metadata(said)
    assert (f"{read.taken:%Y-%m-%d %H:%M:%S}", read.metadata) == (taken, metadata)


# --- sidecars -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        "a café".encode("cp1252"),
        "a café".encode("utf-16"),
        "a café".encode("utf-16-le"),
        "a café".encode("utf-16-be"),
        "a café".encode("utf-32"),
        "a café".encode("utf-32-le"),
        "a café".encode("utf-32-be"),
        "a café".encode("utf-8-sig"),
        "a café\r\n".encode(),
    ],
)
@pytest.mark.parametrize("name", ["shot.txt", "shot.png.txt", "SHOT.TXT", "shot.caption"])
async def test_a_caption_is_read_in_any_usual_encoding(shot, library, data, name):
    (shot / name).write_bytes(data)
    report, rows = await rows_of(shot, library)
    assert (rows["shot"].caption, report.captions, report.skipped, report.notes) == ("a café", 1, [], [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "shot.json"),
        (DEEP, "nested"),
        ('{"a":' * 5_000 + "1" + "}" * 5_000, "nested"),
        ("[1, 2]", "neither"),
        ("7", "neither"),
        ("\0\1\0\1", "shot.json"),
    ],
)
async def test_what_cannot_be_read_is_told_and_the_image_stays(shot, library, text, told):
    (shot / "shot.json").write_text(text, encoding="utf-8")
    (shot / "shot.txt").write_text("said all the same", encoding="utf-8")
    report, rows = await rows_of(shot, library)
    assert (report.added, report.skipped) == (1, [])
    assert told in report.notes[0][1]
    assert rows["shot"].caption == "said all the same"


@pytest.mark.parametrize(
    ("record", "caption", "tags"),
    [
        ([{"caption": "one in a list"}], "one in a list", ()),
        ("only a text", "only a text", ()),
        (["one", "two"], "", ("one", "two")),
        ({"caption": ["first", "second"]}, "first; second", ()),
        ({"description": "what others call it"}, "what others call it", ()),
        ({"Caption": "in another case", "Keywords": ["a", "b"]}, "in another case", ("a", "b")),
        ({"tags": None, "caption": None, "text": "the next best"}, "the next best", ()),
    ],
)
async def test_a_sidecar_in_another_form(shot, library, record, caption, tags):
    (shot / "shot.json").write_text(json.dumps(record), encoding="utf-8")
    _, rows = await rows_of(shot, library)
    assert (rows["shot"].caption, rows["shot"].tags) == (caption, tags)


async def test_json_without_a_caption_does_not_hide_the_text(shot, library):
    (shot / "shot.json").write_text('{"licence": "CC0-1.0", "width": 5}', encoding="utf-8")
    (shot / "shot.txt").write_text("a red card", encoding="utf-8")
    _, rows = await rows_of(shot, library)
    assert (rows["shot"].caption, rows["shot"].licence, rows["shot"].metadata) == (
        "a red card",
        "CC0-1.0",
        {"width": 5},
    )


YOLO = "0 0.5 0.5 0.25 0.25\n17 0.1 0.2 0.3 0.4\n"
DOTA = "imagesource:GoogleEarth\ngsd:0.14\n2753 2408 2861 2385 2888 2468 2805 2502 plane 0\n"
KITTI = "Car 0.00 0 -1.57 599.41 156.40 629.75 189.25 2.85 2.63 12.34 0.47 1.49 69.44 -1.56\n"


@pytest.mark.parametrize("text", [YOLO, DOTA, KITTI, "dog 0.98 12 30 200 210", "0,0.1,0.2,0.3,0.4"])
async def test_a_detectors_labels_are_no_caption(shot, library, text):
    (shot / "shot.txt").write_text(text, encoding="utf-8")
    report, rows = await rows_of(shot, library)
    assert rows["shot"].caption == ""
    assert "labels" in report.notes[0][1]


@pytest.mark.parametrize("text", ["7 dwarfs and 2 apples", "12", "1 2 3 go", "a car", "f/2.8 1/250 ISO 100 at 50 mm"])
def test_numbers_in_a_caption_are_no_labels(text):
    assert not is_labels(text)


@pytest.mark.parametrize(
    "record",
    [
        {"version": "5.0", "flags": {}, "shapes": [{"label": "dog", "points": [[1, 2]]}], "imageData": "A" * 2_000_000},
        {"label": "dog", "bbox": [1, 2, 3, 4], "score": 0.5},
        [{"label": "dog", "box": {"xmin": 1}}],
        {"images": [{"id": 1}], "annotations": [{"bbox": [1, 2, 3, 4]}], "categories": [{"name": "dog"}]},
    ],
)
async def test_what_a_labelling_tool_wrote_is_neither_caption_nor_metadata(shot, library, record):
    (shot / "shot.json").write_text(json.dumps(record), encoding="utf-8")
    report, rows = await rows_of(shot, library)
    assert (report.added, rows["shot"].caption) == (1, "")
    assert len(json.dumps(dict(rows["shot"].metadata))) < 500
    assert not {"shapes", "imageData", "bbox", "annotations"} & set(rows["shot"].metadata)


def test_metadata_is_bounded():
    said = read_metadata(
        {"long": "x" * 100_000, "deep": [[["y"] * 10_000]], **{f"key {at}": at for at in range(5_000)}}
    )
    assert said.metadata is not None
    assert len(said.metadata) <= MAX_KEYS
    assert "long" not in said.metadata


@pytest.mark.parametrize(
    ("image", "sidecar"),
    [
        ("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json"),
        ("IMG_1.jpg", "IMG_1.jpg.json"),
        ("IMG_20200101_120000_with_a_long_name.jpg", "IMG_20200101_120000_with_a_long_name.jpg.suppl.json"),
        ("a_name_that_is_much_longer_than_takeout_allows_1.jpg", "a_name_that_is_much_longer_than_takeout_allows.json"),
        ("IMG_1(2).jpg", "IMG_1.jpg.supplemental-metadata(2).json"),
        ("IMG_1(2).jpg", "IMG_1.jpg(2).json"),
        ("IMG_1-edited.jpg", "IMG_1.jpg.supplemental-metadata.json"),
        ("IMG_1-bearbeitet(1).jpg", "IMG_1.jpg.supplemental-metadata(1).json"),
        (unicodedata.normalize("NFD", "IMG_1-modifié.jpg"), "IMG_1.jpg.json"),
    ],
)
def test_takeouts_names(image, sidecar):
    assert sidecar in names_of(image)


async def test_takeout(shot, library):
    said = {
        "title": "shot.png", "description": "Ada at the sea", "imageViews": "3", "photoTakenTime": {"timestamp": "1"},
        "geoData": {"latitude": 1.5},
    }  # fmt: skip
    (shot / "shot.png.supplemental-meta.json").write_text(json.dumps(said), encoding="utf-8")
    report, rows = await rows_of(shot, library)
    assert (rows["shot"].caption, report.skipped) == ("Ada at the sea", [])
    assert rows["shot"].metadata["imageViews"] == "3"


TAKEN = {"photoTakenTime": {"timestamp": "1714516200"}}  # 2024-04-30 22:30 in UTC


@pytest.mark.parametrize(
    ("clock", "taken", "offset"),
    [
        ("2024:05:01 00:30:00", "2024-05-01 00:30:00", "+02:00"),
        ("2024:05:01 04:00:00", "2024-05-01 04:00:00", "+05:30"),
        ("2024:04:30 17:30:00", "2024-04-30 17:30:00", "-05:00"),
        ("2011:01:01 00:00:00", "2024-04-30 22:30:00", "+00:00"),  # corrected by its owner
        (None, "2024-04-30 22:30:00", "+00:00"),
    ],
)
async def test_takeouts_time_in_utc_gives_way_to_the_cameras_clock(tmp_path, library, picture, clock, taken, offset):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: clock} if clock else {})
    Image.open(io.BytesIO(picture("red"))).save(tmp_path / "a.jpg", exif=exif)
    sidecar = tmp_path / "a.jpg.supplemental-metadata.json"
    sidecar.write_text(json.dumps(TAKEN))
    for record in (TAKEN, TAKEN | {"description": "later"}):
        sidecar.write_text(json.dumps(record))
        await index([tmp_path], library)
        (row,) = await library.rows()
        assert f"{row.taken:%Y-%m-%d %H:%M:%S}" == taken
        assert row.metadata == {"taken_offset": offset}


async def test_takeouts_people_and_the_position_of_the_file(shot, library):
    record = {
        **TAKEN, "geoData": {"latitude": 0.0, "longitude": 0.0}, "geoDataExif": {"latitude": 52.5, "longitude": 13.4},
        "people": [{"name": "Ada"}, {"name": "Bob"}, {}], "creationTime": {"timestamp": "1"}, "favorited": True,
    }  # fmt: skip
    (shot / "shot.png.supplemental-metadata.json").write_text(json.dumps(record))
    _, rows = await rows_of(shot, library)
    assert (rows["shot"].latitude, rows["shot"].longitude) == (52.5, 13.4)
    assert rows["shot"].metadata == {"people": "Ada; Bob", "favorited": True, "taken_offset": "+00:00"}


EXIFTOOL = {
    "XMP:Title": "Boat", "XMP:Creator": ["Ada", "Bob"], "XMP:Subject": ["sea", "sun"], "EXIF:Copyright": "CC0-1.0",
    "EXIF:DateTimeOriginal": "2024:05:01 12:30:00", "IPTC:Caption-Abstract": "a boat",
}  # fmt: skip


@pytest.mark.parametrize(
    "position",
    [
        {
            "EXIF:GPSLatitude": 33.5,
            "EXIF:GPSLatitudeRef": "S",
            "EXIF:GPSLongitude": 151.25,
            "EXIF:GPSLongitudeRef": "E",
        },
        {"GPSLatitude": "33 deg 30' 0.00\" S", "GPSLongitude": "151 deg 15' 0.00\" E", "GPSLatitudeRef": "South"},
        {"Composite:GPSLatitude": -33.5, "Composite:GPSLongitude": 151.25},
        {"GPSLatitude": "33.5 S", "GPSLongitude": "151°15'E"},
    ],
)
def test_what_exiftool_writes(position):
    read = read_metadata(EXIFTOOL | position)
    assert (read.title, read.author, read.tags, read.licence, read.caption) == (
        "Boat", "Ada; Bob", ("sea", "sun"), "CC0-1.0", "a boat",
    )  # fmt: skip
    assert (read.latitude, read.longitude) == (-33.5, 151.25)
    assert str(read.taken) == "2024-05-01 12:30:00+00:00"


@pytest.mark.parametrize("text", ["33 deg 61' 0\" S", "33.5 E", "48,137", "deg", "91 N", "33°"])
def test_what_is_no_latitude(text):
    assert degrees_of(text, "latitude") == (33 if text == "33°" else None)


def test_of_exiftools_two_names_the_whole_path_counts(shot, picture):
    (shot / "sub").mkdir()
    (shot / "sub" / "shot.png").write_bytes(picture("blue"))
    rows = [
        {"SourceFile": "shots/shot.png", "FileName": "shot.png", "Description": "above"},
        {"SourceFile": "shots/sub/shot.png", "FileName": "shot.png", "Description": "below"},
    ]
    (shot.parent / "exif.json").write_text(json.dumps(rows))
    read = read_manifest(shot.parent / "exif.json", [shot])
    assert {str(path.relative_to(shot)): one.caption for path, one in read.entries.items()} == {
        "shot.png": "above",
        "sub/shot.png": "below",
    }


async def test_a_sidecar_with_its_accents_composed_otherwise(tmp_path, library, picture):
    name = unicodedata.normalize("NFD", "café")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"{name}.png").write_bytes(picture("red"))
    (tmp_path / "in" / f"{unicodedata.normalize('NFC', name)}.txt").write_text("coffee", encoding="utf-8")
    report = await index([tmp_path / "in"], library)
    assert [row.caption for row in await library.rows()] == ["coffee"]
    assert report.skipped == []


def test_a_sidecar_of_a_hundred_images_lists_their_folder_once(tmp_path, monkeypatch):
    folders = Sidecars()
    assert folders.of(tmp_path / "a.png").description == folders.of(tmp_path / "b.png").description
    (tmp_path / "b.txt").write_text("late", encoding="utf-8")
    assert folders.of(tmp_path / "b.png").description.caption is None


async def test_a_changed_sidecar_takes_no_metadata_of_others_away(shot, library):
    """What the file says itself, and what somebody told the library, is not in the sidecar."""
    image = Image.open(shot / "shot.png")
    exif = Image.Exif()
    exif[0x4746] = 4
    image.save(shot / "shot.png", exif=exif)
    (shot / "shot.json").write_text('{"shelf": 1}')
    await index([shot], library)
    (row,) = await library.rows()
    await library.update([replace(row, metadata={**row.metadata, "owner": "Ada"})])
    (shot / "shot.json").write_text('{"shelf": 2}')
    _, rows = await rows_of(shot, library)
    assert rows["shot"].metadata == {"rating": 4, "shelf": 2, "owner": "Ada"}


# --- manifests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("file_name,text\nshot.png,a red card\n", {"file_name": "path", "text": "caption"}),
        ("Path,Caption\nshot.png,a red card\n", {"Path": "path", "Caption": "caption"}),
        ("path;label\nshot.png;a red card\n", {"path": "path", "label": "caption"}),
        ("path\tdescription\nshot.png\ta red card\n", {"path": "path", "description": "caption"}),
        (
            "image|alt text|price\nshot.png|a red card|3\n",
            {"image": "path", "alt text": "caption", "price": "metadata"},
        ),
        ("sep=;\nFile Name;Caption\nshot.png;a red card\n", {"File Name": "path", "Caption": "caption"}),
        ("shot.png,a red card\n", {"path": "path", "caption": "caption"}),
        ('"path", "caption"\nshot.png, a red card\n'.replace(', "', ',"'), {"path": "path", "caption": "caption"}),
        (".\\shot.png,a red card\n", {"path": "path", "caption": "caption"}),
        ("path,label,caption\nshot.png,7,a red card\n", {"path": "path", "label": "metadata", "caption": "caption"}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
async def test_a_table_of_other_columns(shot, library, text, columns, encoding):
    (shot / "m.csv").write_bytes(text.encode(encoding))
    report, rows = await rows_of(shot, library, manifest=shot / "m.csv")
    assert (rows["shot"].caption, report.columns, report.manifest_captions) == ("a red card", columns, 1)
    assert report.skipped == []


async def test_a_class_number_is_no_caption(shot, library):
    (shot / "m.csv").write_text("path,label\nshot.png,7\n")
    report, rows = await rows_of(shot, library, manifest=shot / "m.csv")
    assert (rows["shot"].caption, rows["shot"].metadata, report.manifest_captions) == ("", {"label": "7"}, 0)


async def test_quoted_line_ends_and_other_lines_of_unicode(shot, library):
    caption = "two\nlines, and a \u2028 third \x0b; one"
    (shot / "m.csv").write_text(f'path,caption\nshot.png,"{caption}"\n', encoding="utf-8")
    _, rows = await rows_of(shot, library, manifest=shot / "m.csv")
    assert rows["shot"].caption == caption


async def test_a_cell_longer_than_csv_usually_reads(shot, library):
    (shot / "m.csv").write_text(f"path,caption,long\nshot.png,a card,{'x' * 300_000}\n")
    report, rows = await rows_of(shot, library, manifest=shot / "m.csv")
    assert (rows["shot"].caption, report.skipped, rows["shot"].metadata) == ("a card", [], {})


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.json"])
async def test_a_hundred_thousand_brackets_in_a_manifest(shot, library, name):
    row = (
        f'path,tags\nshot.png,"{DEEP}"\n' if name == "m.csv" else f'{DEEP}\n{{"path": "shot.png", "caption": "here"}}\n'
    )
    (shot / name).write_text(row)
    report, rows = await rows_of(shot, library, manifest=shot / name)
    assert report.added == 1
    assert rows["shot"].caption == ("" if name == "m.csv" else "here")
    assert len(report.skipped) == (name != "m.csv")


@pytest.mark.parametrize(
    "whole",
    [
        [{"path": "shot.png", "caption": "here"}],
        {"path": "shot.png", "caption": "here"},
        {"shot.png": "here"},
        {"shot.png": {"caption": "here"}},
        {
            "images": [{"id": 3, "file_name": "shot.png"}],
            "annotations": [{"image_id": 3, "caption": "here"}, {"image_id": 3, "caption": "again"}],
        },
        {"version": 1, "data": [{"file_name": "shot.png", "caption": "here"}]},
    ],
)
async def test_one_json_document(shot, library, whole):
    (shot / "m.json").write_text(json.dumps(whole, indent=1))
    report, rows = await rows_of(shot, library, manifest=shot / "m.json")
    assert (rows["shot"].caption, report.manifest_captions, report.skipped) == ("here", 1, [])


@pytest.mark.parametrize(
    "name",
    [
        "SHOT.PNG",
        "file://{}/shot.png",
        "file:{}/sh%6Ft.png",
        "sh%6ft.png",
        "file://localhost{}/shot.png",
    ],
)
def test_another_form_of_a_name_is_that_file(shot, picture, name):
    (shot / "100%25.png").write_bytes(picture("blue"))
    rows = [{"path": name.format(shot), "caption": "here"}, {"path": "100%25.png", "caption": "as it is"}]
    (shot / "m.json").write_text(json.dumps(rows))
    read = read_manifest(shot / "m.json", [shot])
    assert {path.name: one.caption for path, one in read.entries.items()} == {
        "shot.png": "here",
        "100%25.png": "as it is",
    }


def test_a_name_in_another_case_is_none_of_two_files(shot, picture):
    (shot / "SHOT.png").write_bytes(picture("blue"))
    (shot / "m.csv").write_text("path\nShot.png\nfile://elsewhere.example/shot.png\nfile:///etc/hostname\n")
    reasons = [why for _, why in read_manifest(shot / "m.csv").problems]
    assert "no such file" in reasons[0]
    assert all("outside of the folders" in why for why in reasons[1:])


def test_empty_lines_before_a_table_are_no_header(shot):
    (shot / "m.csv").write_text("\n ; \n\npath;caption\nshot.png;a card, red\nthere.png;none\n")
    read = read_manifest(shot / "m.csv")
    assert [one.caption for one in read.entries.values()] == ["a card, red"]
    assert read.problems == [("there.png", "named in m.csv, line 6, but there is no such file")]


def test_coco_says_more_than_captions(shot):
    whole = {
        "licenses": [
            {"id": 4, "name": "Attribution License", "url": "http://creativecommons.org/licenses/by/2.0/"},
            {"id": 7, "name": "No known copyright restrictions", "url": "http://flickr.com/commons/usage/"},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
        "images": [{"id": 3, "file_name": "shot.png", "license": 4, "flickr_url": "http://flickr.example/3"}],
        "annotations": [{"image_id": 3, "category_id": category, "bbox": [1, 2, 3, 4]} for category in (18, 1, 18)],
    }
    for licence, name in ((4, "CC-BY-2.0"), (7, "No known copyright restrictions"), (9, None)):
        whole["images"][0]["license"] = licence
        (shot / "m.json").write_text(json.dumps(whole))
        (read,) = read_manifest(shot / "m.json").entries.values()
        assert read == ImageMetadata(tags=("dog", "person"), licence=name, source="http://flickr.example/3")


def test_what_an_image_of_coco_says_of_itself_counts_without_annotations(shot):
    image = {"id": 3, "file_name": "shot.png", "width": 9, "caption": "a card", "photographer": "Ada", "price": 4}
    for annotations in ({}, {"annotations": []}):
        (shot / "m.json").write_text(json.dumps({"images": [image], **annotations}))
        (read,) = read_manifest(shot / "m.json").entries.values()
        assert read == ImageMetadata(caption="a card", author="Ada", metadata={"price": 4})


def test_a_number_that_is_none_is_missing(shot):
    (shot / "m.jsonl").write_text('{"path": "shot.png", "caption": NaN, "price": NaN, "most": Infinity}\n')
    (read,) = read_manifest(shot / "m.jsonl").entries.values()
    assert read == ImageMetadata(metadata={"most": "inf"})


@pytest.mark.parametrize("author", [{"@type": "Person", "name": "Ada"}, [{"name": "Ada"}], ["Ada"], "Ada"])
def test_an_author_that_is_an_object_is_its_name(shot, author):
    (shot / "shot.json").write_text(json.dumps({"author": author}))
    assert Sidecars().of(shot / "shot.png").description == ImageMetadata(author="Ada")


def test_quotes_may_follow_spaces_in_a_table(shot):
    (shot / "m.csv").write_text('"path" , "caption"\nshot.png, "a card, red"\n')
    assert read_manifest(shot / "m.csv").entries[shot / "shot.png"].caption == "a card, red"


def test_an_empty_manifest_says_so(shot):
    for text in ("", "\n  \n", ";\n"):
        (shot / "m.csv").write_text(text)
        with pytest.raises(UsageError, match="is empty"):
            read_manifest(shot / "m.csv")


@pytest.mark.parametrize("data", [bytes(range(128, 256)) * 8, b"a caption\0", b"\xff\xfea\0\0\0"])
async def test_bytes_that_are_no_text_are_no_caption(shot, library, data):
    (shot / "shot.txt").write_bytes(data)
    report, rows = await rows_of(shot, library)
    assert (rows["shot"].caption, report.captions, report.skipped) == ("", 0, [])
    assert "it is not text" in report.notes[0][1]


def test_an_empty_sidecar_and_a_broken_one_are_told_in_words(shot):
    for text, told in (("", "it is empty"), ('{"caption": "half', "it is not JSON (line 1: ")):
        (shot / "shot.json").write_text(text)
        assert told in Sidecars().of(shot / "shot.png").problems[0]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("said.yaml", b"- path: shot.png\n  caption: one\n"),
        ("said.xlsx", b"PK\x03\x04" + bytes(range(256)) * 2),
        ("said.parquet", b"PAR1\x15\x04\x15\x10"),
    ],
)
def test_a_manifest_in_another_form_is_refused_at_once(shot, name, data):
    (shot / name).write_bytes(data)
    with pytest.raises(
        UsageError, match=r"no form that is read: give CSV, JSON lines or JSON|it is not text|a damaged one"
    ):
        read_manifest(shot / name)


def test_a_table_or_json_under_another_name_is_read_as_what_it_is(shot):
    for name, data in (
        ("excel.txt", "path\tcaption\r\nshot.png\tCafé\r\n".encode("utf-16")),
        ("said.lst", b'{"path": "shot.png", "caption": "Caf\xc3\xa9"}\n'),
    ):
        (shot / name).write_bytes(data)
        assert read_manifest(shot / name).entries[shot / "shot.png"].caption == "Café"


def test_of_two_columns_of_one_name_neither_hides_the_other(shot):
    (shot / "said.csv").write_text("path,caption,caption\nshot.png,first,second\n")
    read = read_manifest(shot / "said.csv")
    assert read.columns == {"path": "path", "caption": "caption", "caption (2)": "metadata"}
    assert read.entries[shot / "shot.png"].caption == "first"
    assert read.entries[shot / "shot.png"].metadata == {"caption (2)": "second"}


def test_columns_of_which_none_names_the_images(shot):
    (shot / "m.csv").write_text("id,who\n1,Ada\n")
    with pytest.raises(UsageError, match=r"Its columns are: id, who. Call one path"):
        read_manifest(shot / "m.csv")


@pytest.mark.parametrize(("there", "said"), [("NFC", "NFD"), ("NFD", "NFC")])
async def test_a_manifest_with_its_accents_composed_otherwise(tmp_path, library, picture, there, said):
    folder = tmp_path / unicodedata.normalize(there, "Ärger")
    folder.mkdir()
    (folder / unicodedata.normalize(there, "café.png")).write_bytes(picture("red"))
    path = unicodedata.normalize(said, "Ärger/café.png")
    (tmp_path / "m.csv").write_text(f"path,caption\n{path},coffee\n", encoding="utf-8")
    report = await index([folder], library, manifest=tmp_path / "m.csv")
    assert ([row.caption for row in await library.rows()], report.skipped, report.added) == (["coffee"], [], 1)


async def test_a_manifest_leaves_to_the_sidecars_what_it_does_not_say(shot, library):
    (shot / "m.csv").write_text("path,licence\nshot.png,MIT\n")
    (shot / "shot.txt").write_text("a red card")
    _, rows = await rows_of(shot, library, manifest=shot / "m.csv")
    assert (rows["shot"].caption, rows["shot"].licence) == ("a red card", "MIT")


# --- what is left out -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder", ["@eaDir", "__MACOSX", ".thumbnails", ".git", "#recycle", "$RECYCLE.BIN", "@Recycle", "lost+found"]
)
async def test_what_systems_leave_among_pictures_is_left_out(shot, library, picture, folder):
    (shot / "deep" / folder / "in").mkdir(parents=True)
    (shot / "deep" / folder / "in" / "thumb.png").write_bytes(picture("blue"))
    (shot / "deep" / "._shot.png").write_bytes(b"\0")
    (shot / "Thumbs.db").write_bytes(b"\0")
    report, _ = await rows_of(shot, library)
    assert (report.added, report.skipped) == (1, [])
    inside = await index([shot / "deep" / folder], library)
    assert inside.added == 1, "a folder that is named is indexed, whatever it is called"


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["drafts"], {"shot", "b"}),
        (["drafts/"], {"shot", "b"}),
        (["*.jpg"], {"shot", "a"}),
        (["drafts/*"], {"shot", "b"}),
        (["./deep/*.jpg", "a.png"], {"shot"}),
        (["nothing"], {"shot", "a", "b"}),
        ([" "], {"shot", "a", "b"}),
    ],
)
async def test_exclude(shot, library, picture, patterns, left):
    (shot / "drafts").mkdir()
    (shot / "deep").mkdir()
    (shot / "drafts" / "a.png").write_bytes(picture("blue"))
    (shot / "deep" / "b.jpg").write_bytes(picture("green"))
    (shot / "m.csv").write_text("path\ndrafts/a.png\ndeep/b.jpg\n")
    _, rows = await rows_of(shot, library, exclude=patterns, manifest=shot / "m.csv")
    assert set(rows) == left
