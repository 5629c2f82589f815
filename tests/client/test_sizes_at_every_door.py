"""A size in words means the same at every door."""

import json
from pathlib import Path

import pytest

from imagerag import ImageRAG, UsageError
from imagerag.agent.types import RunContext
from imagerag.assistants.tool_inputs import GenerateImage
from imagerag.batch.input_row import parse_row
from imagerag.files.run_request import RunRequest
from imagerag.store.path_policy import PathPolicy

SIZE = "16:9@2K"


def size_of(rag: ImageRAG, **options: object) -> str | None:
    size = RunRequest.of(rag.settings, "a cat", options).setup.config.size
    return None if size is None else str(size)


def test_an_argument_goes_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert size_of(ImageRAG(preset="sketch")) is None
    monkeypatch.setenv("IMAGERAG_SIZE", "2K")
    rag = ImageRAG(preset="sketch")
    assert [size_of(rag), size_of(rag, size=SIZE), size_of(rag, size=(64, 48))] == ["2K", SIZE, "64x48"]
    assert size_of(rag, size="auto") is None
    monkeypatch.setenv("IMAGERAG_SIZE", "huge")
    with pytest.raises(UsageError, match="IMAGERAG_SIZE: not a size: 'huge'"):
        ImageRAG(preset="sketch")


def test_assistants_batches_and_the_context_of_the_graph_take_it(tmp_path: Path) -> None:
    assert GenerateImage.model_validate({"prompt": "a cat", "size": "16:9 2k"}).size == SIZE
    assert GenerateImage.model_validate({"prompt": "a cat", "size": "auto"}).size is None
    assert str(RunContext.model_validate(json.loads(json.dumps({"size": SIZE}))).config().size) == SIZE
    row = parse_row(1, {"prompt": "a cat", "size": SIZE}, PathPolicy(tmp_path))
    assert row.options["size"] == SIZE
