"""A metric that looks through the encoder that retrieved or judged is refused, or marked wherever it is shown."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagerag.agent.errors import BackendError, UsageError
from imagerag.agent.ports import EmbedderIdentity
from imagerag.cli.eval.run import print_summary
from imagerag.evals.dependencies import EvalDependencies, dependencies_for
from imagerag.evals.harness.arms import parse_arms
from imagerag.evals.harness.encoder_independence import MARK, run_encoders, same
from imagerag.evals.harness.evaluation import EvalOptions, replay_evaluation, run_evaluation
from imagerag.evals.harness.plan import Plan
from imagerag.evals.integrations.cases import run_case
from imagerag.evals.metrics.encoder_scores import TimmEncoder
from imagerag.evals.metrics.registry import MetricMaker
from imagerag.evals.reports.tables import latex
from imagerag.evals.reports.writer import read_summary, write_reports
from imagerag.evals.suites.case import LibraryRecipe
from imagerag.evals.suites.sketch import sketch_suite
from imagerag.store.data_dir import DataDir
from imagerag.tools.registry import new_embedder


class Named:
    """An encoder that is known by name alone."""

    def __init__(self, model: str, weights: str, dimension: int = 4, seen: Any = None) -> None:
        self.identity = EmbedderIdentity(
            spec=f"x:{model}/{weights}", model=f"open_clip {model}", weights=weights, preprocess="", dimension=dimension
        )
        self.seen = seen

    async def _vectors(self, count: int) -> Any:
        if self.seen is None:
            raise BackendError("no weights here", retryable=False)
        seen = np.asarray(self.seen, np.float32)
        return np.tile(seen / np.linalg.norm(seen), (count, 1))

    async def embed_images(self, images: Any) -> Any:
        return await self._vectors(len(images))

    async def embed_texts(self, texts: Any) -> Any:
        return await self._vectors(len(texts))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Named("ViT-B-32", "openai"), Named("ViT-B-32-quickgelu", "openai")),
        (Named("ViT-B-32 QuickGELU", "openai"), Named("ViT-B-32-quickgelu", "OpenAI")),
        (Named("ViT-B-32", "sha256:ab"), Named("local-dir", "sha256:ab")),
        (TimmEncoder("vit_base_patch32_clip_224.openai"), Named("ViT-B-32", "openai")),
        (TimmEncoder("vit_base_patch32_clip_224.laion2b=/weights.pt"), Named("ViT-B-32", "laion2b_s34b_b79k")),
        (TimmEncoder("vit_base_patch16_siglip_224.webli"), Named("ViT-B-16-SigLIP", "webli")),
        (Named("ViT-B-32", "openai", seen=[1, 0, 0, 0]), Named("local-dir", "sha256:cd", seen=[0.999, 0.04, 0, 0])),
    ],
)
async def test_encoders_are_told_by_what_they_are_and_not_by_how_they_are_spelt(one: Any, other: Any) -> None:
    assert await same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Named("ViT-B-32", "openai"), Named("ViT-B-32", "laion2b_s34b_b79k")),
        (Named("ViT-B-32", "laion2b_e16"), Named("ViT-B-32", "laion400m_e32")),
        (Named("ViT-B-32", "openai"), Named("ViT-B-16", "openai")),
        (Named("ViT-L-14", "openai"), Named("ViT-L-14-336", "openai")),
        (Named("a", "sha256:ab"), Named("a", "sha256:cd")),
        (Named("a", "x", seen=[1, 0, 0, 0]), Named("b", "y", seen=[0.7, 0.7, 0, 0])),
        (TimmEncoder("vit_base_patch16_224.dino"), Named("ViT-B-16", "openai")),
    ],
)
async def test_other_weights_are_another_encoder(one: Any, other: Any) -> None:
    assert not await same(one, other)


async def test_the_second_encoder_of_the_sketch_world_is_another_one(tmp_path: Path) -> None:
    maker = MetricMaker(EvalDependencies(DataDir(tmp_path)))
    independent, own = maker.one("text:independent"), maker.one("text:sketch")
    assert not await same(independent.embedder, new_embedder("sketch"))  # type: ignore[attr-defined]
    assert await same(own.embedder, new_embedder("sketch"))  # type: ignore[attr-defined]


def plan_of(arms: str, metrics: tuple[str, ...], **setup: Any) -> Plan:
    suite = sketch_suite(6).only(limit=1)
    suite = suite.model_copy(update={"libraries": {"small": LibraryRecipe(kind="rare", size=12)}})
    given = {"generator": "sketch", "judge": "sketch", "library": "small", **setup}
    return Plan(suite=suite, arms=parse_arms(arms), setup=given, metrics=metrics)


def options(folder: Path, **given: Any) -> EvalOptions:
    return EvalOptions(users=DataDir(folder / "users"), **given)


async def test_arms_that_neither_search_nor_judge_use_no_encoder(tmp_path: Path) -> None:
    dependencies = dependencies_for(
        DataDir(tmp_path / "home"), DataDir(tmp_path / "users"), plan_of("base", ()).suite.libraries
    )
    assert await run_encoders(plan_of("base,rephrase", ()), dependencies) == []
    found = await run_encoders(plan_of("base,full", ()), dependencies)
    assert [one.what for one in found] == ["searches library 'small'", "judges as 'sketch'"]
    assert [one.what for one in await run_encoders(plan_of("paper", (), judge="openai:m"), dependencies)] == [
        "searches library 'small'"
    ]


@pytest.mark.parametrize("metric", ["text:sketch", "right:sketch", "image:sketch", "diversity:sketch"])
async def test_it_is_refused_before_anything_is_drawn(tmp_path: Path, metric: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError) as told:
        await run_evaluation(out, plan_of("base,full", (metric, "work")), options(tmp_path))
    assert "searches library 'small' and judges as 'sketch'" in str(told.value)
    assert "--allow-same-encoder" in str(told.value)
    assert not (out / "plan.json").exists()
    assert not (out / "results.partial.jsonl").exists()
    assert not (out / "home" / "libraries").exists(), "nor is a library drawn"


async def test_where_it_is_allowed_every_table_and_file_shows_the_mark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, plan = tmp_path / "out", plan_of("base,full", ("text:sketch", "text:independent", "work"))
    assert (await run_evaluation(out, plan, options(tmp_path, allow_same_encoder=True))).whole
    name = f"text:sketch{MARK}"
    write_reports(out)
    summary = read_summary(out)
    assert name in summary["metrics"]
    assert "text:sketch" not in summary["metrics"]
    assert "text:independent" in summary["metrics"]
    monkeypatch.setenv("COLUMNS", "120")
    capsys.readouterr()
    print_summary(out, as_json=False)
    shown = {
        "markdown": (out / "report.md").read_text(),
        "LaTeX": (out / "tables.tex").read_text(),
        "CSV": (out / "tables.csv").read_text(),
        "page": (out / "gallery.html").read_text(),
        "results": (out / "results.jsonl").read_text(),
        "terminal": capsys.readouterr().out,
        "paper": latex(summary),
    }
    for where, text in shown.items():
        assert "text:sketch" in text, where
        assert text.count("text:sketch") == text.count(name), where
    for where in ("markdown", "LaTeX", "CSV", "terminal"):
        assert "flatters" in shown[where], where
    heads = [row for row in csv.reader(io.StringIO(shown["CSV"])) if "arm" in row]
    assert name in heads[0]
    assert (await replay_evaluation(out, options(tmp_path))).identical


async def test_one_case_alone_is_measured_no_otherwise(tmp_path: Path) -> None:
    given: dict[str, Any] = {"folder": tmp_path / "f", "home": tmp_path / "home", "preset": "sketch"}
    suite = plan_of("base", ()).suite
    given |= {"suite": suite, "metrics": ["text:sketch"]}
    with pytest.raises(UsageError, match="allow-same-encoder"):
        await run_case(suite.cases[0], **given)
    result = await run_case(suite.cases[0], allow_same_encoder=True, **given)
    assert list(json.loads(result.line())["scores"]) == [f"text:sketch{MARK}"]
