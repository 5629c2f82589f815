"""Among broken and hostile files every good one is indexed, and every broken one is listed by its name."""

from pathlib import Path

from imagerag.store.library.indexing.ingest import index
from tests import broken_files


async def test_the_good_ones_are_in_and_the_broken_ones_listed(tmp_path, library):
    good, broken = broken_files.write(tmp_path / "files", max(len(broken_files.GOOD), len(broken_files.BROKEN)))
    report = await index([tmp_path / "files"], library)
    assert {Path(path) for path, _ in report.skipped} == broken
    assert all(reason for _, reason in report.skipped)
    assert {Path(row.source) for row in await library.rows()} == good
    assert (report.added, report.duplicates) == (len(good), 0)
    assert {row.title for row in await library.rows()} == {path.stem for path in good}
