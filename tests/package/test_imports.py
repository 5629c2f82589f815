"""Which way imports point, and what importing the package costs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.package import layers

LINKS = frozenset({"agent", "evals", "graphs", "store", "tools"})
"""The top-level names, which are links to packages of `imagerag`."""

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


def test_every_package_has_a_layer() -> None:
    assert layers.packages() == set(layers.LAYER_OF)


@pytest.mark.parametrize("package", sorted(layers.LAYER_OF))
def test_imports_point_one_way(package: str) -> None:
    """Down, layer by layer: so no front end imports its neighbour, and presentation is below all of them."""
    assert [line for path in layers.modules(package) for line in layers.wrong_way(package, path)] == []


def test_front_ends_stand_above_presentation_and_logic() -> None:
    lowest = min(layers.LAYER_OF[front_end] for front_end in layers.FRONT_ENDS)
    assert max(layers.LAYER_OF[package] for package in ("formatting", "reports", "agent", "graphs")) < lowest
    assert layers.LAYER_OF["cli"] == layers.LAYER_OF["mcp"] == len(layers.LAYERS) - 1


def test_the_only_way_between_neighbours_is_taken() -> None:
    """An exception that nobody needs any more goes."""
    taken = {(str(path.relative_to(layers.ROOT)), module) for path in layers.modules("cli")
             for _, module in layers.imports(path)}  # fmt: skip
    assert taken >= layers.STARTS


def test_no_adapter_knows_the_sketch_world() -> None:
    """The registry names it by places in strings; the warnings of `graphs` say where the sketch world ends."""
    sketch = "imagerag.tools.sketch"
    apart = {"imagerag/tools/sketch", "imagerag/tools/testing"}
    own = {"imagerag/graphs/mismatch_warnings.py"}
    found = [
        f"{name}:{line} imports {module}"
        for package in ("formatting", "agent", "store", "tools", "graphs")
        for path in layers.modules(package)
        if (name := str(path.relative_to(layers.ROOT))) not in own and not any(map(name.startswith, apart))
        for line, module in layers.imports(path)
        if module.startswith(sketch)
    ]
    assert found == []


@pytest.mark.parametrize("package", [*sorted(layers.LAYER_OF), "tests"])
def test_packages_are_imported_as_part_of_the_package(package: str) -> None:
    """`import agent` works from the repository's root, gives every class a second self, and fails once installed."""
    bare = [
        f"{path.relative_to(layers.ROOT)}:{line} imports {module}"
        for path in layers.modules(package)
        for line, module in layers.imports(path)
        if module.startswith(".") or module.split(".")[0] in LINKS
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("package", "line", "wrong"),
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
        ("reports", "from imagerag.client import client", True),
        ("assistants", "from imagerag.cli import terminal", True),
        ("mcp", "from imagerag.cli.terminal.output import say", True),
        ("mcp", "from imagerag.assistants import service", False),
        ("cli", "from imagerag.mcp.launch import launch", True),
        ("cli", "from imagerag import __version__", False),
        ("batch", "from imagerag.client import client", True),
    ],
)
def test_the_check_sees_a_wrong_import(
    package: str, line: str, wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(line)
    assert bool(layers.wrong_way(package, path)) is wrong


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
