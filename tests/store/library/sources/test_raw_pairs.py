"""A RAW and the JPEG beside it are one picture."""

from pathlib import Path

from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.sources.raw_pairs import paired_raws


def test_a_raw_belongs_to_the_jpeg_of_its_name_in_its_folder() -> None:
    files = ["a/IMG_1.CR2", "a/IMG_1.JPG", "a/IMG_2.NEF", "b/IMG_2.jpg", "a/IMG_3.dng", "a/img_3.heic", "a/IMG_4.jpg"]
    assert paired_raws(files) == {
        Path("a/IMG_1.CR2"): Path("a/IMG_1.JPG"),
        Path("a/IMG_3.dng"): Path("a/img_3.heic"),
    }


def test_of_two_developed_files_the_jpeg_counts_and_two_raws_share_it() -> None:
    files = ["x.heic", "x.jpg", "x.nef", "x.dng", "x.png", "x.xmp"]
    assert paired_raws(files) == {Path("x.nef"): Path("x.jpg"), Path("x.dng"): Path("x.jpg")}


async def test_a_damaged_jpeg_names_the_raw_that_is_left_out_with_it(tmp_path: Path, library: Library) -> None:
    folder = tmp_path / "camera"
    folder.mkdir()
    (folder / "x.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    (folder / "x.nef").write_bytes(b"II*\0")
    [(path, reason)] = (await index([folder], library)).skipped
    assert path == str(folder / "x.jpg")
    assert reason.endswith("; x.nef is left out with it: delete the one that is damaged")
