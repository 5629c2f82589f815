"""Which backends a run gets: argument, environment, file, preset, in this order."""

import os

import pytest

from imagerag.agent.errors import UsageError
from imagerag.graphs.configuration.settings import KEY, PRESETS, resolve, variable_of
from imagerag.store.data_dir import DataDir
from imagerag.tools.credentials import key_to


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_key_the_default_is_offline_and_with_one_it_is_the_service_and_both_say_so(monkeypatch):
    assert (resolve().preset, resolve().source) == ("sketch", f"default: {KEY} is not set")
    monkeypatch.setenv(KEY, "sk-anything")
    settings = resolve()
    assert (settings.preset, settings.source, settings.library) == ("openai", f"default: {KEY} is set", None)
    assert "sk-anything" not in repr(settings)


def test_an_argument_beats_the_environment_beats_the_file_beats_the_preset(elsewhere, monkeypatch):
    (elsewhere / "imagerag.toml").write_text('judge = "clip"\nlibrary = "from-file"\nembedder = "open_clip"\n')
    monkeypatch.setenv("IMAGERAG_LIBRARY", "from-environment")
    monkeypatch.setenv("IMAGERAG_EMBEDDER", "hash")
    settings = resolve(embedder="sketch")
    assert settings.generator == PRESETS["sketch"]["generator"]
    assert (settings.judge, settings.library, settings.embedder) == ("clip", "from-environment", "sketch")
    assert {name: settings.origins[name] for name in ("judge", "library", "embedder", "generator")} == {
        "judge": "imagerag.toml", "library": "environment", "embedder": "argument", "generator": "preset sketch",
    }  # fmt: skip


def test_what_cannot_be_set_is_named(elsewhere):
    with pytest.raises(UsageError, match="no preset 'best'; there are: sketch, openai, local"):
        resolve(preset="best")
    (elsewhere / "imagerag.toml").write_text("colour = 1\n")
    with pytest.raises(UsageError, match="colour"):
        resolve()
    (elsewhere / "imagerag.toml").write_text("= 1\n")
    with pytest.raises(UsageError, match="not TOML"):
        resolve()


@pytest.mark.parametrize("value", ['"2"', "true", "2.0"])
def test_the_file_has_values_of_their_types(elsewhere, value):
    (elsewhere / "imagerag.toml").write_text(f"references_per_concept = {value}\n")
    with pytest.raises(UsageError, match=r"imagerag\.toml: references_per_concept: it has to be a whole number"):
        resolve()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PRESET", "best", "IMAGERAG_PRESET: no preset 'best'"),
        ("SIZE", "huge", "IMAGERAG_SIZE: not a size"),
        ("REFERENCES_PER_CONCEPT", "two", "IMAGERAG_REFERENCES_PER_CONCEPT: it has to be a whole number, not 'two'"),
        ("REFERENCES_PER_CONCEPT", "17", "IMAGERAG_REFERENCES_PER_CONCEPT: at most 16, not 17"),
    ],
)
def test_a_wrong_variable_is_named(elsewhere, monkeypatch, name, value, problem):
    monkeypatch.setenv(f"IMAGERAG_{name}", value)
    with pytest.raises(UsageError, match=problem):
        resolve()


def test_a_number_can_come_from_a_variable(elsewhere, monkeypatch):
    monkeypatch.setenv("IMAGERAG_REFERENCES_PER_CONCEPT", " 2 ")
    assert resolve().references_per_concept == 2


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_variable_is_not_set(tmp_path, monkeypatch, blank):
    unset = resolve()
    for name in (KEY, *(variable_of(name) for name in unset.origins), "IMAGERAG_HOME"):
        monkeypatch.setenv(name, blank)
    assert resolve() == unset
    assert DataDir.find(blank) == DataDir.default()
    (tmp_path / "keys.env").write_text(f"{KEY}=sk-file\n")
    monkeypatch.setenv("IMAGERAG_ENV_FILE", str(tmp_path / "keys.env"))
    assert resolve().preset == "openai"


def test_blanks_around_a_variable_do_not_count(monkeypatch):
    monkeypatch.setenv("IMAGERAG_PRESET", " sketch\n")
    monkeypatch.setenv(KEY, " sk-anything\n")
    assert resolve().preset == "sketch"
    assert key_to("https://api.openai.com/v1").value == "sk-anything"


def test_the_file_may_begin_as_windows_editors_begin_it(elsewhere):
    (elsewhere / "imagerag.toml").write_bytes(b'\xef\xbb\xbflibrary = "mine"\r\n')
    assert resolve().library == "mine"


def test_a_home_is_a_folder(tmp_path):
    (file := tmp_path / "home").write_text("")
    for home in (file, os.devnull, "a\0b"):
        with pytest.raises(UsageError, match="is no folder: name one with `home=DIR` or IMAGERAG_HOME"):
            DataDir.find(home)
