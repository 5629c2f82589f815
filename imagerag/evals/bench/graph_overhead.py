"""Overhead of the graph: a run of three rounds with models that respond at once, beside a plain loop of the calls.

The plain loop calls the same backends with the same blob store and concept tracker, and stores nothing else: the
difference is the cost of LangGraph, checkpoints, journal and events. It grows with the number of steps and does not
depend on the models.
"""

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from langchain_core.runnables import RunnableConfig
from langgraph.types import Durability

from imagerag.agent import concept_tracker
from imagerag.agent.extraction_schedule import recursion_limit
from imagerag.agent.nodes import Nodes
from imagerag.agent.ports import Filter, ImagePart
from imagerag.agent.prompts import reference_prompt
from imagerag.agent.retrieval.candidate_selection import candidates_of, select_candidates
from imagerag.agent.retrieval.reference_limits import ReferenceLimits
from imagerag.agent.types import (
    ImageRef,
    Query,
    RunConfig,
    RunSpec,
    SamplingParams,
    Search,
    TrackedConcept,
    UsedReference,
)
from imagerag.evals.bench.timing import TimingRow, Work, interleaved, row
from imagerag.graphs.dependencies import Backends, Dependencies
from imagerag.graphs.generation import build_workflow
from imagerag.graphs.graph_cache import Graph
from imagerag.graphs.runs.runner import Runner
from imagerag.store.data_dir import DataDir
from imagerag.store.images.blob_store import FileBlobStore
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary

PROMPT: Final = "a red star and a blue bolt"
CONCEPTS: Final = ("a red star", "a blue bolt")
"""What the judge finds missing, always: two searches a round, and every round that may be."""
ROUNDS: Final = 3
LIBRARY_SIZE: Final = 8
"""Images that pass for each concept."""

_turns: Final = itertools.count()


@cache
def instant() -> Backends:
    """Backends that respond at once."""
    library = ScriptedLibrary()
    for concept, at in itertools.product(CONCEPTS, range(LIBRARY_SIZE)):
        library.plant({f"a detailed picture of {concept}": 0.9 - at / 100})
    return Backends(generator=ScriptedGenerator(), judge=ScriptedJudge(lambda *_: list(CONCEPTS)), library=library)


@dataclass(frozen=True)
class InstantDependencies(Dependencies):
    """Real data directory, checkpoints, journal, blobs and run list, with backends that respond at once."""

    async def parts(self, setup: RunSpec) -> Backends:
        """The instant backends, whatever the setup names."""
        return instant()


def config() -> RunConfig:
    """The settings of one run. A new seed makes every image new, so that it has to be stored."""
    return RunConfig(max_rounds=ROUNDS, seed=next(_turns))


async def graph(repeats: int) -> list[TimingRow]:
    """A run of three rounds: plain loop, graph, graph with SQLite checkpoints, with the journal too, `Runner.start`."""
    with TemporaryDirectory(prefix="imagerag-bench-") as folder:
        dependencies = InstantDependencies(DataDir(Path(folder)))
        steps = 0

        async def whole() -> None:
            nonlocal steps
            setup = RunSpec(generator="instant", judge="instant", config=config())
            steps = sum(
                [event.kind == "step" async for event in Runner(dependencies=dependencies).start(PROMPT, setup)]
            )

        async with compiled(dependencies) as graphs:
            work: dict[str, Work] = {"plain loop": partial(plain_loop, dependencies.blobs)}
            work |= {name: partial(invoke, each) for name, each in graphs.items()}
            times = await interleaved({**work, "Runner.start": whole}, repeats, warm=2)
    notes = {"Runner.start": f"{steps} node updates; opens both databases, lists the run, reads its record"}
    base = ("the plain loop", times["plain loop"])
    return [
        row("graph", name, spent, against=base if name != "plain loop" else None, note=notes.get(name, ""))
        for name, spent in times.items()
    ]


@asynccontextmanager
async def compiled(dependencies: Dependencies) -> AsyncIterator[Mapping[str, Graph]]:
    """Compiled graphs: alone, with SQLite checkpoints, and with the journal too."""
    parts, blobs = instant(), dependencies.blobs
    async with dependencies.checkpoints() as saver, dependencies.journal() as journal:
        # Compiling adds the error handler's node to the graph, so each one is built separately.
        bare, with_checkpoints, journalled = (
            build_workflow(
                Nodes(generator=parts.generator, judge=parts.judge, library=parts.library, blobs=blobs, journal=keeps)
            )
            for keeps in (None, None, journal)
        )
        yield {
            "graph": bare.compile(),
            "graph, checkpoints": with_checkpoints.compile(checkpointer=saver),
            "graph, checkpoints, journal": journalled.compile(checkpointer=saver),
        }


async def invoke(graph: Graph) -> None:
    """Run the graph once on a new thread; checkpoints, if any, are saved before the next step begins."""
    run_config = config()
    thread_config: RunnableConfig = {
        "configurable": {"thread_id": f"bench-{run_config.seed}"},
        "recursion_limit": recursion_limit(run_config),
    }
    durability: Durability | None = "sync" if graph.checkpointer else None
    await graph.ainvoke({"prompt": PROMPT}, thread_config, context=run_config, durability=durability)


async def plain_loop(blobs: FileBlobStore) -> list[ImageRef]:
    """Make the same calls in a plain loop; returns the generated images."""
    parts, run_config = instant(), config()
    assert parts.library is not None, "the instant parts have one"
    entries: list[TrackedConcept] = []
    images: list[ImageRef] = []
    references: list[UsedReference] = []
    for number in range(ROUNDS + 1):
        reference_parts = [_part(await parts.library.image_bytes(reference.image.sha256)) for reference in references]
        prompt = reference_prompt(parts.generator.template, PROMPT, references)
        generated = await parts.generator.generate(
            prompt, reference_parts, variation=SamplingParams(seed=run_config.seed), size=None
        )
        images.append(await blobs.put(generated.data))
        image = _part(await blobs.get(images[-1].sha256))
        critique = await parts.judge.critique(
            PROMPT, image, subjects=(), requirements=(), mode="fused", variation=SamplingParams()
        )
        entries = concept_tracker.update_missing(entries, critique.verdict.missing, number)
        searches = []
        for concept in critique.verdict.missing if number < ROUNDS else ():
            query = Query(concept=concept, text=concept.caption or concept.text)
            hits = await parts.library.search(query.text, k=run_config.candidates, filter=Filter())
            threshold = parts.library.threshold
            candidates = candidates_of(hits, threshold=threshold, near_duplicate=run_config.near_duplicate)
            searches.append(Search(round=number + 1, query=query, candidates=candidates, threshold=threshold))
        _, references = select_candidates(
            searches, entries, rooms=ReferenceLimits(room=parts.generator.max_references), by_hand=False
        )
        entries = concept_tracker.record_references(entries, references, number + 1)
    return images


def _part(data: bytes) -> ImagePart:
    return ImagePart(data=data, media_type="image/png")
