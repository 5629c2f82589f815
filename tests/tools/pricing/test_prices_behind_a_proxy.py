"""A model that somebody sells is not free because a proxy on this machine hands it on."""

from pathlib import Path

import pytest

from imagerag.tools.pricing.price_table import Prices
from imagerag.tools.registry import make_generator, make_judge

USAGE = {"input_tokens": 50, "output_tokens": 100, "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}


@pytest.mark.parametrize("model", ["gpt-image-2", "openai/gpt-image-2", "azure/gpt-image-2"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_sold_model_costs_what_its_maker_takes(model: str, host: str) -> None:
    price = Prices.load().of(model, host)
    assert price(model, USAGE) == pytest.approx((10 * 5 + 40 * 8 + 100 * 30) / 1e6)
    assert price.tariff(draws=True).known


@pytest.mark.parametrize(
    "model", ["gpt-image-2.6-flare", "gpt-9", "gemini-99-image", "claude-none-9", "openrouter/any", "fal_ai/flux-pro"]
)
def test_a_sold_model_without_a_price_is_unknown_there_and_not_free(model: str) -> None:
    price = Prices.load().of(model, "localhost")
    assert price(model, USAGE) is None
    assert not price.tariff(draws=True).known


@pytest.mark.parametrize(
    "model",
    ["qwen3-vl", "Qwen/Qwen3-VL-4B-Instruct", "flux2-klein", "gpt-oss:20b", "openai/gpt-oss-20b", "gemma3"],
)
def test_a_model_that_runs_here_is_free(model: str) -> None:
    assert Prices.load().of(model, "localhost")(model, USAGE) == 0


def test_localai_runs_models_itself_whatever_they_are_called() -> None:
    assert make_generator("localai:gpt-image-1").capabilities.tariff.most(1, 1, None) == 0  # type: ignore[attr-defined]
    assert make_generator("openai:gpt-image-2@http://localhost:4000").capabilities.tariff.most(1, 1, None) > 0  # type: ignore[attr-defined]
    assert make_judge("openai:gpt-5.6-luna@http://localhost:4000").capabilities.tariff.most(1, 1, None) > 0  # type: ignore[attr-defined]


def test_the_users_own_row_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text('[models."gpt-image-2@localhost"]\ntext_in=0\nimage_in=0\nimage_out=0\n')
    assert Prices.load(tmp_path).of("gpt-image-2", "localhost")("", USAGE) == 0
