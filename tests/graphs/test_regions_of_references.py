"""What is sent of a library image of which a region was found: the region, the whole, and what the run notes of it."""

import io
from typing import Any, Final

import pytest
from PIL import Image

from imagerag.agent.images.regions import shown_crop
from imagerag.agent.types import Region
from imagerag.files.sidecar import Credit

CAPTION: Final = "a detailed picture of a heart"
HALF, SMALL = Region(left=0.0, top=0.0, right=1.0, bottom=0.6), Region(left=0.5, top=0.25, right=0.75, bottom=0.75)


def shared_picture() -> bytes:
    image = Image.new("RGB", (80, 40), "white")
    image.paste((200, 0, 0), (40, 10, 60, 30))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("region", "wanted", "cropped"),
    [
        (SMALL, "auto", True),
        (SMALL, "region", True),
        (SMALL, "whole", False),
        (HALF, "auto", False),
        (HALF, "region", True),
        (None, "region", False),
    ],
)
async def test_the_region_or_the_whole_is_sent(bench: Any, region: Region | None, wanted: str, cropped: bool) -> None:
    whole = bench.library.plant(CAPTION, shared_picture(), region=region)
    bench.judge.enqueue(["a heart"], [])
    record = await bench.run(reference_crop=wanted)
    candidate = record.searches[0].candidates[0]
    assert (candidate.image, candidate.region) == (whole, region)
    reference = record.attempts[1].references[0]
    assert (reference.image, reference.region, reference.crop is not None) == (whole, region, cropped)
    sent = Image.open(io.BytesIO(bench.generator.calls[-1].references[0].data))
    expected = Image.open(io.BytesIO(shared_picture()))
    expected = shown_crop(expected, region) if cropped and region else expected
    assert sent.size == expected.size
    assert sent.tobytes() == expected.tobytes()
    credit = Credit.of(reference)
    assert credit.sha256 == whole.sha256
    assert (credit.region, credit.crop) == ((region, reference.crop.sha256) if reference.crop else (None, None))


async def test_the_crop_is_kept_by_the_run_and_the_same_again(bench: Any, new_bench: Any) -> None:
    crops = []
    for one in (bench, new_bench()):
        one.library.plant(CAPTION, shared_picture(), region=SMALL)
        one.judge.enqueue(["a heart"], [])
        reference = (await one.run()).attempts[1].references[0]
        crops.append(await one.blobs.get(reference.crop.sha256))
        assert (reference.crop.width, reference.crop.height) == (26, 26)
    assert crops[0] == crops[1]


async def test_a_reference_that_is_sent_again_is_not_cropped_again(bench: Any) -> None:
    bench.library.plant(CAPTION, shared_picture(), region=SMALL)
    for similarity in (0.9, 0.8):
        bench.library.plant("a detailed picture of a star", similarity=similarity)
    bench.judge.enqueue(["a heart", "a star"], ["a star"], [])
    record = await bench.run()
    first, later = ([one for one in attempt.references if one.concept == "a heart"] for attempt in record.attempts[1:])
    assert first[0].crop
    assert [one.crop for one in later] == [first[0].crop]
