"""Tables of an evaluation by arm, in Markdown, LaTeX, CSV and for the terminal.

| table | |
|---|---|
| scores | a row per arm, a column per score, mean ± standard error, the best in bold |
| differences | every arm against the first, interval, p corrected |
| endings | how cases ended, failures counted apart |
| settings | what every arm was run with |
| by size | what arms gained with libraries of several sizes |
| by tag | the scores split by what kind of case it was |
| searches | what the library's searches found |
| work | what an answer took |

The tables in the layout of the ImageRAG paper are made in `paper_layouts` and written here.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from imagerag.evals.check_record import CheckSummary
from imagerag.evals.harness.encoder_independence import explanation
from imagerag.evals.reports.paper_tables import PaperTable
from imagerag.formatting.check_labels import TABLES
from imagerag.formatting.labels import CASES
from imagerag.formatting.numbers import counted, difference, score

SETTINGS: Final = (
    "library", "library_size", "reranker", "retrieve_by", "threshold", "max_rounds", "judge_mode", "generator", "judge",
    "gives_back",
)  # fmt: skip
WORK: Final = ("calls", "cost_usd", "searches", "redrawn", "kept_initial", "loop_aligned")
SEARCHES: Final = "retrieval."

Rows = list[list[str]]


def scores(summary: Mapping[str, Any], *, bold: str = "**{}**", plus: str = "±") -> Rows:
    """A row per arm: mean ± standard error of each score, the best of a column marked."""
    return _score_rows(summary, quality(summary), bold, plus)


def quality(summary: Mapping[str, Any]) -> list[str]:
    """The metrics of quality, without those of searches and work."""
    return [name for name in summary["metrics"] if name not in WORK and not name.startswith(SEARCHES)]


def searches(summary: Mapping[str, Any], *, bold: str = "**{}**") -> Rows:
    """The same for the metrics of the library's searches."""
    there = [name for name in summary["metrics"] if name.startswith(SEARCHES)]
    return _score_rows(summary, there, bold, "±", searched=True) if there else []


def _score_rows(
    summary: Mapping[str, Any], metrics: Sequence[str], bold: str, plus: str, *, searched: bool = False
) -> Rows:
    rows = [["arm", *(name.removeprefix(SEARCHES) for name in metrics), "n", "failed"]]
    best = {name: _best(summary, name) for name in metrics}
    for arm, entry in summary["arms"].items():
        cells = []
        if searched and not any(arm in summary["metrics"][name]["arms"] for name in metrics):
            continue
        for name in metrics:
            value = summary["metrics"][name]["arms"].get(arm)
            text = _value(value, plus)
            cells.append(bold.format(text) if value and value["value"] == best[name] is not None else text)
        rows.append([arm, *cells, str(entry["n"]), str(entry["statuses"]["technical"])])
    return rows


def _best(summary: Mapping[str, Any], name: str) -> float | None:
    values = [value["value"] for value in summary["metrics"][name]["arms"].values() if value["value"] is not None]
    return max(values) if len(set(values)) > 1 else None


def _value(value: Mapping[str, Any] | None, plus: str = "±") -> str:
    if not value or value["value"] is None:
        return "–"
    spread = f" {plus} {score(value['stderr'])}" if value["stderr"] is not None else ""
    return f"{score(value['value'])}{spread}"


def differences(summary: Mapping[str, Any]) -> Rows:
    """A row per score and arm: the mean paired difference from the first arm, its interval, and p."""
    rows = [["score", "arm", f"− {summary['base']}", "95 % interval", "p (Holm)", "better / same / worse", "pairs"]]
    for name, arms in summary["differences"].items():
        if name not in quality(summary):
            continue
        for arm, gap in arms.items():
            if gap["mean"] is None:
                continue
            p = gap["p_holm"]
            p_text = "–" if p is None else "< 0.001" if p < 0.001 else score(p)
            interval = f"[{difference(gap['low'])}, {difference(gap['high'])}]"
            signs = f"{gap['better']} / {gap['same']} / {gap['worse']}"
            pairs = f"{gap['n']}" + (f" ({gap['unpaired']} without)" if gap["unpaired"] else "")
            rows.append([name, arm, difference(gap["mean"]), interval, p_text, signs, pairs])
    return rows


def endings(summary: Mapping[str, Any]) -> Rows:
    """A row per arm: how its cases ended, including failed cases."""
    names = list(next(iter(summary["arms"].values()))["statuses"])
    rows = [["arm", "n", *(CASES.get(name, name) for name in names)]]
    for arm, entry in summary["arms"].items():
        rows.append([arm, str(entry["n"]), *(str(entry["statuses"][name]) for name in names)])
    return rows


def work(summary: Mapping[str, Any]) -> Rows:
    """A row per arm: calls, cost, searches and regenerations per result."""
    there = [name for name in WORK if name in summary["metrics"]]
    rows = [["arm", *(name.replace("_", " ") for name in there)]]
    rows += [[arm, *(_value(summary["metrics"][name]["arms"].get(arm)) for name in there)] for arm in summary["arms"]]
    return rows if there else []


def by_tag(summary: Mapping[str, Any], metric: str) -> Rows:
    """A row per tag, a column per arm: the mean of one score."""
    arms = list(summary["arms"])
    rows = [[metric, "cases", *arms]]
    for tag, entry in summary["by_tag"].items():
        values = entry["metrics"].get(metric, {})
        if values:
            rows.append([tag, str(entry["cases"]), *(_value(values.get(arm)) for arm in arms)])
    return rows if len(rows) > 1 else []


def settings(summary: Mapping[str, Any]) -> Rows:
    """A row per arm: its settings; a column for each setting that differs between arms or is always shown."""
    by_arm = {arm: entry.get("settings") or {} for arm, entry in summary["arms"].items()}
    names = [name for name in SETTINGS if any(one.get(name) is not None for one in by_arm.values())]
    rows = [["arm", *(name.replace("_", " ") for name in names)]]
    rows += [
        [arm, *("–" if one.get(name) is None else str(one[name]) for name in names)] for arm, one in by_arm.items()
    ]
    return rows if names else []


def by_size(summary: Mapping[str, Any], metric: str) -> Rows:
    """A row per library of a known size, the smallest first: an arm's gain with it over the first arm."""
    gaps = summary["differences"].get(metric, {})
    sized = [
        (entry["settings"]["library_size"], arm)
        for arm, entry in summary["arms"].items()
        if (entry.get("settings") or {}).get("library_size") is not None
        and (gaps.get(arm) or {}).get("mean") is not None
    ]
    rows = [["images", "arm", metric, f"− {summary['base']}", "95 % interval", "pairs"]]
    for size, arm in sorted(sized):
        gain, value = gaps[arm], summary["metrics"][metric]["arms"].get(arm)
        interval = f"[{difference(gain['low'])}, {difference(gain['high'])}]"
        rows.append([f"{size:,}", arm, _value(value), difference(gain["mean"]), interval, str(gain["n"])])
    return rows if len({size for size, _ in sized}) > 1 else []


def all_tables(summary: Mapping[str, Any], *, bold: str = "**{}**") -> Iterable[tuple[str, Rows]]:
    """(title, rows) of every table with data."""
    if summary.get("checks"):
        checks = CheckSummary.model_validate(summary["checks"])
        failed = counted(len(checks.failures), "failure")
        yield TABLES["checks"].format(cases=counted(checks.cases, "case"), failures=failed), checks.table()
    if not summary["results"]:
        return
    yield TABLES["scores"], scores(summary, bold=bold)
    compared = differences(summary)
    if len(compared) > 1:
        yield TABLES["against"].format(arm=summary["base"]), compared
    yield TABLES["endings"], endings(summary)
    if rows := settings(summary):
        yield TABLES["settings"], rows
    for name in quality(summary):
        if rows := by_size(summary, name):
            yield TABLES["by_size"].format(metric=name), rows
    for name in quality(summary):
        if rows := by_tag(summary, name):
            yield TABLES["by_tag"].format(metric=name), rows
    if rows := searches(summary, bold=bold):
        yield TABLES["searches"], rows
    if rows := work(summary):
        yield TABLES["work"], rows


def markdown(summary: Mapping[str, Any], paper: Iterable[PaperTable] = ()) -> str:
    """The whole report as Markdown, with the paper's tables at the end."""
    suite = summary["suite"]
    heading = (
        f"{summary['cases']} cases, {summary['results']} results. Suite `{suite['hash'][:16]}`. "
        "Shares count every answer, also those that broke; means are over the answers that have a score. Intervals are "
        "bootstrap, p is a sign-flip permutation test corrected by Holm over the arms. Cases are the units."
    )
    lines = [f"# {suite['name']} {suite['version']}", "", heading]
    if legend := explanation(list(summary["metrics"])):
        lines += ["", legend]
    for title, rows in all_tables(summary):
        lines += ["", f"## {title}", "", _row(rows[0]), _row(["---"] + ["---:"] * (len(rows[0]) - 1))]
        lines += [_row(row) for row in rows[1:]]
    return "\n".join([*lines, "", markdown_sheets(paper)]).rstrip() + "\n"


def markdown_sheets(sheets: Iterable[PaperTable]) -> str:
    """The paper's tables in Markdown. It has only one heading row, so the group heading is put before each column's."""
    lines: list[str] = []
    for sheet in sheets:
        above = [name for name, wide in sheet.groups for _ in range(wide)]
        heads = ["", *(f"{group}: {name}" for group, name in zip(above, sheet.columns, strict=True))]
        lines += [f"## {sheet.caption}", "", _row(heads), _row(["---"] + ["---:"] * len(above))]
        lines += [*(_row(row) for row in sheet.marked("**{}**")), "", sheet.note, ""]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def latex(summary: Mapping[str, Any], paper: Iterable[PaperTable] = ()) -> str:
    """Every table as a LaTeX `table` with booktabs' rules, with the paper's tables at the end."""
    parts, legend = ["% Needs \\usepackage{booktabs}"], explanation(list(summary["metrics"]))
    for title, rows in all_tables(summary, bold="\x02{}\x03"):
        note = legend if explanation(rows[0]) or any(explanation(row[:1]) for row in rows) else ""
        parts += _floating(title, len(rows[0]), [_line(rows[0]), r"\midrule", *map(_line, rows[1:])], note)
    return "\n".join([*parts, latex_sheets(paper)])


def latex_sheets(sheets: Iterable[PaperTable]) -> str:
    """The paper's tables in LaTeX: the data sets above their columns, a rule between the parts, the note below."""
    parts: list[str] = []
    for sheet in sheets:
        groups, rules, at = [], [], 2
        for name, wide in sheet.groups:
            groups.append(rf"\multicolumn{{{wide}}}{{c}}{{{_escaped(name)}}}")
            rules.append(rf"\cmidrule(lr){{{at}-{at + wide - 1}}}")
            at += wide
        lines = [f" & {' & '.join(groups)} \\\\", " ".join(rules), _line(["", *sheet.columns])]
        part = None
        for row, cells in zip(sheet.rows, sheet.marked("\x02{}\x03"), strict=True):
            lines += [r"\midrule"] if row.part != part else []
            lines.append(_line(cells))
            part = row.part
        parts += _floating(sheet.caption, len(sheet.columns) + 1, lines, sheet.note)
    return "\n".join(parts)


def _floating(caption: str, columns: int, lines: Sequence[str], note: str = "") -> list[str]:
    below = [r"\par\smallskip", rf"{{\footnotesize {_escaped(note)}}}"] if note else []
    return [
        r"\begin{table}", r"\centering", rf"\caption{{{_escaped(caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * (columns - 1)}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}", *below,
        r"\end{table}", "",
    ]  # fmt: skip


def _line(cells: Sequence[str]) -> str:
    return " & ".join(_escaped(cell) for cell in cells) + r" \\"


_SPECIAL: Final = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--", "−": "$-$", "<": "$<$",
    "≥": r"$\geq$", "↑": r"$\uparrow$", "\x02": r"\textbf{", "\x03": "}",
}  # fmt: skip


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


SHOWN: Final = ("Checks", "Scores", "Against", "How cases ended", "Settings")
BY_SIZE: Final = "by size of the library"
"""Tables that a terminal shows; the others are in the report."""


def comma_separated(summary: Mapping[str, Any]) -> str:
    """Every table as CSV, one after the other: the table's title in the first column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for title, rows in all_tables(summary, bold="{}"):
        writer.writerows([title, *row] for row in rows)
    if legend := explanation(list(summary["metrics"])):
        writer.writerow([legend])
    return out.getvalue()


def shown_tables(summary: Mapping[str, Any]) -> list[tuple[str, list[list[str]]]]:
    """The tables that a terminal shows, each with its title: scores, differences, endings and settings.

    Settings are shown with a row for each, not for each arm: there are more settings than fit beside one another.
    """
    return [
        (title, [list(row) for row in (zip(*rows, strict=True) if title == "Settings" else rows)])
        for title, rows in all_tables(summary, bold="{}")
        if title.startswith(SHOWN) or title.endswith(BY_SIZE)
    ]
