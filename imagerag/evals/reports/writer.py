"""Write the reports of an evaluation's results: `report.md`, `tables.tex`, `tables.csv`, plots, the
gallery; and the tables that several evaluations fill together: `paper.md`, `paper.tex`."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.extras import is_installed
from imagerag.agent.regular_files import read_regular_text
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.results_store import RESULTS
from imagerag.evals.harness.summary import SUMMARY
from imagerag.evals.reports.figures import figures
from imagerag.evals.reports.gallery import gallery
from imagerag.evals.reports.paper_layouts import paper_tables
from imagerag.evals.reports.paper_tables import MethodScores
from imagerag.evals.reports.tables import comma_separated, latex, latex_sheets, markdown, markdown_sheets
from imagerag.evals.result_record import read_results
from imagerag.store.images.blob_store import write_atomically
from imagerag.store.output_dir_lock import exclusive_writer

PLOTS: Final = "plots"
"""The folder of the plots, one SVG file each."""

PLOT_NAME: Final = re.compile(r"[A-Za-z0-9_-]+\.svg")

Images = Callable[[str], bytes | None]


def read_summary(folder: Path) -> Mapping[str, Any]:
    """Read the summary of a folder.

    Raises:
        UsageError: the folder has no summary.
    """
    try:
        summary: Mapping[str, Any] = json.loads(read_regular_text(folder / SUMMARY))
    except OSError as error:
        raise UsageError(f"{folder} holds no finished evaluation: there is no {SUMMARY} in it") from error
    return summary


def write_reports(folder: Path) -> list[Path]:
    """Write the reports, and return their paths. Plots are left out where matplotlib is not installed.

    The images are those stored with the evaluation, without the library's.
    """
    summary, plan = read_summary(folder), Plan.read(folder)
    drawable = figures(plan, summary, read_results(folder / RESULTS)) if is_installed("matplotlib") else {}
    plots = {name: plot.svg() for name, plot in drawable.items()}
    paper = paper_tables([MethodScores(plan.suite.name, plan, summary)])
    text = markdown(summary, paper)
    if plots:
        text += "\n## Plots\n\n" + "\n".join(f"![{name.removesuffix('.svg')}]({PLOTS}/{name})" for name in plots) + "\n"
    page = gallery(summary, read_results(folder / RESULTS), stored_images(folder), plots.values())
    files = {"report.md": text, "tables.tex": latex(summary, paper), "gallery.html": page}
    files["tables.csv"] = comma_separated(summary)
    files |= {f"{PLOTS}/{name}": svg for name, svg in plots.items()}
    with exclusive_writer(folder):
        for name, content in files.items():
            write_atomically(folder / name, content.encode())
    return [folder / name for name in files]


PAPER: Final = ("paper.md", "paper.tex")


def write_paper(folders: Sequence[Path], target: Path) -> list[Path]:
    """Write the paper's tables, with every evaluation as a data set, and return their paths.

    Raises:
        UsageError: a folder holds no finished evaluation, or the evaluations fill no table.
    """
    evaluations = [(folder, Plan.read(folder), read_summary(folder)) for folder in folders]
    names = Counter(plan.suite.name for _, plan, _ in evaluations)
    tables = paper_tables([
        MethodScores(
            f"{plan.suite.name} ({folder.name})" if names[plan.suite.name] > 1 else plan.suite.name, plan, summary
        )
        for folder, plan, summary in evaluations
    ])  # fmt: skip
    if not tables:
        raise UsageError("these evaluations fill none of the paper's tables: run them with the arms base and full")
    texts = dict(
        zip(PAPER, (markdown_sheets(tables), f"% Needs \\usepackage{{booktabs}}\n{latex_sheets(tables)}"), strict=True)
    )
    with exclusive_writer(target):
        for name, text in texts.items():
            write_atomically(target / name, text.encode())
    return [target / name for name in texts]


def stored_images(folder: Path) -> Images:
    """The images that an evaluation stores in its own home."""
    blobs = folder / "home" / "blobs"

    def read(sha256: str) -> bytes | None:
        try:
            return (blobs / sha256[:2] / sha256[2:]).read_bytes()
        except OSError:
            return None

    return read


def stored_plots(folder: Path) -> list[str]:
    """The names of the plots that an evaluation stores, sorted; links are left out."""
    try:
        names = [entry.name for entry in os.scandir(folder / PLOTS) if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(name for name in names if PLOT_NAME.fullmatch(name))
