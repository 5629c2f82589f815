"""The formats of image files that are read, and how a file's first bytes tell which one it is.

Everything that Pillow decodes is here but what `LEFT_OUT` names. Each format has its Pillow name, and is opened by its
own plugin only, never by trying one after the other. HEIC and camera RAW come with extras.
"""

import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from threading import Lock
from typing import Final

from imagerag.agent.errors import MissingExtraError, UsageError
from imagerag.agent.images.tiff_directory import TiffFile

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "LEFT_OUT",
    "RAW",
    "RAW_SUFFIXES",
    "READ",
    "RESULT_SUFFIXES",
    "ImageFormat",
    "format_of",
    "looks_like_an_image",
    "readable_format",
]


@dataclass(frozen=True)
class ImageFormat:
    """A format of image files.

    Attributes:
        name: Pillow's name of it.
        title: what people call it.
        media_type: as it is stored and sent.
        suffixes: of its files. What a file is is told by its content; these say which files may have sidecars.
        signatures: first bytes that are enough for `looks_like_an_image`.
        begins: whether a file is one, where Pillow's plugin does not tell it, or from too little.
        extra: the optional part that reads it; empty for none.
        module: the module that the extra brings.
        moves: further frames are an animation, not further pages or images.
    """

    name: str
    title: str
    media_type: str
    suffixes: tuple[str, ...]
    begins: Callable[[bytes], bool] | None = None
    signatures: tuple[bytes, ...] = ()
    extra: str = ""
    module: str = ""
    moves: bool = False


LEFT_OUT: Final[Mapping[str, str]] = {
    "EPS": "it is a program, which Pillow has Ghostscript run",
    "WMF": "it is a list of drawing commands, which Windows alone carries out",
    "BUFR": "weather data; Pillow has no decoder for it",
    "GRIB": "weather data; Pillow has no decoder for it",
    "HDF5": "a container of tables; Pillow has no decoder for it",
    "MPEG": "a film; Pillow reads its header only",
    "FPX": "FlashPix; needs a package of its own",
    "MIC": "Microsoft Image Composer; needs a package of its own",
    "IM": "it has no signature: its header is text of any kind",
    "IMT": "it has no signature: its header is text of any kind",
    "IPTC": "it has no signature, and holds a file of any other format",
    "SPIDER": "it has no signature: its header is numbers of any kind",
}
"""Pillow's other formats, and why they are not opened."""

_METADATA_WARNINGS: Final = (
    "(?:Possibly c|C)orrupt EXIF data|Truncated File Read|Metadata Warning, tag|Image appears to be a malformed MPO"
)
"""What Pillow says on the terminal of some file's metadata, without saying which file's."""

_STARTING: Final = Lock()

READ: Final = "PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000, PSD, HEIC, camera RAW and others"
"""What is read, for messages."""

RAW: Final = "RAW"
"""Not a name of Pillow's: the image is the preview that the camera put into the file."""

_HEIC_BRANDS: Final = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_AVIF_BRANDS: Final = frozenset((b"avif", b"avis"))
_ANY_CODEC: Final = frozenset((b"mif1", b"msf1"))
"""Main brands of ISO media files, the last two of those that any codec may have packed."""

_FUJI: Final = b"FUJIFILMCCD-"
_CANON: Final = b"crx "
_RAW_SIGNATURES: Final = (
    _FUJI, b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR",
)  # fmt: skip


def _brands(data: bytes) -> set[bytes]:
    """Brands of an ISO media file: the main one and the compatible ones."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), len(data), 512)
    return {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}


def _is_heic(data: bytes) -> bool:
    brands = _brands(data)
    still = data[8:12] in _ANY_CODEC  # HEVC is what is left
    return data[8:12] in _HEIC_BRANDS or (still and not brands & _AVIF_BRANDS)


def _is_avif(data: bytes) -> bool:
    return bool(_brands(data) & _AVIF_BRANDS) and not _is_heic(data)


def _is_raw(data: bytes) -> bool:
    if data.startswith(_RAW_SIGNATURES) or data[4:12] == b"ftyp" + _CANON:
        return True
    return data[:4] in (b"II*\0", b"MM\0*") and (data[8:10] == b"CR" or TiffFile(data).is_raw)


def _is_tga(data: bytes) -> bool:
    """Whether a header is one of Targa, which has no signature: every field is possible and the pixels have room."""
    if len(data) < 18:
        return False
    id_size, palette, kind = data[:3]
    first, colours, bits = struct.unpack_from("<HHB", data, 3)
    width, height, depth, flags = struct.unpack_from("<HHBB", data, 12)
    mapped = kind in (1, 9)
    fits = (palette == 1) == mapped and (mapped or not (first or colours or bits)) and not flags & 0xC0
    if not (fits and kind in (1, 2, 3, 9, 10, 11) and depth in (8, 15, 16, 24, 32) and width and height):
        return False
    size = depth + 7 >> 3
    pixels = width * height * size if kind < 9 else -(-width * height // 128) * (1 + size)
    return bool(18 + id_size + colours * (bits + 7 >> 3) + pixels <= len(data))


def _is_ppm(data: bytes) -> bool:
    return data[:1] == b"P" and data[1:2] in b"123456Ff" and data[2:3].isspace()


def _is_brush(data: bytes) -> bool:
    if len(data) < 28:
        return False
    size, version, _, _, depth = struct.unpack_from(">5I", data)
    return 20 <= size <= 4096 and depth in (1, 4) and (version == 1 or (version == 2 and data[20:24] == b"GIMP"))


FORMATS: Final[Mapping[str, ImageFormat]] = {
    one.name: one
    for one in (
        ImageFormat("JPEG", "JPEG", "image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), signatures=(b"\xff\xd8\xff",)),
        ImageFormat("MPO", "JPEG of several images", "image/jpeg", (".mpo",), lambda data: False),
        ImageFormat("PNG", "PNG", "image/png", (".png", ".apng"), signatures=(b"\x89PNG\r\n\x1a\n",), moves=True),
        ImageFormat("WEBP", "WebP", "image/webp", (".webp",), moves=True),
        ImageFormat("GIF", "GIF", "image/gif", (".gif",), signatures=(b"GIF87a", b"GIF89a"), moves=True),
        ImageFormat("BMP", "BMP", "image/bmp", (".bmp",), signatures=(b"BM",)),
        ImageFormat("AVIF", "AVIF", "image/avif", (".avif", ".avifs"), _is_avif, moves=True),
        ImageFormat("HEIF", "HEIC", "image/heic", (".heic", ".heif", ".hif"), _is_heic, extra="heic",
            module="pillow_heif"),
        ImageFormat(RAW, "camera RAW", "image/x-dcraw", (
            ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".raf", ".orf", ".rw2", ".pef",
            ".srw", ".x3f", ".mrw", ".3fr", ".fff", ".iiq", ".erf", ".kdc", ".dcr", ".mef", ".mos", ".rwl"),
            _is_raw, (_FUJI,), "raw", "rawpy"),
        ImageFormat("TIFF", "TIFF", "image/tiff", (".tif", ".tiff"),
            signatures=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
        ImageFormat("JPEG2000", "JPEG 2000", "image/jp2", (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
            signatures=(b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")),
        ImageFormat("PSD", "Photoshop, flattened", "image/vnd.adobe.photoshop", (".psd",), signatures=(b"8BPS\0",)),
        ImageFormat("ICNS", "Apple icon, its largest image", "image/icns", (".icns",)),
        ImageFormat("QOI", "QOI", "image/qoi", (".qoi",), signatures=(b"qoif",)),
        ImageFormat("DDS", "DirectDraw surface", "image/vnd-ms.dds", (".dds",), signatures=(b"DDS ",)),
        ImageFormat("SGI", "SGI", "image/sgi", (".sgi", ".rgb", ".rgba", ".bw")),
        ImageFormat("SUN", "Sun raster", "image/x-sun-raster", (".ras",)),
        ImageFormat("PIXAR", "Pixar raster", "image/x-pixar", (".pxr",)),
        ImageFormat("FITS", "FITS", "image/fits", (".fits", ".fit")),
        ImageFormat("MSP", "Microsoft Paint", "image/x-msp", (".msp",)),
        ImageFormat("BLP", "Blizzard texture", "image/x-blp", (".blp",)),
        ImageFormat("FTEX", "FTEX texture", "image/x-ftex", (".ftc", ".ftu")),
        ImageFormat("MCIDAS", "McIDAS area", "image/x-mcidas", ()),
        ImageFormat("XVTHUMB", "XV thumbnail", "image/x-xv-thumbnail", ()),
        ImageFormat("PPM", "PPM, PGM, PBM, PFM", "image/x-portable-anymap", (
            ".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), _is_ppm),
        ImageFormat("XPM", "XPM", "image/x-xpixmap", (".xpm",)),
        ImageFormat("XBM", "XBM", "image/x-xbitmap", (".xbm",)),
        ImageFormat("DCX", "DCX", "image/x-dcx", (".dcx",)),
        ImageFormat("PCX", "PCX", "image/x-pcx", (".pcx",)),
        ImageFormat("PCD", "Photo CD", "image/x-photo-cd", (".pcd",), lambda data: data[2048:2052] == b"PCD_"),
        ImageFormat("ICO", "Windows icon, its largest image", "image/vnd.microsoft.icon", (".ico",)),
        ImageFormat("TGA", "Targa", "image/x-tga", (".tga", ".icb", ".vda", ".vst"), _is_tga),
        ImageFormat("CUR", "Windows cursor", "image/x-win-bitmap", (".cur",)),
        ImageFormat("FLI", "FLIC animation", "video/x-flic", (".fli", ".flc"), moves=True),
        ImageFormat("GBR", "GIMP brush", "image/x-gimp-gbr", (".gbr",), _is_brush),
        ImageFormat("DIB", "BMP without a file header", "image/bmp", (".dib",)),
    )
}  # fmt: skip
"""Every format that is read, by name, those that are told with most certainty first."""

RAW_SUFFIXES: Final = frozenset(FORMATS[RAW].suffixes)
RESULT_SUFFIXES: Final = {
    FORMATS[name].media_type: FORMATS[name].suffixes[0] for name in ("PNG", "JPEG", "WEBP", "GIF")
}
"""Media types of result files, and the suffixes that these have."""

IMAGE_SUFFIXES: Final = frozenset(suffix for one in FORMATS.values() for suffix in one.suffixes)


def format_of(data: bytes) -> ImageFormat | None:
    """The format of a file, told by its content; None where it is none that is read."""
    start = data[:16].ljust(16)
    for name, accepts in _plugins().items():
        begins = FORMATS[name].begins
        if begins(data) if begins else accepts is not None and accepts(start) is True:
            return FORMATS[name]
    return None


def looks_like_an_image(data: bytes) -> bool:
    """Whether 12 bytes or more begin as an image does; `format_of` takes in more, which begins as other files may.

    What is handed in by others, or fetched, has to look like an image before anything decodes it.
    """
    if data[4:8] == b"ftyp":
        return data[8:12] in _BRANDS
    return data.startswith(_SIGNATURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


_SIGNATURES: Final = tuple(signature for one in FORMATS.values() for signature in one.signatures)
_BRANDS: Final = _HEIC_BRANDS | _AVIF_BRANDS | _ANY_CODEC | {_CANON}


def readable_format(data: bytes) -> ImageFormat:
    """The format of a file that can be read here.

    Raises:
        UsageError: it is none that is read.
        MissingExtraError: what reads it is not installed; the message names the extra.
    """
    image_format = format_of(data)
    if image_format is None:
        raise UsageError(_other_content(data[:256]) or f"not an image we read ({READ})")
    if image_format.module and find_spec(image_format.module) is None:
        raise MissingExtraError(f"reading {image_format.title} files", image_format.extra)
    return image_format


def _other_content(beginning: bytes) -> str:
    """What lies in the place of an image; empty where that is unknown."""
    if beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page, not an image"
    if beginning.startswith(b"version https://git-lfs.github.com/spec/"):
        return "a pointer of Git LFS, not the image: git lfs pull"
    return ""


@cache
def _plugins() -> "Mapping[str, Callable[[bytes], bool | str] | None]":
    """Results of Pillow's plugins for a file's first 16 bytes, by format, of every format that can be told here."""
    from PIL import Image

    # What is broken in metadata counts as not there, and who owns the file is told where it matters.
    warnings.filterwarnings("ignore", _METADATA_WARNINGS, UserWarning, module=r"PIL\.")
    with _STARTING:  # a second thread must not look while the first one still registers formats
        Image.init()
    built = {name: Image.OPEN[name][1] for name in FORMATS if name in Image.OPEN}
    return {name: built.get(name) for name, one in FORMATS.items() if name in built or one.module}
