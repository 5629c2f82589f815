"""`python -m imagerag.evals.bench.measured_command FILE ARGUMENTS…`: run `imagerag ARGUMENTS…`, write its measures to
FILE.

The process measures itself: the peak memory that the system reports to its parent includes the parent's own.
"""

import json
import runpy
import sys
import time
from pathlib import Path


def peak_megabytes() -> float | None:
    """Peak resident memory of this process; None where the system does not report it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM")), None)


if __name__ == "__main__":
    out = Path(sys.argv.pop(1))
    try:
        runpy.run_module("imagerag", run_name="__main__")
    finally:
        out.write_text(json.dumps({"megabytes": peak_megabytes(), "cpu_s": time.process_time()}))
