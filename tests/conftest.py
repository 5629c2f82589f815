"""No test may spend money or touch the home of whoever runs it, whatever their environment says.

`make test` runs them side by side, in more processes than processors: `tests/processes.py` is where they get others.
"""

import asyncio
import atexit
import gc
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

for name in [name for name in os.environ if name.startswith("IMAGERAG_") or name.endswith("_API_KEY")]:
    if name != "IMAGERAG_DOCS_WRITE":  # how `make docs` asks for the documents to be rewritten
        del os.environ[name]
# What a test trusts, whoever runs it does not; and what they trust, no test does.
os.environ["IMAGERAG_CONFIG"] = tempfile.mkdtemp(prefix="imagerag-config-")
atexit.register(shutil.rmtree, os.environ["IMAGERAG_CONFIG"], ignore_errors=True)
# Whom nobody asks nobody has to trust: to read the certificates of the machine took 60 ms, in every process and client.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = tempfile.mkdtemp(prefix="imagerag-certificates-")
atexit.register(shutil.rmtree, os.environ["SSL_CERT_DIR"], ignore_errors=True)
for name in ("COLUMNS", "LINES"):  # what is printed must not depend on how wide somebody's terminal is
    os.environ.pop(name, None)
os.environ["LANGSMITH_TRACING"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
# Beside others, a thread pool per library only gets in the way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long something takes says how busy the machine is: no example fails by that, here or in `@settings` of a test.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# The tests start hundreds of processes: each would compile the package anew where no bytecode may be written.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A coroutine that is never awaited is then reported with the place that made it: with whose code it is.
sys.set_coroutine_origin_tracking_depth(1)


def entry_points_read_once() -> None:
    """Read the entry points of installed packages once for each path: hundreds of files, for many a command.

    Before anything of the package is imported, which takes the function by its name.
    """
    read = metadata.entry_points

    @cache
    def all_of(path: tuple[str, ...]) -> Any:
        return read()

    def entry_points(**wanted: Any) -> Any:
        return all_of(tuple(sys.path)).select(**wanted)

    metadata.entry_points = entry_points


entry_points_read_once()


class OnlyInsideThePackage:
    """Refuses `import agent`: through the links at the top it works, and gives every class a second self."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if path is None and name in {"agent", "evals", "graphs", "store", "tools"}:
            raise ImportError(f"import imagerag.{name}: {name} is a link to it")


sys.meta_path.insert(0, OnlyInsideThePackage())  # type: ignore[arg-type]

MEMORY = Path("/dev/shm")
"""A file system in memory, on Linux. Runs write each step through to the disk, and tests make thousands of them: most
of the time of many a test was waiting for that."""

ROOM = 4 << 30
"""Bytes that must be free there. What tests that pass leave behind is removed at once (`tmp_path_retention_policy`)."""


def has_room(folder: Path) -> bool:
    """Whether temporary folders can be there: there is room, one may write, and programs can be run from there."""
    if not os.access(folder, os.W_OK) or not hasattr(os, "statvfs"):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & getattr(os, "ST_NOEXEC", 0)


def pytest_configure(config: pytest.Config) -> None:
    """Make what Python reports without a module an error where our own code stands in the report.

    Such are coroutines that nobody awaited, and exceptions of destructors and threads. `pyproject.toml` says the rest.
    """
    if config.option.basetemp is None and has_room(MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    ours = rf"(?s).*{re.escape(str(config.rootpath))}/(?!\.venv)"
    for category in (
        "RuntimeWarning",
        "pytest.PytestUnraisableExceptionWarning",
        "pytest.PytestUnhandledThreadExceptionWarning",
    ):
        config.addinivalue_line("filterwarnings", f"error:{ours}:{category}")
    # What collecting the tests imports is there to stay: a tenth of that time went into looking through it for garbage.
    gc.disable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Two more than processors, or twice one: a third of their time tests wait, for other processes and for clocks."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors + min(processors, 2)


def pytest_collection_finish() -> None:
    """From here on there is garbage; among the million objects that are there already is none."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)  # of what is loaded later hardly anything is, either
    gc.enable()


@pytest.fixture
def impatient_decoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The processes that decode pictures give up after a second of the processor, and not after five and more.

    For tests of what happens then; `tests/agent/images/test_decoding_limits.py` sees how long it is for users.
    """
    from imagerag.agent.images import decoding_pool

    program = decoding_pool._PROGRAM.replace(
        "import main; main()", "import main; main.__globals__['processor_seconds'] = lambda pixels: 0; main()"
    )
    assert program != decoding_pool._PROGRAM
    pool = decoding_pool._Pool()
    monkeypatch.setattr(decoding_pool, "_PROGRAM", program)
    monkeypatch.setattr(decoding_pool, "_POOL", pool)
    yield
    pool.close()


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that one process makes for all that run tests side by side: copy what is in it, and leave it as it is.

    Args:
        name: of what is made, the same in every process.
        make: fills the folder, which does not exist yet.
    """
    from imagerag.store.file_lock import waiting_lock

    base = tmp_path_factory.getbasetemp()
    made = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"{name}-of-all"
    lock = waiting_lock(Path(f"{made}.lock"), alone=True)
    try:
        if not (made / "whole").exists():
            shutil.rmtree(made, ignore_errors=True)
            make(made / "it")
            (made / "whole").touch()
    finally:
        if lock is not None:
            os.close(lock)
    return made / "it"


def copied(home: Path, to: Path, *, dirs_exist_ok: bool = False) -> Path:
    """A copy of a home with a library. Its image files are links, on the same disk: they are named by their bytes, and
    never changed."""

    def copy(source: str, target: str) -> None:
        if f"{os.sep}images{os.sep}" in source:
            with suppress(OSError):
                os.link(source, target)
                return
        shutil.copy2(source, target)

    return Path(shutil.copytree(home, to, copy_function=copy, dirs_exist_ok=dirs_exist_ok))


@pytest.fixture(scope="session")
def sketch_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home that holds the built-in library: copy it, and leave it as it is. Each process has a copy of its own."""

    def make(home: Path) -> None:
        from imagerag import ImageRAG

        asyncio.run(ImageRAG(preset="sketch", home=home).libraries.open("sketch"))

    def images() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in home.glob("libraries/*/images/*/*")}

    home = tmp_path_factory.mktemp("sketch-home")
    shutil.copytree(made_once(tmp_path_factory, "sketch-home", make), home, dirs_exist_ok=True)
    before = images()
    yield home
    assert images() == before, "a test wrote to an image file of the home in place: it is that of other tests, too"
