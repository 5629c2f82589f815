"""One server with finished runs, a long list, a batch and an evaluation, for all tests of these pages."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from imagerag import ImageRAG
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import RunSpec
from imagerag.batch.output_dir import BatchManifest, OutputDir
from imagerag.batch.results import BatchImage, BatchResult
from imagerag.cli.demo import PROMPT
from imagerag.evals.harness.arms import parse_arms
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.results_store import RESULTS
from imagerag.evals.harness.summary import summarise, write_summary
from imagerag.evals.reports.plots import Plot, Point
from imagerag.evals.result_record import InitialImage, Result
from imagerag.evals.suites.case import Case, Suite
from imagerag.files.access_policy import InputPolicy
from imagerag.http_server.access import HttpOptions
from imagerag.tools.testing.fakes import describe_image, sample_image
from imagerag.ui.state import UiState
from tests.conftest import copied
from tests.ui.conftest import serving

HOSTILE = "</script><script>alert(1)</script> \"'><img src=x onerror=alert(2)> {{ 7 * 6 }} \u202eevil"
LISTED = 200


@dataclass(frozen=True)
class Results:
    """What the server has.

    Attributes:
        address: of the page.
        state: of the server.
        first: a run with two attempts, the second drawn with a reference.
        second: the same prompt with another seed.
        hostile: a run whose prompt is markup.
        roots: the folder that the server may show.
    """

    address: str
    state: UiState
    first: RunRecord
    second: RunRecord
    hostile: RunRecord
    roots: Path


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def results(sketch_home: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Results]:
    """The server."""
    folder = tmp_path_factory.mktemp("results")
    roots = folder / "roots"
    rag = ImageRAG(preset="sketch", home=copied(sketch_home, folder / "home"))
    first = await rag.generate(PROMPT, library="sketch", run_id="first")
    second = await rag.generate(PROMPT, library="sketch", seed=4, run_id="second")
    hostile = await rag.generate(f"a red square {HOSTILE}", max_rounds=0, run_id="hostile")
    await _list_more(rag, first)
    write_batch(roots / f"batch {HOSTILE.replace('/', '∕')}", first)
    write_evaluation(roots / "deep" / "evaluation")
    state = UiState(rag=rag, http=HttpOptions(port=0), inputs=InputPolicy.of([roots]))
    async with serving(state) as server:
        yield Results(server.address, state, first, second, hostile, roots)


async def _list_more(rag: ImageRAG, like: RunRecord) -> None:
    assert like.image is not None
    now, index = datetime.now(UTC), rag.dependencies.runs
    async with index.kept_open():
        for number in range(LISTED):
            await index.upsert(
                f"listed-{number:03}",
                prompt=f"listed number {number:03}",
                status="ended",
                outcome="refused" if number % 10 == 3 else "best_effort",
                score=0.5,
                cost_usd=number / 1000,
                calls=2,
                image=like.image.sha256,
                created=now - timedelta(hours=number + 1),
            )


def write_batch(folder: Path, run: RunRecord) -> None:
    """A batch of three rows: one of a run, one whose image lies elsewhere, one that could not be run."""
    (folder.parent / "secret.png").parent.mkdir(parents=True, exist_ok=True)
    (folder.parent / "secret.png").write_bytes(sample_image("secret"))
    folder.mkdir()
    (folder / "1.png").write_bytes(sample_image("batch"))
    out = OutputDir(folder)
    out.start(BatchManifest("batch", {"generator": "sketch", "judge": "sketch", "library": "sketch", "options": {}}))
    image = describe_image(sample_image("batch"))
    known = {name: getattr(image, name) for name in ("sha256", "media_type", "width", "height")}
    row = BatchResult(id="1", index=1, input="", prompt=run.prompt, status="done", outcome="aligned", run_id=run.run_id)
    out.append(row.model_copy(update={"image": BatchImage(path="1.png", **known)}))
    elsewhere = {"id": "2", "prompt": HOSTILE, "run_id": None, "image": BatchImage(path="../secret.png", **known)}
    out.append(row.model_copy(update=elsewhere))
    out.append(BatchResult(id="3", index=3, input="", prompt="", status="invalid", reason=HOSTILE))


def write_evaluation(folder: Path) -> None:
    """A finished evaluation of two cases and two arms, its images stored with it."""
    cases = tuple(Case(id=f"c{at}", prompt=f"{HOSTILE} {at}", tags=("odd",)) for at in range(2))
    suite, setup = Suite(name="fakes", cases=cases), RunSpec(generator="fake", judge="fake")
    plan = Plan(suite=suite, arms=parse_arms("base,full"), setup=setup)
    results = []
    for case in cases:
        for arm in plan.arms:
            data = sample_image(f"{arm.name}/{case.id}")
            image = describe_image(data)
            blob = folder / "home" / "blobs" / image.sha256[:2] / image.sha256[2:]
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(data)
            results.append(Result(
                suite=suite.identity, case=case.id, arm=arm.name, arm_hash="0", seed=0, tags=case.tags,
                prompt=case.prompt, setup=arm.of(setup, seed=0, cache="record"), run_id=f"ev-{case.id}-{arm.name}",
                status="answered", outcome="aligned", initial_image=InitialImage(image=image), image=image,
                scores={"text:independent": 0.2 if arm.name == "base" else 0.7},
            ))  # fmt: skip
    plan.keep(folder)
    (folder / RESULTS).write_text("".join(f"{one.line()}\n" for one in results))
    write_summary(folder, summarise(plan, results))
    (folder / "plots").mkdir()
    points = {"base": [Point(1, 0.2)], "full": [Point(4, 0.7)]}
    (folder / "plots" / "cost-score.svg").write_text(Plot("Cost and score", "model calls", "score", points).svg())
