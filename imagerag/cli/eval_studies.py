"""`imagerag eval study`, `answers`, `judge`: what people prefer, and whether a judge can be trusted."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import read_regular_text
from imagerag.cli import Globals
from imagerag.cli.options import json_option, library_option, pass_globals
from imagerag.cli.output_files import all_fresh, overwrite_option
from imagerag.cli.terminal import dim, say, say_all, say_json, table
from imagerag.client.client import ImageRAG
from imagerag.formatting.numbers import counted, score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagerag.evals.absolute_study import Contained
    from imagerag.evals.human_study import Preference
    from imagerag.evals.judges.library_robustness import ConceptScore, Robustness
    from imagerag.evals.study_images import ReferencePhoto


@click.command("study")
@click.argument("folder", metavar="DIR")
@click.option("--arm", default="full", show_default=True, help="One of the two.")
@click.option("--base", default="base", show_default=True, help="The other.")
@click.option("--pairs", type=click.IntRange(1, 500), default=50, show_default=True, metavar="N", help="Pairs at most.")
@click.option("--form", type=click.Choice(["pairs", "absolute"]), default="pairs", show_default=True,
              help="Which of two is better; or one at a time, whether the object is in it.")  # fmt: skip
@click.option("--seed", type=int, default=0, metavar="N", help="Which pairs, and what is on which side.")
@click.option("--real/--no-real", default=True, help="Show a real picture of what was asked for beside.")
@overwrite_option
@pass_globals
def study_command(
    globals_: Globals, /, folder: str, arm: str, base: str, pairs: int, form: str, seed: int, real: bool
) -> int:
    """Write a blind study of two arms of an evaluation: a page for the raters, and a key for you.

    The page works offline and keeps the answers in the browser; raters save them as a file and send you that. Real
    pictures are the suite's own, else the library's.
    """
    from imagerag.evals import absolute_study, human_study
    from imagerag.evals.harness.plan import Plan
    from imagerag.evals.harness.results_store import RESULTS
    from imagerag.evals.reports.writer import kept_pictures
    from imagerag.evals.result_record import read_results

    path = Path(folder).expanduser()
    names = human_study.STUDY if form == "pairs" else absolute_study.STUDY
    all_fresh(path / name for name in names)  # answers to an earlier study are read with its key
    plan, results = Plan.read(path), list(read_results(path / RESULTS))
    shown: Any = asyncio.run(_real(globals_, path)) if real else {}
    chosen: Any = {"real": shown, "limit": pairs, "seed": seed}
    if form == "pairs":
        made = human_study.write_study(path, results, kept_pictures(path), arm=arm, base=base, **chosen)
    else:
        made = absolute_study.write_absolute_study(path, plan, results, kept_pictures(path), arms=(arm, base), **chosen)
    say(f"for the raters: {made[0]}")
    say(f"for you alone:  {made[1]}")
    say(dim(f"then: imagerag eval answers {path} answers-*.json"))
    return 0


async def _real(globals_: Globals, folder: Path) -> "dict[str, ReferencePhoto]":
    from imagerag.evals.dependencies import dependencies_for
    from imagerag.evals.harness.evaluation import HOME
    from imagerag.evals.harness.plan import Plan
    from imagerag.evals.harness.results_store import RESULTS
    from imagerag.evals.result_record import read_results
    from imagerag.evals.study_images import reference_photos
    from imagerag.store.data_dir import DataDir

    plan, users = Plan.read(folder), ImageRAG(home=globals_.home).wiring.home
    wiring = dependencies_for(DataDir(folder / HOME), users, plan.suite.libraries)
    return await reference_photos(plan, read_results(folder / RESULTS), wiring)


@click.command("answers")
@click.argument("folder", metavar="DIR")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@json_option
def answers_command(folder: str, files: tuple[str, ...], as_json: bool) -> int:
    """What the raters of a study prefer, or see in the pictures, with intervals, and how far they agree.

    Files of either form of study are read, those of one form at a time.
    """
    from imagerag.evals.absolute_study import read_absolute_answers
    from imagerag.evals.human_study import read_answers

    paths = [Path(file).expanduser() for file in files]
    key = _key_for(Path(folder).expanduser(), paths)
    if key.get("form") == "absolute":
        return _tell_absolute(read_absolute_answers(paths, key), as_json)
    found = read_answers(paths, key)
    if as_json:
        say_json({"schema": "imagerag.study/1", "arm": key["arm"], "base": key["base"], "questions": _plain(found)})
        return 0
    head = ["", f"{key['arm']} preferred", "of those who chose", "p", "votes", "kappa"]
    say_all(table([head, *(_row(one) for one in found)]))
    asked = f"{counted(found[0].raters, 'rater')}, {counted(found[0].pairs, 'pair')}"
    say(dim(f"{asked}; 'no difference' counts half in the first column"))
    return 0


def _plain(found: "Sequence[Preference] | Sequence[Contained]") -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [{name: None if value != value else value for name, value in asdict(one).items()} for one in found]


def _key_for(folder: Path, files: list[Path]) -> dict[str, Any]:
    """The key of the study that the files answer.

    Raises:
        UsageError: there is none.
    """
    from imagerag.evals import absolute_study, human_study

    answered = {shown for file in files for shown in human_study.read_rater(file)[1]}
    keys: list[dict[str, Any]] = []
    for name in (human_study.STUDY[1], absolute_study.STUDY[1]):
        path = folder / name
        try:
            keys.append(json.loads(read_regular_text(path)))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read {path}: {error}; imagerag eval study {folder} writes it") from error
    if not keys:
        raise UsageError(f"there is no study in {folder}: imagerag eval study {folder} writes one")
    return max(keys, key=lambda key: len(answered & set(key.get("pairs") or key.get("pictures") or ())))


def _tell_absolute(found: "Sequence[Contained]", as_json: bool) -> int:
    if as_json:
        say_json({"schema": "imagerag.study/1", "form": "absolute", "arms": _plain(found)})
        return 0
    rows = [["arm", "contains it", "95 %", "yes / cannot tell / no", "kappa", "raters", "pictures"]]
    for one in found:
        value = "–" if one.value != one.value else score(one.value)
        kappa = "–" if one.kappa != one.kappa else score(one.kappa)
        votes = f"{one.yes} / {one.unsure} / {one.no}"
        interval = f"{score(one.low)} to {score(one.high)}"
        rows.append([one.arm, value, interval, votes, kappa, str(one.raters), str(one.pictures)])
    say_all(table(rows))
    say(dim("who cannot tell saw it in none: that counts as not contained"))
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
@click.option("--concepts/--no-concepts", default=True, help="Ask a no what is missing, and score that.")
@click.option("--synonyms", metavar="FILE", help="Words for the same thing: a line each, separated by commas.")
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
    concepts: bool,
    synonyms: str | None,
    as_json: bool,
) -> int:
    """Test a judge on captioned pictures of a library as ImageRAG's appendix E.5 does.

    N pictures give N prompts that are true, N x (N - 1) that are half true, and N x (N - 1) that are false. A judge
    that says no is asked what is missing: it is scored whether that is right.
    """
    from imagerag.evals.judges.library_robustness import robustness
    from imagerag.evals.metrics.concept_match import own_synonyms

    rag = ImageRAG(preset=preset, judge=judge, library=library, home=globals_.home)
    alike = own_synonyms(Path(synonyms)) if synonyms else {}

    async def work() -> "Robustness":
        opened = await rag.open_library()
        found = rag.wiring.judge(rag.settings.judge)
        return await robustness(
            found, opened, classes=classes, repeats=repeats, mode=judge_mode, seed=seed, concepts=concepts,
            synonyms=alike,
        )  # fmt: skip

    found = asyncio.run(work())
    if as_json:
        say_json(found.model_dump(mode="json", by_alias=True))
        return 0
    say(f"{found.judge}, {found.mode}, on {len(found.classes)} classes of {found.library}")
    head = ["prompt", "right", "95 %", "yes", "no", "no answer", "same again"]
    say_all(table([head, *(_kind(kind) for kind in found.kinds)], right={1, 2, 3, 4, 5, 6}))
    if found.concepts:
        head = ["named as missing", "precision", "95 %", "recall", "95 %", "named", "missing"]
        say_all(table([head, *(_concepts(*one) for one in found.concepts.items())], right={1, 2, 3, 4, 5, 6}))
    if found.problem:
        say(dim(f"the first that went wrong: {found.problem}"))
    return 0


def _concepts(kind: str, found: "ConceptScore") -> list[str]:
    def told(value: float | None, interval: tuple[float, float]) -> list[str]:
        return ["–", ""] if value is None else [score(value), f"{score(interval[0])} to {score(interval[1])}"]

    counts = [f"{found.right} of {found.named}", f"{found.found} of {found.missing}"]
    shares = [*told(found.precision, found.precision_interval), *told(found.recall, found.recall_interval)]
    return [kind.replace("_", " "), *shares, *counts]


def _kind(kind: Any) -> list[str]:
    again = "" if kind.agreement is None else score(kind.agreement)
    interval = f"{score(kind.low)} to {score(kind.high)}"
    counts = [str(count) for count in (kind.yes, kind.no, kind.unanswered)]
    return [kind.kind.replace("_", " "), score(kind.accuracy), interval, *counts, again]
