"""`imagerag eval run`, `merge`, `report`, `list`: run evaluations and show their results."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imagerag.agent.errors import MissingExtraError, UsageError
from imagerag.agent.extras import require_extra
from imagerag.agent.types import RunConfig, parse_size
from imagerag.cli import Globals
from imagerag.cli.eval.options import budget_options, case_options, measured_options
from imagerag.cli.options import json_option, pass_globals, quiet_option
from imagerag.cli.output_files import all_fresh, overwrite_option
from imagerag.cli.terminal.output import accent, count, dim, say, say_all, say_json, say_note, table, warning_lines
from imagerag.client.client import ImageRAG
from imagerag.formatting.labels import OUTCOMES
from imagerag.formatting.numbers import seconds

if TYPE_CHECKING:
    from imagerag.evals.documents import EvalReplay
    from imagerag.evals.harness.evaluation import EvalOptions
    from imagerag.evals.harness.plan import Plan
    from imagerag.evals.harness.runner import EvalReport

BUDGET_SPENT = OUTCOMES["budget_exhausted"].exit_code


@click.command("run")
@click.argument("suite")
@click.option("--arms", default="base,rephrase,prompt,concept,full", show_default=True, help="The arms to compare.")
@click.option("--arms-file", metavar="TOML", help="A file with your own arms.")
@click.option("--out", required=True, metavar="DIR", help="Directory of the results; the same command resumes.")
@measured_options
@click.option("--library", metavar="NAME", help="The library; by default the suite's own, where it makes one.")
@case_options(seed="Decides the cases of generated suites.")
@click.option("--sections", default="arms", show_default=True, metavar="S,…",
              help="Sections of sketch: arms, retrieval, judge, loop, threshold, or all.")  # fmt: skip
@click.option("--embedder", default="sketch", metavar="SPEC", help="The encoder of the suite sketch.")
@click.option("--shard", default="1/1", metavar="I/N", help="Run only every N-th case, from the I-th on.")
@click.option("--cache", type=click.Choice(["record", "reuse", "replay"]), default="record",
              help="replay: run again without any call, and compare.")  # fmt: skip
@budget_options
@json_option
@quiet_option
@pass_globals
def run_command(
    globals_: Globals, /, suite: str, out: str, cache: str, as_json: bool, quiet: bool, **arguments: Any
) -> int:
    """Run SUITE with every arm, from the same initial image of each case; compute metrics, compare with the first arm.

    SUITE is sketch, classes:PATH, prompts:FILE or runs. Sections of sketch other than arms check the product's parts:
    encoder, judge, the whole loop, thresholds; the exit code is 1 when one misses its target. After a kill or a stop,
    the same command resumes. DIR gets results.jsonl, timings.jsonl, checks.jsonl, summary.json and the report; images
    and the journal are in DIR/home.
    """
    from imagerag.evals.harness.evaluation import replay_evaluation, run_evaluation

    folder, rag = Path(out).expanduser(), rag_of(globals_, {**arguments, "library": None})
    options = options_of(rag, arguments, cache, quiet)
    if cache == "replay":
        return _print_replay(asyncio.run(replay_evaluation(folder, options)), as_json)
    plan = asyncio.run(_plan(rag, suite, arguments))
    began = time.monotonic()
    report = asyncio.run(run_evaluation(folder, plan, options))
    return print_run(folder, report, time.monotonic() - began, as_json)


def rag_of(globals_: Globals, arguments: Mapping[str, Any]) -> ImageRAG:
    """Make a client with the user's own home and the named backends."""
    names = ("preset", "generator", "judge", "library")
    return ImageRAG(home=globals_.home, **{name: arguments[name] for name in names})


def options_of(rag: ImageRAG, arguments: Mapping[str, Any], cache: Any, quiet: bool) -> "EvalOptions":
    """Make the options of an evaluation from those of the command."""
    from imagerag.evals.harness.evaluation import EvalOptions

    def progress(finished: int, total: int, what: str) -> None:
        if not quiet:
            say(f"  {dim(f'{finished:,} of {total:,}')}  {what}", err=True)

    def warn(warnings: Sequence[str]) -> None:
        say_all(warning_lines(warnings), err=True)

    names = ("concurrency", "max_calls", "max_cost_usd", "assume_cost_usd_per_call", "retry_failed",
             "allow_same_encoder")  # fmt: skip
    limits = {name: arguments[name] for name in names}
    return EvalOptions(users=rag.dependencies.home, cache=cache, progress=progress, warn=warn, **limits)


async def _plan(rag: ImageRAG, spec: str, arguments: Mapping[str, Any]) -> "Plan":
    from imagerag.evals.harness.arms import check_arms_file, parse_arms
    from imagerag.evals.harness.evaluation import setup_for
    from imagerag.evals.harness.plan import Plan, Shard
    from imagerag.evals.metrics.registry import default_metrics
    from imagerag.evals.suites.registry import find_suite
    from imagerag.tools.automatic import expanded

    arms = parse_arms(arguments["arms"], arguments["arms_file"])
    if arguments["arms_file"]:
        check_arms_file(arms, arguments["arms_file"])
    names = ("template", "seed", "allow_outside", "embedder")
    sections, shard = _sections(arguments["sections"]), Shard.parse(arguments["shard"])
    suite = await find_suite(spec, rag.dependencies, sections=sections, **{name: arguments[name] for name in names})
    say_all(warning_lines(suite.notes), err=True)
    selection = {name: arguments[name] for name in ("limit", "tags", "seeds")}
    if suite.checks and (shard.of > 1 or any(selection.values())):
        raise UsageError("--limit, --tag, --seeds and --shard choose cases of the section arms: run the others apart")
    suite = suite.only(**selection)
    settings, own = rag.settings, next(iter(suite.libraries), None)
    sketch = suite.name == "sketch"
    metrics = [m for m in (arguments["metrics"] or "").split(",") if m.strip()] or default_metrics(suite.name)
    setup = setup_for(
        arguments["generator"] or ("sketch" if sketch else settings.generator),
        expanded("judge", arguments["judge"] or ("sketch" if sketch else settings.judge), rag.dependencies.prices),
        arguments["library"] or own or settings.library,
        RunConfig(references_per_concept=settings.references_per_concept, size=parse_size(settings.size)),
    )
    return Plan(
        suite=suite,
        arms=arms,
        setup=setup,
        metrics=tuple(metrics) if suite.cases else (),
        shard=shard,
    )


def _sections(text: str) -> list[str]:
    from imagerag.evals.suites.sketch import SECTIONS

    return list(SECTIONS) if text.strip() == "all" else [name.strip() for name in text.split(",") if name.strip()]


def print_run(folder: Path, report: "EvalReport", took: float, as_json: bool) -> int:
    """Show the figures of an evaluation, or the reason why it stopped; returns the exit code."""
    from imagerag.evals.documents import EvalStopped

    if not report.whole:
        after = f" after {report.done} of {report.total} results" if report.total else ""
        say(f"imagerag: stopped{after}: {report.stopped}", err=True)
        say(f"imagerag: the same command with a larger budget resumes; the results are in {folder}", err=True)
        if as_json:
            stopped = EvalStopped(done=report.done, total=report.total, stopped=report.stopped)
            say_json(stopped.model_dump(mode="json", by_alias=True))
        return BUDGET_SPENT if "broke" not in report.stopped else 1
    summary = print_summary(folder, as_json)
    if not as_json:
        say_note(f"{count(report.total, 'result')}, {count(report.failed, 'failure')}, {seconds(took)}; in {folder}")
    missed = _missed_targets(summary)
    if missed:
        say(f"imagerag: targets missed: {', '.join(missed)}", err=True)
    return 1 if missed else 0


def _missed_targets(summary: Mapping[str, Any]) -> list[str]:
    from imagerag.evals.check_record import CheckSummary

    checks = summary.get("checks")
    return CheckSummary.model_validate(checks).missed if checks else []


def print_summary(folder: Path, as_json: bool) -> Mapping[str, Any]:
    """Write the reports of a finished evaluation, show its summary, and return it."""
    from imagerag.evals.harness.encoder_independence import explanation
    from imagerag.evals.reports.tables import shown_tables
    from imagerag.evals.reports.writer import read_summary, write_reports

    write_reports(folder)
    try:
        require_extra("matplotlib", "a plot", "evals")
    except MissingExtraError as error:
        say(f"no plots: {error}", err=True)
    summary = read_summary(folder)
    if as_json:
        say_json(summary)
        return summary
    if legend := explanation(list(summary["metrics"])):
        say_note(legend)
        say()
    for title, rows in shown_tables(summary):
        say_all([title, *table(rows, right=set(range(1, len(rows[0])))), ""])
    return summary


def _print_replay(replay: "EvalReplay", as_json: bool) -> int:
    if as_json:
        say_json(replay.model_dump(mode="json", by_alias=True))
        return 0 if replay.identical else 1
    carried = f"; {count(replay.carried, 'broken result')} taken over as recorded" if replay.carried else ""
    if replay.identical:
        say(f"replayed {count(replay.results, 'result')} without a call: every byte is the same{carried}")
        return 0
    say(f"replayed, and not the same: the first that differs is {replay.differs}{carried}")
    return 1


@click.command("merge")
@click.argument("folders", nargs=-1, required=True, metavar="DIR…")
@click.option("--out", required=True, metavar="DIR", help="Directory of the merged results.")
@json_option
@pass_globals
def merge_command(globals_: Globals, /, folders: Sequence[str], out: str, as_json: bool) -> int:
    """Merge the shards of one evaluation."""
    from imagerag.evals.harness.evaluation import merge_evaluations

    target = Path(out).expanduser()
    report = asyncio.run(merge_evaluations([Path(folder).expanduser() for folder in folders], target))
    print_summary(target, as_json)
    if not as_json:
        say_note(f"{count(report.total, 'result')} of {count(len(folders), 'shard')}, in {target}")
    return 0


@click.command("report")
@click.argument("folders", nargs=-1, required=True, metavar="DIR…")
@click.option("--out", metavar="DIR", help="Write the ImageRAG paper's tables there, each evaluation a data set.")
@overwrite_option
@json_option
@pass_globals
def report_command(globals_: Globals, /, folders: Sequence[str], out: str | None, as_json: bool) -> int:
    """Write the tables, plots and gallery of a finished evaluation again, and show its figures.

    With --out, several evaluations fill the paper's tables together: paper.md and paper.tex.
    """
    paths = [Path(folder).expanduser() for folder in folders]
    for path in paths:
        if not (path / "summary.json").is_file():
            raise UsageError(f"{path} holds no finished evaluation: imagerag eval run SUITE --out {path}")
    if out is not None:
        return _print_paper(paths, Path(out).expanduser(), as_json)
    if len(paths) > 1:
        raise UsageError("several evaluations are reported together in a folder of their own: --out DIR")
    print_summary(paths[0], as_json)
    return 0


def _print_paper(paths: Sequence[Path], target: Path, as_json: bool) -> int:
    from imagerag.evals.reports.writer import PAPER, write_paper

    all_fresh(target / name for name in PAPER)
    files = [str(file) for file in write_paper(paths, target)]
    if as_json:
        from imagerag.evals.documents import EvalTables

        say_json(EvalTables(files=files).as_json())
    else:
        say_all(files)
    return 0


@click.command("list")
def list_command() -> int:
    """List suites, arms and metrics."""
    from imagerag.evals.harness.arms import BUILT_IN
    from imagerag.evals.metrics.registry import kinds
    from imagerag.evals.suites.registry import KINDS as SUITES
    from imagerag.evals.suites.sketch import SECTIONS

    say(accent("suites"))
    say_all(table([[name, description] for name, description in SUITES.items()]))
    say(accent("sections of sketch"))
    say_all(table([[name, description] for name, description in SECTIONS.items()]))
    say(accent("arms") + dim("   NAME, or NAME+KEY=VALUE+… with any option of a run, or module:function"))
    say_all(table([[name, description] for name, (_, description) in BUILT_IN.items()]))
    say(accent("metrics"))
    say_all(table([[name, description] for name, description in kinds().items()]))
    return 0
