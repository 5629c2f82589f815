"""Cutting subjects out where they meet the edge of the picture."""

import pytest
from PIL import Image, ImageDraw

from imagerag.agent.images.subject_segmentation import background_colours, cut_subjects


def picture(box: tuple[int, int, int, int]) -> Image.Image:
    """A red block with cream stripes and a dark outline on mint paper."""
    image = Image.new("RGB", (256, 256), (208, 238, 221))
    draw = ImageDraw.Draw(image)
    draw.rectangle(box, fill=(214, 33, 39), outline=(90, 10, 14), width=6)
    for top in range(box[1] + 12, box[3] - 12, 24):
        draw.rectangle((box[0] + 6, top, box[2] - 6, top + 10), fill=(255, 252, 235))
    return image


@pytest.mark.parametrize(
    "box", [(150, 60, 256, 200), (-1, 60, 100, 200), (60, -1, 200, 110), (60, 150, 200, 256), (70, 70, 190, 190)]
)
def test_a_thing_at_the_edge_is_cut_out_whole_and_not_taken_for_paper(box: tuple[int, int, int, int]) -> None:
    cut = cut_subjects(picture(box))[0]
    wide, high = min(box[2], 255) - max(box[0], 0), min(box[3], 255) - max(box[1], 0)
    opaque = sum(alpha > 128 for alpha in cut.getchannel("A").get_flattened_data())
    assert opaque > 0.93 * wide * high


def test_paper_that_changes_from_top_to_bottom_is_paper() -> None:
    sky = Image.linear_gradient("L").resize((256, 256)).convert("RGB").point(lambda level: 190 + level // 5)
    assert background_colours(sky) is not None
    ImageDraw.Draw(sky).ellipse((80, 80, 180, 180), fill=(200, 30, 30))
    cut = cut_subjects(sky)[0]
    assert cut.width == pytest.approx(100, abs=6)
