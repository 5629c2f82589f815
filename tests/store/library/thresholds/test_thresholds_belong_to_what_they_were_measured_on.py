"""A threshold is measured anew when the library is not what it was measured on, and never overwrites a newer one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagerag.store.data_dir import DataDir
from imagerag.store.library import threshold_update
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.library_metadata import EARLIER_KEY, METADATA_KEY, read_library_metadata


def say(folder: Path, words: str) -> None:
    for file in folder.glob("*.png"):
        file.with_suffix(".txt").write_text(f"{words} {file.stem} thing")


async def test_an_index_stopped_after_changing_captions_is_made_up_for(
    home: DataDir, library: Library, folder: Path, child: Callable[..., Any]
) -> None:
    await index([folder], library)
    first = library.metadata.threshold
    say(folder, "some")
    code = """
        import os
        async def work():
            library = await Library.open(home, "shop", conftest.ColourEmbedder())
            async def die(*_, **__):
                os._exit(9)
            library.calibrate = die
            await index([given["folder"]], library)
        asyncio.run(work())
    """
    with child(code, folder=str(folder)) as indexing:
        assert indexing.wait() == 9
    assert await library.is_stale()
    report = await index([folder], library)
    assert (report.added, report.updated) == (0, 0)
    assert not await library.is_stale()
    assert library.metadata.threshold is not None
    assert first is not None
    assert library.metadata.threshold.measured_on != first.measured_on


async def test_a_slower_indexer_does_not_overwrite_a_newer_threshold(
    home: DataDir, library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one measures, another one changes every caption and is done first."""
    await index([folder], library)
    say(folder, "other")
    slow = await Library.open(home, "shop", library.embedder)
    measured = threshold_update._measure
    interrupted = []

    async def overtaken(*arguments: Any) -> Any:
        found = await measured(*arguments)
        if not interrupted:
            interrupted.append(True)
            await index([folder], library)
        return found

    monkeypatch.setattr(threshold_update, "_measure", overtaken)
    await slow.calibrate()
    assert interrupted
    assert not await library.is_stale()
    kept = read_library_metadata(home, "shop").threshold
    assert kept is not None
    assert kept.measured_on == (await slow.calibrate()).measured_on


async def test_who_is_overtaken_again_and_again_leaves_it_to_the_others(
    home: DataDir, library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await index([folder], library)
    before = read_library_metadata(home, "shop").threshold
    monkeypatch.setattr(threshold_update, "content_of", lambda table: "always something else")
    measured, times = threshold_update._measure, []

    async def overtaken(*given: Any) -> Any:
        found = await measured(*given)
        times.append(found)
        library.table.lance.update_field_metadata({"path": "caption", "metadata": {"written": str(len(times))}})
        return found

    monkeypatch.setattr(threshold_update, "_measure", overtaken)
    await library.calibrate()
    assert len(times) == threshold_update.MEASURED
    assert read_library_metadata(home, "shop").threshold == before


async def test_a_threshold_of_an_earlier_version_is_measured_once_more(
    home: DataDir, library: Library, folder: Path
) -> None:
    await index([folder], library)
    library_metadata = library.metadata
    assert library_metadata.threshold is not None
    assert library_metadata.image_threshold is not None
    old = library_metadata.model_dump(mode="json") | {"version": 1}
    old["threshold"].pop("measured_on")
    old["image_threshold"].pop("measured_on")
    import json

    update = {"path": "vector", "metadata": {METADATA_KEY: json.dumps(old)}}
    library.table.lance.update_field_metadata(update)
    assert read_library_metadata(home, "shop").version == 1
    await index([folder], library)
    assert read_library_metadata(home, "shop").threshold.measured_on == library_metadata.threshold.measured_on  # type: ignore[union-attr]
    embedded = library.embedder.images  # type: ignore[attr-defined]
    await index([folder], library)
    assert library.embedder.images == embedded  # type: ignore[attr-defined]


async def test_a_library_of_an_earlier_version_keeps_its_threshold(
    home: DataDir, library: Library, folder: Path
) -> None:
    """It kept the same values under another key and other names."""
    import json

    await index([folder], library)
    told = library.metadata.model_dump(mode="json")
    now = library.metadata.threshold
    assert now is not None
    names = {"method": "basis", "minimum": "floor", "negative_quantiles": "null", "positive_quantiles": "own",
             "accept_rate": "accepted"}  # fmt: skip
    told["threshold"] = {names.get(name, name): value for name, value in told["threshold"].items()}
    assert "basis" in told["threshold"]
    library.table.lance.update_field_metadata(
        {"path": "vector", "metadata": {METADATA_KEY: None, EARLIER_KEY: json.dumps(told)}}
    )
    assert METADATA_KEY.encode() not in (library.table.lance.schema.field("vector").metadata or {})
    assert read_library_metadata(home, "shop").threshold == now
