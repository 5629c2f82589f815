"""The clip judge on an embedder whose geometry is planted: a picture shows what its colours stand for."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imagerag.agent.errors import UsageError
from imagerag.agent.images.crop_boxes import tiles
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.ports import EmbedderIdentity, ImagePart, Judge
from imagerag.agent.types import Concept, Requirement, SamplingParams, Verdict
from imagerag.tools.judges.clip.crops import crops_of
from imagerag.tools.judges.clip.judge import ClipJudge

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
FIRST = SamplingParams()


class ColourEmbedder:
    """One axis per colour, for the mean colour of images and the words of texts; the fourth is anything else."""

    identity = EmbedderIdentity(spec="colours", model="planted", weights="none", preprocess="mean", dimension=4)
    context_length = 10

    def __init__(self) -> None:
        self.texts: list[list[str]] = []
        self.images: list[int] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2

    async def embed_texts(self, texts) -> np.ndarray:
        self.texts.append(list(texts))
        rows = [[colour in text for colour in COLOURS] for text in texts]
        return self._unit([[*row, 0.2 if any(row) else 1] for row in rows])

    async def embed_images(self, images) -> np.ndarray:
        self.images.append(len(images))
        means = [np.asarray(open_rgb(data), np.float32).reshape(-1, 3) for data in images]
        return self._unit([[*((255 - pixels.min(1)) @ (pixels > 128) / len(pixels) / 255), 0.01] for pixels in means])

    def _unit(self, rows) -> np.ndarray:
        table = np.array(rows, np.float32)
        return table / np.linalg.norm(table, axis=1, keepdims=True)


def scene(*colours: str) -> ImagePart:
    """Coloured squares side by side on white."""
    canvas = Image.new("RGB", (60 * max(1, len(colours)), 60), "white")
    for at, colour in enumerate(colours):
        canvas.paste(COLOURS[colour], (60 * at + 20, 20, 60 * at + 40, 40))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return ImagePart(data=buffer.getvalue(), media_type="image/png")


def squares(image: Image.Image) -> list[tuple[int, int, int, int]]:
    pixels = np.asarray(image)
    starts = range(0, image.width, 60)
    return [(x + 20, 20, x + 40, 40) for x in starts if (pixels[20:40, x + 20 : x + 40] < 250).any()]


@pytest.fixture
def embedder() -> ColourEmbedder:
    return ColourEmbedder()


@pytest.fixture
def judge(embedder: ColourEmbedder) -> ClipJudge:
    return ClipJudge(embedder, others=lambda _: (), regions=squares, whole=False, floor=0.3)


async def critique(judge: Judge, prompt: str, image: ImagePart, mode="fused", requirements=()):
    return await judge.critique(prompt, image, subjects=[], requirements=requirements, mode=mode, variation=FIRST)


async def test_all_there_is_aligned(judge: ClipJudge) -> None:
    answer = await critique(judge, "a red tile and a blue tile", scene("blue", "red"))
    assert answer.verdict.aligned is True
    assert answer.verdict.score == 1
    assert answer.verdict.missing == ()
    assert [requirement.text for requirement in answer.requirements] == ["a red tile", "a blue tile"]
    assert answer.verdict.reason == "all 2 requirements are met"
    assert json.loads(answer.raw)[0]["view"] == "77,17,103,43"


async def test_what_is_missing_is_named_with_numbers(judge: ClipJudge) -> None:
    verdict = (await critique(judge, "a red tile and a blue tile", scene("red", "green"))).verdict
    assert verdict.aligned is False
    assert verdict.score == 0.5
    assert verdict.missing == (Concept(text="a blue tile", caption="a blue tile"),)
    assert [check.met for check in verdict.checks] == [True, False]
    assert verdict.reason == "1 of 2 requirements met, missing: a blue tile"
    assert verdict.checks[1].evidence.startswith("0.0")
    assert "next best 'a red tile' 0.9" in verdict.checks[1].evidence or "green" in verdict.checks[1].evidence


async def test_nothing_there_misses_everything(judge: ClipJudge) -> None:
    verdict = (await critique(judge, "a red tile and a blue tile", scene())).verdict
    assert verdict.aligned is False
    assert verdict.score == 0
    assert len(verdict.missing) == 2


async def test_the_floor_rejects_what_merely_beats_its_rivals(embedder: ColourEmbedder) -> None:
    lenient, strict = (
        ClipJudge(embedder, others=lambda _: (), hard_negatives=lambda _: (), regions=squares, floor=floor)
        for floor in (0.0, 0.9999)
    )
    assert (await critique(lenient, "a red tile", scene("red"))).verdict.aligned
    assert not (await critique(strict, "a red tile", scene("red"))).verdict.aligned


async def test_other_things_may_fit_a_little_better_but_not_more(embedder: ColourEmbedder) -> None:
    def other(_: str) -> list[str]:
        return ["a green thing"]

    near, far = (ClipJudge(embedder, others=other, regions=squares, slack=slack) for slack in (1.0, 0.02))
    assert (await critique(near, "a red tile", scene("green", "red"))).verdict.aligned
    assert not (await critique(far, "a red tile", scene("green"))).verdict.aligned


async def test_one_batch_of_views_and_one_of_texts(judge: ClipJudge, embedder: ColourEmbedder) -> None:
    await critique(judge, "a red tile and a blue tile", scene("blue", "red"))
    assert embedder.images == [3]
    assert len(embedder.texts) == 1


async def test_a_given_checklist_is_used_as_it_is(judge: ClipJudge) -> None:
    asked = [Requirement(text="a green thing"), Requirement(text="a red thing")]
    answer = await critique(judge, "whatever", scene("red"), requirements=asked)
    assert answer.requirements == tuple(asked)
    assert [concept.text for concept in answer.verdict.missing] == ["a green thing"]


async def test_stepwise_says_yes_or_no_and_names_later(judge: ClipJudge) -> None:
    prompt, image = "a red tile and a blue tile", scene("red")
    answer = await critique(judge, prompt, image, mode="stepwise")
    assert answer.requirements == ()
    assert answer.verdict == Verdict(aligned=False, reason=answer.verdict.reason, raw=answer.raw)
    named = await judge.missing_concepts(prompt, image, verdict=answer.verdict, variation=FIRST)
    assert named.concepts == (Concept(text="a blue tile"),)
    assert (await critique(judge, prompt, scene("red", "blue"), mode="stepwise")).verdict.aligned
    full = await judge.missing_concepts(prompt, scene("red", "blue"), verdict=answer.verdict, variation=FIRST)
    assert full.concepts == ()


async def test_style_is_a_matter_of_the_whole(judge: ClipJudge) -> None:
    answer = await critique(judge, "a red tile on a blue background", scene("red", "blue"))
    assert [requirement.kind for requirement in answer.requirements] == ["content", "style"]
    assert json.loads(answer.raw)[1]["view"] == "whole"


async def test_captions_stand_alone_and_fit(judge: ClipJudge) -> None:
    concepts = [
        Concept(text="a red solid crescent"),
        Concept(text="in the style of Van Gogh", kind="style"),
        Concept(text="an oil painting", kind="style"),
        Concept(text="x", caption="one two three four five"),
    ]
    answer = await judge.captions("p", concepts, max_tokens=20, variation=FIRST)
    assert answer.captions[:2] == ("a red solid crescent", "a picture, in the style of Van Gogh")
    assert answer.captions[2:] == ("an oil painting", "one two three four five")
    short = await judge.captions("p", concepts, max_tokens=4, variation=FIRST)
    assert short.captions == ("a red", "a picture,", "an oil", "one two")


async def test_the_better_of_two_is_found_in_both_orders(judge: ClipJudge) -> None:
    prompt = "a red tile and a blue tile"
    good, bad = scene("red", "blue"), scene("green", "green")
    assert (await judge.compare(prompt, good, bad)).better == "first"
    assert (await judge.compare(prompt, bad, good)).better == "second"
    assert (await judge.compare(prompt, good, good)).better == "neither"


async def test_candidates_are_ranked(judge: ClipJudge) -> None:
    images = [scene("green"), scene("red", "green"), scene("red")]
    assert (await judge.choose("a red thing", images)).order == (2, 1, 0)
    assert (await judge.choose("a red thing", [])).order == ()


async def test_a_broken_image_is_wrong_use(judge: ClipJudge) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        await critique(judge, "a red tile", ImagePart(data=b"no", media_type="image/png"))


async def test_no_answer_depends_on_temperature_or_seed_but_on_the_wording(judge: ClipJudge) -> None:
    assert judge.honours == {"prompt_variant"}
    assert judge.identity == "clip:colours"


def test_a_picture_without_regions_is_tiled() -> None:
    image = scene("red", "green").data
    seen = crops_of(image, lambda _: ())
    assert seen[0].name == "whole"
    assert len(seen) == 1 + len(set(tiles((120, 60))))
    assert tiles((40, 40)) == []
    assert len(tiles((400, 300))) == 13


@given(st.integers(1, 900), st.integers(1, 900))
def test_tiles_stay_inside(width: int, height: int) -> None:
    for left, top, right, bottom in tiles((width, height)):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
