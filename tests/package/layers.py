"""The packages below `imagerag/`, read from the code: which there are, in which layer each is, and what imports what.

A package here is a directory or a module directly below `imagerag/`. A layer may import those below it and no other.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = "imagerag"

LAYERS: Final = (
    ("cli", "mcp", "ui", "chat"),
    ("assistants",),
    ("client",),
    ("batch",),
    ("evals",),
    ("reports",),
    ("files", "diagnostics", "schemas", "logging_setup", "http_server"),
    ("graphs",),
    ("tools", "store"),
    ("agent",),
    ("formatting",),
)
"""The layers, the highest first. Packages of one layer do not import each other."""

FRONT_ENDS: Final = frozenset({"cli", "mcp", "ui", "chat", "assistants", "client", "batch"})
"""Used by people and programs. One may stand on one of a lower layer; none imports its neighbour."""

STARTS: Final = frozenset(
    {("imagerag/cli/mcp.py", "imagerag.mcp.launch.launch"), ("imagerag/cli/ui.py", "imagerag.ui.launch.launch")}
)
"""The imports between neighbours: `imagerag mcp` and `imagerag ui` start their servers."""

UNDER_ALL: Final = "formatting"
"""Imports nothing and may be imported by everybody."""

LAYER_OF: Final[Mapping[str, int]] = {package: at for at, names in enumerate(reversed(LAYERS)) for package in names}
FACE: Final = frozenset({"__init__", "__main__"})
"""The package's own modules: they name what is public, whatever layer it is on, and import it when it is asked for."""


def modules(package: str) -> list[Path]:
    """The files of a package; `tests` has some, too."""
    if package == "tests":
        return sorted((ROOT / "tests").rglob("*.py"))
    folder = ROOT / PACKAGE / package
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def packages() -> set[str]:
    """Their names."""
    found = (ROOT / PACKAGE).iterdir()
    names = {path.stem for path in found if path.suffix == ".py" or (path / "__init__.py").exists()}
    return names - FACE


@cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Every module a file imports, with the line; names taken from `imagerag` itself count as modules."""
    return tuple(_imports(ast.parse(path.read_text("utf-8"))))


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node.func).endswith("import_module") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def package_of(module: str) -> str | None:
    """The package of an imported name; `imagerag` for the package's own names, None for what is not ours."""
    first, *rest = module.split(".")
    if first != PACKAGE:
        return None
    return rest[0] if rest and rest[0] in LAYER_OF else PACKAGE


def may_import(package: str, other: str) -> bool:
    """Whether a package may import another; `imagerag` itself (its version) is for the topmost two layers."""
    top = len(LAYERS) - 1
    if other == PACKAGE:
        return LAYER_OF[package] >= top - 1
    return package == other or LAYER_OF[other] < LAYER_OF[package]


def wrong_way(package: str, path: Path) -> list[str]:
    """The imports of a file that lead up, or to a neighbour."""
    name = str(path.relative_to(ROOT))
    return [
        f"{name}:{line} imports {module}"
        for line, module in imports(path)
        if (other := package_of(module)) is not None and not may_import(package, other) and (name, module) not in STARTS
    ]


def arrows() -> set[tuple[str, str]]:
    """(who, whom) of every import between packages that there really is."""
    found = {
        (package, other) for package in LAYER_OF for path in modules(package) for _, module in imports(path)
        if (other := package_of(module)) is not None
    }  # fmt: skip
    return {(who, whom) for who, whom in found if who != whom and whom != PACKAGE}


def purpose(folder: Path) -> tuple[str, str]:
    """A package's or a module's docstring: its first sentence, and its paragraph that begins with "To add"."""
    file = folder / "__init__.py" if folder.is_dir() else folder
    said = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split("\n\n")
    first, *paragraphs = [" ".join(paragraph.split()) for paragraph in said]
    how = next((paragraph for paragraph in paragraphs if paragraph.startswith("To add ")), "")
    return first.partition(". ")[0].rstrip(".") + ".", how


def inside(package: str) -> list[Path]:
    """The packages directly inside a package."""
    folder = ROOT / PACKAGE / package
    return sorted(path.parent for path in folder.glob("*/__init__.py")) if folder.is_dir() else []
