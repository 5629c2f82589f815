"""`imagerag eval library` and `score`: retrieval and threshold of a library; further metrics of an evaluation."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import read_regular_text
from imagerag.cli import Globals
from imagerag.cli.eval.options import allow_same_encoder_option
from imagerag.cli.options import assume_option, json_option, pass_globals, quiet_option
from imagerag.cli.terminal.output import count, dim, say, say_all, say_json, say_note, table
from imagerag.client.client import ImageRAG
from imagerag.formatting.numbers import cosine, score

if TYPE_CHECKING:
    from imagerag.evals.libraries.library_eval import Decisions, LibraryCheck, Share


@click.command("library")
@click.argument("library", metavar="LIBRARY")
@click.option("--queries", type=click.IntRange(8, 5000), default=200, show_default=True, metavar="N",
              help="Most captions to use as queries.")  # fmt: skip
@click.option("--unrelated", metavar="FILE", help="Captions that none of its images matches, a line each.")
@json_option
@pass_globals
def library_check_command(
    globals_: Globals, /, library: str, queries: int, unrelated: str | None, as_json: bool
) -> int:
    """Evaluate LIBRARY with its own captions and with others: recall, MRR, nDCG, and the shares its threshold accepts.

    Own captions that calibrated the threshold are left out where there are others; where there are none, read the
    second column: calibrated on half of the images, evaluated on the other half.
    """
    from imagerag.evals.libraries.library_eval import check_library
    from imagerag.evals.libraries.negative_captions import UNRELATED

    rag = ImageRAG(library=library, home=globals_.home)
    lines = _lines(unrelated) if unrelated else UNRELATED

    async def work() -> "LibraryCheck":
        return await check_library(await rag.libraries.open(), queries=queries, unrelated=lines)

    found = asyncio.run(work())
    if as_json:
        say_json(found.model_dump(mode="json", by_alias=True))
    else:
        _print_check(found)
    return 0


def _lines(file: str) -> list[str]:
    try:
        text = read_regular_text(Path(file).expanduser())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the captions in {file}: {error}") from error
    if not (lines := [line.strip() for line in text.splitlines() if line.strip()]):
        raise UsageError(f"{file} holds no captions: one on each line")
    return lines


def _print_check(found: "LibraryCheck") -> None:
    ranks = found.retrieval
    queries = f"{count(found.captions, 'caption')} as queries"
    say(f"{found.library}: {count(found.images, 'image')}, {found.embedder}, {queries}")
    rows = [["retrieval", "", "95 %"]]
    rows += [
        [f"recall@{k}", *_share_cells(share)]
        for k, share in ((1, ranks.recall_1), (5, ranks.recall_5), (10, ranks.recall_10))
    ]
    rows += [
        [f"precision@{k}", score(value), ""]
        for k, value in ((1, ranks.precision_1), (5, ranks.precision_5), (10, ranks.precision_10))
    ]
    for name, value, spread in zip(("MRR", "nDCG@10"), (ranks.mrr, ranks.ndcg_10), ranks.stderr, strict=True):
        rows.append([name, score(value), f"± {score(spread)}" if spread is not None else ""])
    queries = "captions held out" if found.threshold.held_out else "its own captions"
    limit = "none" if found.threshold.cosine is None else cosine(found.threshold.cosine)
    rows += _decision_rows(f"threshold {limit}, {queries}", found.threshold)
    if found.halves:
        rows += _decision_rows("one half calibrated, the other asked", found.halves)
    say_all(table(rows, right={1}))
    if found.halves and not found.threshold.held_out:
        say_note("the threshold was calibrated with these very captions: the figures of the halves are the honest ones")


def _decision_rows(title: str, decisions: "Decisions") -> list[list[str]]:
    cells = [[label, *_share_cells(getattr(decisions, name))] for label, name in _DECISIONS.items()]
    return [["", "", " "], [title, "", "95 %"], *cells]


_DECISIONS = {
    "accepted, own captions": "accepted_own",
    "rejected, one word off": "rejected_near",
    "rejected, image left out": "rejected_left_out",
    "rejected, unrelated": "rejected_unrelated",
}


def _share_cells(share: "Share") -> list[str]:
    if share.value is None:
        return ["–", ""]
    return [score(share.value), f"{score(share.low)} to {score(share.high)}, n {share.n}"]


@click.command("score")
@click.argument("folder", metavar="DIR")
@click.option("--metrics", required=True, metavar="M,…", help="Metrics; imagerag eval list shows them.")
@click.option("--max-calls", type=click.IntRange(1), metavar="N", help="Begin no case after N calls.")
@click.option("--max-cost-usd", type=float, metavar="X", help="Begin no case after X US dollars.")
@assume_option
@allow_same_encoder_option
@click.option("--out", metavar="DIR", help="Directory of the new results  [default: DIR/scores]")
@json_option
@quiet_option
@pass_globals
def score_command(
    globals_: Globals, /, folder: str, metrics: str, out: str | None, as_json: bool, quiet: bool, **limits: Any
) -> int:
    """Compute other metrics of a finished evaluation, without generating or judging again.

    The results in DIR are not changed.
    """
    from imagerag.cli.eval.run import print_summary
    from imagerag.evals.harness.evaluation import EvalOptions, score_evaluation

    source = Path(folder).expanduser()
    target = Path(out).expanduser() if out else source / "scores"

    def progress(done: int, total: int, what: str) -> None:
        if not quiet:
            say(f"  {dim(f'{done:,} of {total:,}')}  {what}", err=True)

    specs = [spec.strip() for spec in metrics.split(",") if spec.strip()]
    options: Any = EvalOptions(users=ImageRAG(home=globals_.home).dependencies.home, progress=progress, **limits)
    number = asyncio.run(score_evaluation(source, target, specs, options))
    print_summary(target, as_json)
    if not as_json:
        say_note(f"{count(number, 'result')} measured anew; in {target}")
    return 0
