"""`python -m imagerag.evals.bench`."""

import sys

from imagerag.evals.bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
