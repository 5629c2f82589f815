"""`imagerag eval sizes` and `search`: the gain by library size, and a comparison of search methods."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imagerag.cli import Globals
from imagerag.cli.eval.options import budget_options, case_options, measured_options
from imagerag.cli.eval.run import options_of, print_run, rag_of
from imagerag.cli.options import json_option, library_option, pass_globals, quiet_option
from imagerag.cli.terminal.output import count, dim, say, say_all, say_json, say_note, table, warning_lines
from imagerag.client.client import ImageRAG
from imagerag.formatting.numbers import score

if TYPE_CHECKING:
    from imagerag.evals.harness.plan import Plan
    from imagerag.evals.libraries.search_comparison import Compared, SearchComparison


@click.command("sizes")
@click.argument("suite")
@library_option
@click.option("--sizes", default="1k,10k,100k,all", show_default=True, metavar="N,…",
              help="Numbers of images; larger than the library are left out.")  # fmt: skip
@click.option("--out", required=True, metavar="DIR", help="Directory of the results; the same command resumes.")
@click.option("--arm", default="full", show_default=True, help="The arm that runs with every size.")
@click.option("--baseline", "base", default="base", show_default=True, help="The arm to measure the gain from.")
@measured_options
@case_options(seed="Decides the order of the images.")
@budget_options
@json_option
@quiet_option
@pass_globals
def sizes_command(
    globals_: Globals, /, suite: str, library: str | None, sizes: str, out: str, arm: str, base: str, as_json: bool,
    quiet: bool, **options: Any,
) -> int:  # fmt: skip
    """Measure the gain by library size, with nested random parts of your library, each within the next.

    The parts are copied without being encoded again, and each is calibrated by itself. DIR gets the files of eval run,
    and a table and plots/gain-size.svg of the gain by size.
    """
    from imagerag.evals.harness.evaluation import run_evaluation

    folder, rag = Path(out).expanduser(), rag_of(globals_, {**options, "library": library})
    plan = asyncio.run(_plan(rag, suite, sizes, arm, base, options))
    began = time.monotonic()
    report = asyncio.run(run_evaluation(folder, plan, options_of(rag, options, "record", quiet)))
    return print_run(folder, report, time.monotonic() - began, as_json)


async def _plan(rag: ImageRAG, spec: str, sizes: str, arm: str, base: str, options: dict[str, Any]) -> "Plan":
    from imagerag.evals.harness.evaluation import setup_for
    from imagerag.evals.harness.plan import Plan
    from imagerag.evals.libraries.library_sizes import arms_of, check_curve, recipes_of, sizes_of
    from imagerag.evals.metrics.registry import default_metrics
    from imagerag.evals.suites.registry import find_suite

    seed = options["seed"]
    suite = await find_suite(
        spec, rag.dependencies, template=options["template"], allow_outside=options["allow_outside"]
    )
    say_all(warning_lines(suite.notes), err=True)
    suite = suite.only(limit=options["limit"], tags=options["tags"], seeds=options["seeds"])
    whole = await rag.libraries.open()
    recipes = recipes_of(whole.name, sizes_of(sizes, await whole.count(), whole.name), seed)
    metrics = [m for m in (options["metrics"] or "").split(",") if m.strip()] or default_metrics(suite.name)
    plan = Plan(
        suite=suite.model_copy(update={"libraries": recipes}),
        arms=arms_of(base, arm, list(recipes)),
        setup=setup_for(rag.settings.generator, rag.settings.with_backends.judge, next(iter(recipes))),
        metrics=tuple(metrics),
    )
    check_curve(plan)
    return plan


@click.command("search")
@click.argument("library", metavar="LIBRARY")
@click.option("--ways", default="cosine,hybrid,words,bm25", show_default=True, metavar="W,…",
              help="cosine, hybrid, words, or a reranker that costs nothing.")  # fmt: skip
@click.option("--encoders", default="", metavar="SPEC,…", help="Further encoders, beside the library's own.")
@click.option("--queries", type=click.IntRange(1, 5000), default=200, show_default=True, metavar="N",
              help="Most captions to use as queries.")  # fmt: skip
@click.option("--images", type=click.IntRange(2), metavar="N", help="Use N of its images, at random.")
@click.option("--seed", type=int, default=0, metavar="N", help="Decides which images.")
@json_option
@quiet_option
@pass_globals
def search_ways_command(
    globals_: Globals, /, library: str, ways: str, encoders: str, queries: int, images: int | None, seed: int,
    as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    """Compare search methods and encoders on LIBRARY, by its captions: precision, recall, MRR, nDCG.

    Other encoders encode its images anew: --images limits that for a large library. With several encoders, their
    merged rankings are a row, too.
    """
    from imagerag.evals.libraries.search_comparison import compare_searches
    from imagerag.tools.registry import make_embedder, make_judge, make_reranker

    rag = ImageRAG(library=library, home=globals_.home)

    def progress(finished: int, total: int, what: str) -> None:
        if not quiet and what:
            say(f"  {dim(f'{finished + 1} of {total}')}  {what}", err=True)

    async def work() -> "SearchComparison":
        return await compare_searches(
            await rag.libraries.open(),
            ways=_listed(ways),
            encoders=[make_embedder(spec) for spec in _listed(encoders)],
            rerankers=lambda spec: make_reranker(spec, judge=make_judge("sketch")),
            queries=queries,
            images=images,
            seed=seed,
            progress=progress,
        )

    comparison = asyncio.run(work())
    if as_json:
        say_json(comparison.model_dump(mode="json", by_alias=True))
        return 0
    say(
        f"{comparison.library}: {count(comparison.images, 'image')}, {count(comparison.captions, 'caption')} as queries"
    )
    head = ["encoder", "way", "P@1", "P@5", "P@10", "R@1", "R@5", "R@10", "MRR", "nDCG@10"]
    say_all(table([head, *map(_row, comparison.rows)], right=set(range(2, 10))))
    say_note("P@k: share of the first k that show it; R@k: share of the captions with one that does")
    return 0


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _row(one: "Compared") -> list[str]:
    ranking = one.ranking
    precisions = [score(value) for value in (ranking.precision_1, ranking.precision_5, ranking.precision_10)]
    recalls = [
        "–" if share.value is None else score(share.value)
        for share in (ranking.recall_1, ranking.recall_5, ranking.recall_10)
    ]
    return [one.encoder, one.way, *precisions, *recalls, score(ranking.mrr), score(ranking.ndcg_10)]
