"""Runs with a provider that responds after one second: fused and stepwise judging, and many concurrent runs.

The provider is the mock OpenAI server in a separate process. Its judge finds two of three requirements missing in every
image, so that all allowed rounds are made.
"""

import asyncio
import itertools
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, Literal

from imagerag.agent.ports import ImagePart
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import RunConfig, RunSpec, SamplingParams
from imagerag.evals.bench.timing import TimingRow, Work, interleaved, row
from imagerag.graphs.dependencies import Backends, Dependencies
from imagerag.graphs.runs.runner import Runner
from imagerag.store.data_dir import DataDir
from imagerag.tools.generators.image_models import ImageModel
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.testing.fakes import ScriptedLibrary
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, RecordedRequest, tiny_png

Mode = Literal["fused", "stepwise"]

ANSWER_S: Final = 1.0
"""How long the provider takes for each answer."""
AT_ONCE: Final = 64
FEWER: Final = 16
ROUNDS: Final = 2
POINTS: Final = ("a red star", "a blue bolt", "ink on paper")
JUDGING: Final = ("judge.critique", "judge.missing_concepts", "judge.captions")
LIBRARY_SIZE: Final = 12
"""Images in the library; any search finds them."""

_numbers: Final = itertools.count(1000 * os.getpid())


async def provider(repeats: int) -> list[TimingRow]:
    """Calls and wall time of a round with fused and with stepwise judging; wall time of one run and of many at once."""
    with serving() as url, TemporaryDirectory(prefix="imagerag-bench-") as folder:
        runner = run_stage(Path(folder), url)
        await warm(runner)
        # A round hardly ever varies by more than 1 %: half as many repeats are enough.
        rounds = await modes(runner, max(1, repeats // 2))
        with workers(Path(folder), url, at_work := 2 * (os.cpu_count() or 1)) as together:
            return [*rounds, *await concurrent_runs(runner, repeats, together, at_work)]


async def modes(runner: Runner, repeats: int) -> list[TimingRow]:
    """Time one round in each mode: judge, search, generate, judge again. Without generating, judging alone is left."""
    times: dict[Mode, list[float]] = {"fused": [], "stepwise": []}
    calls: dict[Mode, float] = {}
    for _ in range(repeats):
        for mode, spent in times.items():
            began, record = await watched(runner, mode)
            spent += [after - before for before, after in itertools.pairwise(began)]
            # The first image was judged before the first round; equal scores are compared after the last one.
            judging = sum(count for role, count in record.calls.items() if role in JUDGING)
            calls[mode] = (judging - 1) / ROUNDS
    fused = calls["fused"]
    noted = {mode: f"{count:g} VLM calls ({count / fused:g} x fused) and a drawing" for mode, count in calls.items()}
    return [
        row("provider", "a round, fused", times["fused"], note=noted["fused"]),
        row(
            "provider",
            "a round, stepwise",
            times["stepwise"],
            against=("fused", times["fused"]),
            note=noted["stepwise"],
        ),
        judging_alone(times),
    ]


def judging_alone(times: dict[Mode, list[float]]) -> TimingRow:
    """Ratio of stepwise to fused judging, without generating: the time of a round besides its image."""
    fused, stepwise = (1000 * (median(times[mode]) - ANSWER_S) for mode in ("fused", "stepwise"))
    return TimingRow(
        section="provider",
        name="judging a round, stepwise",
        value=stepwise,
        unit="ms",
        n=len(times["stepwise"]),
        ratio=stepwise / fused,
        against="fused",
        note=f"the round less its drawing of {ANSWER_S:g} s",
    )


async def concurrent_runs(runner: Runner, repeats: int, together: Callable[[], None], at_work: int) -> list[TimingRow]:
    """Time one run, many at once in this process, and their model calls alone, without a graph.

    All runs do the same at the same moment, so their processor time adds up: the HTTP clients alone make many runs take
    longer than one, the more so the slower the processor is. As one process uses one processor, the runs are also
    spread over `at_work` processes that share a home (`together`).
    """

    call_counts: set[int] = set()
    alone = f"{AT_ONCE} times the calls alone"

    async def one() -> None:
        _, record = await watched(runner, "fused")
        call_counts.add(sum(record.calls.values()))

    async def many(count: int) -> None:
        await asyncio.gather(*(one() for _ in range(count)))

    async def bare() -> None:
        parts = await runner.dependencies.parts(setup("fused"))
        await asyncio.gather(*(calls_alone(parts) for _ in range(AT_ONCE)))

    async def spread() -> None:
        await asyncio.to_thread(together)

    few, crowded, apart = f"{FEWER} runs at once", f"{AT_ONCE} runs at once", f"{AT_ONCE} runs in {at_work} processes"
    work: dict[str, Work] = {
        "one run": one,
        few: partial(many, FEWER),
        crowded: partial(many, AT_ONCE),
        apart: spread,
        alone: bare,
    }
    times = await interleaved(work, repeats, warm=0)
    notes = {
        "one run": f"{max(call_counts)} answers of {ANSWER_S:g} s",
        crowded: "target 1.2",
        apart: f"on {os.cpu_count()} processors",
        alone: "no graph, nothing kept",
    }
    base = ("one run", times["one run"])
    return [
        row("provider", name, spent, against=base if name != "one run" else None, note=notes.get(name, ""))
        for name, spent in times.items()
    ]


@contextmanager
def workers(home: Path, url: str, at_work: int) -> Iterator[Callable[[], None]]:
    """Start processes that share a home. Yields a function that has them make `AT_ONCE` runs and waits for these."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(at_work)]
    shares = [AT_ONCE // at_work + (number < AT_ONCE % at_work) for number in range(at_work)]
    hands = [context.Process(target=dispatch, args=(theirs, home, url), daemon=True) for _, theirs in pipes]

    def send(orders: list[int]) -> None:
        for (ours, _), order in zip(pipes, orders, strict=True):
            ours.send(order)

    def together() -> None:
        send(shares)
        for ours, _ in pipes:
            ours.recv()

    for process in hands:
        process.start()
    for ours, _ in pipes:
        ours.recv()
    try:
        yield together
    finally:
        send([0] * at_work)
        for process in hands:
            process.join()


def dispatch(pipe: Connection, home: Path, url: str) -> None:
    """Read a number from the pipe, make as many runs at once and report when they have ended; repeat until the number
    is 0.
    """

    async def work() -> None:
        runner = run_stage(home, url)
        await warm(runner)
        pipe.send("ready")
        while count := await asyncio.to_thread(pipe.recv):
            await asyncio.gather(*(watched(runner, "fused") for _ in range(count)))
            pipe.send("done")

    asyncio.run(work())


async def calls_alone(parts: Backends) -> None:
    """Make only the model calls of a run: generate, judge, and both again with references."""
    references: list[ImagePart] = []
    for _ in range(ROUNDS + 1):
        image = await parts.generator.generate(
            f"picture {next(_numbers)}", references, variation=SamplingParams(), size=None
        )
        part = ImagePart(data=image.data, media_type="image/png")
        await parts.judge.critique(
            "a picture", part, subjects=(), requirements=(), mode="fused", variation=SamplingParams()
        )
        references = [part, part]


async def watched(runner: Runner, mode: Mode) -> tuple[list[float], RunRecord]:
    """The time at which each image of a run was judged, and the run's record."""
    judged, record = [], None
    async for event in runner.start(f"picture {next(_numbers)}", setup(mode)):
        if event.node == "critique":
            judged.append(time.perf_counter())
        record = event.record or record
    assert record is not None, "a run's last event carries its record"
    assert len(record.attempts) == ROUNDS + 1, f"{record.outcome}: {record.reason}"
    return judged, record


async def warm(runner: Runner) -> None:
    """Warm-up: one image, for the imports and new databases of a first run."""
    async for _ in runner.start(f"picture {next(_numbers)}", setup("fused", rounds=0)):
        pass


def setup(mode: Mode, rounds: int = ROUNDS) -> RunSpec:
    """The setup of the run in a judging mode."""
    config = RunConfig(max_rounds=rounds, judge_mode=mode, max_references=2)
    return RunSpec(generator="provider", judge="provider", library="provider", config=config)


def run_stage(home: Path, url: str) -> Runner:
    """Make a runner whose generator and judge are the provider at `url`."""
    dependencies, library = Dependencies(DataDir(home)), ScriptedLibrary(elsewhere=0.6)
    for number in range(LIBRARY_SIZE):
        library.plant(f"picture {number}")
    generator = OpenAIImages("loopback", base_url=url, api_key="none", facts=ImageModel(max_references=2))
    dependencies.use("generator", "provider", generator)
    dependencies.use(
        "judge", "provider", VlmJudge(chat=OpenAIChat(model="loopback", account=OpenAICredentials(url, "none")))
    )
    dependencies.use("library", "provider", library)
    return Runner(dependencies=dependencies)


@contextmanager
def serving() -> Iterator[str]:
    """Run the provider in a separate process for as long as the block lasts; yields its address."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("enough")
        process.join()


def serve(pipe: Connection) -> None:
    """Send the address through the pipe, and serve until the pipe says stop."""
    with MockOpenAIServer(answer, latency_s=ANSWER_S, keep_alive=True) as server:
        pipe.send(server.base_url)
        pipe.recv()


def answer(request: RecordedRequest) -> MockResponse:
    """Respond with an image, or with a verdict: the first requirement is met, the others are not."""
    if request.asks == "image":
        return MockResponse(images=(tiny_png(request.digest),))
    if "better" in (request.schema or {}).get("properties", ()):
        return MockResponse(text=json.dumps({"reason": "", "better": "second"}))
    if request.schema:
        points = [
            {"number": n, "requirement": text, "kind": "content", "evidence": "", "met": n == 1, "caption": text}
            for n, text in enumerate(POINTS, start=1)
        ]
        return MockResponse(text=json.dumps({"checks": points}))
    if "yes or no" in request.prompt:
        return MockResponse(text="No.")
    lines = [f"content: {text}" for text in POINTS[1:]]
    captions = [f"{n}. A detailed picture of {text}." for n, text in enumerate(POINTS[1:], start=1)]
    return MockResponse(text="\n".join(lines if '"content:' in request.prompt else captions))
