"""`imagerag doctor`: what is configured, what answers, and whether the judge can be trusted."""

import asyncio
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

import click

from imagerag.agent.errors import UsageError
from imagerag.cli import Globals
from imagerag.cli.options import json_option, library_option, pass_globals, preset_option
from imagerag.cli.terminal import (
    accent,
    bold,
    columns,
    count,
    dim,
    hanging,
    say_all,
    say_json,
    say_note,
    short,
    table,
    tick,
)
from imagerag.client.client import ImageRAG
from imagerag.formatting.labels import PRICES
from imagerag.formatting.numbers import cosine, dollars, percent, seconds

if TYPE_CHECKING:
    from imagerag.diagnostics.doctor import BackendState, Diagnosis
    from imagerag.evals.judges.robustness import JudgeReport

KINDS: Final = {
    "there": "what is there → yes",
    "there_and_not": "that and something that is not → no",
    "not_there": "something that is not there → no",
}


@click.command("doctor")
@preset_option
@click.option("--generator", metavar="SPEC", help="What draws  [env: IMAGERAG_GENERATOR]")
@click.option("--judge", metavar="SPEC", help="What looks  [env: IMAGERAG_JUDGE]")
@library_option
@click.option("--repair", "mend", is_flag=True, help="Rebuild damaged files where that can be, set the others aside.")
@click.option("--probe", is_flag=True, help="Make one tiny real call to each; says first what it can cost.")
@click.option("--judge-test", "test", is_flag=True, help="Test the judge on captioned pictures of the library.")
@click.option("--cases", type=click.IntRange(1, 1000), default=10, metavar="N", help="Pictures of the judge test.")
@click.option("--judge-mode", type=click.Choice(["fused", "stepwise"]), default="fused", help="How it is asked there.")
@json_option
@pass_globals
def doctor_command(
    globals_: Globals,
    /,
    preset: str | None,
    generator: str | None,
    judge: str | None,
    library: str | None,
    mend: bool,
    probe: bool,
    test: bool,
    cases: int,
    judge_mode: Literal["fused", "stepwise"],
    as_json: bool,
) -> int:
    """Say what is configured, where each setting came from, what is reachable, and which model answers.

    Every file of the home is read and checked. With --repair, damaged ones are rebuilt where that can be (the list of
    runs, search indexes, pictures there is a copy of); others are moved to the folder set-aside. Nothing is deleted.

    With --judge-test, three prompts are put to the judge for each of N captioned pictures: what is there, that and
    something that is not, something that is not. The exit code is 1 when something does not work, or when the judge
    is not usable.
    """
    from imagerag.diagnostics.doctor import probe_costs

    rag = ImageRAG(preset=preset, generator=generator, judge=judge, library=library, home=globals_.home)
    if test:
        return _test_judge(rag, cases, judge_mode, as_json)
    if probe:
        say_all((dim(line) for line in probe_costs(rag.settings, rag.wiring)), err=True)
    found = asyncio.run(_diagnosed(rag, mend=mend, probe=probe))
    if as_json:
        say_json(found.model_dump(mode="json", by_alias=True))
    else:
        say_all(_lines(found))
    return 1 if found.problems else 0


async def _diagnosed(rag: ImageRAG, *, mend: bool, probe: bool) -> "Diagnosis":
    from imagerag.diagnostics.doctor import diagnose
    from imagerag.diagnostics.repair import repair

    repaired = await repair(rag.wiring) if mend else []
    found = await diagnose(rag.settings, rag.wiring, probe=probe)
    return found.model_copy(update={"repaired": repaired})


def _lines(found: "Diagnosis") -> Iterator[str]:
    from imagerag.diagnostics.doctor import EXTRAS

    yield accent("settings")
    yield from table(
        [[one.name, short(one.value or "none", 70), dim(one.origin)] for one in found.settings if one.name != "home"]
    )
    yield from table(
        [["home", found.home], ["prices", ", ".join(found.prices)], ["", f"yours: {found.price_file}"]], whole={1}
    )
    yield accent("keys")
    yield from table([[name, "set" if there else dim("not set")] for name, there in found.keys.items()])
    yield accent("optional parts")
    yield from table(
        [[n, "installed" if there else dim(f"not installed: {EXTRAS[n]}")] for n, there in found.extras.items()]
    )
    yield accent("libraries")
    yield from table(
        [
            [one.name, short(one.problem or one.encoder, 60), "" if one.threshold is None else cosine(one.threshold)]
            for one in found.libraries
        ]
        or [[dim("none yet: imagerag index PATH --library NAME")]]
    )
    yield accent("backends")
    yield from table([_backend_row(one) for one in found.backends])
    for one in found.backends:
        if one.price == "unknown" and one.reachable is not False:
            told = f"what a call of {one.spec} costs is not known, so no budget in money can be kept:"
            yield from hanging(told, columns(), indent=2, head="  ")
            yield from (f"    {way}" for way in _ways_to_price(one.spec))
    for one in found.backends:
        if one.role == "judge" and one.takes_images is None and one.reachable is not False:
            told = f"whether {one.spec} takes images is not known: --probe asks it now, else a run does, once, before "
            yield from hanging(told + "the first drawing that is paid", columns(), indent=4, head="  ")
    for one in found.backends:
        if one.probe is not None:
            cost = dollars(one.probe.cost_usd)
            told = f"{short(one.probe.detail, 90)} ({seconds(one.probe.elapsed_s)}, {cost})"
            yield from hanging(f"{one.spec}: {told}", columns(), indent=4, head=f"  {tick(one.probe.answered)} ")
    yield from (f"{tick(True)} {line}" for line in found.repaired)
    for problem in found.problems:
        yield from hanging(problem, columns(), indent=2, head=f"{bold('✗')} ")
    if not found.problems:
        asks = "" if any(b.probe for b in found.backends) else "; --probe asks the models themselves"
        yield from hanging(f"everything that could be looked at is in order{asks}", columns(), indent=2)


def _backend_row(one: "BackendState") -> list[str]:
    price = PRICES[one.price]
    there = dim("?") if one.reachable is None else tick(one.reachable and one.listed is not False)
    return [there, one.role, short(one.spec, 50), dim(price), short(one.detail, 60)]


def _ways_to_price(spec: str) -> Iterator[str]:
    """What to type, where a price is not known; a backend of somebody's own has no row in a price list."""
    if ":" in spec:
        yield f"imagerag prices set {shlex.quote(spec)} --per-call X"
    yield "or --assume-cost-usd-per-call X with each run"


def _test_judge(rag: ImageRAG, cases: int, mode: Literal["fused", "stepwise"], as_json: bool) -> int:
    from imagerag.evals.judges.robustness import judge_test

    name = rag.settings.library
    if not name:
        raise UsageError("the judge is tested on a library of yours: --library NAME")
    judge = rag.wiring.judge(rag.settings.judge)
    asked = count(3 * cases, "question")
    say_note(f"asking {judge.identity} {asked} at most (and what is missing, where it only says no)", err=True)

    async def test() -> "JudgeReport":
        return await judge_test(judge, await rag.open_library(name), cases=cases, mode=mode)

    report = asyncio.run(test())
    if as_json:
        say_json(report.model_dump(mode="json", by_alias=True))
    else:
        say_all(_report_lines(report))
    return 0 if report.verdict == "usable" else 1


def _report_lines(report: "JudgeReport") -> Iterator[str]:
    rows = [[dim(head) for head in ("prompt", "right", "", "names what is missing", "no answer")]]
    for one in report.results:
        named = "" if one.kind == "there" else f"{one.named} of {one.right}"
        rows.append([KINDS[one.kind], percent(one.rate), f"{one.right} of {one.cases}", named, str(one.unanswered)])
    yield from table(rows, right={1, 2, 3, 4})
    yield f"{report.judge} on {report.library}, {report.mode}: {bold(report.verdict)}"
    if report.named_rate is not None:
        yield f"when it rightly says no, it names what is missing in {percent(report.named_rate)}"
    if report.problem:
        yield dim(f"first error: {short(report.problem, 200)}")
    yield f"cost: {dollars(report.cost_usd)}"
