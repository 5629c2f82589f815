"""Calibration of the threshold between images: the cosine from which two images show the same thing.

Images are far nearer to each other than words are to images, so a threshold for captions lets every image pass. This
threshold is measured on the library's own images: the cosine of an image with views of it (cropped, mirrored, lighter,
saved again), and with its nearest other image. As for captions, the threshold is the cosine with equal errors. Other
images as near as views count as views: two photographs of one mug are no evidence that mugs resemble bags.
"""

import io
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.ports import Embedder
from imagerag.agent.ports.embedder import row_for_each
from imagerag.agent.threads import in_thread
from imagerag.store.library.library_metadata import ImageThreshold
from imagerag.store.library.region_columns import RegionPart
from imagerag.store.library.thresholds.calibration import ENOUGH, balanced_threshold
from imagerag.store.library.thresholds.content import LibraryContent
from imagerag.store.library.thresholds.decisions import Decisions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Vectors = NDArray[np.float32]

VIEWED: Final = 12
"""Images of which views are made: each is encoded twice, which takes 20 to 90 ms on a CPU."""

VIEWS: Final = 3
"""Others that may be taken for views of an image, in small libraries."""

COMPARED, PAIRS = 512, 50_000_000
"""How many images are compared with all others: as many as give so many pairs, in a large library."""

CONFUSED: Final = 0.25
"""Share of the images whose nearest other one passes, from which on no threshold is claimed."""

REFUSED: Final = 0.2
"""Share of the views that it refuses, likewise: twice what is allowed of it. Product photos of one shop, most of them
with a look-alike, would lose a third of the views."""


def unclaimed(content: LibraryContent) -> ImageThreshold:
    """The threshold without a cosine, for a library whose images cannot be distinguished."""
    return ImageThreshold(cosine=None, images=len(content), calibrated=datetime.now(UTC))


@dataclass(frozen=True)
class ImageMeasurement:
    """Samples of images and views; compared with a library's vectors they give its threshold between images.

    Attributes:
        views: unit vectors of the views, those of one image together.
        viewed: for each view, the position of its image.
        own: cosines of views with their images.
        compared: positions of the images that are compared with all others.
        samples: their vectors.
    """

    content: LibraryContent
    views: "Vectors"
    viewed: "NDArray[np.intp]"
    own: "NDArray[np.float64]"
    compared: "NDArray[np.intp]"
    samples: "Vectors"

    @classmethod
    async def of(
        cls,
        content: LibraryContent,
        embedder: Embedder,
        read_images: Callable[[Sequence[str]], AsyncIterator[tuple[str, bytes]]],
        most_viewed: int = VIEWED,
    ) -> "ImageMeasurement | None":
        """Make and encode the views.

        Args:
            read_images: yields images by SHA-256, upright and in a form that every model accepts. Images removed
                meanwhile are left out: the process that removed them calibrates again anyway.
            most_viewed: number of images of which views are made.

        Returns:
            None where there are too few images, or none can be read.
        """
        import numpy as np

        rows = len(content)
        if rows < ENOUGH:
            return None
        sample = np.linspace(0, rows - 1, min(most_viewed, rows)).astype(int)
        compared = np.linspace(0, rows - 1, min(COMPARED, rows, max(COMPARED // 4, PAIRS // rows))).astype(int)
        places = dict(zip(content.ids(sample), sample.tolist(), strict=True))
        viewed = {places[sha256]: await in_thread(views_of, data) async for sha256, data in read_images([*places])}
        if not viewed:
            return None
        sample, views = np.asarray([*viewed]), [view for of_image in viewed.values() for view in of_image]
        encoded = row_for_each(await embedder.embed_images(views), len(views), embedder.identity.spec)
        each = len(views) // len(sample)
        own = (encoded * np.repeat(await content.vectors(sample), each, axis=0)).sum(axis=1).astype(float)
        usable, of = np.isfinite(own), np.repeat(sample, each)
        return cls(content, encoded[usable], of[usable], own[usable], compared, await content.vectors(compared))

    def begin(self) -> "NearestOthers":
        """Start a scan that takes all vectors."""
        import numpy as np

        return NearestOthers(self.compared, self.samples, float(np.median(self.own)) if len(self.own) else 1.0)

    def evidence(self, others: "NearestOthers") -> "ImageEvidence":
        """The cosines that a threshold is derived from."""
        # An image has few views in a library; if most others are as near, the encoder cannot distinguish images.
        return ImageEvidence(self.own, self.viewed, others.nearest(max(VIEWS, len(self.content) // 10)))

    def threshold(self, others: "NearestOthers") -> ImageThreshold:
        """The threshold, from the cosines of the images with their nearest others."""
        evidence, none = self.evidence(others), unclaimed(self.content)
        cosine = evidence.cosine()
        accepted, nearest = self.own >= cosine, evidence.others
        rejected = nearest < cosine
        if float((~rejected).mean()) > CONFUSED or float((~accepted).mean()) > REFUSED:
            return none
        rates = {"accept_rate": float(accepted.mean()), "reject_rate": float(rejected.mean())}
        counts = {"n_views": len(self.own), "n_others": len(nearest)}
        return none.model_copy(update={"cosine": min(1.0, cosine), **rates, **counts})


@dataclass(frozen=True)
class ImageEvidence:
    """Cosines of images, from which a threshold between images is derived.

    Attributes:
        own: of views with their images; `viewed`: for each view, the position of its image.
        others: of images with their nearest others.
    """

    own: "NDArray[np.float64]"
    viewed: "NDArray[np.intp]"
    others: "NDArray[np.float64]"

    def half(self, at: Literal[0, 1]) -> "ImageEvidence":
        """Every second image with its views, from the first or from the second one."""
        import numpy as np

        mine = np.unique(self.viewed, return_inverse=True)[1] % 2 == at
        return ImageEvidence(self.own[mine], self.viewed[mine], self.others[at::2])

    def decided(self, cosine: float) -> Decisions:
        """The decisions of a threshold."""
        return Decisions(self.own >= cosine, {"other_images": self.others < cosine})

    def cosine(self) -> float:
        """The threshold."""
        return balanced_threshold(self.own, self.others) if len(self.own) else 1.0


class NearestOthers:
    """Nearest other images of some images over a library's vectors, updated part by part.

    Args:
        places: of the images.
        vectors: theirs.
        alike: cosine from which another image may be a view of the image.
    """

    def __init__(self, places: "NDArray[np.intp]", vectors: "Vectors", alike: float) -> None:
        import numpy as np

        self._places, self._vectors, self._alike = places, vectors, alike
        self._views = np.zeros(len(places), dtype=np.intp)
        self._best, self._less_alike = np.full(len(places), -1.0), np.full(len(places), -1.0)

    def add(self, places: "NDArray[np.intp]", vectors: "Vectors", regions: RegionPart | None = None) -> None:
        """Add rows; images are compared as a whole."""
        import numpy as np

        cosines = vectors @ self._vectors.T
        own = np.searchsorted(self._places, places)
        own[own == len(self._places)] = 0
        itself = np.flatnonzero(self._places[own] == places)
        cosines[itself, own[itself]] = -1
        np.maximum(self._best, cosines.max(axis=0), out=self._best)
        rows, originals = np.nonzero(cosines >= self._alike)
        self._views += np.bincount(originals, minlength=len(self._places))
        cosines[rows, originals] = -1
        np.maximum(self._less_alike, cosines.max(axis=0), out=self._less_alike)

    def nearest(self, views: int) -> "NDArray[np.float64]":
        """For each image the cosine of its nearest other, not counting a limited number of views."""
        import numpy as np

        return np.where(self._views <= views, self._less_alike, self._best)


def views_of(data: bytes) -> list[bytes]:
    """Variants of an image: cropped and saved again, mirrored and lighter."""
    from PIL import ImageEnhance, ImageOps

    image = open_rgb(data)
    width, height = image.size
    inner = image.crop((width // 12, height // 12, width - width // 12, height - height // 12))
    return [_saved(inner, 60), _saved(ImageEnhance.Brightness(ImageOps.mirror(image)).enhance(1.15), 85)]


def _saved(image: "Image", quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
