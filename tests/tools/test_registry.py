from pathlib import Path

import pytest

from imagerag.agent.errors import SpecError
from imagerag.tools.registry import (
    answerer_for,
    is_provider,
    make_embedder,
    make_generator,
    make_judge,
    providers,
)
from imagerag.tools.testing.fakes import HashEmbedder


@pytest.mark.parametrize(
    ("make", "role"), [(make_generator, "generator"), (make_judge, "judge"), (make_embedder, "embedder")]
)
def test_an_unknown_provider_is_told_what_there_is(make, role) -> None:
    with pytest.raises(SpecError) as caught:
        make("nosuch:thing")
    assert "nosuch" in str(caught.value)
    assert all(provider in str(caught.value) for provider in providers(role))
    with pytest.raises(SpecError, match="fallback" if role == "embedder" else "other"):
        make("sketch,other:thing")
    with pytest.raises(SpecError, match="one model only"):
        make("sketch:large")


def test_everything_built_in_is_listed() -> None:
    assert "sketch" in providers("generator")
    assert {"clip", "sketch"} <= set(providers("judge"))
    assert {"open_clip", "sketch"} <= set(providers("embedder"))


def test_the_same_spec_is_the_same_embedder(tiny: Path) -> None:
    assert make_embedder(f"open_clip:local-dir:{tiny}") is make_embedder(f"open_clip:local-dir:{tiny}")
    assert make_embedder("sketch") is make_embedder("sketch")
    assert make_embedder("sketch").identity.spec == "sketch"


def test_the_sketch_world_is_complete() -> None:
    assert make_generator("sketch").identity.startswith("sketch")
    assert make_judge("sketch").identity == "sketch"
    assert make_judge("clip:sketch").identity == "sketch"
    assert make_judge("clip", embedder=make_embedder("sketch")).identity == "sketch"


def test_a_clip_judge_looks_through_what_it_is_given(tiny: Path) -> None:
    assert make_judge("clip", embedder=HashEmbedder()).identity == "clip:hash"
    spec = f"open_clip:local-dir:{tiny.resolve()}"
    assert make_judge(f"clip:{spec}").identity == f"clip:{spec}"
    assert make_judge(f"clip:local-dir:{tiny}").identity == f"clip:{spec}"
    with pytest.raises(SpecError, match="no address"):
        make_judge("clip@http://localhost/v1")


def test_other_packages_add_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name, value = "mine", "my_package:make"

        def load(self):
            return lambda spec: HashEmbedder(dimension=len(spec.model))

    def points(*, group: str, name: str | None = None) -> list[Point]:
        return [Point()] if group == "imagerag.embedders" and name in (None, "mine") else []

    monkeypatch.setattr("imagerag.tools.registry.entry_points", points)
    assert make_embedder("mine:model").identity.dimension == 5
    assert "mine" in providers("embedder")


def test_built_in_providers_are_known_without_looking_through_what_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("imagerag.tools.registry.entry_points", lambda *, group: asked.append(group) or [])
    assert answerer_for("sketch") == "sketch"
    assert is_provider("embedder", "open_clip")
    assert asked == []
    assert not is_provider("embedder", "nosuch")
    assert asked == ["imagerag.embedders"]
