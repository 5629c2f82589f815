"""Files of a few bytes that ask for minutes: each is refused within limits, says why, and holds up nothing else."""

import asyncio
import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image, ImageCms

from imagerag.agent.errors import UsageError
from imagerag.agent.images import decoding, decoding_pool
from imagerag.agent.images.complexity import complexity
from imagerag.agent.images.decoding import decode
from imagerag.agent.images.formats import readable_format
from imagerag.agent.threads import CallCancelledError, cancellation, in_thread
from tests import bombs
from tests.processes import python


def encoded(form: str, side: int = 16, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 40)).save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "most"),
    [
        (lambda: bombs.jpeg_of_scans(40_000), 81),
        (lambda: bombs.jpeg_of_scans(600, side=64), 500),
    ],
)
def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(data: Callable[[], bytes], most: int) -> None:
    with pytest.raises(UsageError, match=rf"in [\d,]+ scans; of this size at most {most} are read"):
        decode(data())


@pytest.mark.parametrize(
    "make",
    [
        lambda: bombs.png_of_empty_chunks(3_000_000),
        lambda: bombs.png_of_profiles(25_000),
        lambda: bombs.gif_of_comments(30_000_000),
        bombs.avif_of_tiles,  # each the same few bytes, decoded anew; it has no more pixels than are read
    ],
    ids=["chunks", "profiles", "comments", "tiles"],
)
def test_what_takes_longer_than_a_picture_of_its_size_is_ended(
    make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch, impatient_decoders: None
) -> None:
    monkeypatch.setenv("IMAGERAG_OPENAI_API_KEY", "sk-none")
    with pytest.raises(UsageError, match="far more work than an image of its size"):
        decode(make())
    assert decode(encoded("GIF")).media_type == "image/gif"  # and the next one is decoded


def test_the_limit_is_some_seconds_and_grows_with_the_pixels() -> None:
    """What the process that decodes sets for itself; what happens when that is used up is tried with less, above."""
    pixels, seconds = (0, 25_000_000, 200_000_000), (4, 9, 44)
    assert tuple(map(decoding_pool.processor_seconds, pixels)) == seconds
    code = f"""if True:
        import resource
        from imagerag.agent.images.decoding_worker import limit
        for pixels in {pixels}:
            limit(pixels, 9, 2.7)
            print(resource.getrlimit(resource.RLIMIT_CPU)[0])
    """
    done = python("-c", code)
    assert [int(line) - 3 for line in done.stdout.splitlines()] == [*seconds], done.stderr


def test_exif_that_claims_more_than_there_is_costs_no_more_than_the_picture() -> None:
    data = bombs.png_with((b"eXIf", bombs.exif_that_claims(16_000_000, 8_000)))
    found = decode(data)
    assert (found.width, found.height) == (8, 8)


def test_a_tiff_that_claims_more_than_there_is_is_refused() -> None:
    with pytest.raises(UsageError, match=r"not an image we read|more memory"):
        decode(bombs.tiff_of_claims())


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda: bombs.apng_of_frames(200_000), (8, 8)),
        (lambda: bombs.webp_of_frames(200_000, side=1000), (1000, 1000)),
        (lambda: bombs.webp_of_frames(3, side=6000), (6000, 6000)),
        (lambda: bombs.tiff_of_pages(200_000), (1, 1)),
        (lambda: bombs.tiff_of_pages(1000, endless=True), (1, 1)),
    ],
    ids=["APNG", "WebP", "WebP's canvas", "TIFF", "TIFF in a circle"],
)
def test_of_countless_frames_or_pages_the_first_is_shown(make: Callable[[], bytes], size: tuple[int, int]) -> None:
    """None of the others is decoded; all the same it is not done on the spot."""
    data = make()
    assert not complexity(data).plain
    found = decode(data)
    assert ((found.width, found.height), found.animated) == (size, found.media_type != "image/tiff")


def test_an_avif_of_some_tiles_is_decoded() -> None:
    found = decode(bombs.avif_of_tiles(3, 2))
    assert (found.width, found.height) == (192, 128)


@pytest.mark.parametrize(
    "data",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
        b"%PDF-1.4\n",
        b"\xd7\xcd\xc6\x9a" + bytes(60),
        b"\x01\0\0\0" + bytes(36) + b" EMF" + bytes(60),
        b"\x89HDF\r\n\x1a\n" + bytes(60),
        b"GRIB\0\0\0\1" + bytes(60),
        b"BUFR" + bytes(60),
        b"\0\0\1\xb3" + bytes(60),
        b"\x1c\x02\x78\0\x04text" + bytes(60),
        b"Image type: L image\r\nImage size (x*y): 8*8\r\n",
    ],
    ids=["EPS", "PDF", "WMF", "EMF", "HDF5", "GRIB", "BUFR", "MPEG", "IPTC", "IM"],
)
def test_formats_that_are_not_read_are_never_opened(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "decode_in_process", lambda *_: pytest.fail("it was decoded"))
    monkeypatch.setattr(decoding, "decode_here", lambda *_, **__: pytest.fail("it was decoded"))
    with pytest.raises(UsageError, match="not an image we read"):
        decode(data)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    ("form", "options", "plain"),
    [
        ("PNG", {}, True),
        ("JPEG", {}, True),
        ("JPEG", {"progressive": True}, True),
        ("JPEG", {"icc_profile": SRGB}, True),
        ("PNG", {"icc_profile": SRGB}, True),
        ("WEBP", {}, True),
        ("WEBP", {"lossless": True, "icc_profile": SRGB}, True),
        ("BMP", {}, True),
        ("JPEG", {"icc_profile": SRGB.replace(b"rTRC", b"A2B0")}, False),
        ("PNG", {"icc_profile": SRGB.replace(b"rTRC", b"D2B0")}, False),
        ("GIF", {}, False),
        ("TIFF", {}, False),
        ("AVIF", {}, False),
    ],
)
def test_ordinary_files_are_decoded_on_the_spot(form: str, options: dict[str, Any], plain: bool) -> None:
    data = encoded(form, **options)
    assert complexity(data).plain is plain
    assert (decode(data).width, decode(data).height) == (16, 16)


def test_a_photo_with_exif_is_ordinary() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0132] = 6, "Camera", "2026:01:01 00:00:00"
    for form in ("JPEG", "PNG", "WEBP"):
        assert complexity(encoded(form, exif=exif)).plain, form


@pytest.mark.parametrize(("form", "pixels"), [("JPEG", 6_400), ("PNG", 6_400), ("WEBP", 6_400), ("BMP", 6_400)])
def test_the_size_is_read_from_the_header(form: str, pixels: int) -> None:
    assert complexity(encoded(form, side=80)).pixels == pixels


@pytest.mark.parametrize("form", ["TIFF", "GIF", "AVIF"])
def test_in_a_process_of_its_own_it_looks_as_it_does_here(form: str) -> None:
    data = encoded(form)
    here, there = decoding.decode_here(data, readable_format(data)), decode(data)
    assert here.image.tobytes() == there.image.tobytes()
    assert {**vars(here), "image": None} == {**vars(there), "image": None}


def test_the_process_knows_no_keys_and_no_other_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []
    start = decoding_pool.subprocess.Popen

    def popen(*args: Any, **options: Any) -> Any:
        seen.append(options["env"])
        return start(*args, **options)

    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    monkeypatch.setattr(decoding_pool.subprocess, "Popen", popen)
    monkeypatch.setattr(decoding_pool, "_POOL", decoding_pool._Pool())
    decode(encoded("GIF"))
    decoding_pool._POOL.close()
    assert not [name for name in seen[0] if "KEY" in name or "TOKEN" in name]


def test_without_a_process_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_pool, "_POOL", decoding_pool._Pool())
    monkeypatch.setattr(decoding_pool.sys, "executable", "/nowhere/python")
    with pytest.raises(UsageError, match="cannot be started: No such file"):
        decode(encoded("GIF"))
    assert decode(encoded("PNG")).width == 16


async def test_a_cancelled_call_ends_its_process_and_nobody_waits() -> None:
    data = bombs.gif_of_comments(30_000_000)
    ended, failures = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            decode(data)
        except BaseException as error:
            failures.append(error)
        ended.set()

    task = asyncio.ensure_future(in_thread(work))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 60)
    assert isinstance(failures[0], CallCancelledError)


async def test_threads_give_what_their_work_gives() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)
    assert not cancellation().cancelled


async def test_bombs_hold_up_no_ordinary_picture() -> None:
    heavy = [asyncio.ensure_future(in_thread(decode, bombs.gif_of_comments(30_000_000))) for _ in range(8)]
    await asyncio.sleep(0.5)
    assert (await in_thread(decode, encoded("PNG"))).width == 16
    assert (await in_thread(decode, encoded("TIFF"))).width == 16
    assert not any(task.done() for task in heavy)
    for task in heavy:
        task.cancel()
    await asyncio.gather(*heavy, return_exceptions=True)


def test_images_beside_each_other_share_a_few_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting one costs more than most images: a folder of TIFFs must not start one for each."""
    started: list[object] = []
    start = decoding_pool._Process.__init__
    monkeypatch.setattr(decoding_pool, "_POOL", decoding_pool._Pool())
    monkeypatch.setattr(decoding_pool, "_PATIENCE_S", 60)
    monkeypatch.setattr(decoding_pool._Process, "__init__", lambda self: (started.append(self), start(self))[1])
    with ThreadPoolExecutor(8 * decoding_pool._IDLE) as threads:
        found = list(threads.map(lambda _: decode(encoded("GIF")).width, range(100)))
    decoding_pool._POOL.close()
    assert found == [16] * 100
    assert len(started) <= decoding_pool._IDLE
