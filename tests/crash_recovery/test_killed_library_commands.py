"""A process is killed while it removes, optimizes, calibrates, or encodes regions or captions; the same command again
ends with the exact rows.

3 kills of each here; `STORM=full python -m pytest tests/crash_recovery/test_killed_library_commands.py -s` makes it 30.
"""

import asyncio
import os
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from imagerag.store.data_dir import DataDir
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.indexing.caption_encoding import use_caption_embedder
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.removal import remove_images, removed_ids, settle_removal
from imagerag.store.library.maintenance.snapshots import create_snapshot, list_snapshots
from imagerag.store.library.maintenance.verification import verify_table
from imagerag.store.library.region_columns import REGION_COLUMNS
from tests.processes import Python
from tests.store.conftest import COLOURS, ColourEmbedder, picture

KILLS = 30 if os.environ.get("STORM") == "full" else 3
KILLED_ENCODING = 30 if KILLS == 30 else 2
IMAGES, GOING = 96, 60

PRELUDE = """
import asyncio, sys
from pathlib import Path
from tests.store.conftest import ColourEmbedder
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.removal import remove_images, settle_removal

async def main():
    library = await Library.open(DataDir(Path(sys.argv[1])), "shop", ColourEmbedder())
    old = [row for row in await library.rows() if row.caption.startswith("old")]
    going, odd = [row.id for row in old], [row.id for row in old if int(row.title) % 2]
    print("ready", flush=True)
"""

COMMANDS = {
    "remove": """
    from imagerag.store.library.maintenance import removal
    removal.AT_ONCE = 7
    await remove_images(library, going)
    await settle_removal(library, going)
""",
    "optimize": """
    await library.delete(going)
    await library.optimize()
    await library.optimize()
""",
    "calibrate": """
    await library.calibrate()
    await library.optimize()
""",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a library of 96 copied pictures, 60 of which are to go."""
    root = tmp_path_factory.mktemp("killed")
    (root / "pictures").mkdir()
    for number in range(IMAGES):
        name = root / "pictures" / f"{number:03}"
        colour = list(COLOURS)[number % len(COLOURS)]
        size = (24, 16) if number % 4 else (120, 120)  # too small for regions, and of 13 tiles
        name.with_suffix(".png").write_bytes(picture(colour, mark=number, size=size))
        name.with_suffix(".txt").write_text(f"{'old' if number < GOING else 'new'} {colour} card {number}")

    async def fill() -> None:
        library = await Library.create_or_open(DataDir(root / "home"), "shop", ColourEmbedder())
        await index([root / "pictures"], library, copy=True)

    asyncio.run(fill())
    return root


def killed(home: Path, code: str, after_s: float, *arguments: Path) -> bool:
    """Run code in a process and kill it; whether it was still at it."""
    child = Python("-c", PRELUDE + code + "\nasyncio.run(main())\n", home, *arguments, cwd=Path(__file__).parents[2])
    assert child.stdout is not None
    told = child.stdout.readline()
    assert told.strip() == "ready", child.stderr.read() if child.stderr else ""
    time.sleep(after_s)
    alive = child.poll() is None
    child.kill()
    child.communicate()
    return alive


async def state(library: Library) -> tuple[list[Any], list[str]]:
    strays = [one.path for one in verify_table(library.table).problems]
    folder = library.folder
    return await library.rows(), [*strays, *(str(path) for path in folder.rglob(".tmp-*"))]


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_killed_command_is_finished_by_the_next(whole: Path, tmp_path: Path, command: str) -> None:
    chance, alive = random.Random(command), 0
    for number in range(KILLS):
        home = tmp_path / f"{number}"
        shutil.copytree(whole / "home", home)
        library = await Library.open(DataDir(home), "shop", ColourEmbedder())
        before = await library.rows()
        staying = [row for row in before if row.caption.startswith("new")]
        alive += killed(home, COMMANDS[command], chance.random() * 0.6)
        between = await library.rows()
        assert {row.id for row in staying} <= {row.id for row in between} <= {row.id for row in before}
        assert (await library.search("red card", k=3))[0].similarity > 0.3
        going = [row.id for row in between if row.caption.startswith("old")]
        if command == "remove":
            assert removed_ids(library.folder) in (
                frozenset(),
                {row.id for row in before} - {row.id for row in staying},
            )
            await remove_images(library, going)
            await settle_removal(library, going)
            assert not list(library.table.images.strays({row.id for row in staying}))
            if not going:  # killed after its last row: no row has changed since, so settling had nothing to join
                await library.optimize()
        elif command == "optimize":
            await library.delete(going)
            await library.optimize()
        else:
            await library.calibrate()
            await library.optimize()
            assert not await library.is_stale()
        rows, strays = await state(library)
        assert rows == (before if command == "calibrate" else staying)
        assert strays == []
        copies = {path.parent.name + path.name for path in library.table.images.root.glob("*/*")}
        assert copies <= {row.id for row in rows}
        versions = library.table.lance.list_versions()
        assert len(versions) <= 2, "an optimized library keeps no history"
        shutil.rmtree(home)
    print(f"\n{command}: {alive} of {KILLS} were killed in time")


INDEXED = {
    "regions": (
        """
    from imagerag.store.library import region_encoding
    from imagerag.store.library.indexing.ingest import index
    region_encoding.AT_ONCE = 7
    await index([sys.argv[2]], library, regions=True)
""",
        REGION_COLUMNS,
    ),
    "captions": (
        """
    from imagerag.store.library.indexing import caption_encoding
    from imagerag.store.library.indexing.ingest import index
    caption_encoding.AT_ONCE = 7
    await caption_encoding.use_caption_embedder(library, library.embedder)
    await index([sys.argv[2]], library)
""",
        (CAPTION_VECTOR,),
    ),
}
"""What `index --regions` and `index --caption-embedder own` do, and the columns that they fill."""


async def encode_again(library: Library, pictures: Path, command: str) -> None:
    """Run the command of a killed process again."""
    if command == "captions":
        await use_caption_embedder(library, library.embedder)
    await index([pictures], library, regions=command == "regions")


async def columns_of(library: Library, names: Sequence[str]) -> dict[str, Any]:
    return {record.pop("id"): record for record in await library.table.records(["id", *names], None)}


@pytest.mark.parametrize("command", INDEXED)
async def test_killed_encoding_of_regions_and_captions_is_finished_by_the_next(
    whole: Path, tmp_path: Path, command: str
) -> None:
    code, names = INDEXED[command]
    shutil.copytree(whole / "home", tmp_path / "whole")
    uninterrupted = await Library.open(DataDir(tmp_path / "whole"), "shop", ColourEmbedder())
    await encode_again(uninterrupted, whole / "pictures", command)
    expected, rows = await columns_of(uninterrupted, names), await uninterrupted.rows()
    assert all(value is not None for record in expected.values() for value in record.values())
    chance, alive = random.Random(command), 0
    for number in range(KILLED_ENCODING):
        home = tmp_path / f"{number}"
        shutil.copytree(whole / "home", home)
        alive += killed(home, code, chance.random() * 0.8, whole / "pictures")
        library = await Library.open(DataDir(home), "shop", ColourEmbedder())
        assert await library.rows() == rows
        between = await columns_of(library, [name for name in names if name in library.table.lance.schema.names])
        for one, record in between.items():
            assert all(value in (None, expected[one][name]) for name, value in record.items())
            assert len({value is None for value in record.values()}) <= 1, "vectors without boxes"
        assert (await library.search("red card", k=3))[0].similarity > 0.3
        await encode_again(library, whole / "pictures", command)
        await library.optimize()
        assert await state(library) == (rows, [])
        assert await columns_of(library, names) == expected
        assert len(library.table.lance.list_versions()) <= 2
        assert not await library.is_stale()
        shutil.rmtree(home)
    print(f"\n{command}: {alive} of {KILLED_ENCODING} were killed in time")


SNAPSHOTS = """
    from imagerag.store.library.maintenance.snapshots import create_snapshot, remove_snapshot, restore_snapshot
    home = DataDir(Path(sys.argv[1]))
    for number in range(50):
        restore_snapshot(library.table, ("all", "new")[number % 2])
        create_snapshot(library.table, f"n{number}")
        if number:
            remove_snapshot(library.table, f"n{number - 1}")
"""


async def test_a_killed_snapshot_command_leaves_whole_ones_and_a_library_that_is_one_of_them(
    whole: Path, tmp_path: Path
) -> None:
    chance, alive = random.Random("snapshots"), 0
    for number in range(KILLS):
        home = tmp_path / f"{number}"
        shutil.copytree(whole / "home", home)
        library = await Library.open(DataDir(home), "shop", ColourEmbedder())
        held = {"all": await library.rows()}
        create_snapshot(library.table, "all")
        await library.delete([row.id for row in held["all"] if row.caption.startswith("old")])
        await library.optimize()
        held["new"] = await library.rows()
        create_snapshot(library.table, "new")
        alive += killed(home, SNAPSHOTS, chance.random() * 0.6)
        rows = await library.rows()
        assert rows in held.values()
        for snapshot in list_snapshots(DataDir(home), "shop"):
            opened = await Library.open(DataDir(home), snapshot.name, ColourEmbedder())
            assert await opened.rows() in held.values()
            assert snapshot.images == await opened.count()
            assert verify_table(opened.table).problems == ()
        await library.optimize()
        assert await state(library) == (rows, [])
        shutil.rmtree(home)
    print(f"\nsnapshots: {alive} of {KILLS} were killed in time")


READER = """
    library_hits = 0
    while not Path(sys.argv[2]).exists():
        hits = await library.search("red card", k=5)
        assert hits and len({hit.image.sha256 for hit in hits}) == len(hits), hits
        library_hits += 1
    print("searched", library_hits, flush=True)
"""

WRITERS = {
    "remove": "    going = [one for one in going if one not in odd]\n"
    "    await remove_images(library, going); await settle_removal(library, going)\n",
    "remove the others": "    await remove_images(library, odd); await settle_removal(library, odd)\n",
    "optimize": "    [await library.optimize() for _ in range(4)]\n",
    "calibrate": "    [await library.calibrate() for _ in range(2)]\n",
}


async def test_four_processes_write_while_one_searches(whole: Path, tmp_path: Path) -> None:
    home, end = tmp_path / "home", tmp_path / "end"
    shutil.copytree(whole / "home", home)
    library = await Library.open(DataDir(home), "shop", ColourEmbedder())
    staying = [row for row in await library.rows() if row.caption.startswith("new")]
    root = Path(__file__).parents[2]

    def start(code: str) -> Python:
        return Python("-c", PRELUDE + code + "\nasyncio.run(main())\n", home, end, cwd=root)

    reader = start(READER)
    writers = [start(code) for code in WRITERS.values()]
    for writer in writers:
        out, err = await asyncio.to_thread(writer.communicate)
        assert writer.returncode == 0, out + err
    end.touch()
    out, err = await asyncio.to_thread(reader.communicate)
    assert reader.returncode == 0, err
    assert "searched" in out
    await library.optimize()
    rows, strays = await state(library)
    assert (rows, strays) == (staying, [])
    assert not await library.is_stale() or await library.calibrate()
