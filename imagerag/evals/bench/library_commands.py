"""Peak memory and CPU time of every command on a library, each in a new process.

The commands run one after the other on the same library, which the last ones change. They find its encoder through an
entry point, like that of an installed package.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from imagerag.evals.bench.timing import TimingRow
from imagerag.store.library.library import Library
from imagerag.store.library.library_metadata import ImageThreshold, write_library_metadata

SECTION: Final = "library"
ALIKE: Final = 0.95
"""Cosine from which on images of a synthetic library show the same, as a threshold that was measured says."""

COMMANDS: Final = (
    "trust --spec synthetic", "library list", "library info {0}", "library stats {0} --json", "library unmatched {0}",
    "search {1} --library {0}", "search {1} --library {0} --hybrid",
    "search {1} --library {0} --filter shelf=7", "search {1} --library {0} --licence MIT",
    "library dedupe {0} --json", "library calibrate {0}", "library check {0}", "library verify {0} --json",
    "library export {0} {2}/all.parquet", "library export {0} {2}/folder --quiet",
    "index {2}/one.png --library {0}", "index {2}/one.png --library {0} --dry-run", "library add {0} {2}/two.png",
    "library update {0} --filter shelf=7 --tag seven --yes",
    "library update {0} --filter shelf>=0 --tag all --dry-run",
    "library remove {0} --filter shelf<5 --dry-run", "library remove {0} --filter shelf>=0 --dry-run --json",
    "library snapshot create {0} one", "library snapshot list {0}",
    "library update {0} --filter shelf>=0 --tag all --yes", "library remove {0} --filter shelf<25 --yes",
    "library optimize {0}", "library snapshot restore {0} one --yes", "library snapshot remove {0} one --yes",
    "doctor", "library dedupe {0} --threshold 0.95 --remove --yes", "library verify {0} --repair",
    "library migrate {0} --embedder synthetic:other --yes", "library migrate {0} --drop-other --yes",
    "library rename {0} renamed", "library remove renamed --whole-library --yes",
)  # fmt: skip
"""What is run: 0 is the library, 1 a caption, 2 a folder with two images."""

FINDS_PROBLEMS: Final = 1
"""Exit code of commands that did all, and tell of problems: the files of a synthetic library are nowhere."""


async def commands(
    library: Library, folder: Path, progress: Callable[[str], None] = lambda text: None
) -> list[TimingRow]:
    """Measure each command.

    Args:
        library: synthetic.
        folder: an empty folder for the files that the commands write and for the metadata of the encoder's package.
        progress: called with the measures of each command as soon as it ended.
    """
    from PIL import Image

    await asyncio.to_thread(_announce_encoder, folder / "package")
    await asyncio.to_thread(_tell_apart, library)
    for colour, name in (("red", "one.png"), ("blue", "two.png")):
        await asyncio.to_thread(Image.new("RGB", (64, 48), colour).save, folder / name)
    environment = {**os.environ, "IMAGERAG_HOME": str(library.table.home.root)}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(folder / "package"), str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    rows = []
    for command in COMMANDS:
        arguments = [part.format(library.name, "a red car", folder) for part in command.split(" ")]
        rows.append(await asyncio.to_thread(_measure, arguments, folder / "took.json", environment))
        progress(f"{rows[-1].name}: {rows[-1].value} MB, {rows[-1].note}")
    return rows


def _measure(arguments: Sequence[str], out: Path, environment: dict[str, str]) -> TimingRow:
    command = [sys.executable, "-m", "imagerag.evals.bench.measured_command", str(out), *arguments]
    name = " ".join(part.rpartition("/")[2] for part in arguments)
    out.unlink(missing_ok=True)
    began = time.perf_counter()
    ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    wall = time.perf_counter() - began
    if ended.returncode not in (0, FINDS_PROBLEMS) or not out.exists():
        stderr = ended.stderr.decode(errors="replace").strip().splitlines() or ["nothing on stderr"]
        why = f"exit {ended.returncode}: {stderr[-1][:200]}"
        return TimingRow(section=SECTION, name=name, value=None, unit="MB", note=why)
    took = json.loads(out.read_text())
    note = f"{took['cpu_s']:.1f} CPU s, {wall:.1f} s"
    return TimingRow(section=SECTION, name=name, value=took["megabytes"], unit="MB", n=1, note=note)


def _announce_encoder(folder: Path) -> None:
    """Write the metadata of a package whose entry point is the synthetic encoder into a folder of the import path."""
    described = folder / "imagerag_bench_encoder-1.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: imagerag-bench-encoder\nVersion: 1\n")
    place = "imagerag.evals.bench.synthetic_library:synthetic_embedder"
    (described / "entry_points.txt").write_text(f"[imagerag.embedders]\nsynthetic = {place}\n")


def _tell_apart(library: Library) -> None:
    """Store a threshold between images: calibration would need pixels, which synthetic images lack."""
    rows = library.table.lance.count_rows()
    between = ImageThreshold(cosine=ALIKE, images=rows, calibrated=datetime.now(UTC))
    write_library_metadata(library.table.lance, library.metadata.model_copy(update={"image_threshold": between}))
