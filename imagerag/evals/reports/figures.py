"""Plots of an evaluation: library size against score (ImageRAG, figure 16), similarity against gain, cost
against score."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from imagerag.evals.harness.encoder_independence import MARK
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.summary import Aggregator
from imagerag.evals.reports.plots import Plot, Point
from imagerag.evals.reports.tables import quality
from imagerag.evals.result_record import Result
from imagerag.formatting.numbers import difference
from imagerag.formatting.numbers import score as score_text

MOST: Final = 2000
"""Points of a cloud: more tell no more."""


def main_score(summary: Mapping[str, Any]) -> str | None:
    """The metric that plots show."""
    names = sorted(quality(summary), key=lambda name: name.endswith(MARK))
    kinds = ("right", "text", "vqa", "grade", "image", "dino")
    ranked = [name for kind in kinds for name in names if name.startswith(f"{kind}:")]
    return next(iter([*ranked, *names]), None)


def graded_score(summary: Mapping[str, Any]) -> str | None:
    """The metric that scatter plots show: one with more than two values, if there is one."""
    numbers = {name: metric for name, metric in summary["metrics"].items() if metric["kind"] == "score"}
    return main_score({**summary, "metrics": numbers})


def figures(plan: Plan, summary: Mapping[str, Any], results: Iterable[Result]) -> dict[str, Plot]:
    """File name → plot, for all plots that have data."""
    score = main_score(summary)
    if score is None:
        return {}
    tally = Aggregator()
    for result in results:
        tally.add(result)
    plots = {
        "library-size.svg": library_size(plan, summary, score),
        "gain-size.svg": gain_by_size(plan, summary, score),
        "similarity-gain.svg": similarity_gain(tally, summary, graded_score(summary) or score),
        "cost-score.svg": cost_score(summary, score),
    }
    return {name: plot for name, plot in plots.items() if plot is not None}


def library_size(plan: Plan, summary: Mapping[str, Any], score: str) -> Plot | None:
    """Plot the score against the library size, for arms that differ in nothing else; the first arm is a dashed line."""
    arms = summary["metrics"][score]["arms"]
    groups: dict[str, list[Point]] = {}
    for arm in plan.arms:
        recipe = plan.suite.libraries.get(arm.of(plan.setup, seed=0, cache="record").library or "")
        value = arms.get(arm.name)
        if arm.procedure != "graph" or recipe is None or not value or value["value"] is None:
            continue
        name = "+".join(part for part in arm.name.split("+") if not part.startswith("library="))
        groups.setdefault(f"{name}" + (" (irrelevant)" if recipe.kind == "irrelevant" else ""), []).append(
            Point(recipe.size, value["value"], value["stderr"] or 0.0, f"{arm.name}: {score_text(value['value'])}")
        )
    if max((len(points) for points in groups.values()), default=0) < 2:
        return None
    base = arms.get(summary["base"])
    dashed = (summary["base"], base["value"]) if base and base["value"] is not None else None
    return Plot("Library size", "images in the library", score, groups, base=dashed, joined=True, logarithmic=True)


def gain_by_size(plan: Plan, summary: Mapping[str, Any], score: str) -> Plot | None:
    """Plot the arms' gain over the first arm against the size of nested parts of one library."""
    groups: dict[str, list[Point]] = {}
    for arm in plan.arms:
        recipe = plan.suite.libraries.get(arm.of(plan.setup, seed=0, cache="record").library or "")
        gain = summary["differences"].get(score, {}).get(arm.name)
        if recipe is None or recipe.kind != "part" or not gain or gain["mean"] is None:
            continue
        name = "+".join(part for part in arm.name.split("+") if not part.startswith("library="))
        label = f"{recipe.size:,}: {difference(gain['mean'])}"
        groups.setdefault(name, []).append(Point(recipe.size, gain["mean"], gain["stderr"] or 0.0, label))
    if max((len(points) for points in groups.values()), default=0) < 2:
        return None
    return Plot("Gain and library size", "images in the library", f"{score} − {summary['base']}", groups,
                base=("no gain", 0.0), joined=True, logarithmic=True)  # fmt: skip


def similarity_gain(tally: Aggregator, summary: Mapping[str, Any], score: str) -> Plot | None:
    """Plot each case's gain over the first arm against the similarity of its references."""
    table = tally.table()[score]
    first = table.get(summary["base"], {})
    clouds: dict[str, list[Point]] = {}
    for arm, cases in table.items():
        both = [case for case in sorted(cases) if case in first and (arm, case) in tally.similarity]
        points = [Point(_mean(tally.similarity[arm, c]), cases[c] - first[c], 0.0, f"{arm}, {c}") for c in both]
        if arm != summary["base"] and len(points) > 1:
            clouds[arm] = points[:: max(1, len(points) // MOST)]
    if not clouds:
        return None
    return Plot("Similarity and gain", "mean similarity of the references", f"{score} − {summary['base']}", clouds,
                base=("no gain", 0.0), styled=tuple(table))  # fmt: skip


def cost_score(summary: Mapping[str, Any], score: str) -> Plot | None:
    """Plot the score against the cost of a result: US dollars where prices are known and not 0, else model calls."""
    arms = summary["metrics"][score]["arms"]
    for name, label in (("cost_usd", "US dollars per answer"), ("calls", "model calls per answer")):
        costs = summary["metrics"].get(name, {}).get("arms", {})
        priced = {arm: cost for arm, cost in costs.items() if cost["value"] is not None and arms.get(arm)}
        if priced and any(cost["value"] for cost in priced.values()):
            series = {
                arm: [Point(cost["value"], arms[arm]["value"], arms[arm]["stderr"] or 0.0)]
                for arm, cost in priced.items()
                if arms[arm]["value"] is not None
            }
            return Plot("Cost and score", label, score, series, styled=tuple(arms)) if len(series) > 1 else None
    return None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
