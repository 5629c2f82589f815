"""The tools on fakes, and on the sketch world."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG
from imagerag.assistants.service import ChatService
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary
from tests.conftest import copied

CAPTION = "a detailed picture of a heart"


@dataclass(frozen=True)
class Stage:
    """A real home and a real graph, on fakes for what costs money. The library holds one heart."""

    rag: ImageRAG
    service: ChatService
    generator: ScriptedGenerator
    judge: ScriptedJudge
    library: ScriptedLibrary


@pytest.fixture
def make_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    """Makes stages whose judge finds what is given; files are read below the test's folder."""
    monkeypatch.chdir(tmp_path)

    def make(*judgements: Any, script: Sequence[Any] = (), title: str = "Heart 1", **options: Any) -> Stage:
        rag = ImageRAG(preset="sketch", generator="mine", judge="mine", library="mine", home=tmp_path / "home")
        generator, judge, library = ScriptedGenerator(*script), ScriptedJudge(*judgements), ScriptedLibrary(name="mine")
        library.plant({CAPTION: 0.9, "hearts": 0.8}, title=title)
        rag.dependencies.use("generator", "mine", generator)
        rag.dependencies.use("judge", "mine", judge)
        rag.dependencies.use("library", "mine", library)
        return Stage(rag, ChatService(rag, **options), generator, judge, library)

    return make


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """One whose first picture lacks a heart, and whose second is right."""
    return make_stage(["a heart"], [])


@pytest.fixture
def sketch(sketch_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageRAG:
    """The sketch world in a home of its own."""
    monkeypatch.chdir(tmp_path)
    copied(sketch_home, tmp_path / "sketch")
    return ImageRAG(preset="sketch", home=tmp_path / "sketch")
