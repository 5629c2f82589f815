"""`python -m imagerag`, and the command `imagerag`."""

import os
import sys


def run() -> None:
    """Run the command line; Ctrl-C during the first imports exits as quietly as later, and so does a reader that has
    gone away."""
    try:
        from imagerag.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)  # `STOPPED` of the labels, which cannot be imported after this
    finally:
        _drop_unread()


def _drop_unread() -> None:
    """Drop what nobody reads any more: Python would complain of it when it ends, and exit with another code."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    run()
