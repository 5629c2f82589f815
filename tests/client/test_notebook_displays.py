"""What results show in a notebook is escaped, small, and there even where the picture is not."""

import re
from pathlib import Path

from imagerag import ImageRAG
from imagerag.agent.notebook_display import SIDE, run_png
from imagerag.agent.run_record import RecordedImage, RunRecord
from imagerag.agent.types import Outcome
from imagerag.store.images.image_info import image_info
from imagerag.tools.testing.fakes import sample_image

EVIL = '<script>alert(1)</script> & "quotes"'


def record(path: str | None = None, **known: object) -> RunRecord:
    seen = image_info(sample_image("one")).image
    image = RecordedImage(**seen.model_dump(), path=path)
    given = {"run_id": "run", "status": "ended", "prompt": EVIL, "outcome": Outcome.ALIGNED, "image": image}
    return RunRecord(**{**given, **known})


def test_nothing_foreign_is_markup(tmp_path: Path) -> None:
    file = tmp_path / "one.png"
    file.write_bytes(sample_image("one"))
    html = record(str(file), reason=EVIL, next_steps=[EVIL])._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 4  # prompt, reason, next step, and the picture's own text
    assert re.findall(r"<(\w+)", html).count("img") == 1


def test_a_picture_that_is_gone_or_damaged_leaves_the_rest(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    for path in (None, str(tmp_path / "none.png"), str(tmp_path / "bad.png")):
        one = record(path)
        assert one._repr_png_() is None
        assert "aligned" in one._repr_html_()


def test_a_large_picture_is_shown_small(tmp_path: Path) -> None:
    from PIL import Image

    file = tmp_path / "large.png"
    Image.new("RGB", (3000, 1500), "teal").save(file)
    shown = run_png(record(str(file)))
    assert shown is not None
    seen = image_info(shown).image
    assert (seen.width, seen.height) == (SIDE, SIDE // 2)


async def test_what_a_search_gives_is_a_list_that_shows_itself(home: Path) -> None:
    rag = ImageRAG(home=home)
    hits = await rag.libraries.search("a red solid circle", k=3)
    assert isinstance(hits, list)
    assert hits._repr_html_().count("data:image/webp;base64,") == 3
    assert (await rag.libraries.search("x", k=3, tags=["no such tag"]))._repr_html_() == "<i>nothing was found</i>"
