"""The arm `paper`: ImageRAG as published, step by step, without additions.

It makes five calls: one image, one decision, one list of missing concepts, one request for captions, and one redrawing,
which is returned without being judged. Temperatures are 0; a list without concepts is requested again at a higher
temperature, and then the prompt is the query. There is no threshold. Sources: ImageRAG, sections 3 and 4, appendices A
and C.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from imagerag.agent import concept_tracker
from imagerag.agent.calls.error_calls import calls_from_error
from imagerag.agent.errors import BackendError, JudgeReplyError
from imagerag.agent.extraction_schedule import TEMPERATURES, extraction_params, retries_left
from imagerag.agent.outcomes import result_from_error
from imagerag.agent.ports import Captions, Critique, Filter, ImagePart, Judge, MissingConcepts, ReferenceLibrary
from imagerag.agent.retrieval.candidate_selection import candidates_of, select_candidates
from imagerag.agent.retrieval.reference_limits import ReferenceLimits
from imagerag.agent.retrieval.reranking import CandidateReranker
from imagerag.agent.retrieval.search_queries import search_batch
from imagerag.agent.run_record import RunRecord
from imagerag.agent.sent_images import ImageParts
from imagerag.agent.state import RunState
from imagerag.agent.types import (
    Attempt,
    Concept,
    Outcome,
    Query,
    RunConfig,
    RunResult,
    SamplingParams,
    Search,
    TrackedConcept,
    UsedReference,
    Verdict,
)
from imagerag.evals.harness.arm_context import ArmContext, initial_attempt
from imagerag.evals.retries import parsed_or_retried, with_retries
from imagerag.graphs.dependencies import Backends

UNLIMITED: Final = 10**6


async def run_as_published(job: ArmContext) -> RunRecord:
    """Run a case as the paper does."""
    return await _Published(job, job.case.filtered(job.setup.config), await job.dependencies.parts(job.setup)).answer()


@dataclass
class _Published:
    """One case in progress."""

    job: ArmContext
    config: RunConfig
    parts: Backends
    node: str = "critique"

    def __post_init__(self) -> None:
        self.attempts: list[Attempt] = [initial_attempt(self.job)]
        self.searches: list[Search] = []
        self.concepts: list[TrackedConcept] = []

    async def answer(self) -> RunRecord:
        """Run the steps; returns the record, also after an error."""
        try:
            result = await self._run_procedure()
        except Exception as error:
            calls = self.job.model_caller().made
            calls.extend(call for call in calls_from_error(error) if call not in calls)
            drawing = self.node == "regenerate" and isinstance(error, BackendError)
            result = result_from_error(error, "regenerate" if drawing else self.node)
        return self.job.record(
            self.attempts, result, best=len(self.attempts) - 1, searches=self.searches, tracked_concepts=self.concepts
        )

    async def _run_procedure(self) -> RunResult:
        image, subjects = await self.job.image_part(self.attempts[0].image), await self.job.subject_parts()
        verdict = await self._decision(image, subjects)
        self.attempts[0] = self.attempts[0].model_copy(update={"verdict": verdict})
        if verdict.aligned is None:
            raise JudgeReplyError(verdict.reason or "the judge abstained", raw=verdict.raw)
        if verdict.aligned:
            return RunResult(outcome=Outcome.ALIGNED, reason="the judge says that the first image matches the prompt")
        self.node = "extract_concepts"
        concepts = (await self._missing(image, subjects, verdict))[: max(1, self._reference_limit)]
        self.concepts = concept_tracker.update_missing([], concepts, 0)
        self.node = "write_captions"
        queries = await self._queries(image, subjects, verdict, concepts)
        self.node = "retrieve"
        references = await self._references(queries)
        if not references:
            return RunResult(outcome=Outcome.NO_USABLE_REFERENCE, reason="nothing was found to draw with")
        self.node = "regenerate"
        self.attempts.append(await self._redrawn(references))
        self.concepts = concept_tracker.record_references(self.concepts, references, 1)
        return RunResult(
            outcome=Outcome.BEST_EFFORT, reason="redrawn once with references, and given back as published"
        )

    @property
    def judge(self) -> Judge:
        """The judge of the three questions."""
        return self.parts.judge

    @property
    def _reference_limit(self) -> int:
        limit = self.config.reference_limit(self.parts.generator.max_references)
        return max(0, limit - len(self.job.subjects))

    async def _decision(self, image: ImagePart, subjects: list[ImagePart]) -> Verdict:
        """The first question: whether the image matches."""
        prompt = self.job.case.prompt
        content = {
            "prompt": prompt,
            "image": self.attempts[0].image.sha256,
            "subjects": [subject.image.sha256 for subject in self.job.subjects],
            "requirements": [],
            "mode": "stepwise",
        }
        decision = await parsed_or_retried(
            self.job.model_caller(), self.judge, "judge.critique", Critique, content,
            lambda variation: self.judge.critique(
                prompt, image, subjects=subjects, requirements=(), mode="stepwise", variation=variation
            ),
        )  # fmt: skip
        return decision.verdict.model_copy(update={"missing": ()})  # the list is requested separately

    def _about(self, verdict: Verdict) -> dict[str, Any]:
        """The part that all requests after the first have in common."""
        image = self.attempts[0].image.sha256
        return {"prompt": self.job.case.prompt, "image": image, "verdict": verdict.model_dump(mode="json")}

    async def _missing(self, image: ImagePart, subjects: list[ImagePart], verdict: Verdict) -> list[Concept]:
        """The second question: the missing concepts; repeated at a higher temperature while none is named."""
        prompt, honours, content = self.job.case.prompt, self.judge.honours, self._about(verdict)
        for attempt in range(len(TEMPERATURES)):
            if attempt and not retries_left(attempt, honours):
                break
            variation = extraction_params(attempt, honours, seed=self.config.seed)

            async def ask(variation: SamplingParams = variation) -> MissingConcepts:
                return await self.judge.missing_concepts(
                    prompt, image, verdict=verdict, variation=variation, subjects=subjects
                )

            make = partial(
                self.job.model_caller().execute, "judge.missing_concepts", self.judge.identity, MissingConcepts, content
            )
            try:
                if concepts := (await with_retries(partial(make, ask, variation))).concepts:
                    return list(concepts)
            except JudgeReplyError:
                continue
        return []

    async def _queries(
        self, image: ImagePart, subjects: list[ImagePart], verdict: Verdict, concepts: Sequence[Concept]
    ) -> list[Query]:
        """The third question: a caption for each concept; the prompt is the query where no concept was named."""
        prompt, library = self.job.case.prompt, self.parts.library
        if not concepts:
            return [Query(concept=Concept(text=prompt), text=prompt, by="prompt")]
        limit = library.context_length if library else UNLIMITED
        content = {**self._about(verdict), "concepts": [concept.model_dump() for concept in concepts]}
        content["max_tokens"] = limit
        response = await parsed_or_retried(
            self.job.model_caller(), self.judge, "judge.captions", Captions, content,
            lambda variation: self.judge.captions(
                prompt, concepts, max_tokens=limit, variation=variation, image=image, verdict=verdict, subjects=subjects
            ),
        )  # fmt: skip
        captions = [caption.strip() for caption in response.captions] + [""] * len(concepts)
        return [
            _fitting(concept, caption or concept.text, library)
            for concept, caption in zip(concepts, captions, strict=False)
        ]

    async def _references(self, queries: Sequence[Query]) -> list[UsedReference]:
        """Search the nearest images for each caption, and choose the references."""
        library, config = self.parts.library, self.config
        if library is None or not self._reference_limit:
            return []
        conditions = Filter.of_run(config)
        searches = []
        texts = [query.text for query in queries]
        searched = await search_batch(library, texts, k=config.candidates, filter=conditions)
        for place, (query, hits) in enumerate(zip(queries, searched, strict=True)):
            threshold = None if config.threshold == "off" or not hits else config.threshold
            cosine = library.threshold if threshold == "auto" else threshold
            candidates = candidates_of(hits, threshold=cosine, near_duplicate=config.near_duplicate)
            search = Search(round=1, query=query, candidates=candidates, threshold=cosine)
            if self.parts.reranker is not None:
                second = CandidateReranker(reranker=self.parts.reranker, library=library, calls=self.job.model_caller())
                search = await with_retries(partial(second.ranked, search, hits, place=place))
            searches.append(search)
        rooms = ReferenceLimits(room=self._reference_limit, each=config.references_per_concept)
        self.searches, references = select_candidates(searches, [], rooms=rooms, by_hand=False)
        return references

    async def _redrawn(self, references: Sequence[UsedReference]) -> Attempt:
        job, calls = self.job, self.job.model_caller()
        calls.round = 1
        parts = ImageParts(blobs=job.dependencies.blobs, library=self.parts.library)
        generation = job.image_generation(self.parts.generator, parts)
        state = cast(RunState, {"prompt": job.case.prompt, "attempts": self.attempts})
        all_references = [*job.own_images, *references]
        return await with_retries(lambda: generation.attempt(calls, state, all_references))


def _fitting(concept: Concept, caption: str, library: ReferenceLibrary | None) -> Query:
    """Make a query of a caption, truncated to the encoder's context length as CLIP does."""
    words = caption.split()
    while library and len(words) > 1 and library.count_tokens(" ".join(words)) > library.context_length:
        words.pop()
    text = " ".join(words)
    note = "" if text == " ".join(caption.split()) else "cut to what the encoder reads"
    return Query(concept=concept, text=text if note else caption, note=note)
