"""Python processes that begin with the imports done, and with a model in memory: forked from one that has them.

A process that looks through a CLIP spends most of its life importing torch and the package and reading the model, and
the tests start hundreds of them. What is forked here has a process id, an exit code, streams, a working directory and
an environment of its own, and can be killed. What tells it from `python -m imagerag` is that the interpreter and the
modules have read their environment already (`PYTHONPATH`, `PYTHONUTF8`, `OPENAI_LOG`; the package reads nothing of it
while it is imported): a test of such things, or of what is loaded, starts a real one.
"""

import atexit
import contextlib
import ctypes
import fcntl
import functools
import gc
import importlib
import json
import os
import pkgutil
import re
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import types
import uuid
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

IMAGERAG = ("-m", "imagerag")
"""What `python` is given to be the program."""

SLOW = (
    "torch", "langgraph.graph", "langchain_core.runnables", "openai", "pyarrow.dataset", "scipy.stats", "pytest",
)  # fmt: skip
"""What takes long to import, before the program is."""

OURS = (
    "agent", "batch", "cli", "client", "diagnostics", "evals", "graphs", "reports", "store", "tools.generators",
    "tools.judges", "tools.openai", "tools.sketch", "tools.testing",
)  # fmt: skip
"""Packages of the program whose modules processes need, and that load nothing slow but the above."""


TO_STAY = b"s"
"""What a process says at the door that will ask for many; one that asks for a single one hands over its streams."""


class Python:
    """A process that runs what `python` is given, used as `subprocess.Popen` is; its pipes are UTF-8 text.

    Attributes:
        pid: its process id.
        returncode: as `Popen` has it, None until it is asked for after the end.
        stdin, stdout, stderr: the ends of its pipes here, None where there is none.
    """

    def __init__(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> None:
        """Start it.

        Args:
            arguments: what comes after `python`: `-c CODE …` or `-m MODULE …`.
            cwd: the working directory; this process's own by default.
            env: the whole environment; this process's own by default.
            stdin: `subprocess.PIPE`, `subprocess.DEVNULL` or a file descriptor.
            stdout: the same.
            stderr: the same, or `subprocess.STDOUT`.
        """
        self.returncode: int | None = None
        ours: list[IO[str] | None] = [None, None, None]
        theirs, to_close = list[int](), list[int]()
        for number, wanted in enumerate((stdin, stdout, stderr)):
            if wanted == subprocess.PIPE:
                reading, writing = os.pipe()
                given, kept = (reading, writing) if number == 0 else (writing, reading)
                ours[number] = open(kept, "r" if number else "w", encoding="utf-8")  # noqa: SIM115
                to_close.append(given)
            elif wanted == subprocess.DEVNULL:
                given = os.open(os.devnull, os.O_RDWR)
                to_close.append(given)
            else:
                given = theirs[1] if wanted == subprocess.STDOUT else wanted
            theirs.append(given)
        self.stdin, self.stdout, self.stderr = self._pipes = ours
        here, there = socket.socketpair()
        with there:
            socket.send_fds(server(), [b"1"], [there.fileno(), *theirs])
        for number in to_close:
            os.close(number)
        told = {
            "arguments": [str(word) for word in arguments],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
        }
        here.sendall(json.dumps(told).encode() + b"\n")
        self._told = here
        self.pid = self._number()

    def _number(self) -> int:
        """The next one that is told, each in a line of its own."""
        line = b""
        while not line.endswith(b"\n"):
            line += self._told.recv(1) or b"no process\n"
        return int(line)

    def poll(self) -> int | None:
        """Its exit code, or a signal's number below zero, if it has ended."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            return self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or a signal's number below zero, when it has ended.

        Raises:
            subprocess.TimeoutExpired: it had not, after so many seconds.
        """
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("python", timeout or 0)
            self.returncode = self._number()
            self._told.close()
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """What it still writes to its pipes, when it has ended."""
        if self.stdin:
            self.stdin.close()
        with ThreadPoolExecutor(2) as readers:
            out, err = readers.map(lambda pipe: pipe.read() if pipe else "", (self.stdout, self.stderr))
        self.__exit__()
        return out, err

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, if it still runs."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> "Python":
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            if pipe:
                pipe.close()
        self.wait()


def python(*arguments: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run what `python` is given to its end; the options are those of `Python`."""
    process = Python(*arguments, **options)
    out, err = process.communicate()
    return subprocess.CompletedProcess(list(arguments), process.wait(), out, err)


def imagerag(*arguments: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run the program to its end."""
    return python(*IMAGERAG, *arguments, **options)


def relayed(*arguments: str | Path) -> list[str]:
    """The command of a process that stands for one that is forked, for who can only be given a command.

    Args:
        arguments: what comes after `python`.
    """
    server()
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("relay.py")), str(door()), *map(str, arguments)]


@functools.cache
def door() -> Path:
    """Where any process can ask for one, given the place alone: the same for all that run tests side by side."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    folder = Path(tempfile.gettempdir(), f"imagerag-door-{run[:16]}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / "door"


@functools.cache
def server() -> socket.socket:
    """Where to ask for a process. It is there until the last of those that run tests has ended."""
    with open(f"{door()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        here, begun = greeted(), None
        if here is None:
            with socket.socket(socket.AF_UNIX) as listening:
                door().parent.mkdir(mode=0o700, exist_ok=True)
                door().unlink(missing_ok=True)
                listening.bind(str(door()))
                listening.listen()
                command = [sys.executable, "-P", __file__, str(listening.fileno()), str(door())]
                begun = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[listening.fileno()])
            here = greeted()
            assert here, "the server of forked processes has not begun"

    @atexit.register
    def end() -> None:
        here.close()
        if begun:
            begun.wait()

    return here


def greeted() -> socket.socket | None:
    """A connection to the server, whose answer was awaited; None if there is none."""
    here = socket.socket(socket.AF_UNIX)
    with contextlib.suppress(OSError):
        here.connect(str(door()))
        here.sendall(TO_STAY)
        if here.recv(1):
            return here
    here.close()
    return None


def warm() -> None:
    """Import what the processes will need: packages, the program, and open_clip as the program has it."""
    for name in SLOW:
        importlib.import_module(name)
    for package in OURS:
        whole = importlib.import_module(f"imagerag.{package}")
        for module in pkgutil.walk_packages(whole.__path__, f"{whole.__name__}."):
            importlib.import_module(module.name)
    importlib.import_module("imagerag.tools.embedders.openclip_import").open_clip_for()


def warm_lancedb() -> None:
    """Import lancedb as the program does, which decides how loud its log is.

    It starts its threads anew in what is forked, and warns that others may have been at work: here is nobody else.
    """
    importlib.import_module("imagerag.store.library.lancedb_import").import_lancedb()
    importlib.import_module("lancedb.background_loop")._FORK_WARNED = True


def warm_model() -> None:
    """Read the sketch world's CLIP and its vocabulary, as the first look at a picture does, and Pillow's formats.

    It computes nothing yet: that would start threads, which do not survive a fork.
    """
    importlib.import_module("PIL.Image").init()
    embedder = importlib.import_module("imagerag.tools.registry").make_embedder("sketch")
    assert embedder.identity
    embedder._load()
    embedder.count_tokens("a red circle")


def spare_the_ends() -> None:
    """Let no process take torch's operators apart at its end: it would copy the memory that they are in, first."""
    for each in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        each.atexit = False


def in_large_pages() -> None:
    """Gather the memory into pages of 2 MB, where the system can: most of a fork and of its end went into counting."""
    collapse, size = 25, 2 << 20
    try:
        maps, advise = Path("/proc/self/maps").read_text(), ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return
    for begin, end in re.findall(r"^(\w+)-(\w+) rw-p \w+ 00:00 0 ", maps, re.M):
        first, last = -(-int(begin, 16) // size) * size, int(end, 16) // size * size
        if last > first:
            advise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), collapse)


@functools.cache
def warm_mcp() -> None:
    """Import what serves MCP, which is asked for through the door."""
    for package in ("assistants", "mcp"):
        whole = importlib.import_module(f"imagerag.{package}")
        for module in pkgutil.walk_packages(whole.__path__, f"{whole.__name__}."):
            importlib.import_module(module.name)


def serve(door: socket.socket, folder: Path) -> None:
    """Fork a process whenever one is asked for, and tell how each ends, until nobody is left who will ask.

    Args:
        door: where those who will ask come to stay, and those that ask for one come once.
        folder: of the door, which goes with it.
    """
    warm()
    warm_lancedb()
    warm_model()
    spare_the_ends()
    in_large_pages()
    gc.freeze()  # nothing of it is looked through again, and copied for that
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for who asks
    ended, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    relayed: dict[socket.socket, int] = {}
    asking: list[socket.socket] = []
    while True:
        ready, _, _ = select.select([door, ended, *asking, *relayed], [], [])
        if ended in ready:
            os.read(ended, 4096)
            for child in tell_how_they_ended(running):
                relayed = {telling: other for telling, other in relayed.items() if other != child}
        for gone in [telling for telling in relayed if telling in ready]:  # killed: it would have waited
            os.kill(relayed.pop(gone), signal.SIGKILL)
        for each in [each for each in asking if each in ready]:
            given = socket.recv_fds(each, 1, 4)[1]
            if given:
                begin(given, running, *asking, door, ended, waking)
                continue
            asking.remove(each)
            each.close()
            if not asking:
                shutil.rmtree(folder, ignore_errors=True)
                os._exit(0)
        if door in ready:
            visitor = door.accept()[0]
            said, given, *_ = socket.recv_fds(visitor, 1, 4)
            if said == TO_STAY:
                asking.append(visitor)
                with contextlib.suppress(OSError):
                    visitor.sendall(TO_STAY)
                continue
            visitor.close()
            if given:  # nothing comes of a relay that was killed before it handed over
                warm_mcp()
                child, telling = begin(given, running, *asking, door, ended, waking)
                relayed[telling] = child


def begin(given: list[int], running: dict[int, socket.socket], *own: socket.socket | int) -> tuple[int, socket.socket]:
    """Fork the process that was asked for.

    Args:
        given: where to tell of it, and its streams.
        running: those that run, to which it is added.
        own: what it does not inherit.
    """
    telling, streams = socket.socket(fileno=given[0]), given[1:]
    with telling.makefile(encoding="utf-8") as asked:
        wanted = asked.readline()
    child = os.fork()
    if child == 0:
        for each in (*own, telling, *running.values()):
            os.close(each if isinstance(each, int) else each.detach())
        os._exit(be(json.loads(wanted), streams))
    for number in streams:
        os.close(number)
    running[child] = telling
    tell(telling, child)
    return child, telling


def tell_how_they_ended(running: dict[int, socket.socket]) -> list[int]:
    """Tell those who asked for processes that have ended how each did; gives their ids."""
    told = list[int]()
    while running:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            break
        with running.pop(child) as telling:
            tell(telling, os.waitstatus_to_exitcode(status))
        told.append(child)
    return told


def tell(telling: socket.socket, number: int) -> None:
    """Send a number to who asked, if they still listen."""
    with contextlib.suppress(OSError):
        telling.sendall(b"%d\n" % number)


def be(given: dict[str, Any], streams: list[int]) -> int:
    """Be the process that was asked for; its exit code."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for stream in streams:
        os.close(stream)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False, buffering=1 if os.isatty(1) else -1)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1, errors="backslashreplace")  # noqa: SIM115
    os.environ.clear()
    os.environ.update(given["env"])
    os.chdir(given["cwd"])
    return run(given["arguments"])


def run(arguments: list[str]) -> int:
    """Run what `python` is given, and what is to run at its end; its exit code."""
    kind, what, *rest = arguments
    sys.argv = [what if kind == "-m" else kind, *rest]
    code: Any = 0
    try:
        if kind == "-m":
            sys.path.insert(0, os.getcwd())
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            assert kind == "-c"
            sys.path.insert(0, "")
            sys.modules["__main__"] = main = types.ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), main.__dict__)
    except SystemExit as leaving:
        code = leaving.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    return int(code) & 0xFF


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]).parent)
