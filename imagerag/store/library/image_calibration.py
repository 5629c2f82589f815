"""Finding the cosine from which two pictures show the same thing, for one library and one encoder.

Pictures are far nearer to each other than words are to pictures, so a threshold for captions lets every picture pass.
This one is measured on the library's own: how near are views of a picture (cropped, mirrored, lighter, saved again) to
it, and how near is the nearest of the others? As for captions, the threshold is where the errors are equal. Others
that are as near as views are taken for views: two photographs of one mug are no evidence that mugs are like bags.
"""

import io
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.ports import Embedder
from imagerag.agent.threads import in_thread
from imagerag.store.library.calibration import ENOUGH, balanced_threshold
from imagerag.store.library.metadata import ImageThreshold
from imagerag.store.library.schema import ImageRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Vectors = NDArray[np.float32]

VIEWED: Final = 12
"""Pictures of which views are made: each is encoded twice, which takes 20 to 90 ms on a CPU."""

VIEWS: Final = 3
"""Others that may be taken for views of a picture, in small libraries."""

COMPARED: Final = 512
CONFUSED: Final = 0.25
"""Share of the pictures whose nearest other one passes, from which on no threshold is claimed."""

REFUSED: Final = 0.2
"""Share of the views that it refuses, likewise: twice what is allowed of it. Product photos of one shop, most of them
with a look-alike, would lose a third of the views."""


async def calibrate_images(
    rows: Sequence[ImageRecord], vectors: "Vectors", embedder: Embedder, read: Callable[[str], Awaitable[bytes]]
) -> ImageThreshold:
    """Measure a library's threshold between pictures; none is claimed where its pictures cannot be told apart.

    Args:
        rows: all of the library, sorted by id.
        vectors: their unit image vectors, float32 [rows, dimension].
        read: gives an image by its SHA-256, upright and as every model takes it.
    """
    import numpy as np

    none = ImageThreshold(cosine=None, images=len(rows), calibrated=datetime.now(UTC))
    if len(rows) < ENOUGH:
        return none
    chosen = np.linspace(0, len(rows) - 1, min(VIEWED, len(rows))).astype(int)
    views = [view for at in chosen for view in await in_thread(views_of, await read(rows[at].id))]
    encoded = np.asarray(await embedder.embed_images(views), dtype=np.float32)
    own = (encoded * np.repeat(vectors[chosen], len(views) // len(chosen), axis=0)).sum(axis=1).astype(float)
    own = own[np.isfinite(own)]
    compared = np.linspace(0, len(rows) - 1, min(COMPARED, len(rows))).astype(int)
    cosines = vectors[compared] @ vectors.T
    cosines[np.arange(len(compared)), compared] = -1
    alike = float(np.median(own)) if len(own) else 1.0
    # A picture has a few views in a library; where most others are as near, the encoder does not tell them apart.
    views_there = (cosines >= alike).sum(axis=1, keepdims=True) <= max(VIEWS, len(rows) // 10)
    nearest = np.where((cosines >= alike) & views_there, -1, cosines).max(axis=1).astype(float)
    cosine = balanced_threshold(own, nearest) if len(own) else 1.0
    if float((nearest >= cosine).mean()) > CONFUSED or float((own < cosine).mean()) > REFUSED:
        return none
    return none.model_copy(update={"cosine": min(1.0, cosine), "n_views": len(own), "n_others": len(nearest)})


def views_of(data: bytes) -> list[bytes]:
    """A picture as somebody else would have it: cropped and saved again, mirrored and lighter."""
    from PIL import ImageEnhance, ImageOps

    image = open_rgb(data)
    width, height = image.size
    inner = image.crop((width // 12, height // 12, width - width // 12, height - height // 12))
    return [_saved(inner, 60), _saved(ImageEnhance.Brightness(ImageOps.mirror(image)).enhance(1.15), 85)]


def _saved(image: "Image", quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
