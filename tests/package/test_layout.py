"""Where the package's files are: all below imagerag/, with links beside it that nothing depends on."""

import importlib
import os
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "imagerag"
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGE_DATA: dict[str, list[str]] = PYPROJECT["tool"]["setuptools"]["package-data"]
LINKS = ("agent", "tools", "graphs", "store", "evals")
JUNK = {"__pycache__", ".DS_Store"}


def test_every_module_lies_in_a_package() -> None:
    """`packages.find` takes only folders with an `__init__.py`."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_other_file_is_package_data() -> None:
    unlisted = []
    for path in PACKAGE.rglob("*"):
        if path.is_dir() or path.suffix in {".py", ".pyc"} or JUNK & set(path.parts):
            continue
        owner = next(p for p in path.parents if (p / "__init__.py").exists())
        patterns = PACKAGE_DATA.get(".".join(owner.relative_to(ROOT).parts), [])
        if not any(fnmatch(path.relative_to(owner).as_posix(), pattern) for pattern in patterns):
            unlisted.append(path.relative_to(ROOT).as_posix())
    assert unlisted == []


def test_every_package_data_pattern_finds_a_file() -> None:
    idle = [
        f"{package}: {pattern}"
        for package, patterns in PACKAGE_DATA.items()
        for pattern in patterns
        if not list((ROOT / package.replace(".", "/")).glob(pattern))
    ]
    assert idle == []


def test_tests_are_no_packages() -> None:
    """Otherwise pytest would import the tests, and through them the tree, under a second name."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []
    assert not (ROOT / "__init__.py").exists()


@pytest.mark.parametrize("name", LINKS)
def test_a_link_leads_to_its_package(name: str) -> None:
    link = ROOT / name
    if not link.is_symlink():
        pytest.skip("checked out without symbolic links")
    assert os.readlink(link) == f"imagerag/{name}"
    assert link.resolve() == PACKAGE / name


@pytest.mark.parametrize("name", LINKS)
def test_nothing_is_imported_through_a_link(name: str) -> None:
    with pytest.raises(ImportError, match=f"import imagerag.{name}"):
        importlib.import_module(name)


@pytest.fixture(scope="module")
def without_links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository as it is checked out where links cannot be made: a link is a file that says where to."""
    copy = tmp_path_factory.mktemp("checkout") / "imagerag"
    copy.mkdir()
    for name in ("imagerag", "tests"):
        # With what is compiled already, and without what is just being written: to compile it all takes seconds.
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    for name in LINKS:
        (copy / name).write_text(f"imagerag/{name}")
    return copy


@pytest.mark.parametrize(
    "command",
    [
        ["-c", "import imagerag.agent.nodes, imagerag.evals.suites.case; print(imagerag.__file__)"],
        ["-m", "imagerag", "eval", "list"],
        ["-m", "ruff", "check", "."],
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/package/test_layout.py", "-k", "through_a_link"],
    ],
    ids=["import", "command", "lint", "tests"],
)
def test_a_checkout_without_links_works(command: list[str], without_links: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "IMAGERAG_HOME": str(tmp_path), "PYTHONPATH": str(without_links)}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=without_links,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if command[0] == "-c":
        assert Path(done.stdout.strip()).is_relative_to(without_links)
