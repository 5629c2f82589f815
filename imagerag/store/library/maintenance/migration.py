"""Migration of a library to another encoder.

The vectors of the new encoder are written into a column of their own beside the present ones, so that searches go on,
and a migration that was stopped goes on where it was. Then both encoders are compared on the library's own captions,
and one commit exchanges the names of the two columns, each of which has its encoder's metadata. The vectors of the
encoder before stay as the other column until they are dropped, and the library can be migrated back without encoding.
Snapshots are versions of the table: they keep the vectors and the encoder that they were made with.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import BlobError, LibraryError, UsageError
from imagerag.agent.ports import Embedder, EmbedderIdentity
from imagerag.agent.threads import in_thread
from imagerag.agent.types import FrozenModel, Similarity
from imagerag.formatting.interface_terms import python_call
from imagerag.store.library.caption_vectors import use_caption_encoder
from imagerag.store.library.encoding import one_row_each, vectors_or_reasons
from imagerag.store.library.fusion_calibration import measure_fusion
from imagerag.store.library.library import Library
from imagerag.store.library.library_metadata import (
    METADATA_KEY,
    LibraryMetadata,
    other_metadata_of,
    write_library_metadata,
)
from imagerag.store.library.maintenance.other_vectors import exchange_vectors, size_of, write_vectors
from imagerag.store.library.region_columns import (
    BOXES,
    OTHER_REGIONS,
    boxes_of,
    has_regions,
    vectors_field,
)
from imagerag.store.library.region_encoding import crops_of_known, encode_crops
from imagerag.store.library.schema import OTHER_VECTOR, VECTOR, present
from imagerag.store.library.threshold_update import content_at, measure
from imagerag.store.library.thresholds.caption_recall import CaptionRecall, caption_recall
from imagerag.store.library.thresholds.content import is_unit
from imagerag.store.library.write_buffer import WriteBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imagerag.store.library.maintenance.other_vectors import ImageVectors

    Vectors = NDArray[np.float32]

BATCH: Final = 16
"""Images that are read and encoded at a time."""

RECORDS: Final = 128
"""Images whose files are looked up at a time."""

NAMED: Final = 3
"""Images without a vector that a message names."""


class EncoderQuality(FrozenModel):
    """Recall of an encoder on a library's own captions.

    Attributes:
        embedder: spec of the encoder.
        threshold: the cosine that was calibrated for it.
        accept_rate: share of the own captions that reach the threshold, in [0, 1]; None without captions.
        reject_rate: share of the captions without a match that stay below it, in [0, 1].
        recall: where a caption's own images rank.
    """

    embedder: str
    threshold: Similarity
    accept_rate: float | None
    reject_rate: float
    recall: CaptionRecall


class Migration(FrozenModel):
    """Result of a migration.

    Attributes:
        images: number of images of the library.
        encoded: how many of them were encoded now; the others had a vector of the encoder.
        from_thumbnails: how many of these were encoded from their thumbnails, as their files cannot be read.
        before, after: the library's encoder, and the one it is migrated to.
        switched: whether searches use the new encoder.
    """

    images: int
    encoded: int
    from_thumbnails: int
    before: EncoderQuality
    after: EncoderQuality
    switched: bool = False

    @property
    def is_worse(self) -> bool:
        """Whether the new encoder finds fewer images by their own captions than the library's."""
        before, after = self.before.recall.mrr, self.after.recall.mrr
        return before is not None and after is not None and after < before


async def migrate(
    library: Library, embedder: Embedder, *, progress: Callable[[int, int], None] | None = None
) -> Migration:
    """Encode a library's images with another encoder, and compare the two. Searches still use the present one.

    Args:
        embedder: the encoder to migrate to.
        progress: called with images done and images in all.

    Raises:
        UsageError: the library has this encoder; or it still has the vectors of a third one.
        LibraryError: the library is empty, or the encoder fails on some images.
        BackendError: the encoder failed.
    """
    return await _Migrating(library, embedder).prepare(progress)


async def switch_encoder(library: Library, embedder: Embedder) -> None:
    """Let searches use the encoder that `migrate` was called with. Open the library again to use it.

    Captions that were encoded by the library's own encoder lose their vectors: encode them again.

    Raises:
        UsageError: `migrate` was not called before.
        LibraryError: the encoder fails on images that were added since.
    """
    await _Migrating(library, embedder).switch()


async def drop_other_vectors(library: Library) -> EmbedderIdentity | None:
    """Delete the vectors of the encoder before a migration, or of one that was not finished; None without any."""

    def work() -> EmbedderIdentity | None:
        with library.table.writing_alone():
            other = other_metadata_of(library.table.lance, library.name)
            if other is not None:
                library.table.lance.drop_columns([OTHER_VECTOR, *present(library.table.lance, [OTHER_REGIONS])])
            return other.embedder if other else None

    dropped = await library.table.read(work)
    if dropped is not None:
        await library.optimize()
    return dropped


class _Migrating:
    """One migration of a library."""

    def __init__(self, library: Library, embedder: Embedder) -> None:
        self.library, self.embedder, self.table = library, embedder, library.table
        self.encoded = self.from_thumbnails = 0
        self.failed: dict[str, str] = {}
        captions = library.metadata.caption_encoder
        self.captions_are_own = captions is not None and captions.embedder == library.metadata.embedder

    async def prepare(self, progress: Callable[[int, int], None] | None) -> Migration:
        """See `migrate`."""
        if self.embedder.identity == self.library.metadata.embedder:
            raise UsageError(f"library {self.library.name!r} has the encoder {self.embedder.identity.spec} already")
        await self.table.prepare()
        await self.table.read(self._add_column)
        await self._encode(progress)
        async with self.table.files_lock():  # what is added after this is encoded by `switch`
            await self._encode(None)
            before, after = await self._quality(VECTOR), await self._quality(OTHER_VECTOR)
        return Migration(
            images=await self.library.count(),
            encoded=self.encoded,
            from_thumbnails=self.from_thumbnails,
            before=before,
            after=after,
        )

    async def switch(self) -> None:
        """See `switch_encoder`."""
        other = await self.table.read(lambda: other_metadata_of(self.table.lance, self.library.name))
        if other is None or other.embedder != self.embedder.identity:
            raise UsageError(f"library {self.library.name!r} has no vectors of {self.embedder.identity.spec}")
        async with self.table.files_lock():  # nobody adds images between the last look and the switch
            await self._encode(None)
            await self.table.read(lambda: exchange_vectors(self.table))
            if self.captions_are_own:
                await self.table.read(lambda: use_caption_encoder(self.table, self.embedder.identity))

    def _add_column(self) -> None:
        import pyarrow as pa

        identity = self.embedder.identity
        with self.table.writing_alone():
            other = other_metadata_of(self.table.lance, self.library.name)
            if other is None:
                current = self.library.metadata
                metadata = LibraryMetadata.of(identity, current.created)
                metadata = metadata.model_copy(update={"regions": current.regions})
                kind = pa.list_(pa.float32(), identity.dimension)
                field = pa.field(OTHER_VECTOR, kind, metadata={METADATA_KEY: metadata.model_dump_json()})
                regions = [vectors_field(OTHER_REGIONS, identity.dimension)] if has_regions(self.table.lance) else []
                self.table.lance.add_columns([field, *regions])
            elif other.embedder != identity:
                raise UsageError(
                    f"library {self.library.name!r} has vectors of {other.spec} besides those that it searches with: "
                    f"drop them first, {python_call('libraries.drop_other_vectors', self.library.name)}"
                )

    async def _encode(self, progress: Callable[[int, int], None] | None) -> None:
        """Encode the images that have no vector of the encoder yet.

        Raises:
            LibraryError: there are images for which it gives no usable vector.
        """
        missing = await self.table.read(self._missing)
        async with WriteBuffer(self._write, size_of, self.library.tidy) as buffer:
            for start in range(0, len(missing), RECORDS):
                part = missing[start : start + RECORDS]
                records = await self._records(part)
                for at in range(0, len(part), BATCH):
                    await buffer.add(await self._encode_some(part[at : at + BATCH], records))
                    if progress:
                        progress(start + min(at + BATCH, len(part)), len(missing))
        if self.failed:
            some = "; ".join(f"{one[:12]}: {why}" for one, why in list(self.failed.items())[:NAMED])
            count = len(self.failed)
            raise LibraryError(
                f"{self.embedder.identity.spec} gives no vector for {count} {'image' if count == 1 else 'images'} of "
                f"library {self.library.name!r}, which stays as it was ({some}): remove them from it first"
            )

    def _missing(self) -> list[str]:
        where = f"{OTHER_VECTOR} IS NULL"
        if OTHER_REGIONS in self.table.lance.schema.names:
            where = f"{where} OR ({OTHER_REGIONS} IS NULL AND {BOXES} IS NOT NULL)"
        query = self.table.lance.search().where(where).select(["id"])
        return [one for one in query.to_arrow()["id"].to_pylist() if one not in self.failed]

    async def _records(self, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        return await self.table.read(lambda: self.table.image_records(ids, "thumbnail"))

    async def _encode_some(
        self, ids: Sequence[str], records: Mapping[str, Mapping[str, Any]]
    ) -> "dict[str, ImageVectors]":
        """The vectors of some images and of their regions, by id.

        Args:
            records: those of `_records`; an image that has none was removed meanwhile.
        """
        import numpy as np

        there = [one for one in ids if one in records]
        images = await self.table.read(lambda: {one: self._image(one, records[one]) for one in there})
        data = {one: records[one]["thumbnail"] if image is None else image for one, image in images.items()}
        self.from_thumbnails += sum(image is None for image in images.values())
        regions = await self._encoded_regions(data)
        encode = one_row_each(self.embedder.embed_images, self.embedder.identity.spec)
        results = await vectors_or_reasons(encode, list(data.values()))
        vectors = dict[str, "ImageVectors"]()
        for one, vector in zip(data, results, strict=True):
            if isinstance(vector, str) or not is_unit(float(np.linalg.norm(vector))):
                self.failed[one] = vector if isinstance(vector, str) else "the encoder gave no usable vector for it"
            else:
                vectors[one] = np.asarray(vector, dtype=np.float32), regions.get(one)
        self.encoded += len(vectors)
        return vectors

    def _image(self, sha256: str, record: Mapping[str, Any]) -> bytes | None:
        try:
            return self.table.bytes_of(sha256, record)
        except BlobError:
            return None

    async def _encoded_regions(self, data: Mapping[str, bytes]) -> "dict[str, Vectors]":
        """The vectors of the regions that are known of these images; one that fails counts as a failed image."""
        import numpy as np

        if OTHER_REGIONS not in self.table.lance.schema.names:
            return {}
        records = await self.table.records(["id", BOXES], list(data))
        boxes_by_id = {record["id"]: boxes_of(record) for record in records if record[BOXES] is not None}
        crops = {
            one: await in_thread(crops_of_known, data[one], boxes, self.embedder) if boxes else []
            for one, boxes in boxes_by_id.items()
        }
        vectors = await encode_crops(self.embedder, [crop for own in crops.values() for crop in own])
        regions, start = dict[str, "Vectors"](), 0
        for one, own in crops.items():
            mine, start = vectors[start : start + len(own)], start + len(own)
            if reasons := [vector for vector in mine if isinstance(vector, str)]:
                self.failed[one] = reasons[0]
            else:
                regions[one] = np.asarray(mine, dtype=np.float32).reshape(len(own), self.embedder.identity.dimension)
        return regions

    async def _write(self, vectors: "Mapping[str, ImageVectors]") -> None:
        await self.table.write(lambda: write_vectors(self.table, vectors))

    async def _quality(self, column: str) -> EncoderQuality:
        """Measure an encoder; the thresholds of the new one are kept with its vectors."""
        own = column == VECTOR
        embedder = self.library.embedder if own else self.embedder
        content = await content_at(self.table, column)
        measurement = await measure(self.library, content, embedder)
        if not own:
            fusion = await measure_fusion(self.library, embedder, column)
            thresholds = {
                "threshold": measurement.threshold,
                "image_threshold": measurement.image_threshold,
                "fusion": fusion,
            }
            await self.table.read(lambda: self._keep(thresholds))
        return EncoderQuality(
            embedder=embedder.identity.spec,
            threshold=measurement.threshold.cosine,
            accept_rate=measurement.threshold.accept_rate,
            reject_rate=measurement.threshold.percentile / 100,
            recall=await caption_recall(content, measurement.texts, measurement.best_own),
        )

    def _keep(self, thresholds: Mapping[str, object]) -> None:
        with self.table.calibrating():
            metadata = other_metadata_of(self.table.lance, self.library.name)
            if metadata is not None:
                write_library_metadata(self.table.lance, metadata.model_copy(update=thresholds), OTHER_VECTOR)
