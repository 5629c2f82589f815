"""`python -m imagerag`, and the command `imagerag`."""

import sys


def run() -> None:
    """Run the command line; Ctrl-C during the first imports exits as quietly as later."""
    try:
        from imagerag.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)  # `STOPPED` of the labels, which cannot be imported after this


if __name__ == "__main__":
    run()
