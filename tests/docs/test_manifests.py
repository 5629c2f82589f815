"""The reference of manifests and sidecar files is made from what reads them."""

import csv
import io

from imagerag.agent.images import formats as image_formats
from imagerag.agent.images.decoding import MAX_BYTES, MAX_PIXELS, MAX_RAW_BYTES
from imagerag.store.library.description_columns import DESCRIPTION_COLUMNS
from imagerag.store.library.metadata.field_names import ALIASES, PATH, TAKEN, TEXTS, fields_of
from imagerag.store.library.metadata.image_metadata import NOTES, ImageMetadata, read_metadata
from imagerag.store.library.metadata.metadata_values import MAX_CAPTION, MAX_KEYS, MAX_VALUE, POSITION
from imagerag.store.library.metadata.sidecars import names_of
from imagerag.store.library.schema import OCR_COLUMNS
from imagerag.store.library.sources import archive_listing, source_suffixes, tar_archive
from imagerag.store.library.sources.file_selection import LEFT_OUT
from imagerag.store.text_files import LONGEST, SEPARATORS
from tests.docs.generated import DOCS, check, code, table

PAGE = "reference/manifests.md"
MEANINGS = {
    "path": "which image the row is about; needed in a manifest, ignored in a sidecar",
    "title": "its short name",
    "caption": "what it shows: shown to models, and searched with `--hybrid`",
    "source": "where it comes from",
    "author": "who made it",
    "licence": "its licence, as an SPDX name or as you write it, addresses of Creative Commons as SPDX names: "
    "`--licence` filters by it",
    "tags": "labels: `--tag` filters by them",
    "camera": "maker and model",
    "lens": "its name",
    "place": "where it was taken, in words",
    "taken": "when it was taken: `2024`, `2024-05`, `2024-05-01 12:30:00`, also as EXIF writes it",
    "latitude": "where it was taken, in degrees; needs `longitude`",
    "longitude": "likewise",
    "language": "of the caption, as a BCP 47 tag (`de`, `pt-BR`); another value, as `German`, is metadata",
    "metadata": "further values by name",
}
"""What each field is for; the names are the code's."""


def fields() -> str:
    rows = [
        (f"`{name}`", MEANINGS[name], code(ALIASES.get(name, ())))
        for name in (PATH, *TEXTS, TAKEN, *POSITION, "tags", "metadata")
    ]
    return table(("field", "meaning", "other names"), rows)


def formats() -> str:
    rows = [
        ("table", code(source_suffixes.SEPARATED), "a header row, then a row per image"),
        ("JSON lines", code(suffix for suffix in source_suffixes.JSON if suffix != ".json"), "an object per line"),
        ("JSON", code([".json"]), "a list of objects, an object by file, or COCO captions"),
        ("Parquet, Arrow", code(source_suffixes.TABLES), "a row per image"),
    ]
    marks = {"\t": "tab", "|": "&#124;"}
    separators = " ".join(marks.get(mark, mark) for mark in SEPARATORS)
    return table(("format", "ending", "content"), rows) + f"\n\nSeparators of tables: {separators}"


def sidecars() -> str:
    names = list(names_of("circle.png"))
    takeout = [name for name in names if ".supplemental-metadata" in name or name.startswith("circle.png.s")]
    plain = [name for name in names if name not in takeout and not name.endswith("..json")]
    lines = [f"{at}. `{name}`" for at, name in enumerate([*plain, takeout[0]], start=1)]
    return "\n".join(lines) + " (Google Takeout), also under the shorter names that Takeout cuts it to"


def images() -> str:
    rows = [
        (form.title, f"`{form.media_type}`", code(form.suffixes), f"`{form.extra}`" if form.extra else "")
        for form in image_formats.FORMATS.values()
    ]
    return table(("format", "media type", "endings", "extra"), rows)


def left_out() -> str:
    return "\n".join(f"* {name}: {reason}." for name, reason in image_formats.LEFT_OUT.items())


def bounds() -> str:
    rows = [
        ("image file", f"{MAX_BYTES // 2**20} MB"),
        ("camera RAW", f"{MAX_RAW_BYTES // 2**20} MB"),
        ("image", f"{MAX_PIXELS // 1_000_000} megapixels"),
        ("caption, title, source, author, licence", f"{MAX_CAPTION:,} characters"),
        ("metadata value, tag", f"{MAX_VALUE:,} characters"),
        ("metadata values of an image, tags of an image", str(MAX_KEYS)),
        ("sidecar file", f"{LONGEST // 2**20} MB"),
        ("members of an archive", f"{archive_listing.MAX_MEMBERS:,}"),
        ("sidecars in a compressed archive, all together", f"{tar_archive.MAX_TEXTS // 2**20} MB"),
        ("unpacked size of a compressed archive", f"{tar_archive.MAX_RATIO} times its own, and 64 MB"),
    ]
    return table(("what", "at most"), rows)


def test_generated_reference_of_manifests_is_what_the_code_says() -> None:
    check(
        PAGE,
        fields=fields(),
        formats=formats(),
        sidecars=sidecars(),
        images=images(),
        left_out=left_out(),
        excluded=code(sorted(name.strip() for name in LEFT_OUT)),
        limits=bounds(),
    )


def test_every_field_has_a_meaning() -> None:
    without = {*NOTES, *OCR_COLUMNS, *DESCRIPTION_COLUMNS}
    assert {PATH, *vars(ImageMetadata())} - without == set(MEANINGS), "only exports have those"


def test_the_first_example_has_every_field_of_a_table() -> None:
    names = ["path", "caption", "title", "tags", "author", "licence", "source"]
    assert f"{','.join(names)},price" in (DOCS / PAGE).read_text("utf-8")
    photos = {"camera", "lens", "place", "taken", "latitude", "longitude", "language"}
    assert set(fields_of([*names, "price"]).values()) == {*MEANINGS} - {"metadata"} - photos
    (row,) = csv.DictReader(io.StringIO("path,caption,tags,price\na.png,a lamp,lamp;teal,12.50\n"))
    assert read_metadata(row) == ImageMetadata(caption="a lamp", tags=("lamp", "teal"), metadata={"price": "12.50"})
