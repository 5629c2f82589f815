"""The confidence of descriptions tells a library's own captions from those of other images."""

from pathlib import Path

import pytest

from imagerag.agent.errors import UsageError
from imagerag.evals.description_confidence import measure
from imagerag.store.data_dir import DataDir
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from tests.store.conftest import COLOURS, ColourEmbedder, picture


async def test_right_captions_are_told_from_wrong_ones(tmp_path: Path) -> None:
    library = await Library.create_or_open(DataDir(tmp_path / "home"), "shop", ColourEmbedder())
    with pytest.raises(UsageError, match="fewer than two"):
        await measure(library)
    for name in COLOURS:
        for mark in range(3):
            (tmp_path / f"{name}{mark}.png").write_bytes(picture(name, mark=mark))
            (tmp_path / f"{name}{mark}.txt").write_text(f"{name} {name} {name} card {mark}", encoding="utf-8")
    await index([tmp_path], library)
    before = await library.rows()
    found = await measure(library)
    assert (found.captions, found.right_low) == (24, 0)
    assert found.wrong_low > 12
    assert await library.rows() == before
