"""`python -m imagerag.evals.bench`."""

import os
import sys

from imagerag.evals.bench.cli import main

if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command `imagerag` has it; read when torch is loaded
    sys.exit(main())
