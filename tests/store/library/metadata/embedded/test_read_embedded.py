"""What image files say of themselves: each field from each kind of metadata, junk that costs only its field, bounds."""

import struct
import tracemalloc
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagerag.store.library.metadata.embedded import read_embedded, read_xmp_sidecar
from imagerag.store.library.metadata.embedded.blocks import find_blocks
from imagerag.store.library.metadata.embedded.exif import camera, lens, read_exif
from imagerag.store.library.metadata.embedded.iptc import read_iptc
from imagerag.store.library.metadata.embedded.xmp import read_xmp
from imagerag.store.library.metadata.image_metadata import ImageMetadata
from imagerag.store.library.metadata.sidecars import sidecar_metadata
from imagerag.store.text_files import decoded
from tests import bombs
from tests import metadata_files as made

GPS = {1: made.ascii_value("N"), 2: made.rationals((52, 1), (30, 1), (36, 1)), 3: made.ascii_value("W"),
       4: made.rationals((13, 1), (24, 1), (0, 1))}  # fmt: skip
EXIF = made.tiff(
    {
        0x010E: made.ascii_value("a red boat"),
        0x010F: made.ascii_value("NIKON CORPORATION"),
        0x0110: made.ascii_value("NIKON Z 6"),
        0x013B: made.ascii_value("Ada"),
        0x8298: made.ascii_value(b"(c) Ada\0(c) Editor"),
        0x4746: made.short(4),
        0x9C9B: made.windows("Boat \u2764"),
        0x9C9E: made.windows("boat;sea"),
    },
    {
        0x9003: made.ascii_value("2024:05:01 23:30:59"),
        0x9011: made.ascii_value("+02:00"),
        0xA434: made.ascii_value("NIKKOR Z 35mm f/1.8 S"),
    },
    GPS,
)
FROM_EXIF = ImageMetadata(
    title="Boat \u2764", caption="a red boat", tags=("boat", "sea"), author="Ada", licence="(c) Ada; (c) Editor",
    taken=datetime(2024, 5, 1, 23, 30, 59, tzinfo=UTC), camera="NIKON Z 6", lens="NIKKOR Z 35mm f/1.8 S",
    latitude=52.51, longitude=-13.4, metadata={"taken_offset": "+02:00", "rating": 4},
)  # fmt: skip

XMP = made.xmp(
    '<dc:title><rdf:Alt><rdf:li xml:lang="de">Boot</rdf:li><rdf:li xml:lang="x-default">Boat</rdf:li></rdf:Alt>'
    "</dc:title>"
    "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>A red boat.</rdf:li></rdf:Alt></dc:description>"
    "<dc:subject><rdf:Bag><rdf:li>boat</rdf:li><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>"
    "<dc:creator><rdf:Seq><rdf:li>Ada</rdf:li><rdf:li>Bo</rdf:li></rdf:Seq></dc:creator>"
    "<dc:rights><rdf:Alt><rdf:li xml:lang='x-default'>(c) Ada</rdf:li></rdf:Alt></dc:rights>"
    '<cc:license rdf:resource="https://creativecommons.org/licenses/by-sa/4.0/"/>'
    "<exif:DateTimeOriginal>2023-07-01T10:20:30.50+05:30</exif:DateTimeOriginal>"
    "<exif:GPSLatitude>48,51.5N</exif:GPSLatitude><exif:GPSLongitude>2,17,40E</exif:GPSLongitude>",
    'tiff:Make="FUJIFILM" tiff:Model="X100V" aux:Lens="23.0 mm f/2.0" photoshop:City="Paris" '
    'photoshop:Country="France" xmp:Rating="5"',
)
FROM_XMP = ImageMetadata(
    title="Boat", caption="A red boat.", tags=("boat", "sea"), author="Ada; Bo", licence="CC-BY-SA-4.0",
    taken=datetime(2023, 7, 1, 10, 20, 30, tzinfo=UTC), camera="FUJIFILM X100V", lens="23.0 mm f/2.0",
    place="Paris, France", latitude=48.8583333, longitude=2.2944444, metadata={"taken_offset": "+05:30", "rating": 5},
)  # fmt: skip

IPTC = made.iptc(
    (5, "Käse".encode()), (120, "ein Käse".encode()), (25, b"food"), (25, "Käse".encode()), (80, b"Ada"),
    (90, b"Bern"), (95, b"Bern"), (101, b"Schweiz"), (116, b"(c) 2020 Ada"), (55, b"20200131"), (60, b"235900-0100"),
)  # fmt: skip
FROM_IPTC = ImageMetadata(
    title="Käse", caption="ein Käse", tags=("food", "Käse"), author="Ada", licence="(c) 2020 Ada",
    taken=datetime(2020, 1, 31, 23, 59, tzinfo=UTC), place="Bern, Schweiz", metadata={"taken_offset": "-01:00"},
)  # fmt: skip


def exif_of(main: dict[int, made.Value] | None = None, **inner: dict[int, made.Value]) -> ImageMetadata:
    return read_embedded(made.jpeg(made.tiff(main or {}, **inner)))


@pytest.mark.parametrize(
    "data",
    [
        made.jpeg(EXIF),
        made.encoded("PNG", exif=EXIF),
        made.encoded("WEBP", exif=EXIF),
        made.encoded("AVIF", exif=EXIF),
        made.encoded("TIFF", exif=EXIF),
    ],
    ids=["JPEG", "PNG", "WebP", "AVIF", "TIFF"],
)
def test_exif_is_read_in_every_container(data: bytes) -> None:
    assert read_embedded(data) == FROM_EXIF


def heic(**options: Any) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    return made.encoded("HEIF", size=(64, 48), **options)


def test_exif_and_xmp_of_heic() -> None:
    assert read_embedded(heic(exif=EXIF)) == FROM_EXIF
    assert read_embedded(heic(xmp=XMP)) == FROM_XMP


@pytest.mark.parametrize(
    "data",
    [
        made.jpeg(xmp=XMP),
        bombs.png_with((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
        bombs.png_with((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP))),
        made.encoded("WEBP", xmp=XMP),
        made.encoded("AVIF", xmp=XMP),
        made.encoded("GIF")[:-1] + b"!\xff\x0bXMP DataXMP" + XMP + b"\1" + bytes(range(255, -1, -1)) + b"\0;",
        made.tiff({700: (1, len(XMP), XMP)}),
        b"8BPS" + bytes(22) + bytes(4) + struct.pack(">I", len(XMP) + 12) + b"8BIM\x04\x24\0\0"
        + struct.pack(">I", len(XMP)) + XMP,
        bytes.fromhex("0000000c6a5020200d0a870a") + struct.pack(">I4s", len(XMP) + 24, b"uuid")
        + bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + XMP,
    ],
    ids=["JPEG", "PNG", "PNG, packed", "WebP", "AVIF", "GIF", "TIFF", "PSD", "JPEG 2000"],
)  # fmt: skip
def test_xmp_is_read_in_every_container(data: bytes) -> None:
    assert read_embedded(data) == FROM_XMP


def test_an_xmp_file_is_read_as_xmp_in_an_image() -> None:
    assert read_xmp_sidecar(XMP) == FROM_XMP


@pytest.mark.parametrize(
    "data",
    [
        made.jpeg(iptc=IPTC),
        made.jpeg(iptc=made.iptc(charset=b"\x1b%G") + IPTC),
        made.tiff({33723: (4, len(IPTC) // 4 + 1, IPTC.ljust(len(IPTC) // 4 * 4 + 4, b"\0"))}),
        made.tiff({34377: (1, len(made.photoshop(IPTC)), made.photoshop(IPTC))}),
        b"8BPS" + bytes(26) + struct.pack(">I", len(made.photoshop(IPTC))) + made.photoshop(IPTC),
        bombs.png_with(
            (b"zTXt", b"Raw profile type iptc\0\0"
             + zlib.compress(b"\niptc\n  9\n" + made.photoshop(IPTC).hex().encode()))
        ),
    ],
    ids=["JPEG", "UTF-8 is said", "TIFF", "TIFF, Photoshop", "PSD", "PNG of ImageMagick"],
)  # fmt: skip
def test_iptc_is_read_in_every_container(data: bytes) -> None:
    assert read_embedded(data) == FROM_IPTC


def test_texts_come_from_xmp_then_iptc_then_exif_and_facts_from_exif_first() -> None:
    found = read_embedded(made.jpeg(EXIF, XMP, IPTC))
    assert (found.caption, found.title, found.author) == ("A red boat.", "Boat", "Ada; Bo")
    assert (found.camera, found.lens, found.taken) == (FROM_EXIF.camera, FROM_EXIF.lens, FROM_EXIF.taken)
    assert (found.latitude, found.place, found.licence) == (52.51, "Paris, France", "CC-BY-SA-4.0")
    bare = made.xmp(attributes='photoshop:City="Rom"')
    assert read_embedded(made.jpeg(EXIF, bare, IPTC)).caption == "ein Käse"


def test_texts_of_a_png() -> None:
    data = bombs.png_with(
        (b"tEXt", b"Title\0A boat"), (b"tEXt", b"Author\0" + "Zoë".encode("latin-1")),
        (b"iTXt", b"Description\0\0\0\0\0" + "ein Käse".encode()), (b"zTXt", b"Copyright\0\0" + zlib.compress(b"CC0")),
        (b"tEXt", b"Comment\0Created with GIMP"),
    )  # fmt: skip
    assert read_embedded(data) == ImageMetadata(title="A boat", author="Zoë", caption="ein Käse", licence="CC0")


PARAMETERS = "a red boat\nNegative prompt: fog\nSteps: 20, Sampler: Euler a, Seed: 1"
MADE_WITH = {"negative_prompt": "fog", "generation_parameters": "Steps: 20, Sampler: Euler a, Seed: 1"}


@pytest.mark.parametrize(
    "data",
    [
        bombs.png_with((b"tEXt", b"parameters\0" + PARAMETERS.encode())),
        made.jpeg(made.tiff({}, {0x9286: made.undefined(b"UNICODE\0" + PARAMETERS.encode("utf-16-be"))})),
    ],
    ids=["PNG", "JPEG"],
)
def test_a_prompt_of_a_generator_is_a_caption(data: bytes) -> None:
    assert read_embedded(data) == ImageMetadata(caption="a red boat", metadata=MADE_WITH)


# --- charsets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        (b"ASCII\0\0\0plain", "plain"),
        (b"UNICODE\0" + "süß".encode("utf-16-le"), "süß"),
        (b"UNICODE\0" + "süß".encode("utf-16-be"), "süß"),
        (b"UNICODE\0" + "\ufeffsüß".encode("utf-16-be"), "süß"),
        (b"JIS\0\0\0\0\0" + "写真".encode("iso2022_jp"), "写真"),
        (bytes(8) + "süß".encode(), "süß"),
        (b"ASCII\0\0\0" + "süß".encode("latin-1"), "süß"),
        (b"no charset at all", "no charset at all"),
        (b"ASCII\0\0\0                ", None),
        (b"", None),
    ],
)
def test_the_users_comment_in_its_character_sets(comment: bytes, text: str | None) -> None:
    assert exif_of(exif={0x9286: made.undefined(comment)}).caption == text


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_exif_in_latin_1_and_utf_8(charset: str) -> None:
    assert exif_of({0x010E: made.ascii_value("Köln, süß".encode(charset))}).caption == "Köln, süß"


@pytest.mark.parametrize(
    ("said", "charset"),
    [(b"", "utf-8"), (b"", "latin-1"), (b"\x1b%G", "utf-8"), (b"\x1b.A", "latin-1"), (b"\x1b%G", "latin-1"),
     (b"\x1b?!", "utf-8")],
)  # fmt: skip
def test_iptc_in_the_character_set_that_it_says_or_not(said: bytes, charset: str) -> None:
    found = read_iptc(made.iptc((120, "süß".encode(charset)), charset=said or b"") if said else
                      made.iptc((120, "süß".encode(charset))))  # fmt: skip
    assert found.caption == "süß"


@pytest.mark.parametrize(
    "junk",
    ["OLYMPUS DIGITAL CAMERA", "SONY DSC", "Exif_JPEG_PICTURE", "DCIM\\100MEDIA\\DJI_0001.JPG", "   ", "----",
     "default", "Created with GIMP", "charset=Ascii", "Screenshot"],
)  # fmt: skip
def test_what_a_device_writes_by_itself_is_no_caption(junk: str) -> None:
    assert exif_of({0x010E: made.ascii_value(junk.ljust(32))}).caption is None


# --- dates, cameras, places -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "junk",
    ["0000:00:00 00:00:00", "    :  :     :  :  ", "2024:13:01 00:00:00", "2024:02:30 10:00:00", "today", "",
     "9999999", "\xff\xff\xff"],
)  # fmt: skip
def test_a_date_that_is_none_costs_only_itself(junk: str) -> None:
    found = exif_of({0x010F: made.ascii_value("Imaginary")}, exif={0x9003: made.ascii_value(junk)})
    assert found == ImageMetadata(camera="Imaginary")


@pytest.mark.parametrize(
    ("exif", "taken", "offset"),
    [
        ({0x9003: "2024:05:01 10:20:30"}, datetime(2024, 5, 1, 10, 20, 30), None),
        ({0x9003: "2024:05:01 10:20:30", 0x9011: "-08:00"}, datetime(2024, 5, 1, 10, 20, 30), "-08:00"),
        ({0x9003: "2024:05:01 10:20:30", 0x9011: "   :  "}, datetime(2024, 5, 1, 10, 20, 30), None),
        ({0x9003: "2024:05:01 10:20:30", 0x9011: "+99:00"}, datetime(2024, 5, 1, 10, 20, 30), None),
        ({0x9003: "0000:00:00 00:00:00", 0x9004: "2023:01:02 03:04:05"}, datetime(2023, 1, 2, 3, 4, 5), None),
        ({0x9003: "2024-05-01T10:20:60Z"}, datetime(2024, 5, 1, 10, 20, 59), "+00:00"),
        ({0x9003: "2024:05"}, datetime(2024, 5, 1), None),
    ],
)
def test_when_it_was_taken_is_what_the_clock_showed(exif: dict[int, str], taken: datetime, offset: str | None) -> None:
    found = exif_of(exif={tag: made.ascii_value(text) for tag, text in exif.items()})
    assert found.taken == taken.replace(tzinfo=UTC)
    assert (found.metadata or {}).get("taken_offset") == offset


def test_when_a_file_was_changed_is_not_when_it_was_taken() -> None:
    assert exif_of({0x0132: made.ascii_value("2024:05:01 10:20:30")}) == ImageMetadata()


@pytest.mark.parametrize(
    ("written", "taken"),
    [("20240500", datetime(2024, 5, 1)), ("19620000", datetime(1962, 1, 1)), ("20240229", datetime(2024, 2, 29))],
)
def test_dates_of_iptc_may_lack_a_day_or_a_month(written: str, taken: datetime) -> None:
    found = read_iptc(made.iptc((55, written.encode())))
    assert found.taken is not None
    assert found.taken[0] == taken.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        ("Canon", "Canon EOS 5D Mark IV", "Canon EOS 5D Mark IV"),
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("FUJIFILM", "X100V", "FUJIFILM X100V"),
        ("OLYMPUS IMAGING CORP.  ", "E-M10", "OLYMPUS E-M10"),
        ("Apple", "iPhone 15 Pro", "Apple iPhone 15 Pro"),
        ("", "X100V", "X100V"),
        ("Leica Camera AG", "LEICA Q2", "LEICA Q2"),
        (None, None, None),
    ],
)
def test_a_camera_has_its_makers_name_once(make: str | None, model: str | None, name: str | None) -> None:
    assert camera(make, model) == name


@pytest.mark.parametrize("junk", ["----", "0.0 mm f/0.0", "0mm", "   ", "", None])
def test_no_lens_is_no_lens(junk: str | None) -> None:
    assert lens(junk) is None


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        (((24, 1), (70, 1), (28, 10), (28, 10)), "24-70mm f/2.8"),
        (((50, 1), (50, 1), (0, 0), (0, 0)), "50mm"),
        (((0, 0), (0, 0), (0, 0), (0, 0)), None),
        (((70, 1), (24, 1), (4, 1), (4, 1)), None),
    ],
)
def test_a_lens_by_its_numbers(numbers: Any, name: str | None) -> None:
    assert exif_of(exif={0xA432: made.rationals(*numbers)}).lens == name


@pytest.mark.parametrize(
    "gps",
    [
        {2: made.rationals((0, 0), (0, 0), (0, 0))},
        {2: made.rationals((91, 1), (0, 1), (0, 1))},
        {4: made.rationals((181, 1), (0, 1), (0, 1))},
        {2: made.rationals((0, 1), (0, 1), (0, 1)), 4: made.rationals((0, 1), (0, 1), (0, 1))},
        {2: made.ascii_value("52.5")},
        {1: made.undefined(b"")},
        {2: (5, 2**31, b"1234")},
    ],
)
def test_a_position_that_is_none_costs_only_itself(gps: dict[int, made.Value]) -> None:
    found = exif_of({0x010F: made.ascii_value("Imaginary")}, gps={**GPS, **gps})
    assert found == ImageMetadata(camera="Imaginary")


@pytest.mark.parametrize(
    ("body", "licence"),
    [
        ('<cc:license rdf:resource="http://creativecommons.org/publicdomain/zero/1.0/"/>', "CC0-1.0"),
        ("<cc:license>https://creativecommons.org/licenses/by/3.0/de/</cc:license>", "CC-BY-3.0-DE"),
        ("<xmpRights:WebStatement>http://creativecommons.org/licenses/by-nc/2.0/</xmpRights:WebStatement>",
         "CC-BY-NC-2.0"),
        ("<xmpRights:UsageTerms>Licensed: creativecommons.org/licenses/by/4.0</xmpRights:UsageTerms>", "CC-BY-4.0"),
        ("<xmpRights:UsageTerms>Ask first</xmpRights:UsageTerms>", "Ask first"),
        ("<xmpRights:WebStatement>https://example.org/terms</xmpRights:WebStatement>", "https://example.org/terms"),
        ("<dc:rights>(c) Ada</dc:rights>", "(c) Ada"),
    ],
)  # fmt: skip
def test_licences_of_xmp(body: str, licence: str) -> None:
    assert read_embedded(made.jpeg(xmp=made.xmp(body))).licence == licence


def test_a_place_of_iptcs_newer_structure() -> None:
    body = ("<Iptc4xmpExt:LocationCreated><rdf:Bag><rdf:li Iptc4xmpExt:City='Oslo' Iptc4xmpExt:CountryName='Norge'/>"
            "</rdf:Bag></Iptc4xmpExt:LocationCreated>")  # fmt: skip
    assert read_xmp(made.xmp(body)).place == "Oslo, Norge"


NAMED = "<dc:title>Boat</dc:title>"
INGREDIENT = (
    "<xmpMM:Pantry xmlns:xmpMM='http://ns.adobe.com/xap/1.0/mm/'><rdf:Bag><rdf:li rdf:parseType='Resource'>"
    "<dc:title>Sea</dc:title><dc:creator><rdf:Seq><rdf:li>Bob</rdf:li></rdf:Seq></dc:creator>"
    "<exif:DateTimeOriginal>1999-01-01T00:00:00</exif:DateTimeOriginal></rdf:li></rdf:Bag></xmpMM:Pantry>"
)
FACE = (
    "<m:Regions xmlns:m='http://www.metadataworkinggroup.com/schemas/regions/' rdf:parseType='Resource'><m:RegionList>"
    "<rdf:Bag><rdf:li><rdf:Description m:Name='Ada' dc:description='her face'/></rdf:li></rdf:Bag></m:RegionList>"
    "</m:Regions>"
)
SHOWN = (
    "<Iptc4xmpExt:LocationShown><rdf:Bag><rdf:li Iptc4xmpExt:City='Paris'/></rdf:Bag></Iptc4xmpExt:LocationShown>"
    "<Iptc4xmpExt:LocationCreated><rdf:Bag><rdf:li rdf:parseType='Resource'><Iptc4xmpExt:City>Oslo</Iptc4xmpExt:City>"
    "</rdf:li></rdf:Bag></Iptc4xmpExt:LocationCreated>"
)


@pytest.mark.parametrize(("body", "place"), [(INGREDIENT + NAMED, None), (NAMED + FACE, None), (SHOWN + NAMED, "Oslo")])
def test_what_xmp_says_of_something_else_is_not_of_the_image(body: str, place: str | None) -> None:
    read = read_embedded(made.jpeg(xmp=made.xmp(body)))
    assert read == ImageMetadata(title="Boat", place=place)


def test_a_description_of_another_type_counts() -> None:
    work = (
        made.xmp(NAMED)
        .replace(b"rdf:Description", b"cc:Work")
        .replace(b"<rdf:RDF", b"<rdf:RDF xmlns:cc='http://web.resource.org/cc/'")
    )
    assert read_xmp(work).title == "Boat"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_an_xmp_file_is_read_whatever_encoding_it_declares(encoding: str) -> None:
    body = made.xmp("<dc:title>Böot</dc:title>").decode().partition("?>")[2]
    text = f'<?xml version="1.0" encoding="{encoding}"?>{body}'
    assert sidecar_metadata("a.xmp", decoded(text.encode(encoding))).title == "Böot"


@pytest.mark.parametrize(
    "text", ["", "<x:xmpmeta", "<html>not found</html>", "<!DOCTYPE x>" + made.xmp(NAMED).decode()]
)
def test_an_xmp_file_that_is_none_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"it is no XMP|it is empty"):
        read_xmp_sidecar(text.encode())


def test_stars_with_a_decimal_point_are_stars() -> None:
    assert read_xmp(made.xmp(attributes='xmp:Rating="4.0"')).rating == 4


# --- junk and bounds ------------------------------------------------------------------------------------------------

LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(12))
    + "]>"
).encode()


def bounded(data: bytes, most: int = 40 * 2**20) -> ImageMetadata:
    """What is read, with at most so many bytes beside the file."""
    tracemalloc.start()
    try:
        found = read_embedded(data)
        assert tracemalloc.get_traced_memory()[1] < most
        return found
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "packet",
    [
        LAUGHS + made.xmp("<dc:title>&m;</dc:title>").partition(b"?>")[2],
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        made.xmp("<dc:title>" + "<x>" * 200_000 + "</x>" * 200_000 + "</dc:title>"),
        made.xmp("<dc:description>" + "x" * 3_000_000 + "</dc:description>"),
        made.xmp("<dc:subject><rdf:Bag>" + "<rdf:li>tag</rdf:li>" * 100_000 + "</rdf:Bag></dc:subject>"),
        made.xmp("".join(f"<dc:title>{at}</dc:title>" for at in range(100_000))),
        b"<" * 3_000_000,
        bytes(3_000_000),
    ],
    ids=["laughs", "entity", "deep", "long", "tags", "many", "open", "zeros"],
)
def test_xmp_that_asks_for_much_gets_little(packet: bytes) -> None:
    data = bombs.png_with((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet)), (b"tEXt", b"Author\0Ada"))
    found = bounded(data)
    assert found.author == "Ada"
    assert len(found.tags or ()) <= 100
    assert "root" not in str(found)


def test_of_xmp_that_ends_too_early_what_was_read_counts() -> None:
    whole = made.xmp("<dc:title>Boat</dc:title><dc:description>cut" + "x" * 100)
    assert read_xmp(whole[: whole.index(b"cut") + 20]).title == "Boat"
    history = made.xmp("<dc:title>Boat</dc:title>" + "<xmp:History>x</xmp:History>" * 300_000)
    assert read_xmp(history).title == "Boat"


@pytest.mark.parametrize(
    "exif",
    [
        bombs.exif_that_claims(16_000_000, 8_000),
        b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\x0e\x01\x02\0\xff\xff\xff\xff\0\0\0\0" * 5_000,
        b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0" + bytes(4),  # its own directory
        b"MM\0*\xff\xff\xff\xff",
        b"II*\0",
        b"junk",
    ],
    ids=["claims", "entries", "circle", "nowhere", "short", "junk"],
)
def test_exif_that_claims_much_gets_little(exif: bytes) -> None:
    assert bounded(bombs.png_with((b"eXIf", exif), (b"tEXt", b"Author\0Ada"))).author == "Ada"


def test_items_of_a_heic_that_claim_to_be_everywhere() -> None:
    iloc = b"\1\0\0\0" + b"\0\0" + b"\xff\xff" + b"\0\1\0\0\0\0\xff\xff" * 100
    iinf = b"\0\0\0\0\0\1" + struct.pack(">I4s", 21, b"infe") + b"\2\0\0\0\0\1\0\0Exif\0"
    inside = b"".join(
        struct.pack(">I4s", len(part) + 8, name) + part for name, part in ((b"iinf", iinf), (b"iloc", iloc))
    )
    data = b"\0\0\0\x10ftypheic\0\0\0\0" + struct.pack(">I4s", len(inside) + 12, b"meta") + bytes(4) + inside
    assert bounded(data) == ImageMetadata()


@pytest.mark.parametrize(
    "data",
    [
        made.jpeg(EXIF, XMP, IPTC),
        made.encoded("PNG", exif=EXIF),
        made.tiff({700: (1, len(XMP), XMP)}),
        made.encoded("WEBP", exif=EXIF, xmp=XMP),
        made.encoded("AVIF", exif=EXIF, xmp=XMP),
    ],
    ids=["JPEG", "PNG", "TIFF", "WebP", "AVIF"],
)
@settings(max_examples=60, deadline=None)
@given(draw=st.data())
def test_files_with_bytes_changed_never_raise(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data)
    places = st.integers(0, min(len(data), 4096) - 1)
    for at, value in draw.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        changed[at] = value
    end = draw.draw(st.integers(0, len(changed)))
    for part in (bytes(changed), bytes(changed[:end])):
        found = read_embedded(part)
        assert found.latitude is None or -90 <= found.latitude <= 90
        assert all(isinstance(text, str) for text in (found.caption, found.camera, found.place) if text is not None)


HEADS = (
    b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\1\0WEBP", b"II*\0", b"MM\0+", b"8BPS", b"FUJIFILMCCD-RAW",
    b"\0\0\0\x10ftypheic", b"\0\0\0\x10ftypcrx ", b"\0\0\0\x0cjP  ", b"GIF89a!\xff\x0bXMP DataXMP",
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(head=st.sampled_from(HEADS), noise=st.binary(max_size=500))
def test_no_bytes_raise(head: bytes, noise: bytes) -> None:
    data = head + noise
    read_embedded(data)
    find_blocks(data)
    with suppress(ValueError):  # it is no XMP
        read_xmp_sidecar(noise)


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=500))
def test_no_block_raises(noise: bytes) -> None:
    """Not even where `read_embedded` would catch it."""
    read_exif(
        [noise, b"II*\0\x08\0\0\0" + noise, b"MM\0*\0\0\0\x08" + noise, b"II+\0\x08\0\0\0\x10" + bytes(7) + noise]
    )
    read_iptc(noise)
    read_iptc(b"\x1c\x02" + noise)
    read_xmp(noise)
    read_xmp(b"<x>" + noise)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=20))
def test_records_of_iptc_come_back(records: list[tuple[int, bytes]]) -> None:
    kept = [value.decode("latin-1") for number, value in records if number == 25 and value]
    assert len(read_iptc(made.iptc(*records)).tags) == len([value for number, value in records if number == 25]), kept


LETTERS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff"), min_size=1, max_size=60)


@given(LETTERS)
def test_titles_in_any_script_come_back(text: str) -> None:
    read = [read_exif([made.tiff({0x9C9B: made.windows(text)})]).title, read_iptc(made.iptc((5, text.encode()))).title]
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if all(character.isprintable() and character < "\ufdd0" for character in text):
        read.append(read_xmp(made.xmp(f"<dc:title>{escaped}</dc:title>")).title)
    wanted = text.strip()
    assert all(one in (wanted, None) for one in read)
    assert len(set(read)) == 1
