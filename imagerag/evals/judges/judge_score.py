"""Score of a judge: correct answers by kind of question, named concepts, a verdict in two words."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from pydantic import ConfigDict, Field

from imagerag.agent.types import FrozenModel
from imagerag.evals.judges.questions import JudgeAnswer, JudgeQuestion
from imagerag.evals.metrics.concept_match import counted
from imagerag.evals.statistics.estimators import Proportion
from imagerag.evals.statistics.significance import fleiss_kappa

GOOD: Final = 0.7
NEVER: Final = 0.15
"""Rates from which a judge is usable, and below which it never does a thing. Ours: the paper gives none."""

JudgeVerdict = Literal["usable", "says no to everything", "says yes to everything", "weak", "does not answer"]
Answered = tuple[JudgeQuestion, Sequence[JudgeAnswer]]
"""A question with its answers, one for each repeat."""


class KindScore(FrozenModel):
    """Score on one kind of prompt.

    Attributes:
        yes, no, unanswered: answers, all repeats counted.
        right: right answers.
        accuracy: right answers of all that were asked, unanswered ones among them; with its 95 % Wilson interval.
        named: of the right noes, those that name something that is missing.
        agreement: share of the prompts to which every repeat gave the same answer; None without repeats.
        kappa: Fleiss' kappa of the repeats; None where nothing can be said.
    """

    kind: str
    prompts: int
    yes: int
    no: int
    unanswered: int
    right: int
    accuracy: float
    low: float
    high: float
    named: int = 0
    agreement: float | None = None
    kappa: float | None = None


class ConceptScore(FrozenModel):
    """Precision and recall of the concepts named as missing.

    Attributes:
        named: concepts named, over all prompts and repeats; `right` of them are what is missing.
        missing: concepts that were missing; `found` of them were named. A yes to what is not there names nothing.
        precision, recall: right of named, found of missing; None of nothing, each with its 95 % Wilson interval.
    """

    named: int
    right: int
    missing: int
    found: int
    precision: float | None
    precision_interval: tuple[float, float]
    recall: float | None
    recall_interval: tuple[float, float]

    @classmethod
    def of(cls, counts: Sequence[tuple[int, int, int, int]]) -> "ConceptScore":
        """Make the score from the (named, right, missing, found) counts of each answer."""
        named_count, right, missing, found_count = (
            (sum(column) for column in zip(*counts, strict=True)) if counts else (0,) * 4
        )
        precision, recall = Proportion(right, named_count), Proportion(found_count, missing)
        return cls(
            named=named_count,
            right=right,
            missing=missing,
            found=found_count,
            precision=precision.value if named_count else None,
            precision_interval=precision.wilson(),
            recall=recall.value if missing else None,
            recall_interval=recall.wilson(),
        )


class JudgeEval(FrozenModel):
    """The result of `eval judge`, `imagerag.judge-eval/1`.

    Attributes:
        library: whose images were shown; None for generated ones.
        classes: what the library's images show; empty for generated ones.
        verdict: whether it can be trusted, from its right answers to what is there and to what is not.
        named_rate: how often a right no names what is missing, in [0, 1]; None without a right no.
        concepts: precision and recall of the missing concepts, by kind of prompt and in `all`; None where the judge was
            not asked for them.
        problem: the first error, where there was one.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_name: Literal["imagerag.judge-eval/1"] = Field(default="imagerag.judge-eval/1", alias="schema")
    judge: str
    library: str | None
    mode: str
    classes: list[str]
    repeats: int
    verdict: JudgeVerdict
    kinds: list[KindScore]
    named_rate: float | None = None
    concepts: dict[str, ConceptScore] | None = None
    cost_usd: float | None
    problem: str = ""


def verdict_on(answers: Iterable[tuple[bool, bool | None]]) -> JudgeVerdict:
    """Summarise (correct answer, given answer) pairs in two words."""
    counts = Counter(answers)
    total = counts.total()
    if 2 * (counts[True, None] + counts[False, None]) > total:
        return "does not answer"
    yes, no = (
        counts[right, right] / max(1, sum(n for (truth, _), n in counts.items() if truth is right))
        for right in (True, False)
    )
    if yes <= NEVER < no:
        return "says no to everything"
    if no <= NEVER < yes:
        return "says yes to everything"
    return "usable" if min(yes, no) >= GOOD else "weak"


def kind_scores(answered: Sequence[Answered], synonyms: Mapping[str, str] = {}) -> list[KindScore]:
    """Score every kind of question, in the order of the questions."""
    kinds = dict.fromkeys(question.kind for question, _ in answered)
    return [_kind_score(kind, [one for one in answered if one[0].kind == kind], synonyms) for kind in kinds]


def _kind_score(kind: str, answered: Sequence[Answered], synonyms: Mapping[str, str]) -> KindScore:
    pairs = [(question, answer) for question, answers in answered for answer in answers]
    right = [(question, answer) for question, answer in pairs if answer.aligned is question.aligned]
    share = Proportion(len(right), len(pairs))
    low, high = share.wilson()
    table = [[sum(a.aligned is value for a in answers) for value in (True, False, None)] for _, answers in answered]
    repeated = len(answered[0][1]) > 1
    kappa = fleiss_kappa(table) if repeated else float("nan")
    return KindScore(
        kind=kind,
        prompts=len(answered),
        yes=sum(row[0] for row in table),
        no=sum(row[1] for row in table),
        unanswered=sum(row[2] for row in table),
        right=len(right),
        accuracy=share.value,
        low=low,
        high=high,
        named=sum(_counts(question, answer, synonyms)[3] > 0 for question, answer in right if not question.aligned),
        agreement=sum(max(row) == sum(row) for row in table) / len(table) if repeated else None,
        kappa=None if kappa != kappa else kappa,
    )


def named_rate(answered: Sequence[Answered], scores: Sequence[KindScore]) -> float | None:
    """Share of the correct noes that name something that is missing; None without a correct no."""
    noes = sum(
        answer.aligned is False
        for question, answers in answered
        if not question.aligned and question.missing is not None
        for answer in answers
    )
    return sum(score.named for score in scores) / noes if noes else None


def concept_scores(answered: Sequence[Answered], synonyms: Mapping[str, str] = {}) -> dict[str, ConceptScore]:
    """Precision and recall of the named concepts, by kind of question and in `all`."""
    scored = [(question, answers) for question, answers in answered if question.missing is not None]
    counts: dict[str, list[tuple[int, int, int, int]]] = {question.kind: [] for question, _ in scored}
    counts["all"] = []
    for question, answers in scored:
        for answer in answers:
            for name in (question.kind, "all"):
                counts[name].append(_counts(question, answer, synonyms))
    return {name: ConceptScore.of(rows) for name, rows in counts.items()}


def _counts(question: JudgeQuestion, answer: JudgeAnswer, synonyms: Mapping[str, str]) -> tuple[int, int, int, int]:
    """(named, right, missing, found) of one answer."""
    lacking = question.missing or ()
    right, found_count = counted(answer.named, lacking, question.there, synonyms)
    return len(answer.named), right, len(lacking), found_count
