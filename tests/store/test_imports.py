"""The store is imported by the command line before anything is asked of it: nothing heavy may come along."""

import subprocess
import sys
from pathlib import Path

import imagerag.store

HEAVY = {"torch", "lancedb", "pyarrow", "langgraph", "PIL", "numpy", "open_clip", "aiosqlite"}
ROOT = Path(imagerag.store.__file__).parent
ONCE_ASKED = {"sqlite.checkpointer", "sqlite.compact_serializer", "sqlite.langgraph_store"}
"""Built on LangGraph's own; imported where a run is read or made."""
MODULES = sorted(
    {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.rglob("[!_]*.py")} - ONCE_ASKED
)


def test_importing_the_store_loads_nothing_heavy():
    code = "import sys\n" + "\n".join(f"import imagerag.store.{name}" for name in MODULES)
    code += f"\nprint(*sorted({HEAVY!r} & {{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []
