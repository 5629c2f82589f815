"""Metadata of a library's caption vectors: their encoder and their threshold.

It is stored with the column of the vectors, so that both come and go in one commit.
"""

from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field

from imagerag.agent.ports import EmbedderIdentity
from imagerag.agent.types import FrozenModel, Similarity

CAPTION_VECTOR: Final = "caption_vector"
"""The column of the vectors; null for an image whose caption has none. Only libraries with a caption encoder have it:
every column more takes as long as a tenth of a search."""

CAPTION_KEY: Final = "imagerag.captions"
"""Under which the column has its metadata."""


ACCEPTED: Final = 0.90
REJECTED: Final = 0.95
"""The rates that a threshold is to reach."""


class CaptionThreshold(FrozenModel):
    """From which cosine on a caption says what a text says, and the evidence for it.

    Attributes:
        cosine: None when none is claimed: too few captions, or the encoder cannot even tell unrelated ones apart.
        method: "captions" when the library's own captions decided, "unrelated" when the encoder cannot tell them from
            nearly right ones, so that the threshold rejects only what has nothing to do with them.
        accept_rate: share of the queries that have a match and reach `cosine`, in [0, 1], on queries that it was not
            measured with; None where it was not measured.
        near_reject_rate, unrelated_reject_rate: the same of hard negatives, and of unrelated captions, that stay below;
            the former is None too where the captions give no hard negatives.
        n_own, n_near, n_unrelated: how many queries with a match, of hard negatives, and unrelated captions it was
            measured with.
        captions: how many captions had a vector then.
        measured_on: what the library held then (`content.content_hash`).
    """

    cosine: Similarity | None
    method: Literal["captions", "unrelated"] = "captions"
    accept_rate: float | None = None
    near_reject_rate: float | None = None
    unrelated_reject_rate: float | None = None
    n_own: int = 0
    n_near: int = 0
    n_unrelated: int = 0
    captions: int
    calibrated: AwareDatetime
    measured_on: str = ""

    @property
    def is_reliable(self) -> bool:
        """Whether nine in ten matches are accepted, and nineteen in twenty of the others rejected, of each kind."""
        rejected = min(self.near_reject_rate or 0.0, self.unrelated_reject_rate or 0.0)
        return self.cosine is not None and (self.accept_rate or 0.0) >= ACCEPTED and rejected >= REJECTED


class CaptionEncoder(FrozenModel):
    """The encoder of a library's caption vectors, as in `EmbedderIdentity`."""

    spec: str
    model: str
    weights: str
    preprocess: str
    dimension: int = Field(gt=0)

    @classmethod
    def of(cls, identity: EmbedderIdentity) -> "CaptionEncoder":
        """The record of an encoder."""
        return cls(**vars(identity))

    @property
    def embedder(self) -> EmbedderIdentity:
        """The encoder that the vectors were made with."""
        return EmbedderIdentity(**self.model_dump())


class CaptionMetadata(FrozenModel):
    """What the column of caption vectors has as its metadata."""

    encoder: CaptionEncoder
    threshold: CaptionThreshold | None = None


def caption_metadata_of(table: Any) -> CaptionMetadata | None:
    """The metadata of the caption vectors of a LanceDB table; None where it has none."""
    schema = table.schema
    if CAPTION_VECTOR not in schema.names:
        return None
    return CaptionMetadata.model_validate_json(schema.field(CAPTION_VECTOR).metadata[CAPTION_KEY.encode()])


def caption_field(metadata: CaptionMetadata) -> Any:
    """The Arrow field of caption vectors of an encoder."""
    import pyarrow as pa

    kind = pa.list_(pa.float32(), metadata.encoder.dimension)
    return pa.field(CAPTION_VECTOR, kind, metadata={CAPTION_KEY: metadata.model_dump_json()})


def write_caption_metadata(table: Any, metadata: CaptionMetadata) -> None:
    """Store the metadata of the caption vectors of a LanceDB table, in one commit."""
    table.update_field_metadata({"path": CAPTION_VECTOR, "metadata": {CAPTION_KEY: metadata.model_dump_json()}})
