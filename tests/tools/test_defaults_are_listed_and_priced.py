"""Every model that is a default, or that README, docs and messages hand out, is one that exists and has a price."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from openai.types import ChatModel, EmbeddingModel, ImageModel

import imagerag
from imagerag.agent.errors import ImageRAGError
from imagerag.graphs.configuration.settings import PRESETS
from imagerag.tools.generators.openai_images import DEFAULT_MODEL
from imagerag.tools.generators.openai_responses import DEFAULT_IMAGE_MODEL
from imagerag.tools.pricing.price_table import OFFICIAL, Prices
from imagerag.tools.spec import BackendSpec

ROOT = Path(imagerag.__file__).resolve().parent.parent
EMBEDDERS = set(get_args(EmbeddingModel))
"""Their port has no prices: what they cost is in no budget."""
LISTED = {*get_args(ChatModel), *get_args(ImageModel), *EMBEDDERS}
RETIRED = {"dall-e-2", "dall-e-3", "gpt-image-1"}
SPEC = re.compile(r"(?<![\w/-])openai(?:-chat|-responses)?:[a-z][\w./-]*(?:\?[\w=&+.%-]+)?(?:@https?://[^\s\"'`,)]+)?")
SOURCES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / "imagerag").rglob("*.py"),
]


def handed_out() -> Iterator[tuple[str, str]]:
    """(file, spec) of every spec with a model of OpenAI's own service."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        for found in SPEC.finditer(text):
            try:
                spec = BackendSpec.parse(found[0].rstrip("."))
            except ImageRAGError:
                continue
            elsewhere = text[found.end() : found.end() + 1] == "@"  # `@URL`, which stands for an address
            if spec.model and not spec.base_url and not elsewhere:
                yield path.name, spec.model


PRESET = [
    (name, spec.partition(":")[2])
    for name, preset in PRESETS.items()
    for spec in preset.values()
    if spec.startswith("openai:")
]
HANDED_OUT = sorted({(file, model) for file, model in handed_out()})


@pytest.fixture(autouse=True)
def _no_table_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IMAGERAG_PRICES", "IMAGERAG_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_something_is_handed_out() -> None:
    assert len(HANDED_OUT) > 5


@pytest.mark.parametrize(
    ("file", "model"),
    [
        *HANDED_OUT,
        ("default", DEFAULT_MODEL),
        ("default", DEFAULT_IMAGE_MODEL),
        *PRESET,
    ],
)
def test_a_model_that_is_named_is_listed_and_priced(file: str, model: str) -> None:
    assert model in LISTED - RETIRED
    draws = model in get_args(ImageModel)
    assert model in EMBEDDERS or Prices.load().of(model, OFFICIAL).tariff(draws=draws).known
