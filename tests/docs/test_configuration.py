"""The page on configuration has every setting and every variable, each with an example that is accepted."""

import inspect
import os
import re
import tomllib
from pathlib import Path

import pytest

from imagerag.graphs.configuration.settings import PRESETS, Settings, read_settings, resolve
from imagerag.tools.credentials import HUB_ADDRESS, HUB_KEYS, KEYS, OPENAI_ADDRESS
from imagerag.tools.pricing.price_table import rows_of
from imagerag.tools.services.table import SERVICES
from tests.docs.generated import DOCS, ROOT, check, code, table

PAGE = "reference/configuration.md"
TEXT = (DOCS / PAGE).read_text("utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.S)


def fields() -> list[str]:
    """The settings; where their values came from is no setting."""
    return [name for name in Settings.model_fields if name not in ("source", "origins")]


def described() -> dict[str, str]:
    """What the docstring of the settings says of each."""
    text = inspect.getdoc(Settings) or ""
    return dict(re.findall(r"^    (\w+): (.*?)\.?$", text, re.M))


def settings() -> str:
    rows = []
    for name in fields():
        default = Settings.model_fields[name].get_default()
        shown = f"`{default}`" if isinstance(default, int) else "the preset's" if name in PRESETS["sketch"] else ""
        rows.append((f"`{name}`", f"`IMAGERAG_{name.upper()}`", described()[name], shown))
    return table(("key", "variable", "meaning", "default"), rows)


def presets() -> str:
    names = list(PRESETS["sketch"])
    rows = [
        (f"`{preset}`", *(code(filter(None, [values.get(name)])) for name in names))
        for preset, values in PRESETS.items()
    ]
    return table(("preset", *(f"`{name}`" for name in names)), rows)


def test_generated_tables_of_settings_are_what_the_code_says() -> None:
    check(PAGE, settings=settings(), presets=presets())


def variables() -> set[str]:
    """The variables that the code names, those of settings, and those of keys."""
    named = {
        found
        for file in (ROOT / "imagerag").rglob("*.py")
        for found in re.findall(r"\bIMAGERAG_[A-Z_]+[A-Z]\b", file.read_text("utf-8"))
    }
    others = {
        found
        for file in (ROOT / "imagerag").rglob("*.py")
        if "bench" not in file.parts
        for found in re.findall(
            r"environ(?:\.get|\.setdefault)?[(\[]\s*\"([A-Z_]+)\"|\"([A-Z_]+)\" in os\.environ", file.read_text()
        )
    }
    return {
        *named,
        *(first or second for first, second in others if "TERM" not in (first, second)),
        *(f"IMAGERAG_{name.upper()}" for name in fields()),
        *KEYS.values(),
        *(name for one in SERVICES.values() for name in (*one.keys, one.address_variable) if name),
        OPENAI_ADDRESS,
        *HUB_KEYS,
        HUB_ADDRESS,
    }


@pytest.mark.parametrize("name", sorted(variables()))
def test_every_variable_is_described_and_has_an_example(name: str) -> None:
    assert f"`{name}`" in TEXT
    assert re.search(rf"^export {name}=\S", TEXT, re.M)


@pytest.mark.parametrize("name", fields())
def test_every_setting_is_described_and_has_an_example(name: str) -> None:
    assert f"`{name}`" in TEXT
    assert any(name in tomllib.loads(example) for example in EXAMPLES)


def test_no_variable_is_described_that_there_is_not() -> None:
    assert set(re.findall(r"\b(IMAGERAG_[A-Z_]+)\b", TEXT)) <= variables()


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_of_files_are_accepted(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "models" in tomllib.loads(example):
        assert len(rows_of(example, "prices.toml")) == 2
        return
    file = tmp_path / "imagerag.toml"
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("IMAGERAG_")]:
        monkeypatch.delenv(name)
    values = read_settings(file, example.encode())
    made = resolve(**{name: str(value) for name, value in values.items()})
    assert {name: getattr(made, name) for name in values} == values


def test_examples_of_variables_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in re.findall(r"^export (IMAGERAG_\w+)='?([^'\n]+)'?$", TEXT, re.M):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("IMAGERAG_ENV_FILE")
    made = resolve()
    assert [name for name in fields() if made.origins.get(name) != "environment"] == []
