"""A batch on fakes, in a home of its own."""

from pathlib import Path

import pytest

from imagerag import ImageRAG
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary


def judgement(prompt: str, image: bytes) -> list[str]:
    """Everything is there, but for what the prompt says is hard."""
    return ["a heart"] if "hard" in prompt else []


def make_rag(home: Path, generator: ScriptedGenerator | None = None) -> ImageRAG:
    rag = ImageRAG(preset="sketch", generator="mine", judge="mine", library="mine", home=home)
    rag.dependencies.use("generator", "mine", generator or ScriptedGenerator())
    rag.dependencies.use("judge", "mine", ScriptedJudge(judgement))
    rag.dependencies.use("library", "mine", ScriptedLibrary())
    return rag


@pytest.fixture
def generator() -> ScriptedGenerator:
    return ScriptedGenerator()


@pytest.fixture
def rag(tmp_path: Path, generator: ScriptedGenerator) -> ImageRAG:
    return make_rag(tmp_path / "home", generator)
