"""Which way imports point, and what importing the front door costs."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BELOW = {
    "formatting": set(),
    "agent": {"formatting"},
    "store": {"agent", "formatting"},
    "tools": {"agent", "formatting"},
    "graphs": {"tools", "store", "agent", "formatting"},
    "evals": {"graphs", "tools", "store", "agent", "formatting"},
    "imagerag": {"evals", "graphs", "tools", "store", "agent", "formatting"},
}
"""What each layer may import, besides itself."""

HEAVY = (
    "torch",
    "open_clip",
    "langgraph",
    "langchain_core",
    "langchain_openai",
    "lancedb",
    "pyarrow",
    "PIL",
    "numpy",
    "rich",
    "jinja2",
    "matplotlib",
    "scipy",
)


def modules(folder: str) -> list[Path]:
    """The files of a layer; those of `imagerag` are the ones that are in no other layer."""
    if folder == "tests":
        return sorted((ROOT / "tests").rglob("*.py"))
    package = ROOT / "imagerag"
    if folder != "imagerag":
        return sorted((package / folder).rglob("*.py"))
    return sorted(path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in BELOW)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module a file imports, with the line; names taken from `imagerag` itself count as modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


def layer_of(module: str) -> str | None:
    """The layer that an imported name belongs to; None for what is not ours."""
    first, *rest = module.split(".")
    if first != "imagerag":
        return None
    return rest[0] if rest and rest[0] in BELOW and rest[0] != "imagerag" else "imagerag"


def wrong_way(folder: str, path: Path) -> list[str]:
    allowed = BELOW[folder] | {folder}
    return [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for line, module in imports(path)
        if (layer := layer_of(module)) is not None and layer not in allowed
    ]


@pytest.mark.parametrize("folder", BELOW)
def test_imports_point_one_way(folder: str) -> None:
    assert [line for path in modules(folder) for line in wrong_way(folder, path)] == []


@pytest.mark.parametrize("folder", [*BELOW, "tests"])
def test_layers_are_imported_as_part_of_the_package(folder: str) -> None:
    """`import agent` works from the repository's root, gives every class a second self, and fails once installed."""
    bare = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in modules(folder)
        for line, module in imports(path)
        if module.startswith(".") or (module.split(".")[0] in BELOW and not module.startswith("imagerag"))
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("folder", "line", "wrong"),
    [
        ("agent", "from imagerag.store import blobs", True),
        ("agent", "from imagerag import store", True),
        ("agent", "import imagerag.tools.judges", True),
        ("store", "from imagerag.tools.sketch import world", True),
        ("tools", "def late():\n    from imagerag.store import library", True),
        ("graphs", "import importlib\nimportlib.import_module('imagerag.evals.harness.arms')", True),
        ("graphs", "from imagerag import __version__", True),
        ("evals", "from imagerag.graphs import runner", False),
        ("agent", "from imagerag.agent import types", False),
        ("agent", "from imagerag.formatting import labels", False),
        ("formatting", "from imagerag.agent import types", True),
    ],
)
def test_the_check_sees_a_wrong_import(
    folder: str, line: str, wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(line)
    assert bool(wrong_way(folder, path)) is wrong


def loaded_by(code: str, home: Path) -> set[str]:
    """The heavy modules that a fresh Python has loaded after running `code`."""
    told = f"{code}\nimport sys\nprint('loaded:', *(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", told],
        cwd=home,
        env={**os.environ, "IMAGERAG_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.rsplit("loaded:", 1)[1].split())


def test_importing_the_package_is_cheap(tmp_path: Path) -> None:
    assert loaded_by("import imagerag; imagerag.__version__; dir(imagerag)", tmp_path) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["generate", "--help"]])
def test_help_is_cheap(arguments: list[str], tmp_path: Path) -> None:
    call = f"from imagerag.cli import main\ntry:\n    main({arguments!r})"
    code = f"{call}\nexcept SystemExit as end:\n    assert not end.code"
    assert loaded_by(code, tmp_path) == set()
