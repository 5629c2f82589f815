"""The nodes of the generation graph. Each does one thing and returns what changed; `routing.py` says what follows."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, cast

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from imagerag.agent import clock, concept_tracker, outcomes, sent_images
from imagerag.agent.attempt_comparison import preferred_attempt
from imagerag.agent.calls.costs import Backends
from imagerag.agent.calls.journal import Journal
from imagerag.agent.calls.model_caller import Failed, ModelCaller
from imagerag.agent.caption_language import language_argument
from imagerag.agent.caption_writer import CaptionWriter
from imagerag.agent.errors import JudgeReplyError, RefusalError
from imagerag.agent.extraction_schedule import TEMPERATURES, extraction_params, retries_counted
from imagerag.agent.feedback import requested
from imagerag.agent.image_generation import ImageGeneration
from imagerag.agent.intents import only_comparisons_fail
from imagerag.agent.judge_image_check import check_images
from imagerag.agent.judge_input import JudgeInput, abstention, checklist_for_judge, with_verdict
from imagerag.agent.ports import (
    BlobStore,
    Critique,
    ImageGenerator,
    Judge,
    MissingConcepts,
    ReferenceLibrary,
    Reranker,
    can_edit,
    own_library_of,
)
from imagerag.agent.prompts import nothing_to_check, says_something
from imagerag.agent.retrieval import escalation
from imagerag.agent.retrieval.candidate_selection import edited_from, select_by_user, select_candidates, without_missing
from imagerag.agent.retrieval.human_selection import Selection, offered_candidates, validate_selection
from imagerag.agent.retrieval.library_search import LibrarySearch
from imagerag.agent.retrieval.reference_limits import ReferenceLimits, missing_count, shown_at_most
from imagerag.agent.retrieval.reranking import CandidateReranker
from imagerag.agent.retrieval.search_batcher import SearchBatcher
from imagerag.agent.retrieval.web_search import WebServices
from imagerag.agent.state import RunState, RunUpdate, SearchTask, next_round, next_searches
from imagerag.agent.types import Attempt, RunConfig, UsedReference


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """The nodes, bound to the ports they act through.

    Attributes:
        library: None: searches find nothing.
        reranker: orders the candidates that passed; None leaves them by similarity.
        journal: None keeps no answers: a run that is killed pays again for the node it was in.
        failed: calls of failed tries of a node, until the try that succeeds takes them over.
    """

    generator: ImageGenerator
    judge: Judge
    library: ReferenceLibrary | None
    blobs: BlobStore
    reranker: Reranker | None = None
    journal: Journal | None = None
    failed: Failed = field(default_factory=dict)

    @classmethod
    def for_diagram(cls) -> Self:
        """Nodes without ports, for a look at the graph or at a run's state; none of them can work."""
        return cls(generator=(none := cast(Any, None)), judge=none, library=None, blobs=none)

    async def generate(self, state: RunState, runtime: Runtime[RunConfig]) -> RunUpdate:
        """Draw attempt 0 from the prompt and the user's own subject images, or take the image that was handed in."""
        initial = state.get("initial_image")
        if initial is None:
            references = sent_images.always_sent(state, runtime.context.likeness)
            return await self._draw("generate", state, runtime, references)
        attempt = Attempt(index=0, round=0, prompt=state["prompt"], image=initial, origin="handed_in")
        return {"attempts": [attempt]}

    async def critique(self, state: RunState, runtime: Runtime[RunConfig]) -> RunUpdate:
        """Judge the newest attempt against the ORIGINAL prompt, on the checklist of the first critique.

        The image of a continued run brings its verdict along, and is not judged again.
        """
        attempts, mode = state["attempts"], runtime.context.judge_mode
        attempt, calls, request = attempts[-1], self._calls(state, runtime), requested(state)
        if attempt.verdict is not None:
            return {}
        if not says_something(request):
            unjudged = abstention(nothing_to_check(state["prompt"]))
            return {"attempts": with_verdict(attempts, unjudged), "judged_prompt": state["prompt"]}
        calls.round = attempt.round
        judge_input = await JudgeInput.read(self.judge, self._parts, state, attempt, runtime.context)
        requirements = checklist_for_judge(self.judge, state, judge_input.shown, attempt)
        language = language_argument(self.judge, getattr(self.library, "caption_language", ""))
        try:
            answer = await calls.execute_and_parse(
                "judge.critique",
                self.judge.identity,
                Critique,
                judge_input.of_critique(request, requirements, mode) | language,
                lambda variation: self.judge.critique(
                    request,
                    judge_input.image,
                    subjects=judge_input.subjects,
                    requirements=requirements,
                    mode=mode,
                    variation=variation,
                    max_tokens=self.library.context_length if self.library else None,
                    **language,
                ),
            )
        except JudgeReplyError as unread:
            judged = with_verdict(attempts, abstention(str(unread), unread.raw))
            return {"attempts": judged, "judged_prompt": state["prompt"], "calls": calls.made}
        entries = state.get("tracked_concepts") or []
        if answer.verdict.aligned or answer.verdict.missing or only_comparisons_fail(answer.verdict):
            entries = concept_tracker.update_missing(entries, answer.verdict.missing, attempt.round)
        return {
            "attempts": with_verdict(attempts, answer.verdict),
            "judged_prompt": state["prompt"],
            "requirements": state.get("requirements") or [r for r in answer.requirements if r.image is None],
            "tracked_concepts": entries,
            "concepts": [],
            "concept_tries": 0,
            "queries": [],
            "chosen": [],
            "calls": calls.made,
        }

    async def extract_concepts(self, state: RunState, runtime: Runtime[RunConfig]) -> RunUpdate:
        """Name what is missing. A fused verdict has named it; otherwise ask, retrying with a higher temperature."""
        attempt = state["attempts"][-1]
        verdict, tried = attempt.verdict, state["concept_tries"]
        assert verdict is not None, "routing sends only judged attempts here"
        if runtime.context.retrieve_by == "prompt":
            return {"concepts": [], "concept_tries": len(TEMPERATURES)}  # nobody has to be asked what to search for
        missing = [concept for concept in verdict.missing if says_something(concept.text)]
        if missing and not tried:
            return {"concepts": missing, "concept_tries": retries_counted(1, self.judge.honours)}
        calls = self._calls(state, runtime)
        judge_input = await JudgeInput.read(self.judge, self._parts, state, attempt, runtime.context)
        try:
            answer = await calls.execute(
                "judge.missing_concepts",
                self.judge.identity,
                MissingConcepts,
                judge_input.of_missing_concepts(requested(state), verdict),
                lambda: self.judge.missing_concepts(
                    requested(state),
                    judge_input.image,
                    verdict=verdict,
                    variation=variation,
                    subjects=judge_input.subjects,
                ),
                variation := extraction_params(
                    tried,
                    self.judge.honours,
                    seed=runtime.context.seed,
                    failed=escalation.failed_concepts(state),
                ),
            )
            concepts = [concept for concept in answer.concepts if says_something(concept.text)]
        except (JudgeReplyError, RefusalError) as unnamed:
            if isinstance(unnamed, RefusalError) and not escalation.searched(state):
                raise
            concepts = []  # a further ask that is refused has named nothing; the run has its verdict
        tracked = state["tracked_concepts"]
        if concepts and not escalation.searched(state):  # what is named in place of them resolves nothing
            tracked = concept_tracker.update_missing(tracked, concepts, attempt.round)
        tries = retries_counted(tried + 1, self.judge.honours)
        return {"concepts": concepts, "concept_tries": tries, "tracked_concepts": tracked, "calls": calls.made}

    async def write_captions(self, state: RunState, runtime: Runtime[RunConfig]) -> RunUpdate:
        """Write one caption per missing concept, each within what the library's encoder reads; or do without them."""
        calls, attempt = self._calls(state, runtime), state["attempts"][-1]
        judge_input = await JudgeInput.read(self.judge, self._parts, state, attempt, runtime.context)
        writer = CaptionWriter(
            judge=self.judge,
            library=self.library,
            calls=calls,
            prompt=requested(state),
            seen=judge_input,
            again=escalation.for_captions(state),
        )
        by_caption = runtime.context.retrieve_by == "caption"
        queries = await writer.queries(state["concepts"]) if by_caption else writer.without(state["concepts"])
        return {"queries": escalation.new_queries(queries, state), "calls": calls.made}

    async def retrieve(self, state: SearchTask, runtime: Runtime[RunConfig]) -> RunUpdate:
        """Search the library once, and note of every candidate whether it reaches the threshold; else ask the web."""
        searcher = LibrarySearch(batcher=self._batcher, config=runtime.context)
        search, hits = await searcher.run(
            state["query"], passed_over=frozenset(state["passed_over"]), round=state["round"]
        )
        calls = ModelCaller.for_search_task(state, runtime, self.journal, self.failed, self._backends)
        if self._web.libraries:
            search, hits = await self._web.searcher(calls, runtime.context).extended(search, hits, state)
        if self.reranker is not None and self.library is not None:
            reranker = CandidateReranker(reranker=self.reranker, library=self.library, calls=calls)
            search = await reranker.ranked(search, hits, place=(state.get("place") or [0])[0])
        return {"searches": [search], "calls": calls.made}

    async def shortlist(self, state: RunState, runtime: Runtime[RunConfig]) -> RunUpdate:
        """Join the round's searches: what was used before, what is a duplicate, and how many the generator takes."""
        config = runtime.context
        rooms = ReferenceLimits(
            room=self._room(state, config),
            each=config.references_per_concept,
            missing=missing_count(state),
            shown=shown_at_most(self.judge, len(sent_images.always_sent(state))),
        )
        entries = state.get("tracked_concepts") or []
        latest = next_searches(state)
        while True:
            searches, references = select_candidates(latest, entries, rooms=rooms, by_hand=config.select)
            candidates = [one for search in searches for one in search.candidates]
            offered = [one.image.sha256 for one in candidates if one.decision == "offered"]
            missing = await self._parts.missing([one.image.sha256 for one in references], offered)
            if not missing:
                return {"searches": searches, "chosen": references}
            latest = without_missing(latest, missing)  # the next best takes its place

    async def select(self, state: RunState, runtime: Runtime[RunConfig]) -> RunUpdate:
        """Let a human choose among what passed. The run waits, for as long as it takes, and costs nothing meanwhile."""
        searches = next_searches(state)
        own_images = state.get("subjects") or state.get("initial_image") or state.get("revision")
        may_edit = can_edit(self.generator) and not own_images
        question = offered_candidates(state["prompt"], searches, self._room(state, runtime.context), may_edit=may_edit)
        answer: Selection = interrupt(question, response_schema=Selection)
        # One who answers the graph itself, over HTTP, say, may answer anything.
        while problem := validate_selection(question, answer.chosen, answer.edit) or await self._missing(answer):
            answer = interrupt({**question, "problem": problem}, response_schema=Selection)
        decided, references = select_by_user(searches, [*answer.chosen, *filter(None, [answer.edit])])
        update: RunUpdate = {
            "searches": decided,
            "chosen": [one for one in references if one.image.sha256 != answer.edit],
        }
        if edited := next((one for one in references if one.image.sha256 == answer.edit), None):
            update["subjects"] = [edited_from(edited, edited.image)]
        return update

    async def _missing(self, answer: Selection) -> str:
        """Problems with files of chosen images that are gone since they were offered; the others are kept."""
        images = [*answer.chosen, *filter(None, [answer.edit])]
        return "; ".join((await self._parts.missing(images)).values())

    async def regenerate(self, state: RunState, runtime: Runtime[RunConfig]) -> RunUpdate:
        """Draw with references: what is always sent, then those for what is missing, then those that helped before."""
        room = self._room(state, runtime.context)
        cropped = [await self._parts.cropped(one, runtime.context.reference_crop) for one in state["chosen"][:room]]
        references = sent_images.references_to_send(state, cropped, room=room, likeness=runtime.context.likeness)
        update = await self._draw("regenerate", state, runtime, references)
        sent_shas = {one.image.sha256 for one in update["attempts"][-1].references}  # a fallback can send fewer
        update["tracked_concepts"] = concept_tracker.record_references(
            state.get("tracked_concepts") or [],
            [one for one in cropped if one.image.sha256 in sent_shas],
            next_round(state),
        )
        return update

    async def finish(self, state: RunState, runtime: Runtime[RunConfig]) -> RunUpdate:
        """Pick the best attempt and name the outcome."""
        result = state.get("result") or outcomes.result_of(
            state,
            runtime.context,
            room=self._room(state, runtime.context),
            takes=self.generator.max_references,
            library=self.library.name if self.library else None,
        )
        calls = self._calls(state, runtime)
        await calls.take_over()
        if state.get("result"):
            calls.made += await calls.unrecorded()
        best = await preferred_attempt(self.judge, self._parts, calls, state, compare=result.outcome in outcomes.JUDGED)
        result = result.model_copy(update={"at": clock.now()})
        return {"result": result, "best": best.index if best else None, "calls": calls.made}

    async def _draw(
        self, node: str, state: RunState, runtime: Runtime[RunConfig], references: list[UsedReference]
    ) -> RunUpdate:
        calls, attempts = self._calls(state, runtime), state.get("attempts") or []
        if not attempts:
            await check_images(self.judge, self.generator, calls, count=1 + len(sent_images.subjects_of(state)))
        generation = ImageGeneration(
            generator=self.generator,
            blobs=self.blobs,
            config=runtime.context,
            node=node,
            part=self._parts.reference,
            tell=runtime.stream_writer,
        )
        attempt = await generation.attempt(calls, state, references)
        return {"attempts": [*attempts, attempt], "calls": calls.made}

    @cached_property
    def _batcher(self) -> SearchBatcher | None:
        return SearchBatcher(own) if (own := own_library_of(self.library)) else None

    @cached_property
    def _parts(self) -> sent_images.ImageParts:
        return sent_images.ImageParts(blobs=self.blobs, library=self.library)

    @cached_property
    def _backends(self) -> Backends:
        return {"generate": self.generator, "judge": self.judge, "rerank": self.reranker, "web": self._web}

    @cached_property
    def _web(self) -> WebServices:
        return WebServices.of(self.library)

    def _calls(self, state: RunState, runtime: Runtime[RunConfig]) -> ModelCaller:
        return ModelCaller.of(state, runtime, self.journal, self.failed, self._backends)

    def _room(self, state: RunState, config: RunConfig) -> int:
        return sent_images.reference_room(state, config, takes=self.generator.max_references)
