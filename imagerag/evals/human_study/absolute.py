"""Human study in the absolute form: one image at a time, and whether it shows the object of the prompt.

The other form (`pairs`) asks which of two images is better, but not whether either is right. Here every image of two
arms is shown by itself, blind and in random order, beside a real photo of the object. ImageRAG's study asked in the
same way whether a reference's object is in the image.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.evals.harness.plan import Plan
from imagerag.evals.human_study.documents import ContainedShare
from imagerag.evals.human_study.real_images import ReferencePhoto, concept_of
from imagerag.evals.human_study.study_files import SIDE, page_of, rater_answers, shown_in, write_two
from imagerag.evals.reports.gallery import thumbnail
from imagerag.evals.result_record import Result
from imagerag.evals.statistics.estimators import Proportion
from imagerag.evals.statistics.significance import fleiss_kappa

CONTAINS: Final = "Does the image contain this: {concept}?"
CHOICES: Final = ("yes", "no", "unsure")
STUDY: Final = ("study-absolute.html", "study-absolute-key.json")
INTRO: Final = (
    "You see one image at a time and, where there is one, a real image of what was asked for. Say whether the "
    "object is in the image; how well the image is made does not count. Nothing is sent anywhere. At the end, save "
    "your answers as a file and give that to whoever asked you."
)


@dataclass(frozen=True)
class Shown:
    """An image to rate.

    Attributes:
        id: random, so that it does not reveal the arm.
        concept: the object that raters look for.
    """

    id: str
    case: str
    seed: int
    arm: str
    prompt: str
    concept: str
    sha256: str


def images_of(
    results: Iterable[Result], arms: Sequence[str], concepts: Mapping[str, str], *, limit: int = 50, seed: int = 0
) -> list[Shown]:
    """The arms' images in random order, for a limited number of cases; equal images of a case are shown once.

    Raises:
        UsageError: the arms have no image.
    """
    rng, by_case = Random(f"imagerag.study-absolute/{seed}/{'/'.join(arms)}"), defaultdict(list)
    for result in results:
        if result.arm in arms and result.image is not None and result.status != "technical":
            by_case[result.case, result.seed].append(result)
    if not by_case:
        raise UsageError(f"none of the arms {', '.join(arms)} left an image to look at")
    keys = rng.sample(sorted(by_case), min(limit, len(by_case)))
    images = [
        Shown(
            f"{rng.getrandbits(40):010x}", result.case, result.seed, result.arm, result.prompt,
            concepts.get(result.case, result.prompt), result.image.sha256,
        )
        for key in keys
        for result in by_case[key]
        if result.image is not None
    ]  # fmt: skip
    return rng.sample(images, len(images))


def write_absolute_study(
    folder: Path, plan: Plan, results: Sequence[Result], load_bytes: Callable[[str], bytes | None], *,
    arms: Sequence[str], real: Mapping[str, ReferencePhoto] = {}, limit: int = 50, seed: int = 0,
) -> tuple[Path, Path]:  # fmt: skip
    """Write `study-absolute.html` for the raters and `study-absolute-key.json`, which raters must not see.

    Raises:
        UsageError: another process writes the folder, or there is no image to rate.
    """
    mine = {case.id: [result for result in results if result.case == case.id] for case in plan.suite.cases}
    concepts = {case.id: concept_of(case, real.get(case.id), mine[case.id]) for case in plan.suite.cases}
    images = images_of(results, arms, concepts, limit=limit, seed=seed)
    items: list[dict[str, Any]] = []
    for one in images:
        data = load_bytes(one.sha256)
        if data is None:
            raise UsageError(f"an image of {one.case} is lost: run the evaluation again")
        item = {"id": one.id, "prompt": one.prompt, "concept": one.concept, "image": thumbnail(data, SIDE)}
        items.append(item | ({"real": thumbnail(real[one.case].data, SIDE)} if one.case in real else {}))
    choices = [[choice, choice if choice != "unsure" else "cannot tell"] for choice in CHOICES]
    page = page_of("Is it in the image?", INTRO, {"contains": CONTAINS}, choices, items)
    key = {
        "schema": "imagerag.study-key/1",
        "form": "absolute",
        "arms": list(arms),
        "images": {one.id: {"case": one.case, "seed": one.seed, "arm": one.arm} for one in images},
    }
    return write_two(folder, STUDY, page, key)


def read_absolute_answers(files: Iterable[Path], key: Mapping[str, Any]) -> list[ContainedShare]:
    """Count the answers in the raters' files, by arm; of several files by one rater the newest answer counts.

    Raises:
        UsageError: a file has another format, or belongs to another study.
    """
    votes: dict[str, dict[tuple[str, str], str]] = {arm: {} for arm in key["arms"]}
    for file, rater, item, answer in rater_answers(files, shown_in(key)):
        if (choice := answer.get("contains")) not in CHOICES or set(answer) != {"contains"}:
            raise UsageError(f"{file}: {answer!r} is no answer to an image")
        votes[shown_in(key)[item]["arm"]][rater, item] = choice
    return [_contained(arm, arm_votes) for arm, arm_votes in votes.items()]


def _contained(arm: str, votes: Mapping[tuple[str, str], str]) -> ContainedShare:
    counts = {choice: sum(vote == choice for vote in votes.values()) for choice in CHOICES}
    by_image: dict[str, list[str]] = defaultdict(list)
    for (_, item), vote in sorted(votes.items()):
        by_image[item].append(vote)
    share = Proportion(counts["yes"], sum(counts.values()))
    low, high = share.wilson()
    return ContainedShare(
        arm=arm,
        **counts,
        value=share.value,
        low=low,
        high=high,
        kappa=fleiss_kappa([[image_votes.count(choice) for choice in CHOICES] for image_votes in by_image.values()]),
        raters=len({rater for rater, _ in votes}),
        images=len(by_image),
    )
