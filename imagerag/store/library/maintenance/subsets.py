"""Parts of a library: random and nested, or the same images through another encoder."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from imagerag.agent.ports import Embedder, embed_images
from imagerag.store.data_dir import DataDir
from imagerag.store.library import schema as form
from imagerag.store.library.library import Library
from imagerag.store.library.region_encoding import encode_regions
from imagerag.store.library.schema import NewImage

BATCH: Final = 64


def in_random_order(ids: Iterable[str], seed: int) -> list[str]:
    """The ids in an order that depends only on the seed: each smaller part is the beginning of every larger one.

    The sort key of an id does not depend on other ids, so images added later hardly change the parts.
    """
    return sorted(ids, key=lambda one: sha256(f"{seed}/{one}".encode()).digest())


async def copy_rows(source: Library, target: Library, ids: Sequence[str]) -> None:
    """Copy complete rows, including vectors and images; both libraries have the same encoder."""
    for at in range(0, len(ids), BATCH):
        part = ids[at : at + BATCH]

        rows = source.table.lance.search().where(form.id_filter("id", part)).to_arrow()
        await target.table.copy(rows, source.table)


async def copy_encoded(source: Library, target: Library, ids: Sequence[str]) -> None:
    """Copy images with their metadata, encoded again by the target's encoder."""
    for at in range(0, len(ids), BATCH):
        rows = await source.rows(ids[at : at + BATCH])
        data = [await source.image_bytes(row.id) for row in rows]
        vectors = await embed_images(target.embedder, data)
        copies = [one if not row.files else None for row, one in zip(rows, data, strict=True)]
        await target.upsert(
            [NewImage(row=r, data=d, thumbnail=b"", vector=v) for r, d, v in zip(rows, copies, vectors, strict=True)]
        )


async def part_of(home: DataDir, name: str, source: Library, ids: Sequence[str], embedder: Embedder) -> Library:
    """Make a library of some images of another one, ready for search; not calibrated."""
    target = await Library.create_or_open(home, name, embedder)
    alike = embedder.identity == source.embedder.identity
    await (copy_rows if alike else copy_encoded)(source, target, ids)
    if source.metadata.regions:
        await encode_regions(target, ids)
    await target.optimize()
    return target
