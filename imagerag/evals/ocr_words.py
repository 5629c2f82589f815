"""How many words OCR finds: `python -m imagerag.evals.ocr_words FOLDER`.

Words are written over photographs in ten fonts and three sizes, on the calmest strip of each, so that print in the
photograph itself is not written over. A word counts as found where it is read letter by letter.
"""

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from imagerag.agent.extras import import_extra
from imagerag.agent.images.decoding import open_rgb
from imagerag.tools.ocr.rapidocr_reader import RapidOcrReader

FONTS: Final = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono",
    "STIXGeneral", "STIXGeneralBol", "cmr10", "cmss10",
)  # fmt: skip
"""Files that come with matplotlib (extra `evals`)."""

SIZES: Final = (18, 28, 44)
"""Height of the letters in pixels, on photographs that are 800 pixels wide."""

WORDS: Final = (
    "harbour", "velvet", "lantern", "orchard", "ticket", "bakery", "summer", "discount", "kettle", "marble", "garden",
    "station", "library", "coffee", "museum", "bicycle", "window", "copper", "planet", "river", "market", "pepper",
    "ribbon", "saddle", "thunder", "violin", "walnut", "yellow", "zipper", "anchor",
)  # fmt: skip
WIDTH: Final = 800
LUMA: Final = (0.299, 0.587, 0.114)


def measure(photos: list[Path], *, seed: int = 0) -> Iterator[tuple[str, int, int, int]]:
    """Font, size, words found and words written, one line for each font and size."""
    data = import_extra("matplotlib", "fonts to measure OCR with", "evals").get_data_path()
    reader, chance = RapidOcrReader(), random.Random(seed)
    for font in FONTS:
        for size in SIZES:
            words = chance.sample(WORDS, 4)
            photo = open_rgb(chance.choice(photos).read_bytes())
            background = photo.resize((WIDTH, WIDTH * photo.height // photo.width))
            image = over(background, [" ".join(words[:2]), " ".join(words[2:])],
                         ImageFont.truetype(str(Path(data) / "fonts" / "ttf" / f"{font}.ttf"), size), size)  # fmt: skip
            read_words = set(re.findall(r"[a-z]+", reader.read(image).text.lower()))
            yield font, size, sum(word in read_words for word in words), len(words)


def over(photo: Image.Image, lines: list[str], font: ImageFont.FreeTypeFont, size: int) -> Image.Image:
    """The photograph with lines of text on its calmest strip, dark on light or light on dark."""
    import numpy as np

    grey, high = np.asarray(photo, dtype=float) @ LUMA, 2 * len(lines) * size
    tops = range(0, max(1, photo.height - high), max(1, size // 2))
    top = min(tops, key=lambda at: float(np.abs(np.diff(grey[at : at + high], axis=1)).mean()))
    ink = "black" if grey[top : top + high].mean() > 128 else "white"
    draw = ImageDraw.Draw(photo)
    for at, line in enumerate(lines):
        draw.text((24, top + size // 2 + at * 2 * size), line, font=font, fill=ink)
    return photo


def main() -> int:
    """Print the figures as a table."""
    photos = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.suffix.lower() in (".jpg", ".png", ".webp"))
    results = list(measure(photos))
    for size in SIZES:
        rows = [row for row in results if row[1] == size]
        print(f"{size} px: {sum(row[2] for row in rows)} of {sum(row[3] for row in rows)}")
    for font in FONTS:
        rows = [row for row in results if row[0] == font]
        print(f"{font}: {sum(row[2] for row in rows)} of {sum(row[3] for row in rows)}")
    print(f"all: {sum(row[2] for row in results)} of {sum(row[3] for row in results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
