"""Whether a judge can be trusted: the test of ImageRAG's appendix E.5, on the user's own captioned pictures.

Three prompts are put to the judge for each picture: what is there; that and something that is not; only something that
is not. A judge that says no to everything, or yes, is found out; and so is one that never names what is missing.
"""

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.errors import BackendError, ImageRAGError, UsageError
from imagerag.agent.ports import ImagePart, Judge
from imagerag.agent.types import SamplingParams
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord

Kind = Literal["there", "there_and_not", "not_there"]
KINDS: Final[tuple[Kind, ...]] = ("there", "there_and_not", "not_there")
Mode = Literal["fused", "stepwise"]

GOOD: Final = 0.7
NEVER: Final = 0.15
"""Rates from which a judge is usable, and below which it never does a thing. Ours: the paper gives none."""

AT_ONCE: Final = 4
_SMALL: Final = frozenset(re.split(" ", "a an and as at by for from in is it its of on or the this to with"))


@dataclass(frozen=True)
class Case:
    """One question to the judge.

    Attributes:
        prompt: what the picture is judged against.
        missing: what of it is not in the picture; empty when all is there.
        present: what is in the picture.
    """

    kind: Kind
    row: ImageRecord
    prompt: str
    missing: str
    present: str


class KindResult(BaseModel):
    """How the judge did on one kind of prompt.

    Attributes:
        right: it said yes to what is there, no to what is not.
        named: of the right noes, those that name what is missing.
        unanswered: no answer, an unreadable one, or a refusal.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    cases: int = 0
    right: int = 0
    named: int = 0
    unanswered: int = 0

    @property
    def rate(self) -> float:
        """Right answers of all cases; what was not answered is not right."""
        return self.right / self.cases if self.cases else 0.0


class JudgeReport(BaseModel):
    """The judge test's result, `imagerag.judge-test/1`.

    Attributes:
        verdict: "usable", "says no to everything", "says yes to everything", "weak" or "does not answer".
        named_rate: how often a right no names what is missing, in [0, 1]; None without a right no.
        problem: the first error, where there was one.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.judge-test/1"] = Field(default="imagerag.judge-test/1", alias="schema")
    judge: str
    library: str
    mode: Mode
    results: list[KindResult]
    verdict: Literal["usable", "says no to everything", "says yes to everything", "weak", "does not answer"]
    named_rate: float | None
    cost_usd: float | None
    problem: str = ""


async def judge_test(
    judge: Judge, library: Library, *, cases: int = 10, mode: Mode = "fused", seed: int = 0
) -> JudgeReport:
    """Put 3 questions about each of `cases` captioned pictures to a judge (a bare no is asked what is missing, too).

    Raises:
        UsageError: the library has fewer than two pictures with captions that differ.
    """
    questions = cases_of(await library.rows(), cases, seed)
    first = await _ask(judge, library, questions[0], mode)
    if isinstance(first.error, BackendError):
        # A judge that is down is not asked thirty times.
        return _report(judge, library, mode, questions[:1], [first])
    gate = asyncio.Semaphore(AT_ONCE)

    async def gated(case: Case) -> "_Answer":
        async with gate:
            return await _ask(judge, library, case, mode)

    rest = await asyncio.gather(*(gated(case) for case in questions[1:]))
    return _report(judge, library, mode, questions, [first, *rest])


def cases_of(rows: Sequence[ImageRecord], cases: int, seed: int = 0) -> list[Case]:
    """Three questions for each of up to `cases` captioned pictures; what is not there comes from another picture.

    Of the other captions one that shares the fewest words with the picture's own is taken.

    Raises:
        UsageError: fewer than two pictures with captions that differ.
    """
    coin = random.Random(seed)
    told = {row.image.sha256: (row, concept_of(row)) for row in rows if concept_of(row)}
    if len({concept.lower() for _, concept in told.values()}) < 2:
        raise UsageError(
            "the judge test needs at least two pictures with different captions: imagerag index --manifest FILE"
        )
    ordered = sorted(told.values(), key=lambda item: item[0].image.sha256)
    chosen = coin.sample(ordered, min(cases, len(ordered)))
    questions: list[Case] = []
    for row, concept in chosen:
        others = [other for _, other in coin.sample(ordered, min(50, len(ordered))) if words(other) - words(concept)]
        if not others:
            continue
        absent = min(others, key=lambda other: len(words(other) & words(concept)))
        questions += [
            Case("there", row, concept, "", concept),
            Case("there_and_not", row, f"{concept} and {absent}", absent, concept),
            Case("not_there", row, absent, absent, concept),
        ]
    if not questions:
        raise UsageError("the judge test needs captions that say different things")
    return questions


def concept_of(row: ImageRecord) -> str:
    """What a picture shows, from its caption, without the name that the caption may begin with."""
    caption = row.caption.strip().rstrip(".")
    bare = caption.removeprefix(row.title).strip(" ,:;-") if row.title else caption
    return bare or caption


def words(text: str) -> frozenset[str]:
    """The words of a text that mean something."""
    return frozenset(re.findall(r"\w+", text.lower())) - _SMALL


@dataclass(frozen=True, kw_only=True)
class _Answer:
    aligned: bool | None = None
    named: tuple[str, ...] = ()
    cost_usd: float | None = None
    error: ImageRAGError | None = None


async def _ask(judge: Judge, library: Library, case: Case, mode: Mode) -> _Answer:
    data = await library.image_bytes(case.row.image.sha256)
    image = ImagePart(data=data, media_type=case.row.image.media_type)
    told: dict[str, Any] = {"subjects": (), "variation": SamplingParams()}
    try:
        found = await judge.critique(
            case.prompt, image, requirements=(), mode=mode, max_tokens=library.context_length, **told
        )
    except ImageRAGError as error:
        return _Answer(error=error)
    concepts, costs, problem = found.verdict.missing, [found.cost_usd], None
    if found.verdict.aligned is False and not concepts:
        try:
            more = await judge.missing_concepts(case.prompt, image, verdict=found.verdict, **told)
            concepts, costs = more.concepts, [*costs, more.cost_usd]
        except ImageRAGError as error:  # a no stays a no, whatever it cannot name
            problem, costs = error, [None]
    cost = None if None in costs else sum(cost for cost in costs if cost is not None)
    named = tuple(concept.text for concept in concepts)
    return _Answer(aligned=found.verdict.aligned, named=named, cost_usd=cost, error=problem)


def _report(
    judge: Judge, library: Library, mode: Mode, questions: Sequence[Case], answers: Sequence[_Answer]
) -> JudgeReport:
    results = [KindResult(kind=kind) for kind in KINDS]
    for case, answer in zip(questions, answers, strict=True):
        result = results[KINDS.index(case.kind)]
        right = answer.aligned is (case.kind == "there")
        result.cases += 1
        result.right += right
        result.unanswered += answer.aligned is None
        result.named += right and bool(case.missing) and _names(answer.named, case)
    noes = sum(result.right for result in results[1:])
    costs = [answer.cost_usd for answer in answers]
    errors = [answer.error for answer in answers if answer.error]
    return JudgeReport(
        judge=judge.identity,
        library=library.name,
        mode=mode,
        results=results,
        verdict=verdict_on(results),
        named_rate=sum(result.named for result in results) / noes if noes else None,
        cost_usd=None if None in costs else round(sum(cost for cost in costs if cost is not None), 12),
        problem=str(errors[0]) if errors else "",
    )


def verdict_on(results: Sequence[KindResult]) -> Any:
    """What the rates say of a judge, in a word or two."""
    there, no = results[0], results[1:]
    asked = sum(result.cases for result in results)
    if 2 * sum(result.unanswered for result in results) > asked:
        return "does not answer"
    noes = sum(result.right for result in no) / max(1, sum(result.cases for result in no))
    if there.rate <= NEVER and noes > NEVER:
        return "says no to everything"
    if noes <= NEVER and there.rate > NEVER:
        return "says yes to everything"
    return "usable" if min(there.rate, noes) >= GOOD else "weak"


def _names(named: Sequence[str], case: Case) -> bool:
    """Whether one of the concepts named holds a word that only what is missing has."""
    telling = words(case.missing) - words(case.present)
    return any(words(concept) & telling for concept in named)
