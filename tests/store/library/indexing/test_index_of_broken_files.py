"""Among broken and hostile files every good one is indexed, and every broken one is listed by its name.

Each kind once here; `STORM=full python -m pytest -s` on this file makes it 1,000 broken ones among 2,000 (minutes), and
prints the memory.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imagerag.store.library.indexing.ingest import index
from tests import broken_files

EACH = 1000 if os.environ.get("STORM") == "full" else max(len(broken_files.GOOD), len(broken_files.BROKEN))
"""So many good files, and as many broken ones."""

MOST_MB = 700
"""What indexing may have in memory beyond what was there before: two images of 64 megapixels, and their copies."""


@contextmanager
def most_memory(most_mb: float) -> Iterator[None]:
    """See that this process has at most so much more in memory meanwhile; Linux alone tells."""
    if sys.platform != "linux":
        yield
        return

    def mb(key: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))

    before = mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM is the most from here on
    yield
    print(f"\n{2 * EACH} files: {mb('VmHWM') - before:.0f} MB more than the {before:.0f} before")
    assert mb("VmHWM") - before < most_mb


async def test_the_good_ones_are_in_and_the_broken_ones_listed_in_bounded_memory(tmp_path, library):
    good, broken = broken_files.write(tmp_path / "files", EACH)
    with most_memory(MOST_MB):
        report = await index([tmp_path / "files"], library)
    assert {Path(path) for path, _ in report.skipped} == broken
    assert all(reason for _, reason in report.skipped)
    assert {Path(row.source) for row in await library.rows()} == good
    assert (report.added, report.duplicates) == (len(good), 0)
    assert {row.title for row in await library.rows()} == {path.stem for path in good}
