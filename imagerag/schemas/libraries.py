"""Documents about libraries: indexing, contents, maintenance, thresholds."""

from typing import Literal

from pydantic import Field

from imagerag.agent.types import DescriptionEstimate, Document, Sha256, Similarity
from imagerag.graphs.unmatched_concepts import UnmatchedConcept
from imagerag.store.library.caption_metadata import CaptionThreshold
from imagerag.store.library.check.last_check import LastCheck
from imagerag.store.library.check.library_check import LibraryCheck
from imagerag.store.library.fusion_metadata import Fusion
from imagerag.store.library.library_metadata import LibraryMetadata, Threshold
from imagerag.store.library.maintenance.duplicates import Duplicates
from imagerag.store.library.maintenance.export import Export
from imagerag.store.library.maintenance.library_disk_usage import DiskUse
from imagerag.store.library.maintenance.migration import Migration
from imagerag.store.library.maintenance.snapshots import Snapshot
from imagerag.store.library.maintenance.statistics import LibraryStatistics
from imagerag.store.library.maintenance.verification import Verification


class Skipped(Document):
    """A file that was not indexed, and why."""

    path: str
    reason: str


class Level(Document):
    """A threshold: cosine, and the share of captions without a match that stay below it, in percent."""

    cosine: Similarity
    percentile: float


class Descriptions(Document):
    """The descriptions of one run of `index`, or with `dry_run` what they would cost.

    Attributes:
        describer: the model that describes images of the library.
        described: images that it described. `low_confidence`: those whose description probably does not fit.
        calls, cost_usd: calls of the model, and US dollars; None where a price is not known.
        left: images that still have no description. `stopped`: the reason; empty where none is left.
        expected: calls and cost that were estimated before the first call; None without images to describe.
    """

    describer: str
    described: int
    low_confidence: int
    calls: int
    cost_usd: float | None
    left: int
    stopped: str
    expected: DescriptionEstimate | None


class IndexDocument(Document):
    """Result of `index`, with `dry_run` of what it would do: counts of images by their change, with examples.

    `caption_embedder` is the encoder of the library's captions, and `captions_encoded` counts those encoded now. After
    the first indexing that brought captions there is the `check` of the library.
    """

    schema_name: Literal["imagerag.index/1"] = Field(default="imagerag.index/1", alias="schema")
    library: str
    embedder: str
    added: int
    updated: int
    unchanged: int
    moved: int
    changed: int
    removed: int
    paths_removed: int = 0
    missing: int
    duplicates: int
    removed_before: int = 0
    skipped: list[Skipped]
    captions: int
    captions_encoded: int = 0
    caption_embedder: str | None = None
    ocr_read: int = 0
    ocr_words: int = 0
    descriptions: Descriptions | None = None
    region_images: int = 0
    regions: int = 0
    notes: list[Skipped]
    columns: dict[str, str]
    manifest_captions: int | None
    warnings: list[str]
    images_per_s: float
    seconds: dict[str, float]
    threshold: Level | None
    check: LibraryCheck | None = None
    dry_run: bool
    examples: dict[str, list[str]]


class Listed(Document):
    """A library in the list, with the tags of its snapshots; `describer` describes its new images, `error` says what is
    wrong with it."""

    name: str
    images: int | None
    embedder: str | None
    threshold: float | None
    describer: str | None = None
    snapshots: list[str] = Field(default_factory=list)
    error: str | None


class LibrariesDocument(Document):
    """The libraries."""

    schema_name: Literal["imagerag.libraries/1"] = Field(default="imagerag.libraries/1", alias="schema")
    libraries: list[Listed]


class LibraryInfo(Document):
    """A library or a snapshot, its metadata, the tags of its snapshots, and the encoder of vectors that searches do not
    use: that before a migration, or that of one which is not finished. `ocr_read` counts images that OCR has read,
    `caption_vectors` those whose caption is encoded, `described` those that a model described, `region_images` those
    whose regions are encoded, `regions` the regions of these. `last_check` is null before the first check."""

    schema_name: Literal["imagerag.library/1"] = Field(default="imagerag.library/1", alias="schema")
    library: str
    images: int
    ocr_read: int = 0
    caption_vectors: int = 0
    described: int = 0
    region_images: int = 0
    regions: int = 0
    metadata: LibraryMetadata
    snapshots: list[str] = Field(default_factory=list)
    other_embedder: str | None = None
    last_check: LastCheck | None = None


class LibraryRemoved(Document):
    """A library that was removed."""

    schema_name: Literal["imagerag.library/1"] = Field(default="imagerag.library/1", alias="schema")
    library: str
    removed: Literal[True]


class LibraryRenamed(Document):
    """A library under its new name."""

    schema_name: Literal["imagerag.library/1"] = Field(default="imagerag.library/1", alias="schema")
    library: str
    renamed_from: str


class LibraryOptimized(Document):
    """A library that was optimized: its bytes on the disk by kind, before and after."""

    schema_name: Literal["imagerag.library/1"] = Field(default="imagerag.library/1", alias="schema")
    library: str
    disk_before: DiskUse
    disk: DiskUse


class OtherVectorsDropped(Document):
    """A library without the vectors of another encoder; `dropped` is its spec, null where there were none."""

    schema_name: Literal["imagerag.library/1"] = Field(default="imagerag.library/1", alias="schema")
    library: str
    dropped: str | None


LibraryDocument = LibraryInfo | LibraryRemoved | LibraryRenamed | LibraryOptimized | OtherVectorsDropped


class SnapshotsDocument(Document):
    """The snapshots of a library, or the one that was created, removed, or restored."""

    schema_name: Literal["imagerag.library-snapshots/1"] = Field(default="imagerag.library-snapshots/1", alias="schema")
    library: str
    action: Literal["list", "create", "remove", "restore"]
    snapshots: list[Snapshot]


class ListedImage(Document):
    """An image of a library, as lists name it; `path` is a file of it, empty where there is none."""

    id: Sha256
    title: str
    caption: str
    path: str
    description: str = ""
    described_by: str = ""


class ImagesDocument(Document):
    """The images that were added, removed or updated; with `dry_run`, that would be: their number, and the first
    ten thousand of them by id. `reason` says why there are none, or which changes concern none of them."""

    schema_name: Literal["imagerag.library-images/1"] = Field(default="imagerag.library-images/1", alias="schema")
    library: str
    action: Literal["add", "remove", "update"]
    dry_run: bool
    count: int
    images: list[ListedImage]
    reason: str = ""


class MigrationDocument(Document):
    """A migration of a library to another encoder: the comparison of both, and whether searches use the new one."""

    schema_name: Literal["imagerag.library-migration/1"] = Field(default="imagerag.library-migration/1", alias="schema")
    library: str
    migration: Migration


class DuplicatesDocument(Document):
    """Images that a library holds more than once; with `removed`, the others of each group were taken out."""

    schema_name: Literal["imagerag.library-duplicates/1"] = Field(
        default="imagerag.library-duplicates/1", alias="schema"
    )
    library: str
    keep: Literal["largest", "oldest", "first"]
    removed: bool
    duplicates: Duplicates


class UnmatchedDocument(Document):
    """What runs searched a library for without an image that passed, the most frequent first."""

    schema_name: Literal["imagerag.library-unmatched/1"] = Field(default="imagerag.library-unmatched/1", alias="schema")
    library: str
    concepts: list[UnmatchedConcept]


class StatisticsDocument(Document):
    """Counts and measurements of a library, and its last check; null before the first one."""

    schema_name: Literal["imagerag.library-stats/1"] = Field(default="imagerag.library-stats/1", alias="schema")
    library: str
    statistics: LibraryStatistics
    last_check: LastCheck | None = None


class ExportDocument(Document):
    """An export of a library."""

    schema_name: Literal["imagerag.library-export/1"] = Field(default="imagerag.library-export/1", alias="schema")
    library: str
    format: Literal["parquet", "folder"]
    export: Export


class VerificationDocument(Document):
    """A comparison of a library with its bytes, files and vectors: the first ten thousand problems, and their repairs.

    `count` is the number of all problems, `left` that of those which were not repaired.
    """

    schema_name: Literal["imagerag.library-verification/1"] = Field(
        default="imagerag.library-verification/1", alias="schema"
    )
    library: str
    count: int
    left: int
    verification: Verification


class ThresholdDocument(Document):
    """What `library calibrate` measured: the threshold, and the weights of the lists of a hybrid search."""

    schema_name: Literal["imagerag.threshold/1"] = Field(default="imagerag.threshold/1", alias="schema")
    library: str
    threshold: Threshold
    caption_threshold: CaptionThreshold | None = None
    fusion: Fusion | None = None
