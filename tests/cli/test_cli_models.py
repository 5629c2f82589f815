"""`imagerag models`: what is known by name, in text and as a document."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from imagerag import ImageRAG, UsageError
from imagerag.tools.generators.diffusers.families import FAMILIES
from imagerag.tools.model_list import SOURCES
from imagerag.tools.registry import has_provider
from tests.cli.conftest import Imagerag


def test_the_list_fits_a_terminal_and_names_what_a_model_takes(
    imagerag: Imagerag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = imagerag("models").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    klein = next(line.split() for line in lines if "flux2-klein " in line)
    assert klein[:3] == ["diffusers:flux2-klein", "4", "es"], "references, and what it takes"
    assert klein[-2:] == ["Apache-2.0", "free"]
    hosted = next(line for line in lines if "gpt-image-2 " in line)
    assert "$" in hosted
    assert "em" in hosted.split()
    assert "judges" in lines


def test_the_document_holds_every_family_and_filters_narrow_it(imagerag: Imagerag) -> None:
    def listed(*arguments: str) -> list[dict[str, object]]:
        document = json.loads(imagerag("models", *arguments, "--json").stdout)
        assert document["schema"] == "imagerag.models/1"
        models: list[dict[str, object]] = document["models"]
        return models

    families = listed("--provider", "diffusers")
    assert {str(one["spec"]).partition(":")[2].partition("=")[0] for one in families} == set(FAMILIES)
    assert {one["role"] for one in listed("--role", "judge")} == {"judge"}
    assert [one["spec"] for one in listed("gpt-image", "1.5")] == ["openai:gpt-image-1.5"]
    assert listed("no-such-model") == []
    nothing = imagerag("models", "no-such-model")
    assert (nothing.exit_code, "All of them: imagerag models" in nothing.stdout) == (0, True)


@pytest.mark.parametrize("words", [["omnigen2"], ["diffusers:omnigen2"], ["omnigen", "2"], ["omini-control"]])
def test_a_name_that_cannot_be_loaded_is_listed_with_the_reason(imagerag: Imagerag, words: list[str]) -> None:
    said = " ".join(imagerag("models", *words).stdout.split())
    assert f"no model is listed for {' '.join(words)}" in said
    assert "diffusers" in said or "maintained package" in said
    assert ": use " in said


def test_an_unknown_provider_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'diffusers'"):
        ImageRAG(home=tmp_path).models(provider="difusers")
    with pytest.raises(UsageError, match="no role 'drawer'"):
        ImageRAG(home=tmp_path).models(role="drawer")


def test_every_source_lists_models_of_a_provider_that_exists(tmp_path: Path) -> None:
    rag = ImageRAG(home=tmp_path)
    for place in SOURCES.values():
        module, _, name = place.partition(":")
        models = getattr(import_module(module), name)(rag.dependencies.prices)
        assert models
        for one in models:
            assert one.spec.partition(":")[0] == one.provider
            assert has_provider(one.role, one.provider)
            assert one in rag.models(provider=one.provider)
