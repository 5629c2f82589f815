"""Summaries, tables, plots and the gallery are counted from the results alone, and stand by themselves."""

import csv
import io
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imagerag.agent.errors import MissingExtraError
from imagerag.agent.types import RunSpec
from imagerag.cli import main
from imagerag.evals.harness.arms import parse_arms
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.results_store import RESULTS
from imagerag.evals.harness.summary import summarise, write_summary
from imagerag.evals.reports.figures import figures, main_score
from imagerag.evals.reports.gallery import gallery, thumbnail
from imagerag.evals.reports.plots import PALETTE, Plot, Point
from imagerag.evals.reports.tables import comma_separated, latex, markdown, settings, shown_tables
from imagerag.evals.reports.writer import write_reports
from imagerag.evals.result_record import InitialImage, Result
from imagerag.evals.suites.case import Case, LibraryRecipe, Suite
from imagerag.tools.testing.fakes import describe_image, sample_image
from tests.reports.conftest import Browser, assert_shown

TEXT, RIGHT = "text:independent", "right:independent"
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
    return Plan(suite=suite, arms=parse_arms(ARMS), setup=setup, metrics=("text:independent",))


def result(plan: Plan, case: Case, arm: Any, at: int) -> Result:
    score = SCORES[arm.name][at]
    image = describe_image(sample_image(f"{arm.name}/{at}"))
    broken = score is None
    return Result(
        suite=plan.suite.identity, case=case.id, arm=arm.name, arm_hash="0", seed=0, tags=case.tags, prompt=case.prompt,
        setup=arm.of(plan.setup, seed=0, cache="record"), run_id=f"ev-{case.id}-{arm.name}",
        status="technical" if broken else "answered", outcome="failed" if broken else "aligned",
        reason="</script><script>alert(1)</script>", initial_image=InitialImage(image=image),
        image=None if broken else image,
        scores={TEXT: score, RIGHT: None if broken else score > 0.35, "calls": float(at + 1)},
        unscored_reasons=dict.fromkeys((TEXT, RIGHT), "no image: technical") if broken else {},
    )  # fmt: skip


@pytest.fixture
def results(plan: Plan) -> list[Result]:
    return [result(plan, case, arm, at) for at, case in enumerate(plan.suite.cases) for arm in plan.arms]


@pytest.fixture
def summary(plan: Plan, results: list[Result]) -> dict[str, Any]:
    return summarise(plan, results)


def test_a_failure_is_in_the_denominator_of_a_share_and_in_no_mean(summary: dict[str, Any]) -> None:
    text, right = (
        summary["metrics"][name]["arms"]["full+library=small"] for name in ("text:independent", "right:independent")
    )
    assert (text["value"], text["scored"], text["asked"]) == (pytest.approx(0.8 / 3, abs=1e-6), 3, 4)
    assert (right["value"], right["scored"], right["asked"]) == (0.25, 3, 4)
    assert summary["arms"]["full+library=small"]["statuses"]["technical"] == 1
    assert summary["unscored_reasons"] == {"no image": 2}


def test_differences_are_paired_and_corrected_for_the_arms(summary: dict[str, Any]) -> None:
    from scipy import stats

    found = summary["differences"]["text:independent"]
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
    assert summary["by_tag"]["odd:1"]["metrics"]["text:independent"]["full"]["value"] == pytest.approx(0.65)


def test_markdown_holds_every_arm_and_marks_the_best(summary: dict[str, Any]) -> None:
    text = markdown(summary)
    rows = [line for line in text.splitlines() if line.startswith("| full |")]
    assert "**0.600 ± 0.108**" in rows[0]
    assert "− base" in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert all(widths)
    assert "text:independent, by kind of case" in text


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
    tables = shown_tables(summary)
    assert any("0.600 ± 0.108" in cell for _, rows in tables for row in rows for cell in row)
    titles = [title.split(",")[0] for title, _ in tables]
    assert titles[:4] == ["Scores", "Against base", "How cases ended", "Settings"]
    assert all(title.startswith(("text:", "right:", "image:", "score")) for title in titles[4:])


def test_tables_say_which_settings_their_rows_had(summary: dict[str, Any], plan: Plan) -> None:
    rows = {row[0]: dict(zip(settings(summary)[0], row, strict=True)) for row in settings(summary)[1:]}
    assert list(rows) == [arm.name for arm in plan.arms]
    assert rows["base"]["gives back"] == "the first image"
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
    assert main_score(summary) == "right:independent"
    made = figures(plan, summary, results)
    assert set(made) == {"library-size.svg", "cost-score.svg"}
    for plot in made.values():
        ElementTree.fromstring(plot.svg())
    size = made["library-size.svg"]
    assert [(p.x, p.y) for p in size.series["full"]] == [(10, 0.25), (100, 1.0)]
    assert "stroke-dasharray" in size.svg()
    assert "stroke-dasharray" not in made["cost-score.svg"].svg()


def test_an_axis_with_one_value_and_words_that_are_markup_are_drawn() -> None:
    plot = Plot("<x>", "a & b", "y", {"<s>": [Point(1, 0, 0.1, "<p>")]})
    root = ElementTree.fromstring(plot.svg())
    assert root.attrib["aria-label"] == "<x>"
    assert "<p>" in [element.text for element in root.iter() if element.text]


def test_plots_have_several_arms_with_error_bars_on_a_ground_of_any_colour() -> None:
    arms = {f"arm {at}": [Point(x, at + x / 100, 0.3) for x in (1, 10, 100)] for at in range(4)}
    plot = Plot("Sizes", "$x_1$", "y", {**arms, "_own": [Point(5, 2)]}, joined=True, logarithmic=True)
    text, root = plot.svg(), ElementTree.fromstring(plot.svg())
    said = [element.text or "" for element in root.iter() if element.tag.endswith(("text", "title"))]
    assert {*arms, "_own"} <= {words.strip() for words in said}
    assert sum(words.startswith("arm 2:") for words in said) == 3, "each point says what it is"
    assert "$x_1$" in said, "an underscore or a dollar makes no formula"
    assert all(colour in text for colour in PALETTE[:5])
    assert text.count("stroke-width: 1.4") >= 4, "error bars"
    assert "currentColor" in text
    assert "#000000" not in text
    assert "#ffffff" not in text, "the ground is the page's"
    assert text == plot.svg()
    assert "metadata" not in text
    names = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(names) == len(set(names))
    other = Plot("Costs", "x", "y", arms).svg()
    assert not set(names) & set(re.findall(r' id="([^"]+)"', other)), "a page holds several plots"


def test_an_arm_has_its_colour_in_every_plot_of_a_page() -> None:
    points = {arm: [Point(1, 0), Point(2, 1)] for arm in ("base", "prompt", "full")}
    whole = Plot("Costs", "x", "y", points, styled=tuple(points)).svg()
    part = Plot("Gains", "x", "y", {"prompt": points["prompt"]}, styled=tuple(points)).svg()
    assert all(colour in whole for colour in PALETTE[:3])
    assert PALETTE[1] in part
    assert PALETTE[0] not in part


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
    shown = {describe_image(data).sha256: data for r in results for data in [sample_image(f"{r.arm}/{r.case[1:]}")]}
    page = gallery(summary, results, shown.get, ["<svg></svg>"])
    read = Page()
    read.feed(page)
    assert read.tags.count("script") == 1
    assert read.addresses == []
    assert "http" not in page.replace("http-equiv", "")
    found = re.search(r"const data = (.*), images = (.*);", page)
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
    assert thumbnail(sample_image("x")).startswith("data:image/webp;base64,")


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


def test_without_matplotlib_everything_but_plots_is_written(
    plan: Plan, results: list[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    plan.keep(tmp_path)
    (tmp_path / RESULTS).write_text("".join(f"{r.line()}\n" for r in results))
    write_summary(tmp_path, summarise(plan, results))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    made = write_reports(tmp_path)
    assert {file.name for file in made} == {"report.md", "tables.tex", "tables.csv", "gallery.html"}
    assert "## Plots" not in (tmp_path / "report.md").read_text()
    told = CliRunner().invoke(main, ["eval", "report", str(tmp_path)])
    assert told.exit_code == 0
    assert "no plots: a plot needs an optional part: pip install 'imagerag[evals]'" in told.stderr
    with pytest.raises(MissingExtraError, match=r"imagerag\[evals\]"):
        Plot("x", "x", "y", {"s": [Point(1, 0)]}).svg()


HOSTILE = "</script><script>alert(1)</script> \"'><img src=x onerror=alert(2)> &amp; {{ 7 * 6 }} \u202eevil\ud800"


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_gallery_shows_hostile_text_as_text_and_fits_any_screen(
    plan: Plan, results: list[Result], tmp_path: Path, browser: Browser, width: int, dark: bool
) -> None:
    foul = [r.model_copy(update={"prompt": HOSTILE, "reason": HOSTILE, "tags": (HOSTILE,)}) for r in results]
    summary = {**summarise(plan, results), "suite": {"name": HOSTILE, "version": HOSTILE}}
    plots = [plot.svg() for plot in figures(plan, summarise(plan, results), results).values()]
    plots.append(Plot("<img src=x onerror=alert(3)>", "x", "y", {"</svg><b>": [Point(1, 0)]}).svg())
    page = gallery(summary, foul, lambda sha256: sample_image("x"), plots)
    file = tmp_path / "gallery.html"
    file.write_text(page)
    assert_shown(browser.look(file, width=width, dark=dark), width, dark)
    read = Page()
    read.feed(page)
    assert read.tags.count("script") == 1
    assert "42" not in page.split("<h1>")[1].split("</h1>")[0]
    assert "\u202e" not in page
