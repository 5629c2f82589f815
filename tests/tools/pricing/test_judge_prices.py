"""What a judge's answer costs: bounded before it is asked for, exact afterwards."""

import pytest

from imagerag.tools.judges.vlm.chat_protocol import LONGEST_ANSWER
from imagerag.tools.pricing.price_rows import JUDGE_WORDS, PriceRow
from imagerag.tools.pricing.price_table import OFFICIAL, Prices
from imagerag.tools.pricing.token_usage import tokens_of
from imagerag.tools.registry import make_judge

CACHED = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 200},
}


def test_usage_is_booked_by_what_was_read_from_a_cache_and_written_to_one() -> None:
    price = Prices.load().of("gpt-5.6-terra", OFFICIAL)
    assert price("", CACHED) == pytest.approx((400 * 2 + 400 * 0.2 + 200 * 2.5 + 100 * 12) / 1e6)


def test_cached_tokens_of_told_kinds_are_cheaper_too() -> None:
    told = {"text_tokens": 600, "image_tokens": 400, "cached_tokens": 700}
    tokens = tokens_of({"prompt_tokens": 1000, "completion_tokens": 1, "prompt_tokens_details": told})
    assert tokens == {
        "text_in": 0, "image_in": 300, "any_in": 0, "cached_in": 600, "cached_image_in": 100, "cache_write_in": 0,
        "text_out": 0, "image_out": 0, "any_out": 1,
    }  # fmt: skip
    row = PriceRow(text_in=5, image_in=8, cached_in=1.25, cached_image_in=2, text_out=0)
    assert row.cost(tokens) == pytest.approx((300 * 8 + 600 * 1.25 + 100 * 2) / 1e6)


def test_long_input_is_dearer_as_a_whole() -> None:
    price = Prices.load().of("gpt-5.6-luna", OFFICIAL)
    usage = {"prompt_tokens": 300_000, "completion_tokens": 0}
    assert price("", usage) == pytest.approx(300_000 * 0.4 / 1e6)


def test_the_most_a_verdict_can_cost_is_known_for_the_model_is_asked_for_no_longer_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("IMAGERAG_PRICES", "IMAGERAG_HOME", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    judge = make_judge("openai:gpt-5.6-terra")
    most = judge.capabilities.tariff.most(100, 1, None)  # type: ignore[attr-defined]
    assert most == pytest.approx(((100 + JUDGE_WORDS + 12_000) * 2.5 + LONGEST_ANSWER * 12) / 1e6)
    assert judge.chat.answer_tokens == LONGEST_ANSWER  # type: ignore[attr-defined]
    short = make_judge("openai:gpt-5.6-terra?max_tokens=1000")
    assert short.capabilities.tariff.most(100, 1, None) < most  # type: ignore[attr-defined]
    assert make_judge("openai:qwen3-vl@http://localhost:1/v1").chat.answer_tokens is None  # type: ignore[attr-defined]
