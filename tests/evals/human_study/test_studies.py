"""A study shows the real thing beside what was drawn; its absolute form asks of each picture whether it is in it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import UsageError
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.harness.plan import Plan
from imagerag.evals.human_study.absolute import images_of, read_absolute_answers, write_absolute_study
from imagerag.evals.human_study.pairs import pairs_of, study_page
from imagerag.evals.human_study.real_images import ReferencePhoto, concept_of, reference_photos
from imagerag.evals.human_study.study_files import SCHEMA, key_of_answers
from imagerag.evals.suites.case import Case, Suite, Truth
from imagerag.evals.suites.case import CaseImage as File
from imagerag.evals.suites.sketch import sketch_suite
from imagerag.evals.synthetic_images import SyntheticImage, chance, fill
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library import Library
from imagerag.tools.registry import make_embedder
from imagerag.tools.sketch.world import Thing, describe, random_scene
from imagerag.tools.testing.fakes import sample_image

BOLT, HEART = Thing("bolt", "teal", "striped"), Thing("heart", "black", "dotted")


@pytest.fixture
async def results(fakes: Any) -> list[Any]:
    _, found = await fakes.run(fakes.plan(fakes.suite(8), arms="base,full"))
    return found


def data_of(page: str) -> Any:
    found = re.search(r"const study = (.*);\n", page)
    assert found
    return json.loads(found[1])


# -- the real thing ------------------------------------------------------------------------------------------------


async def library_in(folder: Path) -> tuple[EvalDependencies, Library]:
    made = await Library.create_or_open(DataDir(folder), "mine", make_embedder("sketch"))
    scenes = [random_scene(chance(0, "real", n), (thing,)) for n, thing in enumerate((BOLT, HEART))]
    await fill(made, [SyntheticImage.of(scene, 64) for scene in scenes])
    dependencies = EvalDependencies(DataDir(folder))
    dependencies.use("library", "mine", made)
    return dependencies, made


def plan_of(*cases: Case) -> Plan:
    return Plan(suite=Suite(name="s", cases=cases), arms=(), setup={"generator": "g", "judge": "j", "library": "mine"})


async def test_the_suites_own_picture_comes_first(tmp_path: Path) -> None:
    dependencies, _ = await library_in(tmp_path)
    (tmp_path / "real.png").write_bytes(sample_image("real"))
    truth = Truth(labels=(describe(BOLT),), images=(File.of(tmp_path / "real.png"),))
    found = await reference_photos(plan_of(Case(id="c", prompt="p", truth=truth)), [], dependencies)
    assert (found["c"].data, found["c"].of, found["c"].source) == (sample_image("real"), describe(BOLT), "suite")
    (tmp_path / "real.png").unlink()
    found = await reference_photos(plan_of(Case(id="c", prompt="p", truth=truth)), [], dependencies)
    assert found["c"].source == "library", "a file that is gone is no image"


async def test_else_the_librarys_whose_name_says_what_the_case_is_about(tmp_path: Path) -> None:
    dependencies, library = await library_in(tmp_path)
    heart = next(row for row in await library.rows() if "heart" in row.caption)
    case = Case(id="c", prompt="a heart on a wall", truth=Truth(labels=(describe(HEART),)))
    found = await reference_photos(plan_of(case, Case(id="d", prompt="p")), [], dependencies)
    assert found["c"].data == await library.image_bytes(heart.id)
    assert "d" not in found, "of what nobody knows there is none"


async def test_the_sketch_world_draws_it() -> None:
    plan = Plan(suite=sketch_suite(6), arms=(), setup={"generator": "sketch", "judge": "sketch"})
    found = await reference_photos(plan, [], EvalDependencies(DataDir(Path("nowhere"))))
    assert len(found) == 6
    assert found == await reference_photos(plan, [], EvalDependencies(DataDir(Path("nowhere"))))


def test_a_case_is_about_its_labels_else_what_is_shown_else_its_prompt() -> None:
    bare, real = Case(id="c", prompt="a wall"), ReferencePhoto(b"", "a bolt", "library")
    assert concept_of(Case(id="c", prompt="p", truth=Truth(labels=("a", "b"))), real, []) == "a and b"
    assert concept_of(bare, real, []) == "a bolt"
    assert concept_of(bare, None, []) == "a wall"


def test_pairs_have_the_real_thing_beside_them_and_give_no_arm_away(results: list[Any]) -> None:
    pairs = pairs_of(results, "full", "base")
    real = {pairs[0].case: ReferencePhoto(sample_image("real"), "a thing", "library")}
    study = data_of(study_page(pairs, lambda sha256: sample_image("any"), "Which?", real))
    assert [set(pair) - {"id", "prompt", "left", "right"} for pair in study["pairs"]] == [
        {"real", "concept"}, *[set()] * (len(pairs) - 1),
    ]  # fmt: skip
    told = re.sub(r"data:image[^\"]+", "", json.dumps(study))
    assert not {"full", "base"} & set(re.findall(r"\w+", told))


# -- one at a time -------------------------------------------------------------------------------------------------


async def written(folder: Path, results: list[Any], fakes: Any, **given: Any) -> tuple[Any, Any]:
    plan = fakes.plan(fakes.suite(8), arms="base,full")
    shown = {"c0": ReferencePhoto(sample_image("real"), "thing 0", "library")}
    page, key = write_absolute_study(
        folder, plan, results, lambda sha256: sample_image("any"), arms=("full", "base"), real=shown, **given
    )
    return data_of(page.read_text()), json.loads(key.read_text())


async def test_every_picture_is_shown_by_itself_blind_and_in_the_same_random_order(
    results: list[Any], fakes: Any, tmp_path: Path
) -> None:
    study, key = await written(tmp_path, results, fakes)
    assert len(study["pairs"]) == len(key["images"]) == 16
    assert set(study["questions"]) == {"contains"}
    assert {item["concept"] for item in study["pairs"]} == {f"thing {at}" for at in range(8)}
    assert [value for value, _ in study["choices"]] == ["yes", "no", "unsure"]
    assert sum("real" in item for item in study["pairs"]) == 2
    told = re.sub(r"data:image[^\"]+", "", json.dumps(study))
    assert not {"full", "base", "arm"} & set(re.findall(r"\w+", told))
    assert images_of(results, ("full", "base"), {}) == images_of(results, ("full", "base"), {})
    few = images_of(results, ("full", "base"), {}, limit=3)
    assert sorted(one.arm for one in few) == ["base"] * 3 + ["full"] * 3
    with pytest.raises(UsageError, match="left an image"):
        images_of(results, ("nobody",), {})


def rated(folder: Path, rater: str, key: Any, choose: Any) -> Path:
    file = folder / f"{rater}.json"
    given = {shown: {"contains": choose(one)} for shown, one in key["images"].items()}
    file.write_text(json.dumps({"schema": SCHEMA, "rater": rater, "answers": given}))
    return file


async def test_answers_say_in_how_many_of_an_arms_pictures_it_is(
    results: list[Any], fakes: Any, tmp_path: Path
) -> None:
    _, key = await written(tmp_path, results, fakes)
    files = [
        rated(tmp_path, "a", key, lambda one: "yes" if one["arm"] == "full" else "no"),
        rated(tmp_path, "b", key, lambda one: "yes" if one["arm"] == "full" and one["case"] != "c0" else "unsure"),
    ]
    full, base = read_absolute_answers(files, key)
    assert (full.arm, full.yes, full.no, full.unsure, full.raters, full.images) == ("full", 15, 0, 1, 2, 8)
    assert (base.arm, base.yes, base.value) == ("base", 0, 0.0)
    assert full.value == pytest.approx(15 / 16)
    assert full.low < 15 / 16 < full.high
    alone = read_absolute_answers(files[:1], key)[0]
    assert alone.kappa is None


async def test_answers_to_something_else_are_refused(results: list[Any], fakes: Any, tmp_path: Path) -> None:
    _, key = await written(tmp_path, results, fakes)
    odd = rated(tmp_path, "odd", key, lambda one: "left")
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"schema": SCHEMA, "rater": "x", "answers": {"nowhere": {"contains": "yes"}}}))
    for file in (odd, other, tmp_path / "gone.json"):
        with pytest.raises(UsageError):
            read_absolute_answers([file], key)


def test_the_answers_to_a_study_whose_key_says_pictures_are_counted(tmp_path: Path) -> None:
    key = {"form": "absolute", "arms": ["full"], "pictures": {"p1": {"case": "c", "seed": 0, "arm": "full"}}}
    (tmp_path / "study-absolute-key.json").write_text(json.dumps(key))
    answers = {"schema": SCHEMA, "rater": "ada", "answers": {"p1": {"contains": "yes"}}}
    (file := tmp_path / "ada.json").write_text(json.dumps(answers))
    found = key_of_answers(tmp_path, [file], ["study-absolute-key.json"])
    (counted,) = read_absolute_answers([file], found)
    assert (counted.arm, counted.yes, counted.images) == ("full", 1, 1)
