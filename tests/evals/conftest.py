"""Evaluations on fakes: a painter, a judge and a library that answer at once, and always the same."""

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.ports import ImagePart
from imagerag.agent.types import RunSpec
from imagerag.cli import main
from imagerag.evals.dependencies import DeterministicEmbedder, EvalDependencies
from imagerag.evals.harness.arms import parse_arms
from imagerag.evals.harness.evaluation import HOME
from imagerag.evals.harness.plan import Plan, Shard
from imagerag.evals.harness.results_store import ResultsStore
from imagerag.evals.harness.runner import EvalReport, EvalRunner
from imagerag.evals.metrics.base import Metric
from imagerag.evals.metrics.cost import CostScore
from imagerag.evals.metrics.retrieval import RetrievalScore
from imagerag.evals.result_record import Result
from imagerag.evals.suites.case import Case, Suite, Truth
from imagerag.evals.suites.sketch import sketch_suite
from imagerag.evals.suites.sketch_libraries import build_library
from imagerag.evals.synthetic_images import SyntheticImage, chance, fill
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library import Library
from imagerag.tools.embedders.openclip import OpenClipEmbedder
from imagerag.tools.registry import make_embedder
from imagerag.tools.sketch.world import Scene, Thing, random_scene
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary, sample_image
from tests.conftest import made_once
from tests.reports.conftest import browser as browser

Rule = Callable[[str, ImagePart], Any]


@dataclass
class Fakes:
    """Everything an evaluation needs, in a folder."""

    folder: Path
    rule: Rule | None = None
    generator: ScriptedGenerator = field(default_factory=ScriptedGenerator)
    judge: Any = None
    library: Any = None
    journals: str = "home"

    @staticmethod
    def suite(count: int = 4, **given: Any) -> Suite:
        """Cases that ask for `thing 0`, `thing 1`, …"""
        cases = [
            Case(id=f"c{at}", prompt=f"a thing {at}", rephrased=f"thing number {at}", tags=(f"odd:{at % 2}",),
                 truth=Truth(labels=(f"thing {at}",)), **given)
            for at in range(count)
        ]  # fmt: skip
        return Suite(name="fakes", cases=tuple(cases))

    @staticmethod
    def judged(prompt: str, image: ImagePart) -> Sequence[str]:
        """What a draft lacks is its thing; with a reference or other words in it the picture is another one."""
        drafts = {sample_image(f"{prompt}//{seed}") for seed in range(10)}
        return [prompt] if image.data in drafts else []

    def dependencies(self) -> EvalDependencies:
        made = EvalDependencies(DataDir(self.folder / self.journals))
        made.use("generator", "fake", self.generator)
        self.judge = self.judge or ScriptedJudge(self.rule or self.judged)
        made.use("judge", "fake", self.judge)
        if self.library is None:
            self.library = ScriptedLibrary()
            for at in range(40):
                words = f"thing {at}"
                self.library.plant({f"a thing {at}": 0.9, f"a detailed picture of a thing {at}": 0.9}, title=words)
        made.use("library", "fake", self.library)
        return made

    def plan(self, suite: Suite | None = None, arms: str = "base,rephrase,full", shard: str = "1/1") -> Plan:
        return Plan(
            suite=suite or self.suite(),
            arms=parse_arms(arms),
            setup=RunSpec(generator="fake", judge="fake", library="fake"),
            metrics=("retrieval", "work"),
            shard=Shard.parse(shard),
        )

    def harness(self, plan: Plan, out: str = "out", metrics: Sequence[Metric] = (), **options: Any) -> EvalRunner:
        measured: list[Metric] = [*metrics] or [RetrievalScore(), CostScore()]
        return EvalRunner(plan, self.dependencies(), measured, ResultsStore(self.folder / out, plan.keys), **options)

    async def run(self, plan: Plan | None = None, **options: Any) -> tuple[EvalReport, list[Result]]:
        harness = self.harness(plan or self.plan(), **options)
        report = await harness.run()
        return report, list(harness.store.read())


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    return Fakes(tmp_path)


COMPUTED: dict[Any, Any] = {}
"""What encoders have made of their inputs, their tokenizers, and the models in memory."""


draw = SyntheticImage.of


@cache
def drawn_once(scene: Scene, side: int) -> SyntheticImage:
    """`SyntheticImage.of`; what it draws for a scene is the same each time, as `test_sketch_suite.py` sees."""
    return draw(scene, side)


@pytest.fixture(scope="module", autouse=True)
def computed_once() -> Iterator[None]:
    """Nothing is drawn or encoded twice: evaluations look at the same pictures, with an encoder of their own each.

    What is remembered belongs to a batch, not to a text or a picture: other batches are computed, to their last bits.
    """

    def remembering(name: str, key: Callable[[Any], object]) -> Callable[..., Any]:
        found: Any = getattr(OpenClipEmbedder, name)
        compute = found.func if isinstance(found, cached_property) else found

        def remembered(self: OpenClipEmbedder, *given: Any) -> Any:
            if not self._model.startswith("local-dir:"):  # the name of a model that a test puts in its place
                return compute(self, *given)
            of = (name, self._model, self._precision, self._device, self._quick_gelu, key(given[0]) if given else None)
            if of not in COMPUTED:
                COMPUTED[of] = compute(self, *given)
            found = COMPUTED[of]
            return found.copy() if name.startswith("_encode") else found

        return remembered

    with pytest.MonkeyPatch.context() as patch:
        for name, key in (
            ("_load", lambda _: None),
            ("_prepare", lambda data: hashlib.sha256(data).digest()),
            ("_encode_texts", tuple),
            ("_encode_images", lambda batch: hashlib.sha256(b"".join(one.numpy() for one in batch)).digest()),
        ):
            patch.setattr(OpenClipEmbedder, name, remembering(name, key))
        tokenizer = remembering("_tokenizer", key=tuple)
        patch.setattr(OpenClipEmbedder, "_tokenizer", property(tokenizer))
        patch.setattr(SyntheticImage, "of", staticmethod(drawn_once))
        yield


def with_libraries_of(home: Path, evaluation: Path) -> Path:
    """An evaluation's folder that begins with the libraries of a home: to draw and encode them takes most of it."""
    shutil.copytree(home / "libraries", evaluation / HOME / "libraries")
    return evaluation


@pytest.fixture(scope="session")
def irrelevant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the sketch suite's library of what helps nobody, as an evaluation makes it."""
    name = "sketch-irrelevant"

    def make(home: Path) -> None:
        recipe, encoder = sketch_suite(6).libraries[name], DeterministicEmbedder(make_embedder("sketch"))
        asyncio.run(build_library(DataDir(home), name, recipe, encoder))

    return made_once(tmp_path_factory, name, make)


@pytest.fixture
def imagerag(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command line with a home of its own; its exit code, what it printed, and what it said on stderr."""
    monkeypatch.setenv("IMAGERAG_HOME", str(tmp_path / "home"))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


@pytest.fixture
async def three_things(tmp_path: Path) -> Library:
    """A library of three sketched things, each on an image of its own."""
    made = await Library.create_or_open(DataDir(tmp_path), "judged", make_embedder("sketch"))
    things = [Thing("circle", "red", "solid"), Thing("bolt", "teal", "striped"), Thing("heart", "black", "dotted")]
    await fill(made, [SyntheticImage.of(random_scene(chance(0, "judged", n), (t,)), 128) for n, t in enumerate(things)])
    return made
