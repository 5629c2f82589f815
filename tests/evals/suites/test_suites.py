"""Suites: what they hold is what they say, files are read as they are, and a hash is of the content alone."""

import json
from pathlib import Path

import pytest

from imagerag.agent.errors import UsageError
from imagerag.client.client import ImageRAG
from imagerag.evals.suites.case import Case, CaseImage, LibraryRecipe, Suite, Truth
from imagerag.evals.suites.class_lists import class_name, class_suite
from imagerag.evals.suites.prompt_files import prompt_suite
from imagerag.evals.suites.registry import find_suite
from imagerag.evals.suites.sketch import LEVELS, rare, sketch_suite
from imagerag.evals.suites.sketch_libraries import render_image
from imagerag.evals.synthetic_images import things_in_text
from imagerag.graphs.dependencies import Dependencies
from imagerag.store.data_dir import DataDir
from imagerag.tools.sketch.world import Thing
from imagerag.tools.testing.fakes import sample_image
from tests.conftest import copied


def test_the_sketch_suite_asks_for_rare_things_only_in_six_levels() -> None:
    suite = sketch_suite()
    assert len(suite.cases) == 360
    for case in suite.cases:
        things = [Thing(*words) for words in case.truth.data["things"]]
        unknown = [thing for thing in things if rare(thing)]
        assert unknown
        assert {*things_in_text(case.prompt.split(" on a")[0])} == {*things}
        assert len(case.truth.labels) == len(unknown)
        assert case.prompt not in case.truth.wrong
    tags = [tag for case in suite.cases for tag in case.tags]
    assert {tags.count(level) for level in LEVELS} == {60}
    alike = [c for c in suite.cases if "alike" in c.tags]
    assert all(sum(a != b for a, b in zip(*c.truth.data["things"], strict=True)) == 1 for c in alike)


def test_it_is_the_same_every_time_and_another_with_another_seed() -> None:
    assert sketch_suite().hash == sketch_suite().hash
    assert sketch_suite(seed=1).hash != sketch_suite().hash
    assert sketch_suite(36).cases == sketch_suite().cases[:36]
    with pytest.raises(UsageError, match="6 levels"):
        sketch_suite(5)


def test_its_libraries_hold_what_they_say_and_the_smaller_are_the_beginning_of_the_larger() -> None:
    suite = sketch_suite()
    full = render_image(suite.libraries["sketch-rare"])
    assert len({thing for thing, _ in full}) == 864
    assert all(rare(thing) for thing, _ in full)
    small = render_image(suite.libraries["sketch-rare-50"])
    assert [(t, rng.random()) for t, rng in small] == [(t, rng.random()) for t, rng in full[:50]]
    assert not any(rare(thing) for thing, _ in render_image(LibraryRecipe(kind="irrelevant", size=200)))


def test_the_hash_is_of_what_is_asked_not_of_where_it_lies(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(sample_image("x"))
    made = [
        Suite(name="s", cases=(Case(id="c", prompt="p", initial=CaseImage.of(tmp_path / folder / "x.png")),))
        for folder in ("a", "b")
    ]
    assert made[0].hash == made[1].hash
    (tmp_path / "b" / "x.png").write_bytes(sample_image("y"))
    other = Suite(name="s", cases=(Case(id="c", prompt="p", initial=CaseImage.of(tmp_path / "b" / "x.png")),))
    assert other.hash != made[0].hash
    assert Suite(name="s", version="2", cases=made[0].cases).hash != made[0].hash


def test_a_suite_can_be_cut_down_and_run_with_more_seeds() -> None:
    suite = sketch_suite(12)
    assert len(suite.only(limit=3).cases) == 3
    assert {case.tags[0] for case in suite.only(tags=("alike",)).cases} == {"alike"}
    assert suite.only(seeds=3).cases[4].seeds == (4, 5, 6)
    with pytest.raises(UsageError, match="no case"):
        suite.only(tags=("nothing",))
    with pytest.raises(UsageError, match="two cases"):
        Suite(name="s", cases=(suite.cases[0], suite.cases[0])).checked()


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("001.Black_footed_Albatross", "Black footed Albatross"),
        ("1 001.Black_footed_Albatross", "Black footed Albatross"),
        ("n02085620-Chihuahua", "Chihuahua"),
        ("n01440764 tench, Tinca tinca", "tench"),
        ("00001_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus_terrestris", "Lumbricus terrestris"),
        ("Acura Integra Type R 2001", "Acura Integra Type R 2001"),
        ("707-320", "707-320"),
        ("pink primrose", "pink primrose"),
    ],
)
def test_class_names_are_said_as_one_would(label: str, name: str) -> None:
    assert class_name(label) == name


def test_classes_from_a_list_and_a_table(tmp_path: Path) -> None:
    (tmp_path / "birds.txt").write_text("001.Indigo_Bunting\n002.Auk\n\n")
    suite = class_suite(tmp_path / "birds.txt")
    assert [case.prompt for case in suite.cases] == ["a photo of an Indigo Bunting", "a photo of an Auk"]
    assert suite.cases[0].truth.labels == ("Indigo Bunting",)
    (tmp_path / "cat_to_name.json").write_text(json.dumps({"21": "fire lily", "3": "rose"}))
    flowers = class_suite(tmp_path / "cat_to_name.json", template="a {name}, close up")
    assert [case.prompt for case in flowers.cases] == ["a fire lily, close up", "a rose, close up"]
    for wrong in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(UsageError):
            class_suite(wrong if wrong.is_dir() else tmp_path / "none.txt")
    with pytest.raises(UsageError, match="name"):
        class_suite(tmp_path / "birds.txt", template="a bird")


def test_classes_from_folders_bring_images_of_the_real_thing(tmp_path: Path) -> None:
    for label in ("001.Auk", "002.Crow"):
        (tmp_path / label).mkdir()
        for at in range(5):
            (tmp_path / label / f"{at}.jpg").write_bytes(sample_image(f"{label}{at}"))
    suite = class_suite(tmp_path)
    assert [case.prompt for case in suite.cases] == ["a photo of an Auk", "a photo of a Crow"]
    assert {len(case.truth.images) for case in suite.cases} == {3}
    assert class_suite(tmp_path).hash == suite.hash


def test_geneval_parti_and_compbench_are_read_as_they_are(tmp_path: Path) -> None:
    geneval = tmp_path / "evaluation_metadata.jsonl"
    geneval.write_text(
        '{"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"}\n'
        '{"tag": "color_attr", "include": [{"class": "tv", "count": 1, "color": "red"}], "prompt": "a red tv"}\n'
    )
    cases = prompt_suite(geneval).cases
    assert [(case.prompt, case.tags) for case in cases] == [
        ("a photo of a bench", ("single_object",)), ("a red tv", ("color_attr",)),
    ]  # fmt: skip
    assert cases[1].truth.data["include"][0]["color"] == "red"
    parti = tmp_path / "PartiPrompts.tsv"
    parti.write_text(
        'Prompt\tCategory\tChallenge\tNote\nbond\tAbstract\tBasic\tBiology-inspired\n"a ""b"""\tArts\tSimple\t\n'
    )
    assert [(c.prompt, c.tags) for c in prompt_suite(parti).cases] == [
        ("bond", ("Abstract", "Basic")), ('a "b"', ("Arts", "Simple")),
    ]  # fmt: skip
    comp = tmp_path / "color_val.txt"
    comp.write_text("a green bench and a blue bowl\na blue bench and a green bowl\n")
    assert prompt_suite(comp).cases[1].prompt == "a blue bench and a green bowl"


def test_prompts_of_ones_own_bring_everything_a_case_can_have(tmp_path: Path) -> None:
    (tmp_path / "start.png").write_bytes(sample_image("start"))
    (tmp_path / "me.png").write_bytes(sample_image("me"))
    (tmp_path / "set.csv").write_text(
        "id,prompt,image,subject,rephrased,labels,wrong,real,seeds,tags\n"
        "one,a cat,start.png,me=me.png,the cat,cat|animal,a dog,me.png|start.png,3|4,easy|pets\n,a dog,,,,,,,,\n"
    )
    one, two = prompt_suite(tmp_path / "set.csv").cases
    assert (one.id, one.seeds, one.tags, one.rephrased) == ("one", (3, 4), ("easy", "pets"), "the cat")
    assert one.initial is not None
    assert one.subjects[0].name == "me"
    assert one.truth.labels == ("cat", "animal")
    assert len(one.truth.images) == 2
    assert (two.id, two.seeds, two.initial) == ("00001", (0,), None)
    (tmp_path / "same.jsonl").write_text(
        json.dumps({"id": "one", "prompt": "a cat", "labels": ["cat"], "seed": 9, "image": "start.png"}) + "\n"
    )
    assert prompt_suite(tmp_path / "same.jsonl").cases[0].seeds == (9,)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.jsonl", '{"text": "no prompt"}\n'), ("a.jsonl", "not json\n"), ("a.csv", "prompt\n"), ("a.xml", "x"),
     ("a.jsonl", '{"prompt": "p", "image": "gone.png"}\n'),
     ("a.jsonl", '{"prompt": "p", "id": "x"}\n{"prompt": "q", "id": "x"}\n')],
)  # fmt: skip
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError):
        prompt_suite(tmp_path / name)


async def test_ones_own_runs_are_a_suite(sketch_home: Path, tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=copied(sketch_home, tmp_path / "home"))
    record = await rag.generate("a red solid circle", seed=5, max_rounds=0)
    suite = await find_suite("runs", rag.dependencies)
    (case,) = suite.cases
    assert (case.prompt, case.seeds) == ("a red solid circle", (5,))
    assert case.initial is not None
    assert case.initial.sha256 == record.attempts[0].image.sha256


async def test_suites_by_their_names(tmp_path: Path) -> None:
    dependencies = Dependencies(DataDir(tmp_path / "home"))
    (tmp_path / "p.txt").write_text("a cat\n")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "001.Auk").mkdir()
    assert len((await find_suite("sketch:12", dependencies)).cases) == 12
    assert (await find_suite(str(tmp_path / "p.txt"), dependencies)).name == "prompts-p"
    assert (await find_suite(f"classes:{tmp_path / 'c'}", dependencies)).cases[0].prompt == "a photo of an Auk"
    assert (await find_suite(str(tmp_path / "c"), dependencies)).name == "classes-c"
    for wrong in ("nothing", "sketch:many", "sketch:0", "runs", "prompts:"):
        with pytest.raises(UsageError):
            await find_suite(wrong, dependencies)


def test_a_case_without_truth_is_a_case() -> None:
    assert Case(id="a", prompt="p").truth == Truth()
