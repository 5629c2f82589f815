"""The rooms of the package, read from the code: which there are, on which floor each stands, and what imports what.

A room is a directory (or a module) directly below `imagerag/`. A floor may import those below it and no other.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = "imagerag"

FLOORS: Final = (
    ("cli", "mcp"),
    ("assistants",),
    ("client",),
    ("batch",),
    ("evals",),
    ("reports",),
    ("files", "diagnostics", "schemas", "logging_setup"),
    ("graphs",),
    ("tools", "store"),
    ("agent",),
    ("formatting",),
)
"""The floors, the highest first. Rooms of one floor do not import each other."""

DOORS: Final = frozenset({"cli", "mcp", "assistants", "client", "batch"})
"""How people and programs come in. A door may stand on a door of a lower floor; none leads through its neighbour."""

STARTS: Final = frozenset({("imagerag/cli/mcp.py", "imagerag.mcp.launch.launch")})
"""The one import between neighbours: `imagerag mcp` starts the other door."""

UNDER_ALL: Final = "formatting"
"""Imports nothing and may be imported by everybody."""

FLOOR_OF: Final[Mapping[str, int]] = {room: at for at, rooms in enumerate(reversed(FLOORS)) for room in rooms}
FACE: Final = frozenset({"__init__", "__main__"})
"""The package's own modules: they name what is public, whatever floor it is on, and import it when it is asked for."""


def modules(room: str) -> list[Path]:
    """The files of a room; `tests` has some, too."""
    if room == "tests":
        return sorted((ROOT / "tests").rglob("*.py"))
    folder = ROOT / PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def rooms() -> set[str]:
    """The rooms that there are."""
    found = (ROOT / PACKAGE).iterdir()
    names = {path.stem for path in found if path.suffix == ".py" or (path / "__init__.py").exists()}
    return names - FACE


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module a file imports, with the line; names taken from `imagerag` itself count as modules."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


def room_of(module: str) -> str | None:
    """The room of an imported name; `imagerag` for the package's own names, None for what is not ours."""
    first, *rest = module.split(".")
    if first != PACKAGE:
        return None
    return rest[0] if rest and rest[0] in FLOOR_OF else PACKAGE


def may_import(room: str, other: str) -> bool:
    """Whether a room may import another; `imagerag` itself (its version) is for the topmost two floors."""
    top = len(FLOORS) - 1
    if other == PACKAGE:
        return FLOOR_OF[room] >= top - 1
    return room == other or FLOOR_OF[other] < FLOOR_OF[room]


def wrong_way(room: str, path: Path) -> list[str]:
    """The imports of a file that lead up, or to a neighbour."""
    name = str(path.relative_to(ROOT))
    return [
        f"{name}:{line} imports {module}"
        for line, module in imports(path)
        if (other := room_of(module)) is not None and not may_import(room, other) and (name, module) not in STARTS
    ]


def arrows() -> set[tuple[str, str]]:
    """(who, whom) of every import between rooms that there really is."""
    found = {
        (room, other) for room in FLOOR_OF for path in modules(room) for _, module in imports(path)
        if (other := room_of(module)) is not None
    }  # fmt: skip
    return {(who, whom) for who, whom in found if who != whom and whom != PACKAGE}


def purpose(folder: Path) -> tuple[str, str]:
    """A package's or a module's docstring: its first sentence, and what it says of adding something ("To add …")."""
    file = folder / "__init__.py" if folder.is_dir() else folder
    text = " ".join((ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split())
    first, dot, rest = text.partition(". ")
    at = rest.find("To add ")
    return first.rstrip(".") + ".", rest[at:] if dot and at >= 0 else ""


def inside(room: str) -> list[Path]:
    """The packages directly inside a room."""
    folder = ROOT / PACKAGE / room
    return sorted(path.parent for path in folder.glob("*/__init__.py")) if folder.is_dir() else []
