"""How good a judge is: the robustness protocol of ImageRAG's appendix E.5, on any captioned library, any judge.

For each of n pictures of different classes the judge is asked three kinds of prompts, in the paper's three forms: "A
photo of X", which is there (n prompts); "A photo of X and Y", of which Y is not (n x (n - 1)); and "A photo of Y" (n x
(n - 1)): 20 classes give 20 + 380 + 380. A judge that says no is asked what is missing, and it is counted whether that
is right: Y, and nothing else. With repeats, how often a judge contradicts itself is measured, too.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.agent.ports import ImagePart, Judge
from imagerag.agent.types import SamplingParams
from imagerag.evals.judges.robustness import concept_of
from imagerag.evals.metrics.concept_match import counted
from imagerag.evals.statistics.estimators import Proportion
from imagerag.evals.statistics.significance import fleiss_kappa
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord

Kind = Literal["there", "there_and_not", "not_there"]
KINDS: Final[tuple[Kind, ...]] = ("there", "there_and_not", "not_there")
CLASSES: Final = 20
AT_ONCE: Final = 4
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Answer:
    """What a judge said: yes, no or nothing; what it named as missing; what that cost; what went wrong."""

    aligned: bool | None
    cost_usd: float | None
    problem: str = ""
    named: tuple[str, ...] = ()


class KindScore(BaseModel):
    """How the judge did on one kind of prompt.

    Attributes:
        yes, no, unanswered: answers, all repeats counted.
        accuracy: right answers of all that were asked, unanswered ones among them; with its 95 % Wilson interval.
        agreement: share of the prompts to which every repeat gave the same answer; None without repeats.
        kappa: Fleiss' kappa of the repeats; None where nothing can be said.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    prompts: int
    yes: int
    no: int
    unanswered: int
    accuracy: float
    low: float
    high: float
    agreement: float | None = None
    kappa: float | None = None


class ConceptScore(BaseModel):
    """Whether what a judge named as missing is what is missing.

    Attributes:
        named: concepts named, over all prompts and repeats; `right` of them are what is missing.
        missing: concepts that were missing; `found` of them were named. A yes to what is not there names nothing.
        precision, recall: right of named, found of missing; None of nothing, each with its 95 % Wilson interval.
    """

    model_config = ConfigDict(extra="forbid")

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
        """Of (named, right, missing, found) of each answer."""
        named, right, missing, found = (sum(column) for column in zip(*counts, strict=True)) if counts else (0,) * 4
        precision, recall = Proportion(right, named), Proportion(found, missing)
        return cls(
            named=named,
            right=right,
            missing=missing,
            found=found,
            precision=precision.value if named else None,
            precision_interval=precision.wilson(),
            recall=recall.value if missing else None,
            recall_interval=recall.wilson(),
        )


class Robustness(BaseModel):
    """The protocol's result, `imagerag.judge-robustness/1`.

    Attributes:
        concepts: whether the right missing concepts are named, by kind of prompt and in `all`; None where the judge was
            not asked for them.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.judge-robustness/1"] = Field(default="imagerag.judge-robustness/1", alias="schema")
    judge: str
    library: str
    mode: str
    classes: list[str]
    repeats: int
    kinds: list[KindScore]
    concepts: dict[str, ConceptScore] | None = None
    cost_usd: float | None
    problem: str = ""


async def robustness(
    judge: Judge,
    library: Library,
    *,
    classes: int = CLASSES,
    repeats: int = 1,
    mode: Literal["fused", "stepwise"] = "stepwise",
    seed: int = 0,
    concepts: bool = True,
    synonyms: Mapping[str, str] = {},
    tell: Tell = lambda done, total: None,
) -> Robustness:
    """Put the protocol's prompts to a judge.

    Args:
        classes: how many pictures, each of another class; 2 x classes² - classes prompts in all.
        repeats: how often each prompt is asked.
        mode: "stepwise" asks for yes or no, as the paper did.
        seed: which pictures.
        concepts: whether a judge that says no without a list is asked what is missing, one call more.
        synonyms: further words for the same thing, see `concept_match`.

    Raises:
        UsageError: the library has fewer than two captions that differ.
    """
    rows = chosen(await library.rows(), classes, seed)
    asked = [(kind, prompt) for kind in KINDS for prompt in prompts_of(kind, rows)]
    gate, done = asyncio.Semaphore(AT_ONCE), 0
    pictures = {row.id: await _picture(library, row) for row, _ in rows}

    async def ask(prompt: Asked, repeat: int) -> Answer:
        nonlocal done
        async with gate:
            found = await _answer(judge, prompt.words, pictures[prompt.row.id], mode, repeat, concepts=concepts)
        done += 1
        tell(done, len(asked) * repeats)
        return found

    answers = await asyncio.gather(*(ask(prompt, n) for _, prompt in asked for n in range(repeats)))
    given = [answers[at * repeats : (at + 1) * repeats] for at in range(len(asked))]
    costs = [answer.cost_usd for answer in answers]
    return Robustness(
        judge=judge.identity,
        library=library.name,
        mode=mode,
        classes=[words for _, words in rows],
        repeats=repeats,
        kinds=[_scored(kind, [g for (k, _), g in zip(asked, given, strict=True) if k == kind]) for kind in KINDS],
        concepts=_named(asked, given, synonyms) if concepts else None,
        cost_usd=None if None in costs else round(sum(cost for cost in costs if cost is not None), 12),
        problem=next((answer.problem for answer in answers if answer.problem), ""),
    )


def chosen(rows: Sequence[ImageRecord], classes: int, seed: int) -> list[tuple[ImageRecord, str]]:
    """One picture for each of so many classes, with what it shows.

    Raises:
        UsageError: fewer than two.
    """
    by_class: dict[str, tuple[ImageRecord, str]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        words = concept_of(row)
        if words:
            by_class.setdefault(words.casefold(), (row, words))
    if len(by_class) < 2:
        raise UsageError("the judge is tested on at least two pictures with different captions")
    names = sorted(by_class)
    return [by_class[name] for name in Random(seed).sample(names, min(classes, len(names)))]


@dataclass(frozen=True)
class Asked:
    """One prompt to the judge.

    Attributes:
        there: what the picture shows; `missing`, what of the prompt it does not, empty when it shows all of it.
    """

    row: ImageRecord
    words: str
    there: str
    missing: str = ""


FORMS: Final[Mapping[Kind, str]] = {
    "there": "A photo of {there}",
    "there_and_not": "A photo of {there} and {missing}",
    "not_there": "A photo of {missing}",
}
"""The paper's three forms of prompts."""


def prompts_of(kind: Kind, rows: Sequence[tuple[ImageRecord, str]]) -> list[Asked]:
    """The prompts of a kind."""
    if kind == "there":
        return [Asked(row, FORMS[kind].format(there=_said(words)), words) for row, words in rows]
    return [
        Asked(row, FORMS[kind].format(there=_said(words), missing=_said(other)), words, other)
        for row, words in rows
        for _, other in rows
        if other != words
    ]


def _said(words: str) -> str:
    """What a caption shows, inside of a sentence: with an article where it is a bare name, without its own frame."""
    bare = _FRAME.sub("", words.strip()) or words.strip()
    first, space, rest = bare.partition(" ")
    if first.lower() in _BEFORE or first[:1].isdigit():
        return f"{first.lower()}{space}{rest}"
    return f"{'an' if first[:1].lower() in 'aeiou' else 'a'} {bare}"


_FRAME: Final = re.compile(r"^an?\s+(?:photo|photograph|picture|image)\s+of\s+", re.IGNORECASE)
_BEFORE: Final = frozenset(("a", "an", "the", "one", "two", "three", "some", "many", "several", "my", "our", "this"))


async def _picture(library: Library, row: ImageRecord) -> ImagePart:
    data, media_type = await library.for_models(row.id)
    return ImagePart(data=data, media_type=media_type)


async def _answer(judge: Judge, words: str, image: ImagePart, mode: Any, repeat: int, *, concepts: bool) -> Answer:
    cold = 0.0 if "temperature" in judge.honours else None
    varied = SamplingParams(attempt=repeat, lever="none" if cold is None else "temperature", temperature=cold)
    try:
        found = await judge.critique(words, image, subjects=(), requirements=(), mode=mode, variation=varied)
    except ImageRAGError as error:
        return Answer(None, None, f"{type(error).__name__}: {error}")
    verdict, named, costs, problem = found.verdict, found.verdict.missing, [found.cost_usd], ""
    if concepts and verdict.aligned is False and not named:
        try:
            more = await judge.missing_concepts(words, image, verdict=verdict, variation=varied)
            named, costs = more.concepts, [*costs, more.cost_usd]
        except ImageRAGError as error:  # a no stays a no, whatever it cannot name
            problem, costs = f"{type(error).__name__}: {error}", [None]
    cost = None if None in costs else sum(cost for cost in costs if cost is not None)
    return Answer(verdict.aligned, cost, problem, tuple(concept.text for concept in named))


def _named(
    asked: Sequence[tuple[Kind, Asked]], given: Sequence[Sequence[Answer]], synonyms: Mapping[str, str]
) -> dict[str, ConceptScore]:
    """Whether the right concepts were named, by kind of prompt and in all."""
    counts: dict[str, list[tuple[int, int, int, int]]] = {kind: [] for kind in (*KINDS, "all")}
    for (kind, prompt), answers in zip(asked, given, strict=True):
        lacking = [prompt.missing] if prompt.missing else []
        for answer in answers:
            right, found = counted(answer.named, lacking, prompt.there, synonyms)
            for name in (kind, "all"):
                counts[name].append((len(answer.named), right, len(lacking), found))
    return {name: ConceptScore.of(rows) for name, rows in counts.items()}


def _scored(kind: Kind, given: Sequence[Sequence[Answer]]) -> KindScore:
    counts = Counter(answer.aligned for answers in given for answer in answers)
    total = sum(counts.values())
    share = Proportion(counts[kind == "there"], total)
    low, high = share.wilson()
    repeated = bool(given) and len(given[0]) > 1
    table = [[sum(a.aligned is value for a in answers) for value in (True, False, None)] for answers in given]
    kappa = fleiss_kappa(table) if repeated else float("nan")
    return KindScore(
        kind=kind,
        prompts=len(given),
        yes=counts[True],
        no=counts[False],
        unanswered=counts[None],
        accuracy=share.value,
        low=low,
        high=high,
        agreement=sum(max(row) == sum(row) for row in table) / len(table) if repeated else None,
        kappa=None if kappa != kappa else kappa,
    )
