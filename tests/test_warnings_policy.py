"""A warning about our own code fails the suite; one raised inside somebody else's package never does."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

STRANGER = """
    import threading, warnings

    class Leaky:
        def __del__(self):
            raise OSError("somebody's destructor")

    def deprecated():
        warnings.warn("use the other one", DeprecationWarning, stacklevel=2)

    def warns_of_itself():
        warnings.warn("this parameter is in beta", UserWarning)

    def leaks():
        Leaky()

    def leaves_a_file_open():
        open(__file__).read(1)

    async def never():
        pass

    def forgets_to_await():
        never()

    def thread():
        def fails():
            raise OSError("somebody's thread")
        worker = threading.Thread(target=fails)
        worker.start()
        worker.join()
"""


INSIDE_A_PACKAGE = {
    "warns_of_itself": "stranger.warns_of_itself()",
    "leaks": "stranger.leaks()",
    "leaves_a_file_open": "stranger.leaves_a_file_open()",
    "forgets_to_await": "stranger.forgets_to_await()",
    "thread": "stranger.thread()",
}
OUR_OWN = {
    "warns": "warnings.warn('ours')",
    "calls_what_is_deprecated": "stranger.deprecated()",
    "forgets_to_await": "ours()",
    "fails_in_a_destructor": "Ours()",
    "fails_in_a_thread": "worker = threading.Thread(target=lambda: 1 / 0); worker.start(); worker.join()",
}
HEAD = """
import gc, sys, threading, warnings
sys.path.insert(0, {packages!r})
import stranger


async def ours():
    pass


class Ours:
    def __del__(self):
        raise OSError
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Test name to "passed" or "failed", of one run of pytest with the project's own settings.

    The tests lie in a copy of the project's layout: whose code it is is told by module and by folder.
    """
    root = tmp_path_factory.mktemp("project")
    packages = root / ".venv" / "lib"
    packages.mkdir(parents=True)
    (packages / "stranger.py").write_text(textwrap.dedent(STRANGER))
    (root / "tests").mkdir()
    for name in ("pyproject.toml", "tests/conftest.py"):
        (root / name).write_text((ROOT / name).read_text())
    cases = {f"package_{name}": line for name, line in INSIDE_A_PACKAGE.items()}
    cases |= {f"ours_{name}": line for name, line in OUR_OWN.items()}
    tests = "".join(f"\n\ndef test_{name}():\n    {line}\n    gc.collect()\n" for name, line in cases.items())
    (root / "tests" / "test_it.py").write_text(HEAD.format(packages=str(packages)) + tests)
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-rpfE", "tests/test_it.py"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    found = re.findall(r"^(PASSED|FAILED|ERROR) tests/test_it.py::test_(\w+)", done.stdout, re.MULTILINE)
    assert {name for _, name in found} == set(cases), done.stdout + done.stderr
    return {name: outcome.lower() for outcome, name in found}


@pytest.mark.parametrize("name", INSIDE_A_PACKAGE)
def test_a_warning_inside_a_third_party_package_does_not_fail(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[f"package_{name}"] == "passed"


@pytest.mark.parametrize("name", OUR_OWN)
def test_a_warning_about_our_own_code_fails(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[f"ours_{name}"] == "failed"
