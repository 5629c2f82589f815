"""`python -m imagerag.evals.bench`."""

import os
import sys

from imagerag.evals.bench.cli import main

if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the command `imagerag`; torch reads it on import
    sys.exit(main())
