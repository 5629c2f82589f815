"""The fields and parameters that docstrings describe are those that there are: they go into schemas and the site."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "imagerag"
Function = ast.FunctionDef | ast.AsyncFunctionDef
DOCUMENTED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
DESCRIBED = re.compile(r"^    \*{0,2}(\w+)(?:, \w+)*: ", re.MULTILINE)


def parameters(function: Function) -> set[str]:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {one.arg for one in named if one is not None}


def members(kind: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> set[str]:
    """Names that a class, or one of ours that it is made from, assigns, defines or takes."""
    found = set()
    for node in ast.walk(kind):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, Function):
            found |= {node.name, *(parameters(node) if node.name == "__init__" else ())}
    for base in kind.bases:
        name = re.sub(r"\[.*", "", ast.unparse(base)).rpartition(".")[2]
        if name in classes and classes[name] is not kind:
            found |= members(classes[name], classes)
    return found


def described(node: ast.ClassDef | Function) -> Iterator[str]:
    for section in re.finditer(r"(?:^|\n)(?:Args|Attributes):\n((?:    .*\n?|\n)*)", ast.get_docstring(node) or ""):
        yield from DESCRIBED.findall(section[1])


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """All of a tree but the expressions, most of it, in which nothing is documented."""
    queue: list[ast.AST] = [tree]
    for node in queue:
        yield node
        queue += (child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr))


def strangers(trees: Mapping[str, ast.Module]) -> list[str]:
    """What is described and not there."""
    nodes = [
        (where, node) for where, tree in trees.items() for node in statements(tree) if isinstance(node, DOCUMENTED)
    ]
    classes = {node.name: node for _, node in nodes if isinstance(node, ast.ClassDef)}
    found = []
    for where, node in nodes:
        if names := list(described(node)):
            there = members(node, classes) if isinstance(node, ast.ClassDef) else parameters(node)
            found += [f"{where}:{node.lineno} {node.name}: {name}" for name in names if name not in there]
    return found


def test_what_docstrings_describe_is_there() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    trees = {file.relative_to(PACKAGE).as_posix(): ast.parse(file.read_text("utf-8")) for file in files}
    assert strangers(trees) == []


def test_a_stranger_is_seen() -> None:
    source = 'class A:\n    """A.\n\n    Attributes:\n        old: gone.\n        new: here.\n    """\n\n    new: int\n'
    assert strangers({"a.py": ast.parse(source)}) == ["a.py:1 A: old"]
