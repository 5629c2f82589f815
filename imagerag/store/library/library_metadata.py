"""Metadata of a library: its encoder and its thresholds.

It is stored in the LanceDB table itself, as metadata of the `vector` field. lancedb 0.40 cannot change the metadata of
a table's schema without pylance, but `update_field_metadata` is an ordinary commit: it survives reopening, works on
every storage, and is atomic.
"""

import json
from bisect import bisect_left, bisect_right
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from imagerag.agent.errors import EmbeddingMismatchError
from imagerag.agent.ports import EmbedderIdentity
from imagerag.agent.types import FrozenModel, Similarity
from imagerag.agent.url_redaction import Spec
from imagerag.store.data_dir import DataDir
from imagerag.store.library.caption_metadata import CaptionEncoder, CaptionThreshold, caption_metadata_of
from imagerag.store.library.database import LANCE_ERRORS, damaged, newer, open_table
from imagerag.store.library.fusion_metadata import Fusion
from imagerag.store.library.schema import OTHER_VECTOR, VECTOR
from imagerag.store.library.things_metadata import ThingsThreshold

METADATA_KEY = "imagerag.metadata"
EARLIER_KEY = "imagerag.passport"
"""Under which libraries of earlier versions keep it."""
SCHEMA_VERSION = 5
WITHOUT_MONTHS: Final = 3
"""The version whose columns of metadata keys lack only the times of text that is a month (`2024-05`)."""
WITHOUT_OPTIONAL_COLUMNS: Final = 4
"""The version that lacks only columns that some libraries have: it is upgraded by its number alone."""
_EARLIER_NAMES: Final = {
    "basis": "method", "floor": "minimum", "null": "negative_quantiles", "own": "positive_quantiles",
    "accepted": "accept_rate",
}  # fmt: skip


RegionMethod = Literal["things-or-tiles"]
THINGS_OR_TILES: Final = "things-or-tiles"
"""How regions are found: `imagerag.agent.images.regions`."""


class Threshold(FrozenModel):
    """A library's default threshold and the evidence for it.

    Attributes:
        cosine: a hit counts from here on.
        percentile: share of captions without a match whose best hit stays below `cosine`, in percent [0, 100].
        method: "captions" when the library's own captions decided, "unrelated" when there were too few of them, or the
            encoder does not connect them with their images.
        minimum: what captions that have nothing to do with the library rarely reach.
        negative_quantiles: quantiles (equally spaced, minimum to maximum) of the best cosine of captions without match.
        positive_quantiles: the same for the library's own captions and their own images; empty without captions.
        accept_rate: share of the library's own captions that reach `cosine`, in [0, 1]; None without captions.
        reject_rate: share of the captions without a match that nothing reaches `cosine` for, in [0, 1];
            `near_reject_rate`: of those among them that a single word or a missing image sets apart, None without
            captions. Both are None in libraries of earlier versions, which did not note them.
        things: of texts that list several things, compared with the regions of an image; None without regions, and with
            too few captions that list things.
        caption_language: of the library's captions, a BCP 47 tag; "" where it does not show.
        n_unrelated, n_near, n_own: how many captions each was measured with.
        images: how many images the library held when it was calibrated.
        measured_on: what it held then (`content.content_hash`); another content makes the threshold a stale one. Empty
            in libraries of earlier versions, which did not note it.
    """

    cosine: Similarity
    percentile: float = Field(ge=0, le=100)
    method: Literal["captions", "unrelated"]
    minimum: Similarity
    negative_quantiles: tuple[float, ...]
    positive_quantiles: tuple[float, ...] = ()
    accept_rate: float | None = None
    reject_rate: float | None = None
    near_reject_rate: float | None = None
    things: ThingsThreshold | None = None
    caption_language: str = ""
    n_unrelated: int
    n_near: int = 0
    n_own: int = 0
    images: int
    calibrated: AwareDatetime
    measured_on: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_earlier(cls, data: Any) -> Any:
        """Read what earlier versions wrote: the same values under other names."""
        if isinstance(data, dict):
            return {_EARLIER_NAMES.get(name, name): value for name, value in data.items()}
        return data


class ImageThreshold(FrozenModel):
    """From which cosine on two images show the same thing.

    Attributes:
        cosine: None when none is claimed: too few images, or the encoder cannot tell them apart.
        accept_rate: share of the views of an image that reach `cosine`, in [0, 1]; `reject_rate`: share of the images
            that no other one reaches it with. None without a cosine, and in libraries of earlier versions.
        n_views, n_others: how many views of an image, and how many other images, it was measured with.
        images: how many images the library held then.
        measured_on: which (`content.images_hash`); empty in libraries of earlier versions.
    """

    cosine: Similarity | None
    accept_rate: float | None = None
    reject_rate: float | None = None
    n_views: int = 0
    n_others: int = 0
    images: int
    calibrated: AwareDatetime
    measured_on: str = ""


class DescriberSettings(FrozenModel):
    """What describes the images of a library that have no description, whenever it is indexed.

    Attributes:
        spec: the describer, without secrets in its address.
        max_calls, max_cost_usd: budget of one run of `index`; None is no limit.
        assume_cost_usd_per_call: US dollars that a call of unknown price counts as.
    """

    spec: Spec
    max_calls: int | None = Field(default=None, ge=1)
    max_cost_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    assume_cost_usd_per_call: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class LibraryMetadata(FrozenModel):
    """Metadata of a library without which its vectors have no meaning.

    Attributes:
        version: of this record's own form.
        spec, model, weights, preprocess, dimension: the encoder, as in `EmbedderIdentity`.
        threshold: between a text and an image; None until the library has been calibrated.
        image_threshold: between two images; None until then, too.
        fusion: weights of the lists of a hybrid search; None until then, too.
        caption_encoder, caption_threshold: of the caption vectors, where there are some. They are stored with the
            column of these (`caption_metadata`), not with the other fields.
        describer: describes new images; None where the library was not told to.
        regions: how the regions of images are found and encoded; None where they are not.
    """

    version: int = Field(default=SCHEMA_VERSION, le=SCHEMA_VERSION)
    spec: str
    model: str
    weights: str
    preprocess: str
    dimension: int = Field(gt=0)
    created: AwareDatetime
    threshold: Threshold | None = None
    image_threshold: ImageThreshold | None = None
    fusion: Fusion | None = None
    caption_encoder: CaptionEncoder | None = None
    caption_threshold: CaptionThreshold | None = None
    describer: DescriberSettings | None = None
    regions: RegionMethod | None = None

    @classmethod
    def of(cls, identity: EmbedderIdentity, created: datetime) -> "LibraryMetadata":
        """The library_metadata of a new library."""
        return cls(
            spec=identity.spec,
            model=identity.model,
            weights=identity.weights,
            preprocess=identity.preprocess,
            dimension=identity.dimension,
            created=created,
        )

    @property
    def embedder(self) -> EmbedderIdentity:
        """The encoder that the vectors were made with."""
        return EmbedderIdentity(
            spec=self.spec,
            model=self.model,
            weights=self.weights,
            preprocess=self.preprocess,
            dimension=self.dimension,
        )

    @property
    def things_thresholds(self) -> tuple[float, float] | None:
        """The thresholds of a text that lists several things: `region_search.QueryVectors.thresholds`."""
        measured = self.threshold
        return (measured.cosine, measured.things.cosine) if measured and measured.things else None

    def check(self, name: str, encoder: EmbedderIdentity) -> None:
        """Check that vectors of an encoder are comparable with those of the library, which was opened with it.

        Raises:
            EmbeddingMismatchError: the library was migrated meanwhile.
        """
        if self.embedder != encoder:
            raise EmbeddingMismatchError(
                f"library {name!r} was migrated to {self.spec} while it was open with {encoder.spec}: open it again"
            )


def percentile_of(cosine: float, quantiles: tuple[float, ...]) -> float:
    """The position of `cosine` among equally spaced quantiles, in percent, with linear interpolation.

    Among equal quantiles the middle counts, so that the result does not depend on the order of ties.
    """
    if not quantiles:
        return 100.0
    below, upto = bisect_left(quantiles, cosine), bisect_right(quantiles, cosine)
    last = len(quantiles) - 1
    if upto == 0 or not last:
        return 0.0 if cosine < quantiles[0] else 100.0
    if below > last:
        return 100.0
    if below < upto:
        return 100.0 * (below + upto - 1) / 2 / last
    low, high = quantiles[below - 1], quantiles[below]
    return 100.0 * (below - 1 + (cosine - low) / (high - low)) / last


def read_library_metadata(home: DataDir, name: str) -> LibraryMetadata:
    """Read a library's metadata without loading an encoder. Blocks for some milliseconds.

    Raises:
        UnknownLibraryError: there is no library of that name.
        LibraryDamagedError: its files or its library_metadata cannot be read.
    """
    return library_metadata_of(open_table(home, name), name)


def library_metadata_of(table: Any, name: str, vector: str = VECTOR) -> LibraryMetadata:
    """The library_metadata in a library's LanceDB table.

    Args:
        vector: the column whose metadata it is.

    Raises:
        LibraryDamagedError: its metadata is missing or unreadable.
        LibraryVersionError: a newer version of imagerag wrote it.
    """
    try:
        field_metadata = table.schema.field(vector).metadata
        text = field_metadata[(METADATA_KEY if METADATA_KEY.encode() in field_metadata else EARLIER_KEY).encode()]
    except (KeyError, TypeError, *LANCE_ERRORS) as error:
        raise damaged(name, error) from error
    try:
        metadata, captions = _parsed(text), caption_metadata_of(table)
        if captions is None:
            return metadata
        return metadata.model_copy(
            update={"caption_encoder": captions.encoder, "caption_threshold": captions.threshold}
        )
    except (ValidationError, KeyError, TypeError) as error:
        if (version := _version_of(text)) > SCHEMA_VERSION:
            raise newer(name, f"its form is {version}, and this version reads up to {SCHEMA_VERSION}") from error
        raise damaged(name, error) from error


def write_library_metadata(table: Any, metadata: LibraryMetadata, vector: str = VECTOR) -> None:
    """Store metadata in a library's LanceDB table, in one commit; that of its caption vectors stays as it is.

    Args:
        vector: the column whose metadata it is.
    """
    text = metadata.model_dump_json(exclude={"caption_encoder", "caption_threshold"})
    table.update_field_metadata({"path": vector, "metadata": {METADATA_KEY: text}})


def other_metadata_of(table: Any, name: str) -> LibraryMetadata | None:
    """The metadata of a library's other vectors: those of a migration that goes on, or of the encoder before."""
    return library_metadata_of(table, name, OTHER_VECTOR) if OTHER_VECTOR in table.schema.names else None


@lru_cache(maxsize=32)
def _parsed(text: bytes) -> LibraryMetadata:
    """Parse metadata, cached: every search reads it again, as another process may have changed it."""
    return LibraryMetadata.model_validate_json(text)


def stale(library_metadata: LibraryMetadata, content: str) -> bool:
    """Whether a threshold was measured on other content than this, or never."""
    return library_metadata.threshold is None or library_metadata.threshold.measured_on != content


def _version_of(text: bytes) -> int:
    """The version of otherwise unreadable metadata; 0 when it has none."""
    try:
        document = json.loads(text)
    except ValueError:
        return 0
    version = document.get("version") if isinstance(document, dict) else None
    return version if isinstance(version, int) else 0
