"""`ImageRAG`, the Python client."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from imagerag.agent.types import PATIENCE_S
from imagerag.agent.types.filters import FilterInput
from imagerag.client.argument_checks import check_arguments
from imagerag.client.argument_types import (
    Candidates,
    Concurrency,
    Cosine,
    Dollars,
    Patience,
    PositiveNumber,
    Seconds,
    TextList,
)
from imagerag.client.context import ClientContext
from imagerag.client.runs import RunsAPI
from imagerag.client.synchronous import synchronous, synchronous_list
from imagerag.files.inputs import Image, make_run_config
from imagerag.files.run_request import BatchOptions, RunOptions, RunRequest
from imagerag.graphs.configuration.settings import Settings, resolve
from imagerag.store.text_files import listed

if TYPE_CHECKING:
    from imagerag.agent.nodes import Nodes
    from imagerag.agent.qa.qa_record import AnswerRecord
    from imagerag.agent.run_record import RunRecord
    from imagerag.batch.batch_estimate import BatchEstimate
    from imagerag.batch.results import BatchResult
    from imagerag.batch.row_reader import Source
    from imagerag.client.libraries import LibrariesAPI
    from imagerag.client.qa import QAClient
    from imagerag.graphs.cost_estimate import Estimate
    from imagerag.graphs.dependencies import Dependencies
    from imagerag.graphs.generation import Workflow
    from imagerag.graphs.runs.events import RunEvent
    from imagerag.graphs.runs.runner import Runner
    from imagerag.tools.model_list import ListedModel


class ClientOptions(TypedDict, total=False):
    """Settings that a client with other options shares with the one it is made from."""

    preset: str | None
    generator: str | None
    judge: str | None
    answerer: str | None
    embedder: str | None
    library: str | None
    reranker: str | None


@check_arguments
class ImageRAG:
    """Generates an image, judges it, retrieves missing concepts from the user's own images, and generates again.

    Args:
        preset: a bundle of backends that belong together; "sketch" is embedded and offline.
        generator: spec of the image generator, `provider:model[@base_url]`.
        judge: spec of the judge; "auto" is the first whose key is set or whose local server answers.
        answerer: spec of the answerer of questions, or "auto"; by default the judge.
        embedder: spec of the encoder for new libraries; a library that exists knows its own.
        library: name of the library references come from.
        reranker: spec of the reranker of candidates that passed: "vlm" (the judge picks), "bm25" (the words of
            captions, titles and tags), "http:MODEL@URL" or "transformers:MODEL". None, the default, leaves them by
            similarity.
        home: folder for libraries, images and runs.

    Other settings come from the environment (`IMAGERAG_LIBRARY`, …), then `imagerag.toml`, then the preset.

    Raises:
        UsageError: an unknown preset or setting.
    """

    def __init__(
        self,
        *,
        preset: str | None = None,
        generator: str | None = None,
        judge: str | None = None,
        answerer: str | None = None,
        embedder: str | None = None,
        library: str | None = None,
        reranker: str | None = None,
        home: str | Path | None = None,
    ) -> None:
        settings = resolve(
            preset=preset,
            generator=generator,
            judge=judge,
            answerer=answerer,
            embedder=embedder,
            library=library,
            reranker=reranker,
            home=str(home) if isinstance(home, Path) else home,
        )
        self._context = ClientContext(settings)
        self.runs = RunsAPI(self._context)

    def with_options(self, **options: Unpack[ClientOptions]) -> "ImageRAG":
        """The client of the same data directory and loaded models with other settings.

        Args:
            options: `preset`, `generator`, `judge`, `answerer`, `library`, `reranker`, as the constructor takes them.
                With a `preset`, what is not named is that preset's, as for a new client; else it stays as it is. An
                empty `library` is none.

        Raises:
            UsageError: an unknown preset or setting.
        """
        own = self.settings
        same = {} if options.get("preset") else {name: getattr(own, name) for name in ClientOptions.__annotations__}
        given = {name: value for name, value in options.items() if value is not None}
        settings = resolve(**{"home": own.home, **same, **given})
        if options.get("library") == "":
            settings = settings.model_copy(update={"library": None})
        client = object.__new__(type(self))
        client._context = ClientContext(settings, self._context)
        client.runs = RunsAPI(client._context)
        return client

    @cached_property
    def libraries(self) -> "LibrariesAPI":
        """The libraries of the data directory: index, search, calibrate, maintain."""
        from imagerag.client.libraries import LibrariesAPI

        return LibrariesAPI(self._context)

    @cached_property
    def questions(self) -> "QAClient":
        """Questions about the images of a library."""
        from imagerag.client.qa import QAClient

        return QAClient(self._context)

    @property
    def settings(self) -> Settings:
        """Backends, library and data directory that were named."""
        return self._context.settings

    @property
    def dependencies(self) -> "Dependencies":
        """Backends, libraries, images and the list of runs, made when they are first used."""
        return self._context.dependencies

    @property
    def runner(self) -> "Runner":
        """Runner of the generation graph, for those who need more than this class offers."""
        return self._context.runner

    def models(self, *, role: str | None = None, provider: str | None = None) -> "list[ListedModel]":
        """The models that are known by name, with what they take, draw and cost. Nothing is fetched or called.

        Args:
            role: "generator" or "judge"; None is both.
            provider: only models of this provider.

        Raises:
            UsageError: no such role, or no listed models of that provider.
        """
        from imagerag.tools.model_list import list_models

        return list_models(self.dependencies.prices, role=role, provider=provider)

    async def generate(self, prompt: str, *, run_id: str | None = None, **options: Unpack[RunOptions]) -> "RunRecord":
        """Draw, judge, retrieve and redraw until the judge agrees or the rounds are spent.

        Args:
            prompt: what to draw.
            run_id: an id of one's own, instead of a new one.
            options: see `RunOptions`.

        Returns:
            The run's record: `outcome`, `reason`, `image`, every attempt and every candidate. A run that was asked to
            `select` comes back with `status="interrupted"` and its `question`; answer it with `runs.resume`.

        Raises:
            UsageError: something asked for cannot be. What goes wrong later is an outcome, never an exception.
        """
        from imagerag.graphs.runs.events import last_record

        return await last_record(self.stream(prompt, run_id=run_id, **options))

    def stream(
        self, prompt: str, *, run_id: str | None = None, **options: Unpack[RunOptions]
    ) -> AsyncGenerator["RunEvent"]:
        """The same as `generate`, event by event. Leaving the loop early cancels the run."""
        from imagerag.graphs.runs.event_stream import EventStream

        async def started() -> AsyncGenerator["RunEvent"]:
            return await RunRequest.of(self.settings, prompt, options).start(self.runner, run_id=run_id)

        return EventStream(started)

    async def estimate(self, prompt: str, **options: Unpack[RunOptions]) -> "Estimate":
        """Upper bounds of the calls and the cost of a run with these options; nothing is asked and nothing is spent.

        Args:
            prompt: what would be drawn.
            options: as `generate` takes them.

        Raises:
            UsageError: something asked for cannot be.
        """
        return await RunRequest.of(self.settings, prompt, options).estimate(self.dependencies)

    async def batch(
        self,
        source: "Source",
        out: str | Path,
        *,
        resume: bool = False,
        retry_failed: bool = False,
        concurrency: Concurrency = 4,
        max_cost_usd: Dollars | None = None,
        allow_outside: bool = False,
        **options: Unpack[BatchOptions],
    ) -> AsyncGenerator["BatchResult"]:
        """Run many prompts, a few at a time; each result once it is on the disk, in the order in which they come.

        Args:
            source: a file (`.jsonl`, `.csv`, `.txt`), or prompts and mappings (`id`, `prompt`, options of `generate`).
            out: the batch's folder: `results.jsonl`, and an image with its sidecar for every line.
            resume: go on with the batch in `out`, if there is one; what has a result is left as it is.
            retry_failed: on going on, run lines that failed once more.
            concurrency: runs at once, 1 to 64.
            max_cost_usd: US dollars at most for the whole batch.
            allow_outside: the file may name images outside of its folder.
            options: for all lines that do not say otherwise, see `BatchOptions`.

        Leaving the loop early leaves the batch to be resumed.

        Raises:
            UsageError: an input, a folder or an option that cannot be; nothing was run then.
            BudgetExceededError: the budget does not allow the next run; after all results.
        """
        from imagerag.batch.runner import BatchRunner

        batch = BatchRunner(
            self.settings,
            self.dependencies,
            source,
            Path(out),
            options=options,
            resume=resume,
            retry_failed=retry_failed,
            concurrency=concurrency,
            max_cost_usd=max_cost_usd,
            allow_outside=allow_outside,
        )
        async with aclosing(batch.run()) as results:
            async for result in results:
                yield result

    async def estimate_batch(
        self,
        source: "Source",
        out: str | Path,
        *,
        resume: bool = False,
        retry_failed: bool = False,
        max_cost_usd: Dollars | None = None,
        allow_outside: bool = False,
        **options: Unpack[BatchOptions],
    ) -> "BatchEstimate":
        """Upper bounds on the calls and cost of `batch` with these arguments, and the lines that cannot be run.

        Nothing is run, paid or written.

        Raises:
            UsageError: an input, a folder or an option that cannot be.
        """
        from imagerag.batch.runner import BatchRunner

        batch = BatchRunner(
            self.settings,
            self.dependencies,
            source,
            Path(out),
            options=options,
            resume=resume,
            retry_failed=retry_failed,
            max_cost_usd=max_cost_usd,
            allow_outside=allow_outside,
        )
        return await batch.estimate()

    async def ask(
        self,
        question: str,
        *,
        library: str | None = None,
        thread: str | None = None,
        follow_up: bool = False,
        compare: bool = False,
        images: Image | Sequence[Image] = (),
        by: Literal["image", "words", "both"] | None = None,
        k: Candidates = 8,
        hybrid: bool = False,
        filter: FilterInput | None = None,
        tags: TextList = (),
        licences: TextList = (),
        threshold: Cosine | Literal["auto", "off"] = "auto",
        cache: Literal["record", "reuse", "replay"] = "record",
        max_calls: PositiveNumber | None = None,
        max_cost_usd: Dollars | None = None,
        assume_cost_usd_per_call: Dollars | None = None,
        deadline_s: Seconds | None = None,
        patience_s: Patience | None = None,
    ) -> "AnswerRecord":
        """Answer a question from a library's images and their metadata, and from nothing else.

        Args:
            question: at most 4,000 characters.
            library: which one, when not that of the thread's last question, or else the one this object was made with.
            thread: the `thread_id` of an earlier answer, to ask on; or an id of one's own, which begins a thread where
                there is none of that id (the record's `new_thread` says so). A new one when None.
            follow_up: never begin a thread of a given id.
            compare: let the same model answer without the library, too.
            images: your images that the question is about (paths or bytes), 8 at most; they are never cited.
            by: what the library is searched with: these images ("image"), the words, or "both", which is the default
                where there are images.
            k: images taken for their similarity to the question, 1 to 100.
            hybrid: rank by captions and words too, beside similarity.
            filter: what must hold of an image, in the filter language, or a mapping of keys to the values that they
                must equal; tags and licences likewise.
            threshold: cosine in [-1, 1] that such an image must reach; "auto" is the library's calibrated one. A
                number is between images and words, with by="image" between images.
            cache: "reuse" takes answers that were paid for before; "replay" makes no call at all.
            max_calls: model calls at most.
            max_cost_usd: US dollars at most; no call is made whose price is not known. 0 allows what is free.
            assume_cost_usd_per_call: US dollars that a call counts as whose price is not known: more than it costs. The
                record says how much was assumed.
            deadline_s: seconds at most.
            patience_s: seconds that a call waits at most for a service that says when to ask again; None is 120.

        Returns:
            The record: `outcome`, `answer`, `citations`, all `retrieved` images, and the cost. Beside the search by
            similarity, the metadata of the whole library is queried, of up to 10,000 images.

        Raises:
            UsageError: something asked for cannot be. What goes wrong later is an outcome, never an exception.
            UnknownThreadError: a `follow_up` in a thread that there is not.
        """
        config = make_run_config(
            candidates=k,
            hybrid=hybrid,
            threshold=threshold,
            filter=self.settings.where(filter),
            tags=tuple(listed(tags)),
            licences=tuple(listed(licences)),
            cache=cache,
            max_calls=max_calls,
            max_cost_usd=max_cost_usd,
            assume_cost_usd_per_call=assume_cost_usd_per_call,
            patience_s=PATIENCE_S if patience_s is None else patience_s,
        )
        return await self.questions.run(
            question,
            config,
            images=images,
            by=by,
            library=library,
            compare=compare,
            thread=thread,
            follow_up=follow_up,
            deadline_s=deadline_s,
        )

    def extend(
        self, *, nodes: "type[Nodes] | None" = None, workflow: "Callable[[Nodes], Workflow] | None" = None
    ) -> None:
        """Have one's own nodes in the graph, for the runs of this object from now on (`docs/how-to/extending.md`).

        Args:
            nodes: a subclass of `imagerag.agent.nodes.Nodes` that does some steps in its own way.
            workflow: a function that calls `imagerag.graphs.generation.build_workflow` with the nodes it is given,
                adds to the graph, and returns it, not compiled.
        """
        now = self.dependencies.extension
        self.dependencies.extend(replace(now, nodes=nodes or now.nodes, workflow=workflow or now.workflow))

    async def workflow(self) -> "Workflow":
        """The generation graph, not compiled, bound to this object's backends and library.

        For a graph of one's own that has this one in it. Runs made so are the caller's: they are in no list of runs.
        """
        from imagerag.agent.types import RunSpec
        from imagerag.graphs.mismatch_warnings import run_warnings

        settings = self.settings
        setup = RunSpec(
            generator=settings.generator,
            judge=settings.with_backends.judge,
            library=settings.library,
            reranker=settings.reranker or None,
        )
        graph = self.dependencies.workflow(await self.dependencies.parts(setup), self.dependencies.answers)
        return graph.warn_with(partial(run_warnings, self.dependencies, setup))

    generate_sync = synchronous(generate)
    estimate_sync = synchronous(estimate)
    estimate_batch_sync = synchronous(estimate_batch)
    batch_sync = synchronous_list(batch)
    ask_sync = synchronous(ask)
    workflow_sync = synchronous(workflow)
