"""`imagerag eval sizes`, `search`, `study --form absolute` and `judge` as their user types them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from imagerag.evals.suites.sketch import rare
from imagerag.evals.synthetic_images import SyntheticImage, chance, fill
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library import Library
from imagerag.tools.registry import make_embedder
from imagerag.tools.sketch.world import all_things, describe, random_scene


@pytest.fixture
def mine(tmp_path: Path) -> list[str]:
    """A library of 12 rare things; what they are called."""
    things = [thing for thing in all_things() if rare(thing)][::70][:12]

    async def work() -> None:
        made = await Library.create_or_open(DataDir(tmp_path / "home"), "mine", make_embedder("sketch"))
        await fill(made, [SyntheticImage.of(random_scene(chance(0, "cli", n), (t,)), 64) for n, t in enumerate(things)])

    asyncio.run(work())
    return [describe(thing) for thing in things]


def test_the_gain_by_size_of_ones_own_library(imagerag: Any, tmp_path: Path, mine: list[str]) -> None:
    (tmp_path / "set.txt").write_text("\n".join(mine[:2]))
    out = tmp_path / "out"
    asked = ["eval", "sizes", str(tmp_path / "set.txt"), "--library", "mine", "--preset", "sketch", "--out", str(out)]
    code, _, told = imagerag(*asked, "--metrics", "text:independent")
    assert (code, "leaves no two sizes" in told, ",all" in told) == (2, True, True), told
    code, _, told = imagerag(*asked, "--sizes", "3,all")
    assert (code, "needs a score" in told) == (2, True)
    code, _, told = imagerag(*asked, "--sizes", "3,all", "--metrics", "text:sketch")
    assert (code, "--allow-same-encoder" in told) == (2, True)
    code, told, _ = imagerag(*asked, "--sizes", "3,all", "--metrics", "text:independent,work", "-q")
    assert code == 0, told
    assert "text:independent, by size of the library" in told
    assert (out / "plots" / "gain-size.svg").is_file()
    arms = json.loads((out / "summary.json").read_text())["arms"]
    assert {name: one["settings"]["library_size"] for name, one in arms.items()} == {
        "base": None, "full+library=mine-3": 3, "full+library=mine-12": 12,
    }  # fmt: skip
    key = ["eval", "human-study", str(out), "--arm", "full+library=mine-12", "--form", "absolute"]
    assert imagerag(*key)[0] == 0
    pictures = json.loads((out / "study-absolute-key.json").read_text())["images"]
    given = {shown: {"contains": "yes"} for shown in pictures}
    (tmp_path / "a.json").write_text(json.dumps({"schema": "imagerag.study-answers/1", "rater": "a", "answers": given}))
    code, told, _ = imagerag("eval", "study-results", str(out), str(tmp_path / "a.json"), "--json")
    assert code == 0
    read = json.loads(told)
    assert (read["form"], {one["value"] for one in read["arms"]}) == ("absolute", {1.0})
    code, told, _ = imagerag("eval", "study-results", str(out), str(tmp_path / "a.json"))
    assert "contains it" in told


def test_ways_of_searching_ones_own_library(imagerag: Any, mine: list[str]) -> None:
    code, told, _ = imagerag("eval", "search", "mine", "--ways", "cosine,words", "-q")
    assert code == 0
    assert [line.split()[:2] for line in told.splitlines() if line.split()[:1] == ["sketch"]] == [
        ["sketch", "cosine"], ["sketch", "words"],
    ]  # fmt: skip
    code, told, _ = imagerag("eval", "search", "mine", "--ways", "cosine", "--json", "-q")
    assert json.loads(told)["schema"] == "imagerag.search-comparison/1"
    assert imagerag("eval", "search", "mine", "--ways", "nothing")[0] == 2


def test_a_judge_is_told_what_it_names(imagerag: Any, tmp_path: Path, mine: list[str]) -> None:
    code, told, _ = imagerag("eval", "judge", "--library", "mine", "--preset", "sketch", "--classes", "3")
    assert code == 0
    assert "named as missing" in told
    code, told, _ = imagerag(
        "eval", "judge", "--library", "mine", "--preset", "sketch", "--classes", "3", "--no-concepts", "--json"
    )
    assert json.loads(told)["concepts"] is None
    (tmp_path / "words.txt").write_text("alone\n")
    asked = ["eval", "judge", "--library", "mine", "--preset", "sketch", "--synonyms", str(tmp_path / "words.txt")]
    assert imagerag(*asked)[0] == 2
