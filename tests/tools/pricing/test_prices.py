"""What a call costs: from the table, never from nothing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.types import Size
from imagerag.tools.pricing.price_table import OFFICIAL, PriceRow, Prices, is_local
from imagerag.tools.pricing.token_usage import tokens_of
from imagerag.tools.registry import make_generator, make_judge

IMAGES = {"input_tokens": 50, "output_tokens": 4160, "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}
CHAT = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
SQUARE = Size(width=1024, height=1024)


def test_every_packaged_row_says_where_it_is_from_and_when() -> None:
    prices = Prices.load()
    assert prices.counts
    assert all(row.as_of and row.source for row in prices.counts.values())
    assert not any(row.priced for row in prices.counts.values())  # money has one source


def test_an_image_is_priced_by_kind_of_token() -> None:
    price = Prices.load().of("gpt-image-1", OFFICIAL)
    assert price("gpt-image-1", IMAGES) == pytest.approx((10 * 5 + 40 * 10 + 4160 * 40) / 1e6)


@pytest.mark.parametrize(
    ("model", "host"),
    [
        ("gpt-image-2.6-flare", OFFICIAL),  # a longer name is another model
        ("gpt-image-2-xl", OFFICIAL),
        ("gpt-image-1", "proxy.example.com"),  # another host has its own prices
        ("google/gemini-3-pro-image", "openrouter.ai"),  # the catalogue says what its words cost, not its images
        ("qwen3-vl", "gpu.example.com"),
    ],
)
def test_what_is_not_in_the_table_is_unknown_and_not_zero(model: str, host: str) -> None:
    assert Prices.load().of(model, host)(model, IMAGES) is None
    assert host == "openrouter.ai" or not Prices.load().of(model, host).tariff(draws=True).known


def test_a_dated_name_is_its_model() -> None:
    assert Prices.load().of("gpt-image-1-2025-04-23", OFFICIAL)("", IMAGES) is not None


def test_this_machine_is_free_unless_a_row_says_otherwise(tmp_path: Path) -> None:
    for host in ("localhost", "127.0.0.1", "127.8.0.1", "::1", "vllm.localhost"):
        assert is_local(host)
        price = Prices.load().of("qwen3-vl", host)
        assert price("qwen3-vl", {}) == 0
        assert price.tariff(draws=False).most(10**6, 16, None) == 0
    (tmp_path / "prices.toml").write_text('[models."*@localhost"]\ntext_in = 1\ntext_out = 2\n')
    assert Prices.load(tmp_path).of("proxied", "localhost")("proxied", CHAT) == pytest.approx(1200 / 1e6)


def test_openrouter_says_itself_what_it_billed() -> None:
    price = Prices.load().of("google/any", "openrouter.ai")
    assert price("google/any", CHAT | {"cost": 0.25}) == 0.25
    assert price("google/any", CHAT) is None
    assert price.tariff(draws=True).known
    # Elsewhere anybody could have written that.
    assert Prices.load().of("any", "proxy.example.com")("any", CHAT | {"cost": 0}) is None


def test_a_users_rows_replace_packaged_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prices.toml").write_text('[models."gpt-image-1"]\ntext_in = 1\nimage_in = 1\nimage_out = 1\n')
    own = tmp_path / "own.toml"
    own.write_text('[models."vlm"]\ntext_in = 2.0\ncached_in = 1.0\ntext_out = 4.0\nper_call = 0.01\n')
    monkeypatch.setenv("IMAGERAG_PRICES", str(own))
    prices = Prices.load(tmp_path)
    assert prices.of("gpt-image-1", OFFICIAL)("", IMAGES) == pytest.approx(4210 / 1e6)
    assert prices.of("vlm", OFFICIAL)("", CHAT) == pytest.approx((600 * 2 + 400 * 1 + 100 * 4) / 1e6)
    assert prices.of("vlm", OFFICIAL).tariff(draws=False).most(0, 1, None) == 0.01
    assert prices.sources[1:] == (str(tmp_path / "prices.toml"), str(own))


@pytest.mark.parametrize(
    "text", ["[models", 'models = "x"', '[models."a"]\ntext_inn = 1', '[models."a"]\ntext_in = -1', "[models]\na = 1"]
)
def test_a_table_that_is_none_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "prices.toml").write_text(text)
    with pytest.raises(UsageError, match=r"prices\.toml"):
        Prices.load(tmp_path)


def test_a_named_file_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGERAG_PRICES", "/nowhere/prices.toml")
    with pytest.raises(UsageError, match="no file"):
        Prices.load()


def test_the_most_a_drawing_can_cost_is_told_only_where_every_part_is_known() -> None:
    tariff = Prices.load().of("gpt-image-1", OFFICIAL).tariff(draws=True)
    assert tariff.known
    assert tariff.most(100, 0, SQUARE) == pytest.approx((100 * 5 + 4160 * 40) / 1e6)
    assert tariff.most(100, 0, Size(width=1536, height=1024)) == pytest.approx((100 * 5 + 6208 * 40) / 1e6)
    assert tariff.most(100, 0, Size(width=2048, height=2048)) is None  # which it does not draw
    assert tariff.most(100, 0, None) == pytest.approx((100 * 5 + 6240 * 40) / 1e6)  # the largest it may choose
    assert tariff.most(100, 2, SQUARE) == pytest.approx((100 * 5 + 2 * 7000 * 10 + 4160 * 40) / 1e6)
    unsaid = PriceRow(text_in=5, image_in=10, image_out=40, image_tokens={"auto": {"high": 1}})
    assert unsaid.most(0, 1, None, draws=True, quality=None) is None  # how many tokens an image sent counts
    low = Prices.load().of("gpt-image-1", OFFICIAL).tariff(draws=True, quality="low")
    assert low.most(0, 0, SQUARE) == pytest.approx(272 * 40 / 1e6)


def test_more_of_the_table_bounds_more() -> None:
    row = PriceRow(text_in=5, image_in=10, image_out=40, image_in_tokens=1000, image_tokens={"any": {"high": 5000}})
    assert row.most(0, 2, None, draws=True, quality="auto") == pytest.approx((2 * 1000 * 10 + 5000 * 40) / 1e6)
    assert PriceRow(per_image={"1024x1024": {"hd": 0.08}}).most(9, 0, SQUARE, draws=True, quality=None) == 0.08
    assert PriceRow(text_in=1, text_out=1).most(9, 0, None, draws=False, quality=None) is None


usages = st.dictionaries(
    st.sampled_from(["input_tokens", "output_tokens", "prompt_tokens", "completion_tokens", "input_tokens_details"]),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 10**6),
        st.dictionaries(st.sampled_from(["text_tokens", "image_tokens", "cached_tokens"]), st.integers(-5, 10**6)),
    ),
)


@given(usages)
def test_any_usage_is_priced_or_not_but_never_below_what_its_tokens_cost(usage: dict[str, object]) -> None:
    rate = PriceRow(text_in=1, text_out=1)
    tokens = tokens_of(usage)
    if tokens is None:
        return
    assert all(count >= 0 for count in tokens.values())
    cost = rate.cost(tokens)
    if tokens["image_in"] or tokens["image_out"]:
        assert cost is None
    else:
        assert cost == pytest.approx(sum(tokens.values()) / 1e6)


def test_adapters_of_the_registry_know_their_prices() -> None:
    prices = Prices.load()
    drawer = make_generator("openai:gpt-image-1", prices=prices)
    assert drawer.capabilities.tariff.known  # type: ignore[attr-defined]
    # What its image tool counts is billed beside the usage that is told.
    assert not make_generator("openai-responses:gpt-5").capabilities.tariff.known  # type: ignore[attr-defined]
    assert make_generator("openai-chat:x@http://127.0.0.1:1/v1").capabilities.tariff.most(1, 1, None) == 0  # type: ignore[attr-defined]
    assert make_judge("openai:gpt-5").capabilities.tariff.known  # type: ignore[attr-defined]
    assert not make_judge("openai:gpt-77").capabilities.tariff.known  # type: ignore[attr-defined]
    assert make_judge("openai:gpt-5@http://localhost:11434/v1").capabilities.tariff.known  # type: ignore[attr-defined]
    assert make_judge("sketch").capabilities.tariff.known  # type: ignore[attr-defined]


def test_the_packaged_table_is_read_once_and_nobody_changes_it_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Prices.load()
    with monkeypatch.context() as without:
        without.setattr("imagerag.tools.pricing.price_table.rows_of", None)
        other = Prices.load()
    assert one == other
    assert one.counts is other.counts
    with pytest.raises(TypeError):
        one.counts["mine"] = PriceRow()  # type: ignore[index]
