"""LanceDB's own warnings stay out of the terminal, which is for imagerag's messages."""

import os
import subprocess
import sys

import pytest

EMPTY_PARTS = """
import sys
import numpy as np
import pyarrow as pa
from imagerag.store.library.lancedb_import import import_lancedb
lancedb = import_lancedb()
from lancedb.index import IvfRq
same = np.ones((2000, 64), np.float32)
rows = pa.table({"vector": pa.FixedSizeListArray.from_arrays(same.ravel(), 64)})
table = lancedb.connect(sys.argv[1]).create_table("same", rows)
table.create_index("vector", config=IvfRq(num_partitions=8))
"""


@pytest.mark.parametrize(("level", "warned"), [(None, False), ("warn", True)])
def test_an_index_with_empty_parts(level: str | None, warned: bool, tmp_path: os.PathLike[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "LANCEDB_LOG"}
    environment |= {"LANCEDB_LOG": level} if level else {}
    process = subprocess.run(
        [sys.executable, "-c", EMPTY_PARTS, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    assert ("WARN" in process.stderr) is warned
