"""The Python blocks of the documents become modules, whose types `make lint` checks."""

import ast
from pathlib import Path

from tests.docs.example_modules import write_modules
from tests.docs.test_readme import DOCUMENTS, scripts


def test_every_block_that_runs_is_a_module(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "of_another_day.py").write_text("1 +")
    written = write_modules(tmp_path / "documents")
    blocks = [block for one in DOCUMENTS for block, _ in scripts(one.read_text("utf-8")) if block.language == "python"]
    assert len(written) == len(blocks) > 50
    assert {path.name for path in (tmp_path / "documents").iterdir()} == {"__init__.py", *(one.name for one in written)}
    for path in written:
        ast.parse(path.read_text("utf-8"), path.name)
    assert sum(path.name.startswith("readme_") for path in written) == 3
