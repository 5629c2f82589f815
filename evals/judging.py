"""How good a judge is: the robustness protocol of ImageRAG's appendix E.5, on any captioned library, any judge.

For each of n pictures of different classes the judge is asked three kinds of prompts: what is there (n prompts), that
and something that is not (n x (n - 1)), and only something that is not (n x (n - 1)): 20 classes give 20 + 380 + 380.
With repeats, how often a judge contradicts itself is measured, too.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.agent.ports import ImagePart, Judge
from imagerag.agent.types import Variation
from imagerag.evals.inference import fleiss_kappa
from imagerag.evals.statistics import Proportion
from imagerag.graphs.judge_test import concept_of
from imagerag.store.library import Library
from imagerag.store.rows import Row

Kind = Literal["there", "there_and_not", "not_there"]
KINDS: Final[tuple[Kind, ...]] = ("there", "there_and_not", "not_there")
CLASSES: Final = 20
AT_ONCE: Final = 4
Tell = Callable[[int, int], None]


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


class Robustness(BaseModel):
    """The protocol's result, `imagerag.judge-robustness/1`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.judge-robustness/1"] = Field(default="imagerag.judge-robustness/1", alias="schema")
    judge: str
    library: str
    mode: str
    classes: list[str]
    repeats: int
    kinds: list[KindScore]
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
    tell: Tell = lambda done, total: None,
) -> Robustness:
    """Put the protocol's prompts to a judge.

    Args:
        classes: how many pictures, each of another class; 2 x classes² - classes prompts in all.
        repeats: how often each prompt is asked.
        mode: "stepwise" asks for yes or no, as the paper did.
        seed: which pictures.

    Raises:
        UsageError: the library has fewer than two captions that differ.
    """
    rows = chosen(await library.rows(), classes, seed)
    asked = [(kind, row, words) for kind in KINDS for row, words in prompts_of(kind, rows)]
    gate, done = asyncio.Semaphore(AT_ONCE), 0
    pictures = {row.id: await _picture(library, row) for row, _ in rows}

    async def ask(row: Row, words: str, repeat: int) -> tuple[bool | None, float | None, str]:
        nonlocal done
        async with gate:
            found = await _answer(judge, words, pictures[row.id], mode, repeat)
        done += 1
        tell(done, len(asked) * repeats)
        return found

    answers = await asyncio.gather(*(ask(row, words, n) for _, row, words in asked for n in range(repeats)))
    given = [answers[at * repeats : (at + 1) * repeats] for at in range(len(asked))]
    costs = [cost for _, cost, _ in answers]
    return Robustness(
        judge=judge.identity,
        library=library.name,
        mode=mode,
        classes=[words for _, words in rows],
        repeats=repeats,
        kinds=[_scored(kind, [g for (k, _, _), g in zip(asked, given, strict=True) if k == kind]) for kind in KINDS],
        cost_usd=None if None in costs else round(sum(cost for cost in costs if cost is not None), 12),
        problem=next((problem for _, _, problem in answers if problem), ""),
    )


def chosen(rows: Sequence[Row], classes: int, seed: int) -> list[tuple[Row, str]]:
    """One picture for each of so many classes, with what it shows.

    Raises:
        UsageError: fewer than two.
    """
    by_class: dict[str, tuple[Row, str]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        words = concept_of(row)
        if words:
            by_class.setdefault(words.casefold(), (row, words))
    if len(by_class) < 2:
        raise UsageError("the judge is tested on at least two pictures with different captions")
    names = sorted(by_class)
    return [by_class[name] for name in Random(seed).sample(names, min(classes, len(names)))]


def prompts_of(kind: Kind, rows: Sequence[tuple[Row, str]]) -> list[tuple[Row, str]]:
    """The prompts of a kind: (picture, words)."""
    if kind == "there":
        return [(row, words) for row, words in rows]
    pairs = [(row, words, other) for row, words in rows for _, other in rows if other != words]
    if kind == "there_and_not":
        return [(row, f"{words} and {other}") for row, words, other in pairs]
    return [(row, other) for row, _, other in pairs]


async def _picture(library: Library, row: Row) -> ImagePart:
    data, media_type = await library.for_models(row.id)
    return ImagePart(data=data, media_type=media_type)


async def _answer(
    judge: Judge, words: str, image: ImagePart, mode: Any, repeat: int
) -> tuple[bool | None, float | None, str]:
    try:
        found = await judge.critique(
            words, image, subjects=(), requirements=(), mode=mode, variation=Variation(attempt=repeat)
        )
    except ImageRAGError as error:
        return None, None, f"{type(error).__name__}: {error}"
    return found.verdict.aligned, found.cost_usd, ""


def _scored(kind: Kind, given: Sequence[Sequence[tuple[bool | None, float | None, str]]]) -> KindScore:
    counts = Counter(aligned for answers in given for aligned, _, _ in answers)
    total = sum(counts.values())
    share = Proportion(counts[kind == "there"], total)
    low, high = share.wilson()
    repeated = bool(given) and len(given[0]) > 1
    table = [[sum(a is value for a, _, _ in answers) for value in (True, False, None)] for answers in given]
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
