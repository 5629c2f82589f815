"""The paper's tables: which are made of what was run, which arm is in which row, what is bold, what is missing."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imagerag.agent.errors import UsageError
from imagerag.agent.types import RunSpec
from imagerag.cli import main
from imagerag.evals.harness.arms import parse_arms
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.results_store import RESULTS
from imagerag.evals.harness.summary import summarise, write_summary
from imagerag.evals.reports.paper_layouts import paper_tables
from imagerag.evals.reports.paper_tables import MethodScores, PaperTable
from imagerag.evals.reports.tables import latex, latex_sheets, markdown, markdown_sheets
from imagerag.evals.reports.writer import write_paper, write_reports
from imagerag.evals.result_record import InitialImage, Result
from imagerag.evals.suites.case import Case, Suite
from imagerag.tools.testing.fakes import describe_image, sample_image

METRICS = ("text:ViT-B-32", "text:ViT-B-16-SigLIP", "dino:vit", "image:ViT-B-32", "grade:openai:model")
ARMS = "base,rephrase,concept,prompt,full"
OTHER = "base+generator=other,full+generator=other"


def measured(
    name: str = "birds", arms: str = ARMS, metrics: tuple[str, ...] = METRICS, scores: Mapping[str, float] = {}
) -> MethodScores:
    """An evaluation of two cases in which an arm's first case scores what is given (0.5), its second 0.1 more."""
    suite = Suite(name=name, cases=tuple(Case(id=f"c{at}", prompt=f"a bird {at}") for at in range(2)))
    setup = RunSpec(generator="fake", judge="fake", library="web")
    plan = Plan(suite=suite, arms=parse_arms(arms), setup=setup, metrics=metrics)
    return MethodScores(name, plan, summarise(plan, answers(plan, scores)))


def answers(plan: Plan, scores: Mapping[str, float] = {}) -> list[Result]:
    return [
        answer(plan, case, arm, {metric: scores.get(arm.name, 0.5) + at / 10 for metric in plan.metrics})
        for at, case in enumerate(plan.suite.cases)
        for arm in plan.arms
    ]


def answer(plan: Plan, case: Case, arm: Any, scores: Mapping[str, float]) -> Result:
    image = describe_image(sample_image(f"{arm.name}/{case.id}"))
    return Result(
        suite=plan.suite.identity, case=case.id, arm=arm.name, arm_hash="0", seed=0, prompt=case.prompt,
        setup=arm.of(plan.setup, seed=0, cache="record"), run_id=f"ev-{case.id}", status="answered",
        outcome="aligned", initial_image=InitialImage(image=image), image=image, scores=scores,
    )  # fmt: skip


def numbered(*sets: MethodScores) -> dict[int, PaperTable]:
    made = paper_tables(sets)
    assert len({sheet.number for sheet in made}) == len(made)
    return {sheet.number: sheet for sheet in made}


def test_a_full_ablation_of_two_generators_over_two_data_sets_fills_the_papers_columns() -> None:
    arms = f"{ARMS},{OTHER},rephrase+generator=other,full+library=own"
    made = numbered(measured("birds", arms), measured("planes", arms))
    assert sorted(made) == [1, 2, 3, 5, 6, 8]
    for number in (2, 3, 6, 8):
        assert made[number].groups == (("birds", 3), ("planes", 3))
        assert made[number].columns == ("CLIP ↑", "SigLIP ↑", "DINO ↑") * 2
    assert made[5].columns == ("CLIP-T ↑", "CLIP-I ↑") * 2
    assert (made[1].groups, made[1].columns) == ((("fake", 2), ("other", 2)), ("alone", "ImageRAG") * 2)
    labels = {number: [row.label for row in sheet.rows] for number, sheet in made.items()}
    assert labels[1] == ["birds", "planes"]
    assert labels[2] == labels[5] == ["fake", "ImageRAG (fake)", "other", "ImageRAG (other)"]
    assert labels[3] == ["fake", "Rephrased prompt", "Retrieve concepts", "Retrieve prompt", "ImageRAG"]
    assert labels[6] == ["web (fake)", "own (fake)"]
    assert labels[8] == ["other", "Rephrased prompt", "ImageRAG"]


def test_data_sets_beyond_two_go_into_the_next_table_of_libraries() -> None:
    sets = [measured(name, "base,full,full+library=own") for name in ("birds", "planes", "dogs")]
    made = numbered(*sets)
    assert [group for group, _ in made[6].groups] == ["birds", "planes"]
    assert [group for group, _ in made[7].groups] == ["dogs"]


def test_rows_are_told_by_what_an_arm_does_and_not_by_its_name() -> None:
    turned = measured(arms="full+retrieve_by=prompt,base,full+retrieve_by=concept,full")
    assert [row.label for row in numbered(turned)[3].rows] == [
        "fake",
        "Retrieve concepts",
        "Retrieve prompt",
        "ImageRAG",
    ]
    changed = measured(arms="base,full+max_rounds=1,concept+threshold=off,first")
    assert paper_tables([changed]) == []


def test_rerankers_and_other_methods_have_their_rows() -> None:
    made = numbered(measured(arms="base,full,full+reranker=bm25,mine:draw"))
    assert [row.label for row in made[4].rows] == ["bm25 re-rank", "by similarity"]
    assert [row.label for row in made[2].rows] == ["mine:draw", "fake", "ImageRAG (fake)"]


def test_means_have_their_errors_and_the_best_of_each_part_is_bold() -> None:
    made = numbered(measured(arms=f"base,full,{OTHER}", scores={"base": 0.2, "full": 0.4, "full+generator=other": 0.7}))
    assert made[2].marked("*{}*") == [
        ["fake", *["0.250 ± 0.050"] * 3],
        ["ImageRAG (fake)", *["*0.450 ± 0.050*"] * 3],
        ["other", *["0.550 ± 0.050"] * 3],
        ["ImageRAG (other)", *["*0.750 ± 0.050*"] * 3],
    ]
    assert made[1].marked("*{}*") == [["birds", "0.25", "*0.45*", "0.55", "*0.75*"]]
    assert made[5].marked("*{}*")[1] == ["ImageRAG (fake)", "*0.45*", "*0.45*"]


def test_what_is_equal_is_not_bold() -> None:
    assert "*" not in str(numbered(measured(arms="base,full"))[2].marked("*{}*"))


@pytest.mark.parametrize(
    ("arms", "metrics", "numbers"),
    [
        ("base,full", METRICS[:1], [2]),
        ("base,full", METRICS[3:4], [5]),
        ("base,full", METRICS[4:], [1]),
        ("base,full", (), []),
        ("base", METRICS, []),
        ("base,concept,full", METRICS[:3], [2, 3]),
        ("full,full+library=own", METRICS[2:3], [6]),
    ],
)
def test_a_table_is_made_only_of_what_was_run_and_measured(
    arms: str, metrics: tuple[str, ...], numbers: list[int]
) -> None:
    assert sorted(numbered(measured(arms=arms, metrics=metrics))) == numbers


def test_what_was_not_measured_is_said() -> None:
    sheet = numbered(measured("birds", metrics=METRICS[:1]), measured("planes", metrics=METRICS[:2]))[2]
    assert sheet.note == (
        "CLIP: text:ViT-B-32. SigLIP: text:ViT-B-16-SigLIP; not measured for birds. DINO: not measured. "
        "Cases: birds 2, planes 2. "
        "Settings: ImageRAG: by caption, threshold auto, fused, 3 rounds, gives back the best attempt."
    )
    assert [cell.text for cell in sheet.rows[0].cells].count("–") == 3


def test_answers_that_broke_are_told() -> None:
    data = measured()
    data.summary["arms"]["full"]["statuses"]["technical"] = 1
    assert " 1 answers broke and are in no mean. Settings: " in numbered(data)[2].note


def test_the_arm_as_published_has_a_row_of_its_own_and_is_not_taken_for_ours() -> None:
    data = measured(arms=f"{ARMS},paper", scores={"paper": 0.7, "full": 0.6})
    tables = numbered(data)
    assert [row.label for row in tables[3].rows][-2:] == ["ImageRAG", "ImageRAG as published"]
    assert [row.label for row in tables[2].rows] == ["fake", "ImageRAG (fake)", "ImageRAG as published (fake)"]
    assert "ImageRAG as published: by caption, threshold off, stepwise, 1 round" in tables[3].note
    assert "gives back the redrawing, not looked at" in tables[3].note


def test_a_column_that_the_retrieving_encoder_filled_is_marked() -> None:
    name = f"{METRICS[0]} (same encoder)"
    data = measured(metrics=METRICS[:1])
    data.summary["metrics"][name] = data.summary["metrics"].pop(METRICS[0])
    sheet = numbered(data)[2]
    assert sheet.columns[0] == "CLIP ↑ (same encoder)"
    assert sheet.rows[0].cells[0].value is not None
    assert f"CLIP: {name}." in sheet.note
    assert "flatters" in sheet.note


def test_both_writers_write_the_same_tables_each_sound() -> None:
    made = paper_tables([measured("birds_1", f"{ARMS},{OTHER}"), measured("planes", f"{ARMS},{OTHER}")])
    text, tex = markdown_sheets(made), latex_sheets(made)
    assert text.count("\n## ") + 1 == tex.count(r"\begin{table}") == tex.count(r"\end{table}") == len(made)
    blocks = re.findall(r"^\|.*(?:\n\|.*)*", text, re.MULTILINE)
    assert all(len({line.count("|") for line in block.splitlines()}) == 1 for block in blocks)
    assert "birds_1: CLIP ↑" in text
    assert r"\multicolumn{3}{c}{birds\_1} & \multicolumn{3}{c}{planes}" in tex
    assert r"\cmidrule(lr){2-4} \cmidrule(lr){5-7}" in tex
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end", tex, re.DOTALL):
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        spans = [sum(int(wide) - 1 for wide in re.findall(r"\\multicolumn\{(\d+)\}", line)) for line in lines]
        assert {line.count("&") + span + 1 for line, span in zip(lines, spans, strict=True)} == {len(columns)}
    for sheet in made:
        assert sum(f"| {row.label} |" in text for row in sheet.rows) == len(sheet.rows)
        assert tex.count(r"\caption{" + sheet.caption) >= 1


def kept(folder: Path, data: MethodScores) -> Path:
    folder.mkdir()
    data.plan.keep(folder)
    (folder / RESULTS).write_text("".join(f"{one.line()}\n" for one in answers(data.plan)))
    write_summary(folder, data.summary)
    return folder


def test_they_are_in_an_evaluations_report_and_several_fill_them_together(tmp_path: Path) -> None:
    one, other = kept(tmp_path / "one", measured()), kept(tmp_path / "other", measured())
    write_reports(one)
    assert "(as ImageRAG's table 3)" in (one / "report.md").read_text()
    assert "(as ImageRAG's table 3)" in (one / "tables.tex").read_text()
    files = write_paper([one, other], tmp_path / "tables")
    again = [str(tmp_path / "again" / file.name) for file in files]
    command = ["eval", "report", str(one), str(other), "--out", str(tmp_path / "again"), "--json"]
    printed = CliRunner().invoke(main, command)
    assert json.loads(printed.stdout) == {"schema": "imagerag.eval-tables/1", "files": again}
    assert [file.name for file in files] == ["paper.md", "paper.tex"]
    assert all("birds (one)" in file.read_text() and "birds (other)" in file.read_text() for file in files)


def test_evaluations_that_fill_none_are_told_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fill none"):
        write_paper([kept(tmp_path / "one", measured(arms="base"))], tmp_path / "tables")


def test_a_report_without_them_is_as_it_was() -> None:
    summary = measured(arms="base").summary
    assert "ImageRAG's table" not in markdown(summary) + latex(summary)
