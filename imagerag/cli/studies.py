"""`imagerag eval study`, `answers`, `judge`: what people prefer, and whether a judge can be trusted."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import read_regular_text
from imagerag.api import ImageRAG
from imagerag.cli import Globals
from imagerag.cli.files import all_fresh, overwrite_option
from imagerag.cli.options import json_option, library_option, pass_globals
from imagerag.cli.view import dim, say, say_all, say_json, table
from imagerag.formatting.numbers import counted, score

if TYPE_CHECKING:
    from imagerag.evals.human import Preference
    from imagerag.evals.judging import Robustness


@click.command("study")
@click.argument("folder", metavar="DIR")
@click.option("--arm", default="full", show_default=True, help="One of the two.")
@click.option("--base", default="base", show_default=True, help="The other.")
@click.option("--pairs", type=click.IntRange(1, 500), default=50, show_default=True, metavar="N", help="Pairs at most.")
@click.option("--seed", type=int, default=0, metavar="N", help="Which pairs, and what is on which side.")
@overwrite_option
def study_command(folder: str, arm: str, base: str, pairs: int, seed: int) -> int:
    """Write a blind study of two arms of an evaluation: a page for the raters, and a key for you.

    The page works offline and keeps the answers in the browser; raters save them as a file and send you that.
    """
    from imagerag.evals.human import STUDY, write_study
    from imagerag.evals.ledger import RESULTS
    from imagerag.evals.reports.writing import kept_pictures
    from imagerag.evals.results import read_results

    path = Path(folder).expanduser()
    all_fresh(path / name for name in STUDY)  # answers to an earlier study are read with its key
    made = write_study(
        path, read_results(path / RESULTS), kept_pictures(path), arm=arm, base=base, limit=pairs, seed=seed
    )
    say(f"for the raters: {made[0]}")
    say(f"for you alone:  {made[1]}")
    say(dim(f"then: imagerag eval answers {path} answers-*.json"))
    return 0


@click.command("answers")
@click.argument("folder", metavar="DIR")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@json_option
def answers_command(folder: str, files: tuple[str, ...], as_json: bool) -> int:
    """What the raters of a study prefer, with intervals, and how far they agree."""
    from dataclasses import asdict

    from imagerag.evals.human import read_answers

    path = Path(folder).expanduser() / "study-key.json"
    try:
        key = json.loads(read_regular_text(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}; imagerag eval study {folder} writes it") from error
    found = read_answers([Path(file).expanduser() for file in files], key)
    if as_json:
        rows = [{name: None if value != value else value for name, value in asdict(one).items()} for one in found]
        say_json({"schema": "imagerag.study/1", "arm": key["arm"], "base": key["base"], "questions": rows})
        return 0
    head = ["", f"{key['arm']} preferred", "of those who chose", "p", "votes", "kappa"]
    say_all(table([head, *(_row(one) for one in found)]))
    asked = f"{counted(found[0].raters, 'rater')}, {counted(found[0].pairs, 'pair')}"
    say(dim(f"{asked}; 'no difference' counts half in the first column"))
    return 0


def _row(one: "Preference") -> list[str]:
    kappa = "–" if one.kappa != one.kappa else score(one.kappa)
    votes = f"{one.arm} / {one.same} / {one.base}"
    chose = f"{score(one.low)} to {score(one.high)}"
    return [one.question, "–" if one.value != one.value else score(one.value), chose, score(one.p), votes, kappa]


@click.command("judge")
@library_option
@click.option("--judge", metavar="SPEC", help="What looks  [env: IMAGERAG_JUDGE]")
@click.option("--preset", metavar="P", help="Backends that belong together  [env: IMAGERAG_PRESET]")
@click.option(
    "--classes", type=click.IntRange(2, 100), default=20, show_default=True, metavar="N", help="How many pictures."
)
@click.option("--repeats", type=click.IntRange(1, 20), default=1, metavar="N", help="Ask everything N times.")
@click.option("--judge-mode", type=click.Choice(["fused", "stepwise"]), default="stepwise", help="How it is asked.")
@click.option("--seed", type=int, default=0, metavar="N", help="Which pictures.")
@json_option
@pass_globals
def judge_command(
    globals_: Globals,
    /,
    library: str | None,
    judge: str | None,
    preset: str | None,
    classes: int,
    repeats: int,
    judge_mode: Literal["fused", "stepwise"],
    seed: int,
    as_json: bool,
) -> int:
    """Test a judge on captioned pictures of a library as ImageRAG's appendix E.5 does.

    N pictures give N prompts that are true, N x (N - 1) that are half true, and N x (N - 1) that are false.
    """
    from imagerag.evals.judging import robustness

    rag = ImageRAG(preset=preset, judge=judge, library=library, home=globals_.home)

    async def work() -> "Robustness":
        opened = await rag.open_library()
        found = rag.wiring.judge(rag.settings.judge)
        return await robustness(found, opened, classes=classes, repeats=repeats, mode=judge_mode, seed=seed)

    found = asyncio.run(work())
    if as_json:
        say_json(found.model_dump(mode="json", by_alias=True))
        return 0
    say(f"{found.judge}, {found.mode}, on {len(found.classes)} classes of {found.library}")
    head = ["prompt", "right", "95 %", "yes", "no", "no answer", "same again"]
    say_all(table([head, *(_kind(kind) for kind in found.kinds)], right={1, 2, 3, 4, 5, 6}))
    if found.problem:
        say(dim(f"the first that went wrong: {found.problem}"))
    return 0


def _kind(kind: Any) -> list[str]:
    again = "" if kind.agreement is None else score(kind.agreement)
    interval = f"{score(kind.low)} to {score(kind.high)}"
    counts = [str(count) for count in (kind.yes, kind.no, kind.unanswered)]
    return [kind.kind.replace("_", " "), score(kind.accuracy), interval, *counts, again]
