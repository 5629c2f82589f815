"""Summaries, tables, plots and the gallery are counted from the results alone, and stand by themselves."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from imagerag.agent.types import RunSpec
from imagerag.evals.harness.arms import parse_arms
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.results_store import RESULTS
from imagerag.evals.harness.summary import summarise, write_summary
from imagerag.evals.reports.figures import figures, main_score
from imagerag.evals.reports.gallery import gallery, thumbnail
from imagerag.evals.reports.plots import Plot, Point
from imagerag.evals.reports.tables import comma_separated, latex, markdown, settings, terminal
from imagerag.evals.reports.writer import write_reports
from imagerag.evals.result_record import InitialImage, Result
from imagerag.evals.suites.case import Case, LibraryRecipe, Suite
from imagerag.tools.testing.fakes import describe_image, picture

ARMS = "base,full+library=small,full"
SCORES: dict[str, list[Any]] = {
    "base": [0.1, 0.2, 0.3, 0.4],
    "full+library=small": [0.2, 0.2, 0.4, None],
    "full": [0.5, 0.4, 0.6, 0.9],
}


@pytest.fixture
def plan() -> Plan:
    cases = tuple(Case(id=f"c{at}", prompt=f"<b>thing</b> {at} & more", tags=(f"odd:{at % 2}",)) for at in range(4))
    libraries = {"large": LibraryRecipe(kind="rare", size=100), "small": LibraryRecipe(kind="rare", size=10)}
    suite = Suite(name="fakes", cases=cases, libraries=libraries)
    setup = RunSpec(generator="fake", judge="fake", library="large")
    return Plan(suite=suite, arms=parse_arms(ARMS), setup=setup, metrics=("text:eye",))


def result(plan: Plan, case: Case, arm: Any, at: int) -> Result:
    score = SCORES[arm.name][at]
    image = describe_image(picture(f"{arm.name}/{at}"))
    broken = score is None
    return Result(
        suite=plan.suite.told, case=case.id, arm=arm.name, arm_hash="0", seed=0, tags=case.tags, prompt=case.prompt,
        setup=arm.of(plan.setup, seed=0, journal="record"), run_id=f"ev-{case.id}-{arm.name}",
        status="technical" if broken else "answered", outcome="failed" if broken else "aligned",
        reason="</script><script>alert(1)</script>", initial=InitialImage(image=image), image=None if broken else image,
        scores={"text:eye": score, "right:eye": None if broken else score > 0.35, "calls": float(at + 1)},
        unscored={"text:eye": "no picture: technical", "right:eye": "no picture: technical"} if broken else {},
    )  # fmt: skip


@pytest.fixture
def results(plan: Plan) -> list[Result]:
    return [result(plan, case, arm, at) for at, case in enumerate(plan.suite.cases) for arm in plan.arms]


@pytest.fixture
def summary(plan: Plan, results: list[Result]) -> dict[str, Any]:
    return summarise(plan, results)


def test_a_failure_is_in_the_denominator_of_a_share_and_in_no_mean(summary: dict[str, Any]) -> None:
    text, right = (summary["metrics"][name]["arms"]["full+library=small"] for name in ("text:eye", "right:eye"))
    assert (text["value"], text["scored"], text["asked"]) == (pytest.approx(0.8 / 3, abs=1e-6), 3, 4)
    assert (right["value"], right["scored"], right["asked"]) == (0.25, 3, 4)
    assert summary["arms"]["full+library=small"]["statuses"]["technical"] == 1
    assert summary["unscored"] == {"no picture": 2}


def test_differences_are_paired_and_corrected_for_the_arms(summary: dict[str, Any]) -> None:
    found = summary["differences"]["text:eye"]
    full, small = found["full"], found["full+library=small"]
    assert full["mean"] == pytest.approx(0.35)
    assert full["stderr"] == pytest.approx(stats.sem([0.4, 0.2, 0.3, 0.5]), abs=1e-6)
    assert (full["n"], full["unpaired"], small["n"], small["unpaired"]) == (4, 0, 3, 1)
    assert full["p"] == 2 / 16
    assert full["p_holm"] == 4 / 16
    assert full["low"] > 0


def test_several_seeds_of_a_case_are_one_unit(plan: Plan, results: list[Result]) -> None:
    again = [r.model_copy(update={"seed": 1}) for r in results]
    assert summarise(plan, [*results, *again])["differences"] == summarise(plan, results)["differences"]


def test_scores_are_split_by_tag(summary: dict[str, Any]) -> None:
    assert set(summary["by_tag"]) == {"odd:0", "odd:1"}
    assert summary["by_tag"]["odd:1"]["metrics"]["text:eye"]["full"]["value"] == pytest.approx(0.65)


def test_markdown_holds_every_arm_and_marks_the_best(summary: dict[str, Any]) -> None:
    text = markdown(summary)
    rows = [line for line in text.splitlines() if line.startswith("| full |")]
    assert "**0.600 ± 0.108**" in rows[0]
    assert "− base" in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert all(widths)
    assert "text:eye, by kind of case" in text


def test_latex_is_escaped_and_balanced(summary: dict[str, Any]) -> None:
    text = latex(summary)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") >= 4
    assert text.count(r"\toprule") == text.count(r"\bottomrule")
    assert not re.search(r"(?<!\\)_", text.replace(r"\usepackage", ""))
    assert r"\textbf{0.600 $\pm$ 0.108}" in text
    tabulars = re.findall(r"\\begin\{tabular\}\{(\w+)\}\n\\toprule\n(.*?)\\bottomrule", text, re.DOTALL)
    for columns, body in tabulars:
        for line in body.splitlines():
            if line.endswith(r"\\"):
                assert line.count("&") == len(columns) - 1


def test_the_terminal_shows_scores_differences_and_endings(summary: dict[str, Any]) -> None:
    lines = terminal(summary)
    assert "0.600 ± 0.108" in "\n".join(lines)
    titles = [line.split(",")[0] for line in lines if line and not line.startswith(" ")]
    assert titles[:4] == ["Scores", "Against base", "How cases ended", "Settings"]
    assert all(title.startswith(("text:", "right:", "image:", "score")) for title in titles[4:])


def test_tables_say_which_settings_their_rows_had(summary: dict[str, Any], plan: Plan) -> None:
    rows = {row[0]: dict(zip(settings(summary)[0], row, strict=True)) for row in settings(summary)[1:]}
    assert list(rows) == [arm.name for arm in plan.arms]
    assert rows["base"]["gives back"] == "the first picture"
    assert rows["base"]["threshold"] == "–"
    assert (rows["full"]["threshold"], rows["full"]["max rounds"], rows["full"]["retrieve by"]) == (
        "auto", "3", "caption",
    )  # fmt: skip
    assert all("Settings" in text for text in (markdown(summary), latex(summary)))
    shown = [row for row in csv.reader(io.StringIO(comma_separated(summary))) if row[0] == "Settings"]
    assert [row[1] for row in shown] == ["arm", *rows]


def test_plots_are_sound_svg_with_the_base_as_a_dashed_line(
    plan: Plan, summary: dict[str, Any], results: list[Result]
) -> None:
    assert main_score(summary) == "right:eye"
    made = figures(plan, summary, results)
    assert set(made) == {"library-size.svg", "cost-score.svg"}
    for plot in made.values():
        ElementTree.fromstring(plot.svg())
    size = made["library-size.svg"]
    assert [(p.x, p.y) for p in size.series["full"]] == [(10, 0.25), (100, 1.0)]
    assert "stroke-dasharray" in size.svg()
    assert "stroke-dasharray" not in made["cost-score.svg"].svg()


def test_an_axis_with_one_value_and_words_that_are_markup_are_drawn() -> None:
    plot = Plot("<x>", "a & b", "y", {"<s>": [Point(1, 0, 0.1, "<p>")]}, named=True)
    root = ElementTree.fromstring(plot.svg())
    assert root.attrib["aria-label"] == "<x>"
    assert "<p>" in [element.text for element in root.iter() if element.text]


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_gallery_is_one_page_that_fetches_nothing_and_runs_nothing_foreign(
    summary: dict[str, Any], results: list[Result]
) -> None:
    shown = {describe_image(data).sha256: data for r in results for data in [picture(f"{r.arm}/{r.case[1:]}")]}
    page = gallery(summary, results, shown.get, ["<svg></svg>"])
    read = Page()
    read.feed(page)
    assert read.tags.count("script") == 1
    assert read.addresses == []
    assert "http" not in page.replace("http-equiv", "")
    found = re.search(r"const data = (.*), pictures = (.*), \$ = ", page)
    assert found
    data, pictures = json.loads(found[1]), json.loads(found[2])
    assert [row["case"] for row in data["rows"]] == ["c0", "c1", "c2", "c3"]
    assert data["rows"][3]["answers"][1]["image"] is None
    assert data["rows"][0]["prompt"] == "<b>thing</b> 0 & more"
    assert all(data["rows"][0]["answers"][n]["image"] in pictures for n in range(3))
    assert all(text.startswith("data:image/webp") for text in pictures.values())


def test_a_picture_that_is_lost_is_left_out(summary: dict[str, Any], results: list[Result]) -> None:
    page = gallery(summary, results, lambda sha256: None, [])
    assert '"image":null' in page
    assert thumbnail(picture("x")).startswith("data:image/webp;base64,")


def test_everything_is_written_beside_the_results(plan: Plan, results: list[Result], tmp_path: Path) -> None:
    plan.keep(tmp_path)
    (tmp_path / RESULTS).write_text("".join(f"{r.line()}\n" for r in results))
    write_summary(tmp_path, summarise(plan, results))
    made = write_reports(tmp_path)
    assert {file.name for file in made} == {
        "report.md", "tables.tex", "tables.csv", "gallery.html", "library-size.svg", "cost-score.svg",
    }  # fmt: skip
    assert all(file.read_text() for file in made)
    first = {file: file.read_bytes() for file in made}
    assert {file: file.read_bytes() for file in write_reports(tmp_path)} == first
