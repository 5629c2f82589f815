"""The tables of ImageRAG (Shalev-Arkushin et al., ICLR 2026) in the paper's layout: rows, columns, parts, bold cells.

| table | rows | columns |
|---|---|---|
| 1 | a data set each | per generator: alone, with ImageRAG; GPTScore |
| 2 | other methods; per generator: alone, with ImageRAG | per data set: CLIP, SigLIP, DINO |
| 3, 8 | one generator: alone, rephrased prompt, by concept, by prompt, ImageRAG | as 2 |
| 4 | ImageRAG with other orders of what was retrieved | as 2 |
| 5 | as 2, without other methods | per data set: CLIP-T, CLIP-I |
| 6, 7 | per generator: ImageRAG with one library and another | as 2 |

A data set is an evaluation; a single one fills the columns of one data set. The settings of an arm, never its name,
decide its row. A table is made when the arms that it compares were run and one of its scores was measured. A note below
the table names the metric of each column and the empty columns.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final

from imagerag.evals.harness.arm_settings import describe_settings
from imagerag.evals.harness.encoder_independence import MARK, explanation
from imagerag.evals.reports.paper_tables import (
    ABLATION,
    ALONE,
    FULL,
    GRADE,
    OWN,
    PUBLISHED,
    SCORES,
    TEXT_AND_IMAGE,
    Cell,
    Method,
    MethodScores,
    MetricColumn,
    PaperTable,
    TableRow,
)  # fmt: skip


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


def _cell(value: Mapping[str, Any] | None, among: Hashable, digits: int = 3, spread: bool = True) -> Cell:
    if value is None:
        return Cell(None, "–", among)
    stderr = f" ± {value['stderr']:.{digits}f}" if spread and value["stderr"] is not None else ""
    return Cell(value["value"], f"{value['value']:.{digits}f}{stderr}", among)


def _note(sets: Sequence[MethodScores], columns: Sequence[MetricColumn], ways: Sequence[Method]) -> str:
    notes, marked = [], ""
    for column in columns:
        by = {data.name: data.metric(column) for data in sets}
        names = dict.fromkeys(metric for metric in by.values() if metric)
        marked = marked or explanation(list(names))
        without = [name for name, metric in by.items() if metric is None]
        where = "" if len(without) == len(by) else f" for {', '.join(without)}"
        parts = [" and ".join(names)] if names else []
        notes.append(f"{column.name}: {'; '.join([*parts, *([f'not measured{where}'] if without else [])])}")
    broken = sum(
        data.summary["arms"][data.ways[way]]["statuses"]["technical"]
        for data in sets
        for way in ways
        if way in data.ways
    )
    cases = ", ".join(f"{data.name} {data.summary['cases']}" for data in sets)
    failures = f" {broken} answers broke and are in no mean." if broken else ""
    legend = f" {marked}" if marked else ""
    return f"{'. '.join(notes)}. Cases: {cases}.{failures}{legend}{_settings(sets, ways)}"


def _settings(sets: Sequence[MethodScores], ways: Sequence[Method]) -> str:
    """The settings of the rows that search."""
    notes: dict[str, None] = {}
    for data in sets:
        for way in ways:
            settings = (data.summary["arms"].get(data.ways.get(way, "")) or {}).get("settings")
            if settings and settings["retrieve_by"] is not None:
                notes.setdefault(f"{ABLATION.get(way.does, data.ways[way])}: {describe_settings(settings)}")
    return f" Settings: {'; '.join(notes)}." if notes else ""


def _by_score(
    number: int, title: str, sets: Sequence[MethodScores],
    columns: Sequence[MetricColumn], rows: Sequence[tuple[str, str, Method]],
    *, digits: int = 3, spread: bool = True,
) -> Iterator[PaperTable]:  # fmt: skip
    """A table with (label, part, method) as rows and the scores of every data set as columns, if there are any."""
    table_rows = tuple(
        TableRow(label, part, tuple(
            _cell(data.score(way, column), (part, data.name, column.name), digits, spread)
            for data in sets for column in columns
        ))
        for label, part, way in rows
    )  # fmt: skip
    if any(cell.value is not None for row in table_rows for cell in row.cells):
        groups = tuple((data.name, len(columns)) for data in sets)
        names = tuple(f"{column.name} ↑{_mark(data, column)}" for data in sets for column in columns)
        yield PaperTable(number, title, groups, names, table_rows, _note(sets, columns, [way for *_, way in rows]))


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
    """Table 4: the order in which references are chosen."""
    for name in _generators(sets):
        methods = dict.fromkeys(
            way for data in sets for way in data.ways
            if way.generator == name and way.does == FULL and not way.library
        )  # fmt: skip
        if any(way.reranker for way in methods):
            order = sorted(methods, key=lambda way: not way.reranker)
            rows = [(f"{way.reranker} re-rank" if way.reranker else "by similarity", "", way) for way in order]
            yield from _by_score(4, f"Retrieval over {name}", sets, SCORES, rows)


def text_and_image(sets: Sequence[MethodScores]) -> Iterator[PaperTable]:
    """Table 5: similarity with the prompt, and with images of the real thing."""
    generators, with_metric = _with_and_without(sets), [data for data in sets if data.metric(TEXT_AND_IMAGE[1])]
    if generators and with_metric:
        title, rows = "Similarity with prompt and real images", _compared(generators)
        yield from _by_score(5, title, with_metric, TEXT_AND_IMAGE, rows, digits=2, spread=False)


def libraries(sets: Sequence[MethodScores]) -> Iterator[PaperTable]:
    """Tables 6 and 7, two data sets each: one library and another, a part per generator."""
    for at in range(0, len(sets), 2):
        some = sets[at : at + 2]
        methods = dict.fromkeys(w for data in some for w in data.ways if w.does == FULL and not w.reranker)
        rows = [
            (f"{way.library or _own(some)} ({name})", name, way)
            for name in _generators(some)
            for way in methods
            if way.generator == name and sum(other.generator == name for other in methods) > 1
        ]
        if rows:
            yield from _by_score(7 if at else 6, "What the library adds", some, SCORES, rows)


def _own(sets: Sequence[MethodScores]) -> str:
    """The name of the evaluations' own library."""
    names = dict.fromkeys(data.plan.setup.library or "" for data in sets)
    return " / ".join(names)


LAYOUTS: Final = (marks, comparison, ablations, rerankers, text_and_image, libraries)
