"""`imagerag eval human-study` and `study-results`: blind studies with people, and what raters prefer."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imagerag.cli import Globals
from imagerag.cli.options import json_option, pass_globals
from imagerag.cli.output_files import all_fresh, overwrite_option
from imagerag.cli.terminal.output import say, say_all, say_json, say_note, table
from imagerag.client.client import ImageRAG
from imagerag.formatting.numbers import counted, score

if TYPE_CHECKING:
    from imagerag.evals.human_study.documents import AbsoluteStudy, ArmPreference, PairsStudy
    from imagerag.evals.human_study.real_images import ReferencePhoto


@click.command("human-study")
@click.argument("folder", metavar="DIR")
@click.option("--arm", default="full", show_default=True, help="The first arm.")
@click.option("--baseline", "base", default="base", show_default=True, help="The second arm.")
@click.option("--pairs", type=click.IntRange(1, 500), default=50, show_default=True, metavar="N", help="Pairs at most.")
@click.option("--form", type=click.Choice(["pairs", "absolute"]), default="pairs", show_default=True,
              help="Choose the better of two; or rate one at a time, whether it has the object.")  # fmt: skip
@click.option("--seed", type=int, default=0, metavar="N", help="Decides the pairs and their sides.")
@click.option("--real/--no-real", default=True, help="Show a real photo of the object beside.")
@overwrite_option
@pass_globals
def human_study_command(
    globals_: Globals, /, folder: str, arm: str, base: str, pairs: int, form: str, seed: int, real: bool
) -> int:
    """Write a blind study of two arms of an evaluation: a page for the raters, and a key for you.

    The page works offline and keeps the answers in the browser; raters save them as a file and send it to you. Real
    photos are the suite's own, else the library's.
    """
    from imagerag.evals.harness.plan import Plan
    from imagerag.evals.harness.results_store import RESULTS
    from imagerag.evals.human_study import absolute
    from imagerag.evals.human_study import pairs as pairs_form
    from imagerag.evals.reports.writer import stored_images
    from imagerag.evals.result_record import read_results

    path = Path(folder).expanduser()
    names = pairs_form.STUDY if form == "pairs" else absolute.STUDY
    all_fresh(path / name for name in names)  # the answers to an earlier study need its key
    plan, results = Plan.read(path), list(read_results(path / RESULTS))
    real_images: Any = asyncio.run(_real(globals_, path)) if real else {}
    options: Any = {"real": real_images, "limit": pairs, "seed": seed}
    if form == "pairs":
        files_written = pairs_form.write_study(path, results, stored_images(path), arm=arm, base=base, **options)
    else:
        files_written = absolute.write_absolute_study(
            path, plan, results, stored_images(path), arms=(arm, base), **options
        )
    say(f"for the raters: {files_written[0]}")
    say(f"for you alone:  {files_written[1]}")
    say_note(f"then: imagerag eval study-results {path} answers-*.json")
    return 0


async def _real(globals_: Globals, folder: Path) -> "dict[str, ReferencePhoto]":
    from imagerag.evals.dependencies import dependencies_for
    from imagerag.evals.harness.evaluation import HOME
    from imagerag.evals.harness.plan import Plan
    from imagerag.evals.harness.results_store import RESULTS
    from imagerag.evals.human_study.real_images import reference_photos
    from imagerag.evals.result_record import read_results
    from imagerag.store.data_dir import DataDir

    plan, users = Plan.read(folder), ImageRAG(home=globals_.home).dependencies.home
    dependencies = dependencies_for(DataDir(folder / HOME), users, plan.suite.libraries)
    return await reference_photos(plan, read_results(folder / RESULTS), dependencies)


@click.command("study-results")
@click.argument("folder", metavar="DIR")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@json_option
def study_results_command(folder: str, files: tuple[str, ...], as_json: bool) -> int:
    """Show what the raters of a study prefer, or see in the images, with intervals and their agreement.

    Files of either form of study are read, those of one form at a time.
    """
    from imagerag.evals.human_study import absolute
    from imagerag.evals.human_study import pairs as pairs_form
    from imagerag.evals.human_study.documents import AbsoluteStudy, PairsStudy
    from imagerag.evals.human_study.study_files import key_of_answers

    paths = [Path(file).expanduser() for file in files]
    key = key_of_answers(Path(folder).expanduser(), paths, (pairs_form.STUDY[1], absolute.STUDY[1]))
    if key.get("form") == "absolute":
        return _print_absolute(AbsoluteStudy(arms=tuple(absolute.read_absolute_answers(paths, key))), as_json)
    answers = tuple(pairs_form.read_answers(paths, key))
    return _print_pairs(PairsStudy(arm=key["arm"], base=key["base"], questions=answers), as_json)


def _print_pairs(study: "PairsStudy", as_json: bool) -> int:
    if as_json:
        say_json(study.model_dump(mode="json", by_alias=True))
        return 0
    head = ["", f"{study.arm} preferred", "of those who chose", "p", "votes", "kappa"]
    say_all(table([head, *map(_row, study.questions)]))
    first = study.questions[0]
    rated = f"{counted(first.raters, 'rater')}, {counted(first.pairs, 'pair')}"
    say_note(f"{rated}; 'no difference' counts half in the first column")
    return 0


def _print_absolute(study: "AbsoluteStudy", as_json: bool) -> int:
    if as_json:
        say_json(study.model_dump(mode="json", by_alias=True))
        return 0
    rows = [["arm", "contains it", "95 %", "yes / cannot tell / no", "kappa", "raters", "images"]]
    for one in study.arms:
        votes = f"{one.yes} / {one.unsure} / {one.no}"
        rows.append(
            [
                one.arm,
                _score(one.value),
                _interval(one.low, one.high),
                votes,
                _score(one.kappa),
                str(one.raters),
                str(one.images),
            ]
        )
    say_all(table(rows))
    say_note("who cannot tell saw it in none: that counts as not contained")
    return 0


def _row(one: "ArmPreference") -> list[str]:
    votes = f"{one.arm} / {one.same} / {one.base}"
    return [one.question, _score(one.value), _interval(one.low, one.high), _score(one.p), votes, _score(one.kappa)]


def _score(value: float | None) -> str:
    return "–" if value is None else score(value)


def _interval(low: float | None, high: float | None) -> str:
    return f"{_score(low)} to {_score(high)}"
