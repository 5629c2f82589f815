"""The nodes of the generation graph. Each does one thing and returns what changed; `routing.py` says what follows."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self, cast

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from imagerag.agent import clock, concept_tracker, outcomes
from imagerag.agent.calls.budget import tariffs_of
from imagerag.agent.calls.journal import Journal
from imagerag.agent.calls.model_caller import Calls, Failed
from imagerag.agent.errors import ImageRAGError, JudgeReplyError, RefusalError
from imagerag.agent.image_generation import Draughtsman
from imagerag.agent.intents import Likeness, fixed_requirements, needs_likeness, only_comparisons_fail
from imagerag.agent.judge_image_limits import check_images
from imagerag.agent.ports import (
    BlobStore,
    Critique,
    Filter,
    Hit,
    ImageGenerator,
    ImagePart,
    Judge,
    Missing,
    Preference,
    ReferenceLibrary,
    Reranker,
    can_edit,
    capabilities_of,
)
from imagerag.agent.prompts import nothing_to_check, reference_prompt, says_something
from imagerag.agent.retrieval import escalation
from imagerag.agent.retrieval.candidate_selection import (
    candidates_of,
    choose_by_hand,
    edited_from,
    left_out_of,
    relaxed_filters,
    shortlist,
)
from imagerag.agent.retrieval.captions import CaptionWriter
from imagerag.agent.retrieval.human_selection import Selection, objection, offer
from imagerag.agent.retrieval.reference_limits import Rooms, missing_count, shown_at_most
from imagerag.agent.retrieval.reranking import SecondLook
from imagerag.agent.retrieval.search_queries import search_words
from imagerag.agent.retry_schedule import TEMPERATURES, extraction_variation, tries_counted
from imagerag.agent.state import RunState, RunUpdate, SearchTask, coming_round, coming_searches
from imagerag.agent.types import (
    Attempt,
    ImageRef,
    Knobs,
    LeftOut,
    Query,
    Requirement,
    Search,
    Subject,
    UsedReference,
    Variation,
    Verdict,
)


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """The nodes, bound to the ports they act through.

    Attributes:
        library: None means that nothing is ever found.
        reranker: what orders the candidates that passed; None leaves them by similarity.
        journal: None keeps no answers: a run that is killed pays again for the node it was in.
        failed: what failing tries of a node called, until the try that succeeds takes it over.
    """

    generator: ImageGenerator
    judge: Judge
    library: ReferenceLibrary | None
    blobs: BlobStore
    reranker: Reranker | None = None
    journal: Journal | None = None
    failed: Failed = field(default_factory=dict)

    @classmethod
    def unbound(cls) -> Self:
        """Nodes without ports, for a look at the graph or at a run's state; none of them can work."""
        nothing = cast(Any, None)
        return cls(generator=nothing, judge=nothing, library=None, blobs=nothing)

    async def generate(self, state: RunState, runtime: Runtime[Knobs]) -> RunUpdate:
        """Draw attempt 0 from the prompt and the user's own subject images, or take the image that was handed in."""
        initial = state.get("initial_image")
        if initial is None:
            return await self._draw("generate", state, runtime, always_sent(state, runtime.context.likeness))
        attempt = Attempt(index=0, round=0, prompt=state["prompt"], image=initial, origin="handed_in")
        return {"attempts": [attempt]}

    async def critique(self, state: RunState, runtime: Runtime[Knobs]) -> RunUpdate:
        """Judge the newest attempt against the ORIGINAL prompt, on the checklist of the first critique.

        A picture that a run goes on from brings its verdict along, and is not judged again.
        """
        attempts, mode = state["attempts"], runtime.context.judge_mode
        attempt, calls = attempts[-1], self._calls(state, runtime)
        if attempt.verdict is not None:
            return {}
        if not says_something(state["prompt"]):
            judged = [*attempts[:-1], _judged(attempt, _abstention(nothing_to_check(state["prompt"])))]
            return {"attempts": judged, "judged_prompt": state["prompt"]}
        calls.round = attempt.round
        image = await self._part(attempt.image)
        shown = self._shown(state, attempt, runtime.context)
        subjects = [await self._sent(reference) for reference in shown]
        requirements = [*(state.get("requirements") or []), *self._fixed(shown, attempt)]
        try:
            answer = await calls.make_readable(
                "judge.critique",
                self.judge.identity,
                Critique,
                {
                    "prompt": state["prompt"],
                    "image": attempt.image.sha256,
                    "subjects": [reference.image.sha256 for reference in shown if reference.role != "reference"],
                    "requirements": [requirement.model_dump(exclude_none=True) for requirement in requirements],
                    "mode": mode,
                    **_named(shown),
                },
                lambda variation: self.judge.critique(
                    state["prompt"],
                    image,
                    subjects=subjects,
                    requirements=requirements,
                    mode=mode,
                    variation=variation,
                    max_tokens=self.library.context_length if self.library else None,
                ),
            )
        except JudgeReplyError as unread:
            judged = [*attempts[:-1], _judged(attempt, _abstention(str(unread), unread.raw))]
            return {"attempts": judged, "judged_prompt": state["prompt"], "calls": calls.made}
        entries = state.get("ledger") or []
        if answer.verdict.aligned or answer.verdict.missing or only_comparisons_fail(answer.verdict):
            entries = concept_tracker.observe(entries, answer.verdict.missing, attempt.round)
        return {
            "attempts": [*attempts[:-1], _judged(attempt, answer.verdict)],
            "judged_prompt": state["prompt"],
            "requirements": state.get("requirements") or [r for r in answer.requirements if r.picture is None],
            "ledger": entries,
            "concepts": [],
            "concept_tries": 0,
            "queries": [],
            "chosen": [],
            "calls": calls.made,
        }

    async def extract_concepts(self, state: RunState, runtime: Runtime[Knobs]) -> RunUpdate:
        """Name what is missing. A fused verdict has said so already; otherwise ask, each further try hotter."""
        attempt = state["attempts"][-1]
        verdict, tried = attempt.verdict, state["concept_tries"]
        assert verdict is not None, "routing sends only judged attempts here"
        if runtime.context.retrieve_by == "prompt":
            return {"concepts": [], "concept_tries": len(TEMPERATURES)}  # nobody has to be asked what to search for
        named = [concept for concept in verdict.missing if says_something(concept.text)]
        if named and not tried:
            return {"concepts": named, "concept_tries": tries_counted(1, self.judge.honours)}
        calls = self._calls(state, runtime)
        shown = self._shown(state, attempt, runtime.context)
        image, subjects = await self._part(attempt.image), [await self._sent(reference) for reference in shown]
        about = {"prompt": state["prompt"], "image": attempt.image.sha256, "verdict": verdict.model_dump(mode="json")}
        try:
            answer = await calls.make(
                "judge.missing_concepts",
                self.judge.identity,
                Missing,
                about | _named(shown),
                lambda: self.judge.missing_concepts(
                    state["prompt"], image, verdict=verdict, variation=variation, subjects=subjects
                ),
                variation := extraction_variation(
                    tried, self.judge.honours, seed=runtime.context.seed, in_vain=escalation.concepts_in_vain(state)
                ),
            )
            concepts = [concept for concept in answer.concepts if says_something(concept.text)]
        except (JudgeReplyError, RefusalError) as unnamed:
            if isinstance(unnamed, RefusalError) and not escalation.searched(state):
                raise
            concepts = []  # a further ask that is refused has named nothing; the run has its verdict
        known = concepts and not escalation.searched(state)  # what is named in place of them resolves nothing
        return {
            "concepts": concepts,
            "concept_tries": tries_counted(tried + 1, self.judge.honours),
            "ledger": concept_tracker.observe(state["ledger"], concepts, attempt.round) if known else state["ledger"],
            "calls": calls.made,
        }

    async def write_captions(self, state: RunState, runtime: Runtime[Knobs]) -> RunUpdate:
        """Write one caption per missing concept, each within what the library's encoder reads; or do without them."""
        calls = self._calls(state, runtime)
        attempt = state["attempts"][-1]
        writer = CaptionWriter(
            judge=self.judge,
            library=self.library,
            calls=calls,
            prompt=state["prompt"],
            image=await self._part(attempt.image),
            sha256=attempt.image.sha256,
            verdict=attempt.verdict,
            subjects=[await self._sent(reference) for reference in self._shown(state, attempt, runtime.context)],
            again=escalation.for_captions(state),
        )
        by_caption = runtime.context.retrieve_by == "caption"
        queries = await writer.queries(state["concepts"]) if by_caption else writer.without(state["concepts"])
        return {"queries": escalation.new_queries(queries, state), "calls": calls.made}

    async def retrieve(self, state: SearchTask, runtime: Runtime[Knobs]) -> RunUpdate:
        """Search the library once, and note of every candidate whether it reaches the threshold."""
        knobs, query = runtime.context, state["query"]
        passed_over = frozenset(state.get("passed_over") or ())  # a run of an older version has none
        wanted = Filter(where=knobs.where, tags=knobs.tags, licences=knobs.licences, exclude=passed_over)
        hits = await self._search(query.text, wanted, knobs)
        threshold = self._threshold(knobs, hits)
        candidates = candidates_of(
            hits,
            threshold=threshold,
            near_duplicate=knobs.near_duplicate,
            likeness=knobs.likeness,
            kind=query.concept.kind,
        )
        left_out = (
            () if any(c.decision is None for c in candidates) else await self._left_out(query, wanted, hits, knobs)
        )
        search = Search(
            round=state["round"],
            query=query,
            candidates=candidates,
            threshold=threshold,
            hybrid=knobs.hybrid,
            left_out=left_out,
        )
        if self.reranker is None or self.library is None:
            return {"searches": [search]}
        tariffs = tariffs_of(self.generator, self.judge, self.reranker)
        calls = Calls.of_search(state, runtime, self.journal, self.failed, tariffs)
        place, _ = state.get("place") or (0, 1)
        second = SecondLook(reranker=self.reranker, library=self.library, calls=calls)
        return {"searches": [await second.ranked(search, hits, place=place)], "calls": calls.made}

    async def shortlist(self, state: RunState, runtime: Runtime[Knobs]) -> RunUpdate:
        """Join the round's searches: what was used before, what is a duplicate, and how many the generator takes."""
        knobs = runtime.context
        rooms = Rooms(
            room=self._room(state, knobs),
            each=knobs.references_per_concept,
            missing=missing_count(state),
            shown=shown_at_most(self.judge, len(always_sent(state))),
        )
        entries = state.get("ledger") or []
        searches, chosen = shortlist(coming_searches(state), entries, rooms=rooms, by_hand=knobs.select)
        return {"searches": searches, "chosen": chosen}

    async def select(self, state: RunState, runtime: Runtime[Knobs]) -> RunUpdate:
        """Let a human choose among what passed. The run waits, for as long as it takes, and costs nothing meanwhile."""
        searches = coming_searches(state)
        may_edit = can_edit(self.generator) and not state.get("subjects") and not state.get("initial_image")
        question = offer(state["prompt"], searches, self._room(state, runtime.context), may_edit=may_edit)
        answer: Selection = interrupt(question, response_schema=Selection)
        # One who answers the graph itself, over HTTP, say, may answer anything.
        while problem := objection(question, answer.chosen, answer.edit):
            answer = interrupt({**question, "problem": problem}, response_schema=Selection)
        decided, chosen = choose_by_hand(searches, [*answer.chosen, *filter(None, [answer.edit])])
        update: RunUpdate = {"searches": decided, "chosen": [one for one in chosen if one.image.sha256 != answer.edit]}
        if edited := next((one for one in chosen if one.image.sha256 == answer.edit), None):
            assert self.library is not None, "what was offered came from a library"
            image = await self.blobs.put(await self.library.image_bytes(edited.image.sha256))
            update["subjects"] = [edited_from(edited, image)]
        return update

    async def regenerate(self, state: RunState, runtime: Runtime[Knobs]) -> RunUpdate:
        """Draw with references: what is always sent, then those for what is missing, then those that helped before."""
        room = self._room(state, runtime.context)
        chosen = state["chosen"][:room]
        entries = state.get("ledger") or []
        sent = [*always_sent(state, runtime.context.likeness), *chosen]
        known = {reference.image.sha256 for reference in sent} | set(state.get("excluded") or [])
        helpful = concept_tracker.helpful(entries, state.get("attempts") or [])
        kept = [reference for reference in helpful if reference.image.sha256 not in known]
        references = [*sent, *kept[: room - len(chosen)]]
        drawn = await self._draw("regenerate", state, runtime, references)
        drawn["ledger"] = concept_tracker.send(entries, chosen, coming_round(state))
        return drawn

    async def finish(self, state: RunState, runtime: Runtime[Knobs]) -> RunUpdate:
        """Pick the best attempt and name the outcome."""
        ending = state.get("ending") or outcomes.ending(
            state,
            runtime.context,
            room=self._room(state, runtime.context),
            takes=self.generator.max_references,
            library=self.library.name if self.library else None,
        )
        calls = self._calls(state, runtime)
        await calls.take_over()
        if state.get("ending"):
            calls.made += await calls.left_out()
        equals = outcomes.best_attempts(state.get("attempts") or [])
        best = equals[0] if equals else None
        for rival in equals[1:] if ending.outcome in outcomes.JUDGED else ():
            if best and await self._prefers(state["prompt"], rival, best, calls):
                best = rival
        ending = ending.model_copy(update={"at": clock.now()})
        return {"ending": ending, "best": best.index if best else None, "calls": calls.made}

    async def _draw(
        self, node: str, state: RunState, runtime: Runtime[Knobs], references: list[UsedReference]
    ) -> RunUpdate:
        calls, attempts, knobs = self._calls(state, runtime), state.get("attempts") or [], runtime.context
        if not attempts:
            await check_images(self.judge, self.generator, calls, count=1 + len(subjects_of(state)))
        prompt = reference_prompt(self.generator.template, state["prompt"], references)
        variation = Variation(seed=self._seed(attempts, references, knobs))
        draughtsman = Draughtsman(
            generator=self.generator,
            blobs=self.blobs,
            knobs=knobs,
            node=node,
            part=self._sent,
            tell=runtime.stream_writer,
        )
        drawn = await draughtsman.draw(calls, prompt, references, variation)
        attempt = Attempt(
            index=len(attempts),
            round=coming_round(state),
            prompt=drawn.prompt or prompt,
            image=drawn.image,
            original=drawn.original,
            mask=drawn.mask,
            references=tuple(references),
            generator=drawn.answered_by or self.generator.identity,
            variation=variation,
            revised_prompt=drawn.revised_prompt,
        )
        return {"attempts": [*attempts, attempt], "calls": calls.made}

    async def _prefers(self, prompt: str, rival: Attempt, best: Attempt, calls: Calls) -> bool:
        """Whether the judge puts `rival` before `best` in both orders; a judge that cannot say leaves things be."""

        async def better(first: Attempt, second: Attempt) -> str:
            one, two = await self._part(first.image), await self._part(second.image)
            content = {"prompt": prompt, "images": [first.image.sha256, second.image.sha256]}
            ask = partial(self.judge.compare, prompt, one, two)
            return (await calls.make("judge.compare", self.judge.identity, Preference, content, ask)).better

        try:
            return await better(best, rival) == "second" and await better(rival, best) == "first"
        except ImageRAGError:
            return False

    def _calls(self, state: RunState, runtime: Runtime[Knobs]) -> Calls:
        return Calls.of(state, runtime, self.journal, self.failed, tariffs_of(self.generator, self.judge))

    async def _left_out(self, query: Query, wanted: Filter, hits: Sequence[Hit], knobs: Knobs) -> tuple[LeftOut, ...]:
        """What the search's filters kept out, where nothing that they let through passed."""
        if self.library is None:
            return ()
        found: list[LeftOut] = []
        for by, relaxed in relaxed_filters(wanted):
            if by == "filters" and any(one.passing for one in found):
                break  # one filter alone makes the difference
            others = await self._search(query.text, relaxed, knobs)
            if one := left_out_of(by, hits, others, threshold=self._threshold(knobs, others)):
                found.append(one)
        return tuple(found)

    async def _search(self, text: str, wanted: Filter, knobs: Knobs) -> Sequence[Hit]:
        if self.library is None:
            return []
        hits = await search_words(self.library, text, k=looked_at(knobs), filter=wanted, hybrid=knobs.hybrid)
        # A threshold of the user's own, or none, goes for all libraries.
        return hits if knobs.threshold == "auto" else [replace(hit, threshold=None) for hit in hits]

    def _threshold(self, knobs: Knobs, hits: Sequence[Hit]) -> float | None:
        """The cosine that those of `hits` must reach which bring none of their own; None takes any."""
        if knobs.threshold == "off" or self.library is None:
            return None
        if knobs.threshold != "auto":
            return knobs.threshold
        # An empty library has no threshold to ask for, and needs none.
        return self.library.threshold if any(hit.threshold is None for hit in hits) else None

    def _room(self, state: RunState, knobs: Knobs) -> int:
        """How many references the generator takes beside those that are always sent."""
        limit = min(knobs.max_references or self.generator.max_references, self.generator.max_references)
        return max(0, limit - len(always_sent(state)))

    async def _part(self, image: ImageRef) -> ImagePart:
        data, media_type = await self.blobs.for_models(image.sha256)
        return ImagePart(data=data, media_type=media_type)

    def _shown(self, state: RunState, attempt: Attempt, knobs: Knobs) -> list[UsedReference]:
        """What the judge sees beside the picture: the user's own, and what it was drawn with, in the order sent."""
        if not capabilities_of(self.judge).sees_references:
            return subjects_of(state)
        return list(attempt.references) or subjects_of(state, knobs.likeness)

    def _fixed(self, shown: Sequence[UsedReference], attempt: Attempt) -> tuple[Requirement, ...]:
        return fixed_requirements(shown, attempt) if capabilities_of(self.judge).sees_references else ()

    def _seed(self, attempts: Sequence[Attempt], references: Sequence[UsedReference], knobs: Knobs) -> int:
        """The run's seed; another one where the very same was drawn before, which would come out the same again."""
        sent = [reference.image for reference in references]
        again = sum([one.image for one in attempt.references] == sent for attempt in attempts)
        return (knobs.seed + again) % 2**32

    async def _sent(self, reference: UsedReference) -> ImagePart:
        keeper = self.library if self.library and reference.role == "reference" else self.blobs
        data, media_type = await keeper.for_models(reference.image.sha256)
        return ImagePart(
            data=data,
            media_type=media_type,
            role=reference.role,
            likeness=reference.likeness,
            concept=reference.concept,
            caption=reference.caption,
            mask=(await self.blobs.for_models(reference.mask.sha256))[0] if reference.mask else None,
        )


def looked_at(knobs: Knobs) -> int:
    """Candidates of one search: at least as many as references are wanted."""
    return max(knobs.candidates, knobs.references_per_concept)


def subjects_of(state: RunState, likeness: Likeness = "never") -> list[UsedReference]:
    """The user's own images, as references that are always sent; over HTTP they come as plain JSON."""
    return [
        UsedReference(
            image=own.image,
            mask=own.mask,
            role=own.intent,
            likeness=needs_likeness(likeness, kind="content", role=own.intent),
            choice="by_hand" if own.of_library else "given",
            concept=own.name,
            title=own.title,
            source=own.source,
            author=own.author,
            licence=own.licence,
        )
        for own in map(Subject.model_validate, state.get("subjects") or [])
    ]


def always_sent(state: RunState, likeness: Likeness = "never") -> list[UsedReference]:
    """What goes with every drawing: the user's own images, and the references that were pinned."""
    return [*subjects_of(state, likeness), *(state.get("pinned") or [])]


def _named(shown: Sequence[UsedReference]) -> dict[str, Any]:
    """What of the library the judge is shown. Named only where there is some: calls of before have no such word."""
    seen = [[one.image.sha256, one.concept] for one in shown if one.role == "reference"]
    return {"references": seen} if seen else {}


def _judged(attempt: Attempt, verdict: Verdict) -> Attempt:
    return attempt.model_copy(update={"verdict": verdict})


def _abstention(reason: str, raw: str = "") -> Verdict:
    return Verdict(status="abstained", aligned=None, reason=reason, raw=raw)
