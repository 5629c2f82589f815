"""`imagerag prices`: what is known of prices, and how one says more."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from imagerag.cli import main
from imagerag.tools.pricing.price_table import OFFICIAL, Prices


@pytest.fixture(autouse=True)
def _no_table_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IMAGERAG_PRICES", "IMAGERAG_HOME", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def prices(home: Path, *args: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "120")
        result = CliRunner().invoke(main, ["--home", str(home), "prices", *args])
    return result.output


def test_the_list_names_model_prices_source_and_date(tmp_path: Path) -> None:
    told = json.loads(prices(tmp_path, "list", "gpt-image-2.5", "--json"))
    assert told["schema"] == "imagerag.prices/1"
    assert {one["model"] for one in told["prices"]} == {"gpt-image-2.5-flare", "gpt-image-2.5-sunburst"}
    assert told["prices"][0]["prices"]["image_out"] == 30
    assert "genai-prices" in told["prices"][0]["source"]
    assert "date" in told["prices"][0]
    assert "gpt-image-2.5-flare" in prices(tmp_path, "list", "flare")


def test_what_is_set_goes_before_the_catalogue_and_leaves_the_rest_of_the_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('# mine\n[models."a"]\ntext_in = 1 # one\n\n[models.b]\nper_call = 2\n')
    prices(tmp_path, "set", "gpt-image-2", "--text-in", "1", "--image-in", "1", "--image-out", "2")
    prices(tmp_path, "set", "b", "--text-out", "3")
    text = file.read_text()
    assert text.startswith('# mine\n[models."a"]\ntext_in = 1 # one\n')
    table = Prices.load(tmp_path)
    assert table.rows["b"].per_call == 2
    assert table.rows["b"].text_out == 3
    usage = {"input_tokens": 1, "output_tokens": 1, "input_tokens_details": {"text_tokens": 1}}
    assert table.of("gpt-image-2", OFFICIAL)("", usage) == pytest.approx(3 / 1e6)
    assert not list(tmp_path.glob(".prices.toml.*"))


def test_a_spec_is_understood_and_free_is_free(tmp_path: Path) -> None:
    prices(tmp_path, "set", "openai:gpt-image-2@http://localhost:4000/v1", "--free")
    assert Prices.load(tmp_path).of("gpt-image-2", "localhost").tariff(draws=True).most(1, 1, None) == 0


@pytest.mark.parametrize(
    "args",
    [["x"], ["x", "--text-in", "-1"], ["x", "--per-call", "nan"], ["x", "--free", "--text-in", "1"], ["@", "--free"]],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path: Path, args: list[str]) -> None:
    prices(tmp_path, "set", *args)
    assert not (tmp_path / "prices.toml").exists()


def test_a_broken_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("[models")
    prices(tmp_path, "set", "x", "--per-call", "1")
    assert (tmp_path / "prices.toml").read_text() == "[models"
