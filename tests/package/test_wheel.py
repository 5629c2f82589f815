"""What somebody gets who installs imagerag: built from the sdist, installed far away from the source tree, and used."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
WEIGHTS = "imagerag/tools/sketch/clip/"
MEGABYTE = 1_000_000
NOWHERE = "http://127.0.0.1:9"


OURS = ("IMAGERAG_", "OPENAI_", "PYTHONPATH", "VIRTUAL_ENV")


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command without anything of ours in its environment; fails with what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd=cwd, env={**kept, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packed, and of the tests, which are not: a build leaves files that the next one would pack."""
    copy = tmp_path_factory.mktemp("build") / "tree"
    for name in ("imagerag", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist. Without isolation: setuptools is here, and nothing has to be fetched."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, tree, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a new environment that holds the wheel.

    What the wheel depends on is 5 GB with torch, and is here already: a .pth file lends the new environment the
    site-packages of this one. Only folders are lent. Python reads .pth files in an environment's own site-packages
    and nowhere else, so the hook of this environment's editable install, which would answer `import imagerag` with
    the source tree, is not lent along.
    """
    home = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home)
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        scripts / "python",
        "install",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=home,
    )
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    lent = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    (site / "lent.pth").write_text("\n".join(lent) + "\n")
    return scripts


def test_wheel_holds_every_module_and_no_test(tree: Path, wheel: Path) -> None:
    """The training of the sketch world's encoder is for who works on it."""
    modules = [path for path in (tree / "imagerag").rglob("*.py") if path.parent.name != "training"]
    wanted = {path.relative_to(tree).as_posix() for path in modules}
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if name.endswith(".py")} == wanted
    assert "imagerag/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"imagerag", wheel.name.split("-py3")[0] + ".dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_holds_the_weights_of_the_sketch_world(wheel: Path) -> None:
    sizes = {entry.filename: entry.file_size for entry in zipfile.ZipFile(wheel).infolist()}
    weights = {name: size for name, size in sizes.items() if name.startswith(WEIGHTS) and name.endswith(".safetensors")}
    assert weights
    assert 0 < sum(weights.values()) <= 12 * MEGABYTE
    assert any(name.startswith(WEIGHTS) and name.endswith(".json") for name in sizes)


def test_installed_package_is_the_wheels(clean: Path, tmp_path: Path) -> None:
    names = ("imagerag", "imagerag.agent.types", "imagerag.tools", "imagerag.store", "imagerag.graphs")
    code = f"import sys, {', '.join(names)}; print(*(sys.modules[name].__file__ for name in {names!r}))"
    places = run(clean / "python", "-c", code, cwd=tmp_path).stdout.split()
    assert len(places) == len(names)
    assert all(Path(place).resolve().is_relative_to(clean.parent.resolve()) for place in places)


def test_console_script_answers(clean: Path, tmp_path: Path) -> None:
    assert PYPROJECT["project"]["version"] in run(clean / "imagerag", "--version", cwd=tmp_path).stdout
    assert "generate" in run(clean / "imagerag", "--help", cwd=tmp_path).stdout


def test_demo_runs_from_the_wheel(clean: Path, tmp_path: Path) -> None:
    """No key, no network, nothing beside the wheel: the embedded world is enough for the whole method."""
    home, desk = tmp_path / "home", tmp_path / "desk"
    desk.mkdir()
    offline = {"HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "ALL_PROXY": NOWHERE, "HF_HUB_OFFLINE": "1"}
    demo = [clean / "imagerag", "demo", "--out", "made", "--json"]
    done = run(*demo, cwd=desk, IMAGERAG_HOME=str(home), **offline)
    document: Any = json.loads(done.stdout)
    assert document
    assert [path for path in (desk / "made").rglob("*.png") if path.stat().st_size > 0]
