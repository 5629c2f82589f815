"""Metrics: tiny models with random weights through their real loading code, graders over real HTTP."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagerag.agent.errors import JudgeReplyError, UsageError
from imagerag.agent.types import Candidate, Concept, ImageRef, Query, RunConfig, RunSpec, Search, UsedReference
from imagerag.evals.dependencies import DeterministicEmbedder, EvalDependencies
from imagerag.evals.harness.scoring import measured
from imagerag.evals.metrics.base import AcrossSeeds, Sample
from imagerag.evals.metrics.registry import KINDS, MetricMaker, independent_encoder
from imagerag.evals.metrics.retrieval import folded
from imagerag.evals.metrics.vlm_scores import chance_of_yes
from imagerag.evals.result_record import InitialImage, Result
from imagerag.evals.suites.case import Case, CaseImage, Truth
from imagerag.evals.suites.sketch import hard_negatives
from imagerag.evals.synthetic_images import SyntheticImage as Drawing
from imagerag.evals.synthetic_images import chance
from imagerag.store.data_dir import DataDir
from imagerag.tools.registry import make_embedder, new_embedder
from imagerag.tools.sketch.world import Thing, all_things, describe, random_scene
from imagerag.tools.testing.fakes import describe_image, sample_image
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse


def sample(folder: Path, case: Case, image: bytes | None, **given: Any) -> Sample:
    reference = describe_image(image) if image else None
    result = Result(
        suite={"name": "s", "version": "1", "hash": "0"}, case=case.id, arm="full", arm_hash="0", seed=0,
        prompt=case.prompt, setup=RunSpec(generator="fake", judge="fake"), run_id="ev-1", status="answered",
        outcome=None, initial_image=InitialImage(), image=reference, **given,
    )  # fmt: skip
    return Sample(case=case, result=result, dependencies=EvalDependencies(DataDir(folder)), image=image)


async def scores(metric: str, given: Sample, **maker: Any) -> dict[str, Any]:
    made = MetricMaker(given.dependencies, **maker).one(metric)
    return dict((await measured(given, [made])).scores)


# -- encoders ------------------------------------------------------------------------------------------------------

BOLT = Thing("bolt", "red", "ringed")


def drawn(*things: Thing, at: int = 0) -> bytes:
    return Drawing.of(random_scene(chance(0, "metric", at), things), 128).data


async def test_text_scores_are_the_encoders_cosine(tmp_path: Path) -> None:
    case = Case(id="c", prompt="a red ringed bolt")
    embedder = make_embedder("sketch")
    expected = (await embedder.embed_texts([case.prompt]))[0] @ (await embedder.embed_images([drawn(BOLT)]))[0]
    found = await scores("text:sketch", sample(tmp_path, case, drawn(BOLT)))
    assert found == {"text:sketch": pytest.approx(float(expected), abs=1e-5)}


async def test_a_prompt_that_the_encoder_cannot_read_whole_is_not_scored(tmp_path: Path) -> None:
    given = sample(tmp_path, Case(id="c", prompt="a red circle and " * 40), drawn(BOLT))
    made = await measured(given, [MetricMaker(given.dependencies).one("text:sketch")])
    assert made.scores == {"text:sketch": None}
    assert "longer" in made.unscored_reasons["text:sketch"]


async def test_right_means_righter_than_every_hard_negative(tmp_path: Path) -> None:
    wrong = tuple(describe(other) for (other,) in hard_negatives([BOLT]))
    case = Case(id="c", prompt=describe(BOLT), truth=Truth(wrong=wrong))
    assert await scores("right:sketch", sample(tmp_path, case, drawn(BOLT))) == {"right:sketch": True}
    other = drawn(Thing("bolt", "blue", "ringed"))
    assert await scores("right:sketch", sample(tmp_path, case, other)) == {"right:sketch": False}
    bare = Case(id="c", prompt=describe(BOLT))
    assert await scores("right:sketch", sample(tmp_path, bare, drawn(BOLT))) == {"right:sketch": None}


async def test_images_of_the_real_thing_are_files_or_fresh_drawings(tmp_path: Path) -> None:
    file = tmp_path / "real.png"
    file.write_bytes(drawn(BOLT, at=1))
    case = Case(id="c", prompt="p", truth=Truth(images=(CaseImage.of(file),)))
    embedder = make_embedder("sketch")
    one, other = await embedder.embed_images([drawn(BOLT), file.read_bytes()])
    found = await scores("image:sketch", sample(tmp_path, case, drawn(BOLT)))
    assert found["image:sketch"] == pytest.approx(float(one @ other), abs=1e-5)
    world = Case(id="w", prompt="p", truth=Truth(data={"things": [["bolt", "red", "ringed"]], "background": None}))
    same = (await scores("image:sketch", sample(tmp_path, world, drawn(BOLT))))["image:sketch"]
    unlike = await scores("image:sketch", sample(tmp_path, world, drawn(Thing("oval", "teal", "solid"))))
    assert same > unlike["image:sketch"] + 0.2
    nothing = Case(id="c", prompt="p")
    assert await scores("image:sketch", sample(tmp_path, nothing, drawn(BOLT))) == {"image:sketch": None}


async def test_diversity_is_of_a_cases_seeds(tmp_path: Path) -> None:
    case = Case(id="c", prompt="p", seeds=(0, 1))
    metric = MetricMaker(EvalDependencies(DataDir(tmp_path))).one("diversity:sketch")
    assert isinstance(metric, AcrossSeeds)
    same = [sample(tmp_path, case, drawn(BOLT))] * 2
    assert (await metric.across(same))["diversity:sketch"] == pytest.approx(0, abs=1e-5)
    two = [sample(tmp_path, case, drawn(BOLT)), sample(tmp_path, case, drawn(Thing("oval", "teal", "solid")))]
    assert float((await metric.across(two))["diversity:sketch"] or 0) > 0.3
    assert await metric.across([two[0], sample(tmp_path, case, None)]) == {"diversity:sketch": None}


async def test_a_dino_like_model_of_timm_is_loaded_from_a_file(tmp_path: Path) -> None:
    import timm
    import torch

    name = "test_vit.r160_in1k"
    torch.manual_seed(0)
    weights = tmp_path / "tiny.pth"
    torch.save(timm.create_model(name, pretrained=False, num_classes=0).state_dict(), weights)
    (tmp_path / "real.png").write_bytes(drawn(BOLT))
    case = Case(id="c", prompt="p", truth=Truth(images=(CaseImage.of(tmp_path / "real.png"),)))
    spec = f"dino:{name}={weights}"
    assert (await scores(spec, sample(tmp_path, case, drawn(BOLT))))[spec] == pytest.approx(1, abs=1e-5)
    other = await scores(spec, sample(tmp_path, case, drawn(Thing("oval", "teal", "solid"))))
    assert other[spec] < 0.9999
    made = await measured(
        sample(tmp_path, case, drawn(BOLT)), [MetricMaker(EvalDependencies(DataDir(tmp_path))).one("dino:no_such")]
    )
    assert "dino:NAME=FILE" in made.unscored_reasons["dino:no_such"]


async def test_a_failure_is_no_zero(tmp_path: Path) -> None:
    given = sample(tmp_path, Case(id="c", prompt="p"), None)
    made = await measured(given, [MetricMaker(given.dependencies).one("text:sketch")])
    assert made.scores == {"text:sketch": None}
    assert "no image" in made.unscored_reasons["text:sketch"]


def test_every_kind_of_metric_can_be_made_and_nothing_else(tmp_path: Path) -> None:
    maker = MetricMaker(EvalDependencies(DataDir(tmp_path)))
    withs = {"retrieval": "", "work": "", "vqa": ":openai:x", "grade": ":openai:x", "dino": ":any"}
    for kind in KINDS:
        assert maker.one(f"{kind}{withs.get(kind, ':sketch')}").spec.startswith(kind)
    for wrong in ("nothing", "text", "vqa:sketch"):
        with pytest.raises(UsageError):
            maker.one(wrong)


# -- the second encoder --------------------------------------------------------------------------------------------


async def test_the_second_encoder_tells_things_apart_and_is_not_the_first() -> None:
    embedder = independent_encoder()
    assert embedder.identity != make_embedder("sketch").identity
    things = chance(0, "eye").sample(all_things(), 60)
    images = await embedder.embed_images([drawn(thing, at=n) for n, thing in enumerate(things)])
    texts = await embedder.embed_texts([describe(thing) for thing in things])
    hits = (texts @ images.T).argmax(axis=1) == np.arange(len(things))
    assert hits.mean() > 0.8


async def test_a_steady_encoder_gives_the_same_bits_whatever_is_asked_beside_it() -> None:
    texts = [describe(thing) for thing in all_things()[:9]]
    together = await DeterministicEmbedder(new_embedder("sketch")).embed_texts(texts)
    alone = DeterministicEmbedder(new_embedder("sketch"))
    one_by_one = np.concatenate([await alone.embed_texts([text]) for text in reversed(texts)])[::-1]
    assert (together == one_by_one).all()
    assert (await alone.embed_texts([])).shape == (0, 128)
    small = DeterministicEmbedder(new_embedder("sketch"), keep=2)
    assert (await small.embed_texts(texts) == together).all()


# -- graders -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer() as loopback:
        yield loopback
    assert loopback.errors == []


async def test_vqa_reads_the_first_tokens_probabilities_and_asks_once(server: MockOpenAIServer, tmp_path: Path) -> None:
    server.enqueue("chat", MockResponse(text="Yes", odds={"Yes": 0.6, " yes": 0.1, "No": 0.3}))
    given = sample(tmp_path, Case(id="c", prompt="a cat"), sample_image("cat"))
    spec = f"vqa:openai:m@{server.base_url}"
    async with given.dependencies.working():
        assert await scores(spec, given) == {spec: pytest.approx(0.7, abs=1e-6)}
        assert await scores(spec, given, config=RunConfig(cache="replay")) == {spec: pytest.approx(0.7, abs=1e-6)}
    assert server.count("chat") == 1


async def test_vqa_asks_for_one_picture_after_the_other(server: MockOpenAIServer, tmp_path: Path) -> None:
    server.enqueue("chat", *(MockResponse(text="Yes", odds={"Yes": 0.5, "No": 0.5}) for _ in range(2)))
    spec = f"vqa:openai:m@{server.base_url}"
    first, second = (
        sample(tmp_path, Case(id=name[2:], prompt=name), sample_image(name)) for name in ("a cat", "a dog")
    )
    second = replace(second, dependencies=first.dependencies)
    async with first.dependencies.working():  # one event loop, and so one client for both
        assert await scores(spec, first) == {spec: pytest.approx(0.5)}
        assert await scores(spec, second) == {spec: pytest.approx(0.5)}


async def test_a_server_without_log_probabilities_or_none_at_all_is_said(tmp_path: Path) -> None:
    given = sample(tmp_path, Case(id="c", prompt="a cat"), sample_image("cat"))
    with MockOpenAIServer(refuses=("logprobs",)) as refusing:
        spec = f"vqa:openai:m@{refusing.base_url}"
        async with given.dependencies.working():
            made = await measured(given, [MetricMaker(given.dependencies).one(spec)])
    assert made.scores == {spec: None}
    assert "400" in made.unscored_reasons[spec]


async def test_marks_are_read_and_asked_for_once_more(server: MockOpenAIServer, tmp_path: Path) -> None:
    server.enqueue(
        "chat", MockResponse(text="It is lovely."), MockResponse(text="A cat is there, it is blue.\n\n**Score: 3**")
    )
    given = sample(tmp_path, Case(id="c", prompt="a cat"), sample_image("cat"))
    spec = f"grade:openai:m@{server.base_url}"
    async with given.dependencies.working():
        assert await scores(spec, given) == {spec: 0.75}
    assert server.count("chat") == 2
    async with given.dependencies.working():
        made = await measured(given, [MetricMaker(given.dependencies).one("grade:sketch")])
    assert "gives no marks" in made.unscored_reasons["grade:sketch"]


def logprobs(**odds: float) -> Any:
    class Made:
        def __init__(self, **given: Any) -> None:
            self.__dict__.update(given)

    tokens = [Made(token=word, logprob=math.log(p)) for word, p in odds.items()]
    return Made(logprobs=Made(content=[Made(top_logprobs=tokens)]), message=Made(content="Yes"))


def test_the_chance_of_a_yes_is_of_yes_and_no() -> None:
    assert chance_of_yes("m", logprobs(Yes=0.5, yes=0.1, No=0.2, Perhaps=0.2)) == pytest.approx(0.75)
    with pytest.raises(JudgeReplyError, match="neither"):
        chance_of_yes("m", logprobs(Perhaps=1.0))
    bare = logprobs(Yes=1.0)
    bare.logprobs = None
    with pytest.raises(JudgeReplyError, match="no log probabilities"):
        chance_of_yes("m", bare)


async def test_a_mark_in_a_graders_thoughts_is_none(server: MockOpenAIServer, tmp_path: Path) -> None:
    given = sample(tmp_path, Case(id="c", prompt="a cat"), sample_image("cat"))
    spec = f"grade:openai:m@{server.base_url}"
    server.enqueue("chat", MockResponse(text="Score: 4?</think>A dog.\nScore: 0\n"))
    async with given.dependencies.working():
        assert await scores(spec, given) == {spec: 0.0}
    server.enqueue("chat", *[MockResponse(text="<think>A cat. Score: 4")] * 4)
    other = sample(tmp_path, Case(id="c", prompt="a dog"), sample_image("cat"))
    async with other.dependencies.working():
        made = await measured(other, [MetricMaker(other.dependencies).one(spec)])
    assert made.scores == {spec: None}
    assert "reasoning" in made.unscored_reasons[spec]


@pytest.mark.parametrize(
    "reply",
    [
        MockResponse(text="<think>", odds={"<think>": 0.9, "Yes": 0.1}),
        MockResponse(odds={"Yes": 0.9, "No": 0.1}, message={"content": None, "reasoning_content": "Yes"}),
        MockResponse(odds={"Yes": 0.9, "No": 0.1}, message={"content": "", "reasoning": "Yes"}),
    ],
)
async def test_the_chance_of_a_yes_in_thoughts_is_none(
    server: MockOpenAIServer, tmp_path: Path, reply: MockResponse
) -> None:
    given = sample(tmp_path, Case(id="c", prompt="a cat"), sample_image("cat"))
    server.enqueue("chat", *[reply] * 4)
    spec = f"vqa:openai:m@{server.base_url}"
    async with given.dependencies.working():
        made = await measured(given, [MetricMaker(given.dependencies).one(spec)])
    assert made.scores == {spec: None}
    assert "begins to reason" in made.unscored_reasons[spec]


@pytest.mark.parametrize("metric", ["vqa", "grade"])
def test_the_judge_of_the_loop_does_not_grade(tmp_path: Path, metric: str) -> None:
    judges = frozenset({"openai:gpt-x", "sketch"})
    maker = MetricMaker(EvalDependencies(DataDir(tmp_path)), judges)
    with pytest.raises(UsageError, match="not graded by its own judge"):
        maker.one(f"{metric}:openai:gpt-x")
    assert maker.one(f"{metric}:openai:gpt-y")


# -- retrieval -----------------------------------------------------------------------------------------------------


def ref(name: str) -> ImageRef:
    return describe_image(sample_image(name))


async def test_retrieval_is_scored_by_what_pictures_say_of_themselves(tmp_path: Path) -> None:
    def found(*captions: str, text: str) -> Search:
        candidates = tuple(Candidate(image=ref(c), similarity=0.5, caption=c) for c in captions)
        return Search(round=1, query=Query(concept=Concept(text=text), text=text), candidates=candidates)

    searches = (found("a cat", "A Dog.", "a cow", text="dog"), found("a bird", "a fish", text="owl"))
    used = UsedReference(image=ref("A Dog."), concept="dog")
    attempt = {"index": 1, "round": 1, "prompt": "p", "image": ref("x"), "references": (used,)}
    case = Case(id="c", prompt="p", truth=Truth(labels=("dog", "owl")))
    given = sample(tmp_path, case, sample_image("x"), searches=searches, attempts=(attempt,))
    assert await scores("retrieval", given) == {
        "retrieval.precision@1": 0.0,
        "retrieval.precision@k": pytest.approx(1 / 3 / 2, abs=1e-6),
        "retrieval.recall@1": 0.0,
        "retrieval.recall@k": 0.5,
        "retrieval.mrr": 0.25,
        "retrieval.ndcg": pytest.approx(1 / math.log2(3) / 2, abs=1e-6),
        "retrieval.used": 0.5,
    }
    assert await scores("retrieval", sample(tmp_path, case, sample_image("x"))) == {}
    assert folded("001.Black_footed_Albatross") == folded("a black footed albatross!") != folded("707-320")
