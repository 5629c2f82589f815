"""Parts of the documents that are made from the code: between `<!-- NAME:begin -->` and `<!-- NAME:end -->`.

A test named `test_generated_…` calls `check`. `make docs` runs these tests with `IMAGERAG_DOCS_WRITE` set, which writes
the parts instead of comparing them.
"""

import inspect
import os
import re
from collections.abc import Callable, Iterable, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
BEHIND: Final = "what docs/{page} takes from the code is behind it; run: make docs"


def check(page: str, **parts: str) -> None:
    """Compare the generated parts of a page with the code, or write them.

    Args:
        page: path below docs/.
        parts: the text of each part, by its name.
    """
    text = (DOCS / page).read_text("utf-8")
    new = text
    for name, part in parts.items():
        marked = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.S)
        assert len(marked.findall(text)) == 1, f"docs/{page} has to have one part {name}"
        new = marked.sub(lambda found, part=part: f"{found[1]}\n{part.strip()}\n\n{found[2]}", new)
    check_page(page, new)


def check_page(page: str, text: str) -> None:
    """Compare a whole page with the code, or write it."""
    file = DOCS / page
    if os.environ.get("IMAGERAG_DOCS_WRITE"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        return
    written = file.read_text("utf-8")
    changes = "\n".join(unified_diff(written.splitlines(), text.splitlines(), page, "code", lineterm="", n=0))
    assert written == text, f"{BEHIND.format(page=page)}\n{changes}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a `|` in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def code(values: Iterable[object]) -> str:
    """Values as inline code, with commas between them."""
    return ", ".join(f"`{value}`" for value in values)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def arguments_of(described: Callable[..., object] | type) -> dict[str, str]:
    """What a Google docstring says of each argument, or of each attribute of a class, in one line."""
    heading = "Attributes" if isinstance(described, type) else "Args"
    _, _, rest = (inspect.getdoc(described) or "").partition(f"\n{heading}:\n")
    part = re.split(r"\n(?=\S)", rest, maxsplit=1)[0]
    found = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", part, re.M)
    return {name: " ".join(text.split()) for name, text in found}
