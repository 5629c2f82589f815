"""Small images in a terminal: by its graphics protocol, else as coloured half blocks, else none.

Own code, as `rich` draws no images.
"""

import base64
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, Literal, TextIO

if TYPE_CHECKING:
    from PIL.Image import Image

Way = Literal["kitty", "iterm", "blocks", "blocks256", "none"]

_KITTY: Final = ("xterm-kitty", "xterm-ghostty")
_ITERM: Final = ("iTerm.app", "WezTerm")
_TRUECOLOUR: Final = ("truecolor", "24bit")
_CELL_PX: Final = 20
"""Pixels a cell is taken to be high, and twice what it is wide, where the terminal scales the image itself."""
_GAP: Final = 2
"""Cells on each side of an image."""
_CHUNK: Final = 4096
_LEVELS: Final = (0, 95, 135, 175, 215, 255)


def way_of(stream: TextIO, environment: Mapping[str, str] = os.environ) -> Way:
    """The image protocol of this stream: none unless it is a known terminal and colour is on."""
    term = environment.get("TERM", "")
    if not stream.isatty() or term in ("", "dumb") or environment.get("NO_COLOR"):
        return "none"
    try:
        "▀".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "none"
    nested = "TMUX" in environment or term.startswith(("tmux", "screen"))  # drops graphics, but shows colours
    if not nested and (term in _KITTY or "KITTY_WINDOW_ID" in environment):
        return "kitty"
    if not nested and environment.get("TERM_PROGRAM") in _ITERM:
        return "iterm"
    if environment.get("COLORTERM", "").lower() in _TRUECOLOUR or term.endswith("-direct"):
        return "blocks"
    return "blocks256" if "256color" in term else "none"


@dataclass(frozen=True)
class Thumbnail:
    """An image made small enough for a box of cells.

    Attributes:
        image: RGBA, `2 * rows` pixels high for half blocks, more for terminals that scale by themselves.
        cols, rows: the cells it fills.
    """

    way: Way
    image: "Image"
    cols: int
    rows: int

    @classmethod
    def of(cls, data: bytes, way: Way, *, cols: int, rows: int) -> "Thumbnail":
        """Fit an encoded image into a box of cells, a cell being twice as high as wide.

        Raises:
            UsageError: the image cannot be read.
        """
        from PIL import Image

        from imagerag.agent.images.decoding import decode

        decoded = decode(data, side=_CELL_PX * max(cols, rows)).image
        if decoded.mode == "RGB":
            decoded.putalpha(255)
        share = min(cols / decoded.width, 2 * rows / decoded.height)
        wide = max(1, min(cols, round(decoded.width * share)))
        high = max(1, min(rows, round(decoded.height * share / 2)))
        by = _CELL_PX // 2 if way in ("kitty", "iterm") else 1
        small = decoded.resize((wide * by, 2 * high * by), Image.Resampling.LANCZOS)
        return cls(way, small, wide, high)

    def beside(self, lines: Sequence[str]) -> str:
        """The terminal output for the image with lines of text to its right (ends in a newline)."""
        if self.way in ("kitty", "iterm"):
            return self._beside_graphics(lines)
        indent, rows = " " * _GAP, list(self._blocks())
        joined = [
            f"{indent}{cells or ' ' * self.cols}{indent}{text or ''}".rstrip()
            for cells, text in zip_longest(rows, lines)
        ]
        return "\n".join(joined) + "\n"

    def _beside_graphics(self, lines: Sequence[str]) -> str:
        """Reserve space with newlines first: a terminal that scrolls while it shows an image would misplace the
        text."""
        high = max(self.rows, len(lines))
        graphics = self._kitty() if self.way == "kitty" else self._iterm()
        text = "".join(f"\x1b[{self.cols + 2 * _GAP}C{line}\n" if line else "\n" for line in lines)
        return "\n" * high + f"\x1b[{high}A\x1b[{_GAP}C\x1b7{graphics}\x1b8\r" + text + "\n" * (high - len(lines))

    def _png(self) -> bytes:
        out = io.BytesIO()
        self.image.save(out, "PNG")
        return out.getvalue()

    def _kitty(self) -> str:
        """https://sw.kovidgoyal.net/kitty/graphics-protocol: transmit and show, scaled to cells, without an answer."""
        data = base64.standard_b64encode(self._png()).decode()
        chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
        first = f"a=T,f=100,q=2,C=1,c={self.cols},r={self.rows},"
        return "".join(
            f"\x1b_G{first if n == 0 else ''}m={int(n < len(chunks) - 1)};{chunk}\x1b\\"
            for n, chunk in enumerate(chunks)
        )

    def _iterm(self) -> str:
        """https://iterm2.com/documentation-images.html: width and height in cells."""
        data = self._png()
        arguments = f"inline=1;size={len(data)};width={self.cols};height={self.rows};preserveAspectRatio=0"
        return f"\x1b]1337;File={arguments}:{base64.standard_b64encode(data).decode()}\x07"

    def _blocks(self) -> Iterator[str]:
        """Rows of half blocks: the upper pixel in the letter's colour, the lower in its background's."""
        pixels = self.image.tobytes()

        def pixel(x: int, y: int) -> tuple[int, int, int] | None:
            at = 4 * (y * self.cols + x)
            return None if pixels[at + 3] < 128 else (pixels[at], pixels[at + 1], pixels[at + 2])

        for row in range(self.rows):
            line, before = "", ""
            for x in range(self.cols):
                style, mark = self._cell(pixel(x, 2 * row), pixel(x, 2 * row + 1))
                line, before = line + (mark if style == before else f"\x1b[{style}m{mark}"), style
            yield line + "\x1b[0m"

    def _cell(self, upper: tuple[int, int, int] | None, lower: tuple[int, int, int] | None) -> tuple[str, str]:
        if upper is None and lower is None:
            return "0", " "
        if upper is None:
            return f"0;{self._colour(38, lower)}", "▄"
        ground = "49" if lower is None else self._colour(48, lower)
        return f"{self._colour(38, upper)};{ground}", "▀"

    def _colour(self, layer: int, colour: tuple[int, int, int] | None) -> str:
        assert colour is not None, "a pixel that can be seen"
        if self.way == "blocks":
            return f"{layer};2;{colour[0]};{colour[1]};{colour[2]}"
        red, green, blue = (min(range(6), key=lambda level: abs(_LEVELS[level] - part)) for part in colour)
        return f"{layer};5;{16 + 36 * red + 6 * green + blue}"


def room_beside(columns: int, thumbnail: Thumbnail) -> int:
    """Columns left for text."""
    return max(0, columns - thumbnail.cols - 2 * _GAP)
