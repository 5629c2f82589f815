"""`python -m imagerag.evals.bench.measured_command FILE ARGUMENTS…`: `imagerag ARGUMENTS…`, and what it took into FILE.

The process says so itself: what the system tells its parent of the largest memory counts the parent's own, too.
"""

import json
import runpy
import sys
import time
from pathlib import Path


def peak_megabytes() -> float | None:
    """The most resident memory that this process ever had; None where the system does not say."""
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
