"""Stands for a process that `tests/processes.py` forks: for who starts a program by a command and by nothing else.

It is given the place of a door, and what `python` is given; its streams are the other's, and so are the signals that
ask it to end. Killed, it takes the other with it.
"""

import contextlib
import json
import os
import signal
import socket
import sys


def main() -> int:
    """Ask for the process, and wait for its end; its exit code."""
    place, *arguments = sys.argv[1:]
    here, there = socket.socketpair()
    with there, socket.socket(socket.AF_UNIX) as door:
        door.connect(place)
        socket.send_fds(door, [b"1"], [there.fileno(), 0, 1, 2])
    told = {"arguments": arguments, "cwd": os.getcwd(), "env": dict(os.environ)}
    here.sendall(json.dumps(told).encode() + b"\n")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):  # theirs alone: who reads or writes there is to see the other's end of it
        os.dup2(nothing, number)
    with here.makefile() as answers:
        child = int(answers.readline())

        def passed_on(number: int, _: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, passed_on)
        code = int(answers.readline())
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
