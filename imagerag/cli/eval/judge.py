"""`imagerag eval judge`: the accuracy of a judge."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from imagerag.cli import Globals
from imagerag.cli.options import json_option, pass_globals, preset_option, quiet_option
from imagerag.cli.terminal.output import bold, count, dim, say, say_all, say_json, short, table
from imagerag.client.client import ImageRAG
from imagerag.formatting.numbers import dollars, percent, score

if TYPE_CHECKING:
    from imagerag.evals.judges.judge_score import ConceptScore, JudgeEval, KindScore
    from imagerag.evals.judges.questions import Mode

PROMPTS: Final = {
    "there": "what is there → yes",
    "there_and_not": "that and something that is not → no",
    "not_there": "something that is not there → no",
}


@click.command("judge")
@click.option("--library", metavar="NAME", help="The library of captioned images  [env: IMAGERAG_LIBRARY]")
@click.option("--generated", is_flag=True, help="Use generated images instead, also with harder questions.")
@click.option("--judge", metavar="SPEC", help="The judge to evaluate  [env: IMAGERAG_JUDGE]")
@preset_option
@click.option("--classes", type=click.IntRange(2, 1000), default=20, show_default=True, metavar="N",
              help="Number of images; of each kind, where they are generated.")  # fmt: skip
@click.option("--others", type=click.IntRange(1), metavar="N",
              help="Absent things to ask for with each image  [default: all classes]")  # fmt: skip
@click.option("--repeats", type=click.IntRange(1, 20), default=1, metavar="N", help="Ask every question N times.")
@click.option("--judge-mode", type=click.Choice(["fused", "stepwise"]), default="stepwise", help="Mode of the verdict.")
@click.option("--seed", type=int, default=0, metavar="N", help="Decides which images.")
@click.option("--concepts/--no-concepts", default=True, help="Ask what is missing after a no, and score that.")
@click.option("--synonyms", metavar="FILE", help="Words for the same thing: a line each, separated by commas.")
@json_option
@quiet_option
@pass_globals
def judge_command(
    globals_: Globals, /, library: str | None, generated: bool, judge: str | None, preset: str | None, classes: int,
    others: int | None, repeats: int, judge_mode: "Mode", seed: int, concepts: bool, synonyms: str | None,
    as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    """Evaluate a judge as ImageRAG's appendix E.5 does: on captioned images of a library, or on generated ones.

    N images give N prompts that are true, N x (N - 1) that are half true, and N x (N - 1) that are false; with
    --others 1, N of each. A judge that says no is asked what is missing, and the answer is scored. Without a library,
    images are generated. The exit code is 1 when the judge is not usable.
    """
    from imagerag.evals.judges.generated_questions import generated_questions
    from imagerag.evals.judges.judge_eval import evaluate_judge
    from imagerag.evals.judges.library_questions import library_questions
    from imagerag.evals.metrics.concept_match import own_synonyms

    rag = ImageRAG(preset=preset, judge=judge, library=library, home=globals_.home)
    name = None if generated else rag.settings.library
    alike = own_synonyms(Path(synonyms)) if synonyms else {}

    def progress(finished: int, total: int) -> None:
        if not quiet and finished == 0:
            lacking = " (and what is missing, where it only says no)" if concepts else ""
            say(dim(f"asking {evaluated.identity} {count(total, 'question')} at most{lacking}"), err=True)

    evaluated = rag.dependencies.judge(rag.settings.with_backends.judge)

    async def work() -> "JudgeEval":
        if name is None:
            questions = generated_questions(classes, seed)
        else:
            opened = await rag.libraries.open(name)
            questions = await library_questions(opened, classes=classes, others=others, seed=seed)
        return await evaluate_judge(
            evaluated, questions, library=name, repeats=repeats, mode=judge_mode, concepts=concepts, synonyms=alike,
            progress=progress,
        )  # fmt: skip

    result = asyncio.run(work())
    if as_json:
        say_json(result.model_dump(mode="json", by_alias=True))
    else:
        say_all(_lines(result))
    return 0 if result.verdict == "usable" else 1


def _lines(result: "JudgeEval") -> Iterator[str]:
    tested_with = f"{len(result.classes)} classes of {result.library}" if result.library else "generated images"
    head = ["prompt", "right", "95 %", "", "yes", "no", "no answer", "same again"]
    yield from table([head, *map(_kind_row, result.kinds)], right={1, 2, 3, 4, 5, 6, 7})
    if result.concepts:
        rows = [row for kind, one in result.concepts.items() for row in _concept_rows(kind.replace("_", " "), one)]
        yield from table([["named as missing", "", "95 %", ""], *rows], right={1, 2})
    yield f"{result.judge} on {tested_with}, {result.mode}: {bold(result.verdict)}"
    if result.named_rate is not None:
        yield f"when it rightly says no, it names what is missing in {percent(result.named_rate)}"
    if result.problem:
        yield dim(f"first error: {short(result.problem, 200)}")
    yield f"cost: {dollars(result.cost_usd)}"


def _kind_row(one: "KindScore") -> list[str]:
    again = "" if one.agreement is None else score(one.agreement)
    total = one.yes + one.no + one.unanswered
    counts = [str(number) for number in (one.yes, one.no, one.unanswered)]
    interval = f"{score(one.low)} to {score(one.high)}"
    label = PROMPTS.get(one.kind, one.kind.replace("_", " "))
    return [label, score(one.accuracy), interval, f"{one.right} of {total}", *counts, again]


def _concept_rows(kind: str, one: "ConceptScore") -> Iterator[list[str]]:
    for name, value, (low, high), counts in (
        (
            "precision",
            one.precision,
            one.precision_interval,
            f"{one.right} of {one.named} named",
        ),
        (
            "recall",
            one.recall,
            one.recall_interval,
            f"{one.found} of {one.missing} missing",
        ),
    ):
        shares = ["–", ""] if value is None else [score(value), f"{score(low)} to {score(high)}"]
        yield [f"{kind}, {name}", *shares, counts]
