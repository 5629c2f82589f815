"""The size that a generator is sent for the one that was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Capabilities, SizeRules
from imagerag.agent.size_translation import RATIO_TOLERANCE, check_size, nearest_size, sent_size, size_for
from imagerag.agent.types import NamedSize, Size, parse_size
from imagerag.tools.fallback.generator import FallbackGenerator
from imagerag.tools.generators.diffusers.families import FAMILIES
from imagerag.tools.generators.image_models import OPENAI_SIZES, model_facts
from imagerag.tools.testing.fakes import ScriptedGenerator

THREE = model_facts("gpt-image-1.5").sizes


def generator(sizes: tuple[Size, ...] | None = None, rules: SizeRules | None = None) -> ScriptedGenerator:
    made = ScriptedGenerator(sizes=sizes)
    made.capabilities = Capabilities(size_rules=rules or SizeRules())
    return made


LISTED, RULED = generator(THREE), generator(rules=OPENAI_SIZES)
LOCAL = generator(rules=FAMILIES["qwen-image-2.1"].size_rules)


@pytest.mark.parametrize(
    ("made", "asked", "sent"),
    [
        (LISTED, "1:1", "1024x1024"),
        (LISTED, "16:9", "1536x1024"),
        (LISTED, "4:3@1K", "1536x1024"),
        (LISTED, "9:16", "1024x1536"),
        (LISTED, "1K", "1024x1024"),
        (RULED, "1K", "1024x1024"),
        (RULED, "16:9@1K", "1360x768"),
        (RULED, "16:9@2K", "2736x1536"),
        (RULED, "16:9@4K", "3840x2160"),
        (RULED, "3:1", "1776x592"),
        (RULED, "512", "512x512"),
        (LOCAL, "16:9", "1376x768"),
        (LOCAL, "2K", "2048x2048"),
        (RULED, "1536x1024", "1536x1024"),
    ],
)
def test_words_become_pixels_that_the_generator_draws(made: ScriptedGenerator, asked: str, sent: str) -> None:
    assert str(size_for(made, parse_size(asked))) == sent
    check_size(made, parse_size(asked))


@pytest.mark.parametrize(
    ("made", "asked", "why"),
    [
        (LISTED, "21:9", "nothing of that shape; it draws 1024x1024, 1536x1024, 1024x1536"),
        (LISTED, "2K", "nothing near that resolution; it draws 1024x1024"),
        (LISTED, "512", "nothing near that resolution"),
        (LISTED, "1000x1000", "it draws 1024x1024, 1536x1024, 1024x1536"),
        (RULED, "4:1", "neither side may be more than three times the other"),
        (RULED, "1:1@4K", "the largest of that shape is 2160x2160"),
        (RULED, "1000x1000", "width and height must be divisible by 16, for instance 992x992"),
        (RULED, "4096x2048", "the largest is 3840x2160"),
        (generator(()), "16:9", "cannot be asked for a size"),
        (generator(()), "512x512", "cannot be asked for a size"),
    ],
)
def test_what_is_not_drawn_is_refused_with_what_is(made: ScriptedGenerator, asked: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        check_size(made, parse_size(asked))


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["", "@512", "@1K", "@2K", "@4K"]))
def test_computed_pixels_keep_the_rules(width: int, height: int, resolution: str) -> None:
    try:
        size = parse_size(f"{width}:{height}{resolution}")
        sent = size_for(RULED, size)
    except ValueError:
        assert max(width, height) > 3 * min(width, height) or resolution == "@4K"
        return
    assert sent is not None
    assert type(sent) is Size
    assert OPENAI_SIZES.problem_with(sent) is None
    assert sent.width / sent.height == pytest.approx(width / height, rel=RATIO_TOLERANCE - 1)


@given(st.integers(16, 4096), st.integers(16, 4096))
def test_the_nearest_size_of_a_fallback_is_one_that_is_drawn(width: int, height: int) -> None:
    asked = Size(width=width, height=height)
    assert nearest_size(LISTED, asked) in (THREE or ())
    nearest = nearest_size(RULED, asked)
    assert nearest is not None
    assert OPENAI_SIZES.problem_with(nearest) is None
    assert nearest_size(generator(()), asked) is None
    assert sent_size(generator(), asked) == asked


def test_a_fallback_gets_the_words_and_is_checked_by_its_first_member() -> None:
    fallback, words = FallbackGenerator([LISTED, RULED]), NamedSize.of("16:9", "1K")
    assert size_for(fallback, words) is words
    check_size(fallback, words)
    with pytest.raises(UsageError, match="nothing near"):
        check_size(fallback, NamedSize.of("16:9", "4K"))
    check_size(FallbackGenerator([RULED, LISTED]), NamedSize.of("16:9", "4K"))
