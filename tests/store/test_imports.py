"""The store is imported by the command line before anything is asked of it: nothing heavy may come along."""

import subprocess
import sys

HEAVY = {"torch", "lancedb", "pyarrow", "langgraph", "PIL", "numpy", "open_clip", "aiosqlite"}
MODULES = (
    "blobs calibrate captions checkpoints home imaging ingest library manifest library_metadata rows runs search tables"
)


def test_importing_the_store_loads_nothing_heavy():
    code = "import sys\n" + "\n".join(f"import imagerag.store.{name}" for name in MODULES.split())
    code += f"\nprint(*sorted({HEAVY!r} & {{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []
