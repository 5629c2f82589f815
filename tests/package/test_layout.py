"""What the package is made of: pyproject.toml lists it by hand, so the list is compared with the tree."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]
JUNK = {"__pycache__", ".DS_Store"}


def folder_of(package: str) -> Path:
    """Where a package lies: its own entry in package-dir, or below its parent's."""
    if package in FOLDERS:
        return ROOT / FOLDERS[package]
    parent, _, name = package.rpartition(".")
    return folder_of(parent) / name


def packages_in_the_tree() -> set[str]:
    found = set()
    for package, folder in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([package, *init.parent.relative_to(ROOT / folder).parts]))
    return found


def test_every_package_in_the_tree_is_listed() -> None:
    assert set(SETUPTOOLS["packages"]) == packages_in_the_tree()


def test_every_module_lies_in_a_listed_package() -> None:
    listed = {folder_of(package) for package in SETUPTOOLS["packages"]}
    modules = {module for folder in FOLDERS.values() for module in (ROOT / folder).rglob("*.py")}
    assert [m for m in sorted(modules) if m.parent not in listed] == []


@pytest.mark.parametrize("package", sorted(FOLDERS))
def test_every_other_file_is_package_data(package: str) -> None:
    unlisted = []
    for path in (ROOT / FOLDERS[package]).rglob("*"):
        if path.is_dir() or path.suffix in {".py", ".pyc"} or JUNK & set(path.parts):
            continue
        owner = next(p for p in [path.parent, *path.parents] if (p / "__init__.py").exists())
        name = next(n for n in SETUPTOOLS["packages"] if folder_of(n) == owner)
        patterns = SETUPTOOLS["package-data"].get(name, [])
        if not any(fnmatch(path.relative_to(owner).as_posix(), pattern) for pattern in patterns):
            unlisted.append(path.relative_to(ROOT).as_posix())
    assert unlisted == []


def test_every_package_data_pattern_finds_a_file() -> None:
    idle = [
        f"{package}: {pattern}"
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        if not list(folder_of(package).glob(pattern))
    ]
    assert idle == []


def test_tests_are_no_packages() -> None:
    """Otherwise pytest would import the tests, and through them the tree, under a second name."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []
    assert not (ROOT / "__init__.py").exists()


def test_type_checkers_see_every_package() -> None:
    """`mypy -p imagerag` follows links below typings/, because it cannot follow an editable install."""
    farm = ROOT / "typings" / "imagerag"
    wanted = {package.rpartition(".")[2]: folder for package, folder in FOLDERS.items() if package != "imagerag"}
    inside = (path for path in (ROOT / "imagerag").iterdir() if path.name not in JUNK)
    wanted |= {path.name: f"imagerag/{path.name}" for path in inside}
    lacking = [
        f"ln -s ../../{target} typings/imagerag/{name}" for name, target in wanted.items() if not (farm / name).exists()
    ]
    assert lacking == [], "run these from the repository's root"
    assert sorted({path.name for path in farm.iterdir()} - set(wanted) - JUNK) == []
