"""Evaluations as input of the paper's tables: data sets, methods as rows, scores as columns."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from imagerag.evals.harness.arms import AS_PUBLISHED, Arm
from imagerag.evals.harness.encoder_independence import MARK
from imagerag.evals.harness.plan import Plan

ALONE, FULL, PUBLISHED, OWN = "keep", "caption", "paper", "own"
ABLATION: Final = {
    ALONE: "{}", "rephrase": "Rephrased prompt", "concept": "Retrieve concepts", "prompt": "Retrieve prompt",
    FULL: "ImageRAG", PUBLISHED: "ImageRAG as published",
}  # fmt: skip
"""Method of an arm → its row in tables 3 and 8."""


class Method(NamedTuple):
    """The method of an arm, which decides its row: generator, procedure, library, reranker; "" is the evaluation's
    own."""

    generator: str
    does: str
    library: str = ""
    reranker: str = ""


@dataclass(frozen=True)
class MethodScores:
    """The scores of an evaluation, which is a data set of the paper's tables."""

    name: str
    plan: Plan
    summary: Mapping[str, Any]

    @cached_property
    def ways(self) -> dict[Method, str]:
        """Method → its first arm. Arms that differ in any other setting are left out of these tables."""
        methods: dict[Method, str] = {}
        for arm in self.plan.arms:
            if (way := self._way(arm)) is not None:
                methods.setdefault(way, arm.name)
        return methods

    def _way(self, arm: Arm) -> Method | None:
        base = self.plan.setup
        setup = arm.of(base, seed=base.config.seed, cache=base.config.cache)
        own = ("retrieve_by", *(AS_PUBLISHED if arm.procedure == PUBLISHED and arm.config == AS_PUBLISHED else ()))
        config = setup.config.model_copy(update={name: getattr(base.config, name) for name in own})
        rest = {"generator": base.generator, "library": base.library, "reranker": base.reranker, "config": config}
        if arm.own_start or not arm.subjects or setup.model_copy(update=rest) != base:
            return None
        does = setup.config.retrieve_by if arm.procedure == "graph" else arm.procedure
        if does not in ABLATION:
            return Method(setup.generator, f"{OWN} {arm.name}")
        library, reranker = (
            (new or "") if new != old else ""
            for new, old in ((setup.library, base.library), (setup.reranker, base.reranker))
        )
        return Method(setup.generator, does, library, reranker)

    def metric(self, measure: "MetricColumn") -> str | None:
        """The first metric that fills a column."""
        specs = [spec.strip() for spec in self.plan.metrics if measure.fits(spec.strip())]
        there = self.summary["metrics"]
        names = [name for spec in specs for name in (spec, f"{spec}{MARK}") if name in there]
        return next(iter(sorted(names, key=lambda name: name.endswith(MARK))), None)

    def score(self, way: Method, measure: "MetricColumn") -> Mapping[str, Any] | None:
        """`value` and `stderr` of an arm; None where there is none."""
        arm, metric = self.ways.get(way), self.metric(measure)
        value = self.summary["metrics"][metric]["arms"].get(arm) if arm and metric else None
        return value if value and value["value"] is not None else None


class MetricColumn(NamedTuple):
    """A column: its heading, and the metrics that can fill it."""

    name: str
    fits: Callable[[str], bool]


def _kind(*kinds: str, siglip: bool = False) -> Callable[[str], bool]:
    return lambda spec: spec.partition(":")[0] in kinds and ("siglip" in spec.lower()) is siglip


GRADE: Final = (MetricColumn("GPTScore", _kind("grade")),)
SCORES: Final = (
    MetricColumn("CLIP", _kind("text")),
    MetricColumn("SigLIP", _kind("text", siglip=True)),
    MetricColumn("DINO", _kind("dino")),
)
TEXT_AND_IMAGE: Final = (MetricColumn("CLIP-T", _kind("text")), MetricColumn("CLIP-I", _kind("image")))


class Cell(NamedTuple):
    """A value and its comparison group: the best value of the same `among` is bold."""

    value: float | None
    text: str
    among: Hashable


class TableRow(NamedTuple):
    """A row of a table; a rule is drawn where `part` changes."""

    label: str
    part: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class PaperTable:
    """A table, ready to write.

    Attributes:
        groups: headings above the columns, and the number of columns below each.
        note: the metrics of the columns, and the missing ones.
    """

    number: int
    title: str
    groups: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    note: str

    @property
    def caption(self) -> str:
        """The title, as the paper's table of that number."""
        return f"{self.title} (as ImageRAG's table {self.number})"

    def marked(self, bold: str) -> list[list[str]]:
        """Label and cells of every row, the best marked as bold."""
        return [
            [row.label, *(bold.format(c.text) if self._best(c) else c.text for c in row.cells)] for row in self.rows
        ]

    def _best(self, cell: Cell) -> bool:
        values = {c.value for row in self.rows for c in row.cells if c.among == cell.among and c.value is not None}
        return len(values) > 1 and cell.value == max(values)
