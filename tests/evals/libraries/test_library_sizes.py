"""Nested parts of one's own library, and ways of searching it side by side."""

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Filter
from imagerag.evals.dependencies import dependencies_for
from imagerag.evals.harness.evaluation import EvalOptions, run_evaluation
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.plan_pins import pinned
from imagerag.evals.libraries.library_sizes import arms_of, check_curve, recipes_of, sizes_of
from imagerag.evals.libraries.search_comparison import compare_searches, joined
from imagerag.evals.reports.tables import by_size, shown_tables
from imagerag.evals.reports.writer import read_summary, write_reports
from imagerag.evals.suites.case import Case, LibraryRecipe, Suite
from imagerag.evals.suites.sketch import sketch_suite
from imagerag.evals.synthetic_images import SyntheticImage, chance, fill
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.snapshots import create_snapshot, remove_snapshot
from imagerag.store.library.maintenance.subsets import in_random_order
from imagerag.store.library.names import valid_name
from imagerag.tools.registry import make_embedder, make_judge, make_reranker
from imagerag.tools.sketch.world import all_things, random_scene


async def own_library(folder: Path, count: int = 24) -> Library:
    made = await Library.create_or_open(DataDir(folder), "mine", make_embedder("sketch"))
    things = chance(0, "own").sample(all_things(), count)
    await fill(made, [SyntheticImage.of(random_scene(chance(0, "own", n), (t,)), 64) for n, t in enumerate(things)])
    return made


# -- sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "count", "sizes"),
    [
        ("1k,10k,100k,all", 350_000, [1000, 10_000, 100_000, 350_000]),
        ("1k,10k,100k,all", 10_000, [1000, 10_000]),
        ("1k,10k,100k,all", 2000, [1000, 2000]),
        (" all , 1.5K, 5", 2000, [5, 1500, 2000]),
        ("1m,2", 3, None),
        ("1k,all", 20, None),
    ],
)
def test_sizes_are_those_there_are_pictures_for(asked: str, count: int, sizes: list[int] | None) -> None:
    if sizes is None:
        with pytest.raises(UsageError, match="no two sizes"):
            sizes_of(asked, count, "mine")
    else:
        assert sizes_of(asked, count, "mine") == sizes


@pytest.mark.parametrize(
    ("asked", "count", "told"),
    [
        ("8", 152, "`sizes=8,all`"),
        ("1000,all", 152, "`sizes=7,38,all`"),
        ("1000", 2, "`sizes=1,all`"),
        ("1", 1, "has 1 image: `sizes=1` leaves no two sizes to compare.\nAdd some: `rag.libraries.index(PATH"),
    ],
)
def test_what_is_named_instead_of_too_few_sizes_can_be_compared(asked: str, count: int, told: str) -> None:
    with pytest.raises(UsageError) as said:
        sizes_of(asked, count, "mine")
    assert told in str(said.value)


@pytest.mark.parametrize("wrong", ["ten,all", "0,all", "-5,all", "1g,all"])
def test_what_is_no_size_is_said(wrong: str) -> None:
    with pytest.raises(UsageError, match="is no size"):
        sizes_of(wrong, 100, "mine")


@given(st.sets(st.text(alphabet="0123456789abcdef", min_size=4, max_size=8)), st.integers(0, 5), st.data())
def test_an_order_is_the_seeds_and_survives_what_is_added(ids: set[str], seed: int, data: st.DataObject) -> None:
    order = in_random_order(ids, seed)
    assert sorted(order) == sorted(ids)
    kept = data.draw(st.sets(st.sampled_from(order))) if order else set()
    assert in_random_order(kept, seed) == [one for one in order if one in kept]


async def test_each_part_lies_within_the_next_and_is_calibrated_for_itself(tmp_path: Path) -> None:
    whole = await own_library(tmp_path / "users")
    recipes = recipes_of("mine", [4, 12, 24], seed=0)
    made = dependencies_for(DataDir(tmp_path / "home"), DataDir(tmp_path / "users"), recipes)
    parts: list[Any] = [await made.library(name) for name in reversed(recipes)]
    ids = [{row.id for row in await part.rows()} for part in parts]
    assert [len(one) for one in ids] == [4, 12, 24]
    assert ids[0] < ids[1] < ids[2] == {row.id for row in await whole.rows()}
    assert all(part.threshold for part in parts)
    row = (await parts[0].rows())[0]
    assert row == (await whole.rows([row.id]))[0]
    assert await parts[0].image_bytes(row.id) == await whole.image_bytes(row.id)
    near = (await parts[0].search(row.caption, k=1, filter=Filter()))[0]
    same = await whole.search(row.caption, k=24, filter=Filter())
    assert near.similarity == pytest.approx(next(h.similarity for h in same if h.image == near.image), abs=1e-6)
    other = dependencies_for(
        DataDir(tmp_path / "other"), DataDir(tmp_path / "users"), recipes_of("mine", [4, 24], seed=1)
    )
    drawn: Any = await other.library("mine-4-seed-1")
    assert {row.id for row in await drawn.rows()} != ids[0]
    again: Any = await dependencies_for(DataDir(tmp_path / "home"), DataDir(tmp_path / "users"), recipes).library(
        "mine-4"
    )
    assert {row.id for row in await again.rows()} == ids[0]


async def test_the_curve_is_a_table_and_a_figure(tmp_path: Path) -> None:
    await own_library(tmp_path / "users")
    recipes = recipes_of("mine", [4, 24], seed=0)
    whole = await Library.open(DataDir(tmp_path / "users"), "mine", make_embedder("sketch"))
    rare = [row.caption for row in await whole.rows()][:3]
    suite = Suite(name="own", libraries=recipes, cases=tuple(Case(id=f"c{n}", prompt=p) for n, p in enumerate(rare)))
    arms = arms_of("base", "paper", list(recipes))
    assert [arm.name for arm in arms] == ["base", "paper+library=mine-4", "paper+library=mine-24"]
    setup = {"generator": "sketch", "judge": "sketch", "library": next(iter(recipes))}
    plan = Plan(suite=suite, arms=arms, setup=setup, metrics=("text:independent", "work"))
    assert (await run_evaluation(tmp_path / "out", plan, EvalOptions(users=DataDir(tmp_path / "users")))).whole
    files = {file.name for file in write_reports(tmp_path / "out")}
    assert "gain-size.svg" in files
    summary = read_summary(tmp_path / "out")
    rows = by_size(summary, "text:independent")
    assert rows[0][:4] == ["images", "arm", "text:independent", "− base"]
    assert [row[0] for row in rows[1:]] == ["4", "24"]
    assert any("by size of the library" in line for line, _ in shown_tables(summary))
    assert "by size of the library" in (tmp_path / "out" / "report.md").read_text()


async def test_parts_of_a_snapshot_are_pinned_to_it(tmp_path: Path) -> None:
    whole = await own_library(tmp_path / "users")
    create_snapshot(whole.table, "v1")
    recipes = recipes_of("mine@v1", [4, 24], seed=0)
    await whole.delete([row.id for row in (await whole.rows())[:12]])
    made = dependencies_for(DataDir(tmp_path / "home"), DataDir(tmp_path / "users"), recipes)
    assert [await cast(Any, await made.library(name)).count() for name in recipes] == [24, 4]
    suite = Suite(name="own", libraries=recipes, cases=(Case(id="c", prompt="a red solid circle"),))
    setup = {"generator": "sketch", "judge": "sketch", "library": next(iter(recipes))}
    plan = Plan(suite=suite, arms=arms_of("base", "full", list(recipes)), setup=setup, metrics=("work",))
    pinned_plan = await pinned(plan, made)
    assert pinned_plan.setup.snapshots.keys() == {"mine@v1"}
    pinned_plan.keep(tmp_path)
    pinned_plan.keep(tmp_path)
    remove_snapshot(whole.table, "v1")
    create_snapshot(whole.table, "v1")
    retaken = await pinned(plan, dependencies_for(DataDir(tmp_path / "home"), DataDir(tmp_path / "users"), recipes))
    with pytest.raises(UsageError, match=r"its libraries differ .*'mine@v1' was removed"):
        retaken.keep(tmp_path)


def test_the_names_of_parts_are_names_of_libraries() -> None:
    for library in ("mine", "mine@2026-11", "x" * 100, "x" * 100 + "@" + "y" * 100):
        names = recipes_of(library, [5, 1_000_000], seed=12)
        assert [valid_name(name) for name in names] == list(dict.fromkeys(names))
        assert len(names) == 2


def test_a_curve_needs_a_score() -> None:
    suite = sketch_suite(6)
    setup = {"generator": "sketch", "judge": "sketch"}
    with pytest.raises(UsageError, match="needs a score"):
        check_curve(Plan(suite=suite, arms=(), setup=setup, metrics=("retrieval", "work")))
    check_curve(Plan(suite=suite, arms=(), setup=setup, metrics=("text:independent",)))


def test_a_suite_without_parts_is_the_suite_it_was() -> None:
    assert sketch_suite().hash == "7fd9da4a4551f0c27bda2db3d46d2b7a6123cc539a13e8d0fa40c9b4d66bbfdc"


def test_parts_are_in_a_suites_hash() -> None:
    one = sketch_suite(6)
    parts = [LibraryRecipe(kind="part", of=of, size=3) for of in ("a", "b")]
    assert len({one.hash, *(one.model_copy(update={"libraries": {"x": part}}).hash for part in parts)}) == 3


# -- ways of searching ---------------------------------------------------------------------------------------------


def rerankers(spec: str) -> Any:
    return make_reranker(spec, judge=make_judge("sketch"))


async def test_ways_and_encoders_are_compared_in_one_table(tmp_path: Path) -> None:
    from imagerag.evals.metrics.registry import independent_encoder

    library = await own_library(tmp_path)
    found = await compare_searches(library, encoders=[independent_encoder()], rerankers=rerankers, queries=24)
    assert (found.images, found.captions) == (24, 24)
    rows = {(one.encoder, one.way): one.ranking for one in found.rows}
    assert list(rows) == [
        *((encoder, way) for encoder in ("sketch", "independent") for way in ("cosine", "hybrid", "words", "bm25")),
        ("sketch + independent", "joined"),
    ]
    for ranking in rows.values():
        assert 0 <= ranking.precision_10 <= ranking.precision_5 <= ranking.precision_1 <= 1
        assert ranking.precision_1 == pytest.approx(ranking.recall_1.value or 0)
    assert rows["sketch", "cosine"].mrr > 0.8
    assert rows["sketch", "words"].recall_1.value == 1.0, "a caption's own words are nobody else's here"
    assert rows["sketch", "words"].mrr == rows["independent", "words"].mrr, "words are read by no encoder"


async def test_a_part_of_the_pictures_is_compared_on_request(tmp_path: Path) -> None:
    library = await own_library(tmp_path)
    found = await compare_searches(library, ways=["cosine"], rerankers=rerankers, images=6)
    assert (found.images, found.captions) == (6, 6)
    assert [one.way for one in found.rows] == ["cosine"]


async def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    library = await own_library(tmp_path, 6)
    with pytest.raises(UsageError):
        await compare_searches(library, ways=["nothing"], rerankers=rerankers)
    with pytest.raises(UsageError, match="asks a model"):
        await compare_searches(library, ways=["vlm"], rerankers=rerankers)
    bare = await Library.create_or_open(DataDir(tmp_path), "bare", make_embedder("sketch"))
    with pytest.raises(UsageError, match="no captions"):
        await compare_searches(bare, rerankers=rerankers)


def test_rankings_are_joined_by_their_ranks() -> None:
    assert joined([["a", "b", "c"], ["b", "a", "d"]])[:2] == ["a", "b"]
    assert joined([["a"], []]) == ["a"]
    assert joined([["x", "a"], ["y", "a"]])[0] == "a"
