"""No two modules, and no two packages beside each other, import each other: directly or by way of others."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Edge = tuple[str, str]


def module_names() -> dict[str, Path]:
    """Every module of the package by its dotted name; a package is its `__init__`."""
    named = {}
    for path in sorted((ROOT / "imagerag").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


@cache
def edges_of_package(*, types: bool) -> set[Edge]:
    return import_edges(NAMED, types=types)


def import_edges(named: dict[str, Path], *, types: bool) -> set[Edge]:
    """Who imports whom, at the top of a module or within a function; in expressions, most of a tree, nobody does.

    Args:
        types: count imports for type checkers only, too.
    """
    edges = set()
    for module, path in named.items():
        queue: list[ast.AST] = [ast.parse(path.read_text())]
        while queue:
            node = queue.pop()
            if types or not is_type_checking(node):
                queue += (child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr))
            elif isinstance(node, ast.If):
                queue += node.orelse
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [full if (full := f"{node.module}.{one.name}") in named else node.module for one in node.names]
            edges.update((module, name) for name in names if name in named and name != module)
    return edges


def circles(edges: Iterable[Edge]) -> list[list[str]]:
    """Groups of nodes each of which can be reached from each of the others (Tarjan)."""
    following: dict[str, list[str]] = {}
    for one, other in edges:
        following.setdefault(one, []).append(other)
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in following.get(node, ()):
            if other not in order:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], order[other])
        if lowest[node] == order[node]:
            at = stack.index(node)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                found.append(sorted(group))

    for node in list(following):
        if node not in order:
            visit(node)
    return sorted(found)


def within(package: str, edges: Iterable[Edge]) -> set[Edge]:
    """The edges between what lies directly in a package: its modules, and its packages each as one."""

    def part(module: str) -> str:
        return module.removeprefix(f"{package}.").partition(".")[0] if module.startswith(f"{package}.") else ""

    parts = ((part(one), part(other)) for one, other in edges)
    return {(one, other) for one, other in parts if one and other and one != other}


NAMED = module_names()


def test_no_module_imports_itself_round_a_corner() -> None:
    assert circles(edges_of_package(types=False)) == []


@pytest.mark.parametrize("package", [name for name, path in NAMED.items() if path.name == "__init__.py"])
def test_no_package_imports_its_neighbour_and_is_imported_by_it(package: str) -> None:
    assert circles(within(package, edges_of_package(types=False))) == []


def test_the_rooms_of_the_package_form_no_circle_even_by_their_types() -> None:
    assert circles(within("imagerag", edges_of_package(types=True))) == []


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ({"a": "import imagerag.b", "b": "import imagerag.a"}, [["imagerag.a", "imagerag.b"]]),
        (
            {"a": "from imagerag import b", "b": "def f():\n    from imagerag.a import x"},
            [["imagerag.a", "imagerag.b"]],
        ),
        ({"a": "from imagerag import b", "b": "if TYPE_CHECKING:\n    import imagerag.a"}, []),
        ({"a": "import imagerag.b", "b": "import imagerag.c", "c": ""}, []),
    ],
)
def test_the_check_sees_a_circle(sources: dict[str, str], found: list[list[str]], tmp_path: Path) -> None:
    for name, text in sources.items():
        (tmp_path / f"{name}.py").write_text(text)
    named = {f"imagerag.{name}": tmp_path / f"{name}.py" for name in sources}
    assert circles(import_edges(named, types=False)) == found
