"""Images are scaled into a box, however thin they are."""

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imagerag.agent.images.fitting import contain

SIDES = st.integers(1, 700)


@given(size=st.tuples(SIDES, SIDES), box=st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_any_image_fits_into_any_box_and_touches_its_sides(size: tuple[int, int], box: tuple[int, int]) -> None:
    fitted = contain(Image.new("RGB", size), box, Image.Resampling.NEAREST)
    assert fitted.width == box[0] or fitted.height == box[1]
    assert all(1 <= side <= limit for side, limit in zip(fitted.size, box, strict=True))
    at = min(limit / side for side, limit in zip(size, box, strict=True))
    assert all(abs(found - side * at) < 1 for found, side in zip(fitted.size, size, strict=True))
