"""A search with a picture has a threshold of its own: other things do not pass, other views of it do."""

import io

import numpy as np
import pytest
from PIL import Image

from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.thresholds.content import LibraryContent
from tests.store.library.thresholds.measured_thresholds import identity_of, image_threshold


class Planted:
    """An encoder whose views lie at a given cosine from their picture."""

    def __init__(self, vectors, view):
        self.vectors, self.view, self.identity = vectors, view, identity_of(vectors.shape[1])

    async def embed_images(self, images):
        chosen = np.linspace(0, len(self.vectors) - 1, min(12, len(self.vectors))).astype(int)
        out = []
        for at in np.repeat(chosen, 2):
            base = self.vectors[at]
            other = np.random.default_rng(at).normal(size=base.shape)
            other -= (other @ base) * base
            out.append(self.view * base + np.sqrt(1 - self.view**2) * other / np.linalg.norm(other))
        return np.array(out, dtype=np.float32)


class Row:
    title = caption = ""

    def __init__(self, id):
        self.id = id


async def read(ids):
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 10, 10)).save(buffer, "PNG")
    for one in ids:
        yield one, buffer.getvalue()


def cone(count, cosine, seed=0):
    """Vectors whose mutual cosines lie about one value, as those of photographs do."""
    rng = np.random.default_rng(seed)
    axis = np.zeros(256)
    axis[0] = 1
    noise = rng.normal(size=(count, 256))
    noise[:, 0] = 0
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return (np.sqrt(cosine) * axis + np.sqrt(1 - cosine) * noise).astype(np.float32)


async def measured(vectors, view):
    rows = [Row(f"{at:064}") for at in range(len(vectors))]
    return await image_threshold(LibraryContent.of(rows, vectors), Planted(vectors, view), read)


async def test_things_that_are_alike_do_not_pass_and_views_do():
    found = await measured(cone(40, 0.85), view=0.97)
    assert found.cosine is not None
    assert 0.90 < found.cosine < 0.97


async def test_two_photographs_of_one_thing_are_no_evidence():
    vectors = cone(40, 0.85)
    twins = vectors + np.random.default_rng(1).normal(size=vectors.shape).astype(np.float32) * 0.002
    twins /= np.linalg.norm(twins, axis=1, keepdims=True)
    found = await measured(np.concatenate([vectors, twins]), view=0.97)
    assert found.cosine is not None
    assert 0.90 < found.cosine < 0.97


@pytest.mark.parametrize(("count", "view"), [(7, 0.97), (40, 0.80)])
async def test_where_it_cannot_be_told_none_is_claimed(count, view):
    assert (await measured(cone(count, 0.85), view=view)).cosine is None


async def test_it_is_kept_with_the_library_and_measured_again_when_pictures_come(
    folder, library, embedder, home, picture
):
    await index([folder], library)
    first = library.metadata.image_threshold
    assert first is not None
    assert first.images == 8
    opened = await Library.open(home, "shop", embedder)
    assert opened.metadata.image_threshold == first
    assert opened.image_threshold == first.cosine
    (folder / "more.png").write_bytes(picture("red", mark=7))
    await index([folder], library)
    assert library.metadata.image_threshold.images == 9


async def test_a_library_of_before_claims_none(folder, library):
    await index([folder], library)
    old = library.metadata.model_dump(mode="json")
    del old["image_threshold"]
    assert type(library.metadata).model_validate(old).image_threshold is None
