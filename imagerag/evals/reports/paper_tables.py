"""The tables of ImageRAG (Shalev-Arkushin et al., ICLR 2026), laid out as there: rows, columns, parts, what is bold.

| table | rows | columns |
|---|---|---|
| 1 | a data set each | per generator: alone, with ImageRAG; GPTScore |
| 2 | other methods; per generator: alone, with ImageRAG | per data set: CLIP, SigLIP, DINO |
| 3, 8 | one generator: alone, rephrased prompt, by concept, by prompt, ImageRAG | as 2 |
| 4 | ImageRAG with other orders of what was retrieved | as 2 |
| 5 | as 2, without other methods | per data set: CLIP-T, CLIP-I |
| 6, 7 | per generator: ImageRAG with one library and another | as 2 |

A data set is an evaluation: one alone fills the columns of one. Which arm goes into which row is told by what the arm
does, never by its name. A table is made when what it compares was run and one of its scores measured; what fills a
column, and which columns nothing filled, is said below it.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from imagerag.evals.harness.arm_settings import in_words
from imagerag.evals.harness.arms import AS_PUBLISHED, Arm
from imagerag.evals.harness.plan import Plan
from imagerag.evals.metrics.encoder_independence import MARK, explanation

ALONE, FULL, PUBLISHED, OWN = "keep", "caption", "paper", "own"
ABLATION: Final = {
    ALONE: "{}", "rephrase": "Rephrased prompt", "concept": "Retrieve concepts", "prompt": "Retrieve prompt",
    FULL: "ImageRAG", PUBLISHED: "ImageRAG as published",
}  # fmt: skip
"""What an arm does → its row in tables 3 and 8."""


class Method(NamedTuple):
    """What decides an arm's row: who draws, what is done, with which library and reranker; "" is the evaluation's."""

    generator: str
    does: str
    library: str = ""
    reranker: str = ""


@dataclass(frozen=True)
class MethodScores:
    """An evaluation: a data set in the paper's words."""

    name: str
    plan: Plan
    summary: Mapping[str, Any]

    @cached_property
    def ways(self) -> dict[Method, str]:
        """Each way's first arm; arms that differ from the others in anything else have no place in these tables."""
        found: dict[Method, str] = {}
        for arm in self.plan.arms:
            if (way := self._way(arm)) is not None:
                found.setdefault(way, arm.name)
        return found

    def _way(self, arm: Arm) -> Method | None:
        base = self.plan.setup
        setup = arm.of(base, seed=base.knobs.seed, journal=base.knobs.journal)
        own = ("retrieve_by", *(AS_PUBLISHED if arm.procedure == PUBLISHED and arm.knobs == AS_PUBLISHED else ()))
        knobs = setup.knobs.model_copy(update={name: getattr(base.knobs, name) for name in own})
        rest = {"generator": base.generator, "library": base.library, "reranker": base.reranker, "knobs": knobs}
        if arm.own_start or not arm.subjects or setup.model_copy(update=rest) != base:
            return None
        does = setup.knobs.retrieve_by if arm.procedure == "graph" else arm.procedure
        if does not in ABLATION:
            return Method(setup.generator, f"{OWN} {arm.name}")
        library, reranker = (
            (new or "") if new != old else ""
            for new, old in ((setup.library, base.library), (setup.reranker, base.reranker))
        )
        return Method(setup.generator, does, library, reranker)

    def metric(self, measure: "MetricColumn") -> str | None:
        """The first metric that fills a column."""
        asked = [spec.strip() for spec in self.plan.metrics if measure.fits(spec.strip())]
        there = self.summary["metrics"]
        named = [name for spec in asked for name in (spec, f"{spec}{MARK}") if name in there]
        return next(iter(sorted(named, key=lambda name: name.endswith(MARK))), None)

    def score(self, way: Method, measure: "MetricColumn") -> Mapping[str, Any] | None:
        """`value` and `stderr` of an arm; None where there is none."""
        arm, metric = self.ways.get(way), self.metric(measure)
        found = self.summary["metrics"][metric]["arms"].get(arm) if arm and metric else None
        return found if found and found["value"] is not None else None


class MetricColumn(NamedTuple):
    """A column: what it is called, and which metrics can fill it."""

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
    """A figure, and what it is compared with: the best among those of the same `among` is bold."""

    value: float | None
    text: str
    among: Hashable


class TableRow(NamedTuple):
    """A line of a table; where `part` changes, a rule is drawn."""

    label: str
    part: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class PaperTable:
    """A table ready to be written.

    Attributes:
        groups: what stands above the columns, and above how many of them.
        note: what filled the columns, and what is missing.
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
        """Label and cells of every row, the best in bold."""
        return [
            [row.label, *(bold.format(c.text) if self._best(c) else c.text for c in row.cells)] for row in self.rows
        ]

    def _best(self, cell: Cell) -> bool:
        values = {c.value for row in self.rows for c in row.cells if c.among == cell.among and c.value is not None}
        return len(values) > 1 and cell.value == max(values)


def paper_tables(sets: Sequence[MethodScores]) -> list[PaperTable]:
    """Every table of the paper that these evaluations fill."""
    return [sheet for make in LAYOUTS for sheet in make(sets)]


def _generators(sets: Sequence[MethodScores]) -> list[str]:
    return list(dict.fromkeys(way.generator for data in sets for way in data.ways))


def _has(sets: Sequence[MethodScores], *ways: Method) -> bool:
    return any(all(way in data.ways for way in ways) for data in sets)


def _with_and_without(sets: Sequence[MethodScores]) -> list[str]:
    """The generators that were run alone and with ImageRAG."""
    return [name for name in _generators(sets) if _has(sets, Method(name, ALONE), Method(name, FULL))]


def _cell(found: Mapping[str, Any] | None, among: Hashable, digits: int = 3, spread: bool = True) -> Cell:
    if found is None:
        return Cell(None, "–", among)
    stderr = f" ± {found['stderr']:.{digits}f}" if spread and found["stderr"] is not None else ""
    return Cell(found["value"], f"{found['value']:.{digits}f}{stderr}", among)


def _note(sets: Sequence[MethodScores], columns: Sequence[MetricColumn], ways: Sequence[Method]) -> str:
    told, marked = [], ""
    for column in columns:
        by = {data.name: data.metric(column) for data in sets}
        names = dict.fromkeys(metric for metric in by.values() if metric)
        marked = marked or explanation(list(names))
        without = [name for name, metric in by.items() if metric is None]
        where = "" if len(without) == len(by) else f" for {', '.join(without)}"
        parts = [" and ".join(names)] if names else []
        told.append(f"{column.name}: {'; '.join([*parts, *([f'not measured{where}'] if without else [])])}")
    broken = sum(
        data.summary["arms"][data.ways[way]]["statuses"]["technical"]
        for data in sets
        for way in ways
        if way in data.ways
    )
    cases = ", ".join(f"{data.name} {data.summary['cases']}" for data in sets)
    lost = f" {broken} answers broke and are in no mean." if broken else ""
    legend = f" {marked}" if marked else ""
    return f"{'. '.join(told)}. Cases: {cases}.{lost}{legend}{_settings(sets, ways)}"


def _settings(sets: Sequence[MethodScores], ways: Sequence[Method]) -> str:
    """What the rows were run with, where they searched."""
    told: dict[str, None] = {}
    for data in sets:
        for way in ways:
            found = (data.summary["arms"].get(data.ways.get(way, "")) or {}).get("settings")
            if found and found["retrieve_by"] is not None:
                told.setdefault(f"{ABLATION.get(way.does, data.ways[way])}: {in_words(found)}")
    return f" Settings: {'; '.join(told)}." if told else ""


def _by_score(
    number: int, title: str, sets: Sequence[MethodScores], columns: Sequence[MetricColumn], rows: Sequence[tuple[str, str, Method]],
    *, digits: int = 3, spread: bool = True,
) -> Iterator[PaperTable]:  # fmt: skip
    """A table with (label, part, way) as rows, and every data set's scores as columns, if there is any."""
    made = tuple(
        TableRow(label, part, tuple(
            _cell(data.score(way, column), (part, data.name, column.name), digits, spread)
            for data in sets for column in columns
        ))
        for label, part, way in rows
    )  # fmt: skip
    if any(cell.value is not None for row in made for cell in row.cells):
        groups = tuple((data.name, len(columns)) for data in sets)
        names = tuple(f"{column.name} ↑{_mark(data, column)}" for data in sets for column in columns)
        yield PaperTable(number, title, groups, names, made, _note(sets, columns, [way for *_, way in rows]))


def _mark(data: MethodScores, column: MetricColumn) -> str:
    metric = data.metric(column)
    return MARK if metric and metric.endswith(MARK) else ""


def _compared(generators: Sequence[str]) -> list[tuple[str, str, Method]]:
    return [
        row
        for name in generators
        for row in ((name, name, Method(name, ALONE)), (f"ImageRAG ({name})", name, Method(name, FULL)))
    ]


def marks(sets: Sequence[MethodScores]) -> Iterator[PaperTable]:
    """Table 1: GPTScore with and without ImageRAG, a row per data set."""
    generators, graded = _with_and_without(sets), [data for data in sets if data.metric(GRADE[0])]
    ways = [way for *_, way in _compared(generators)]
    if generators and graded:
        rows = tuple(
            TableRow(
                data.name, "", tuple(_cell(data.score(w, GRADE[0]), (data.name, w.generator), 2, False) for w in ways)
            )
            for data in graded
        )
        groups = tuple((name, 2) for name in generators)
        columns = ("alone", "ImageRAG") * len(generators)
        yield PaperTable(1, "GPTScore with and without references", groups, columns, rows, _note(graded, GRADE, ways))


def comparison(sets: Sequence[MethodScores]) -> Iterator[PaperTable]:
    """Table 2: the scores of other methods, and of every generator with and without ImageRAG."""
    if generators := _with_and_without(sets):
        own = dict.fromkeys(way for data in sets for way in data.ways if way.does.startswith(OWN))
        others = [(way.does.removeprefix(f"{OWN} "), "", way) for way in own]
        published = [
            (f"{ABLATION[PUBLISHED]} ({name})", name, Method(name, PUBLISHED))
            for name in generators
            if _has(sets, Method(name, PUBLISHED))
        ]
        rows = sorted([*_compared(generators), *published], key=lambda row: generators.index(row[1]))
        yield from _by_score(2, "With and without references", sets, SCORES, [*others, *rows])


def ablations(sets: Sequence[MethodScores]) -> Iterator[PaperTable]:
    """Table 3, and 8 for further generators: what each part of the method adds."""
    for at, name in enumerate(_with_and_without(sets)):
        ways = {does: Method(name, does) for does in ABLATION if _has(sets, Method(name, does))}
        if len(ways) > 2:
            rows = [(ABLATION[does].format(name), "", way) for does, way in ways.items()]
            yield from _by_score(8 if at else 3, f"Ablation over {name}", sets, SCORES, rows)


def rerankers(sets: Sequence[MethodScores]) -> Iterator[PaperTable]:
    """Table 4: the order that references are taken in."""
    for name in _generators(sets):
        found = dict.fromkeys(
            way for data in sets for way in data.ways
            if way.generator == name and way.does == FULL and not way.library
        )  # fmt: skip
        if any(way.reranker for way in found):
            order = sorted(found, key=lambda way: not way.reranker)
            rows = [(f"{way.reranker} re-rank" if way.reranker else "by similarity", "", way) for way in order]
            yield from _by_score(4, f"Retrieval over {name}", sets, SCORES, rows)


def text_and_image(sets: Sequence[MethodScores]) -> Iterator[PaperTable]:
    """Table 5: similarity with the prompt, and with pictures of the real thing."""
    generators, shown = _with_and_without(sets), [data for data in sets if data.metric(TEXT_AND_IMAGE[1])]
    if generators and shown:
        title, rows = "Similarity with prompt and real pictures", _compared(generators)
        yield from _by_score(5, title, shown, TEXT_AND_IMAGE, rows, digits=2, spread=False)


def libraries(sets: Sequence[MethodScores]) -> Iterator[PaperTable]:
    """Tables 6 and 7, two data sets each: one library and another, a part per generator."""
    for at in range(0, len(sets), 2):
        some = sets[at : at + 2]
        found = dict.fromkeys(w for data in some for w in data.ways if w.does == FULL and not w.reranker)
        rows = [
            (f"{way.library or _own(some)} ({name})", name, way)
            for name in _generators(some)
            for way in found
            if way.generator == name and sum(other.generator == name for other in found) > 1
        ]
        if rows:
            yield from _by_score(7 if at else 6, "What the library adds", some, SCORES, rows)


def _own(sets: Sequence[MethodScores]) -> str:
    """What the evaluations' own library is called."""
    names = dict.fromkeys(data.plan.setup.library or "" for data in sets)
    return " / ".join(names)


LAYOUTS: Final = (marks, comparison, ablations, rerankers, text_and_image, libraries)
