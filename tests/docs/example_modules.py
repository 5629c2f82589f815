"""Write the Python blocks of the documents as modules, for `make lint` to check their types.

    python -m tests.docs.example_modules build/documents

A block is `documents.NAME_LINE`, by its document and the line that it starts in; a block that continues another one has
that one's text before it. Blocks with `<!-- skip: why -->` are left out: they lack what they talk about.
"""

import shutil
import sys
from pathlib import Path

from tests.docs.test_readme import DOCUMENTS, ROOT, scripts


def write_modules(folder: Path) -> list[Path]:
    """Write a package with one module for each block, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    written = []
    for document in DOCUMENTS:
        name = "_".join(document.relative_to(ROOT).with_suffix("").parts).lower().replace("-", "_")
        for block, source in scripts(document.read_text("utf-8")):
            if block.language == "python":
                path = folder / f"{name}_{block.line}.py"
                path.write_text(f"# {document.relative_to(ROOT)}, line {block.line}\n{source}", "utf-8")
                written.append(path)
    return written


if __name__ == "__main__":
    write_modules(Path(sys.argv[1]))
