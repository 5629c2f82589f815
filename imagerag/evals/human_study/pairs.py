"""Human study with blind pairs: one page that works offline, and the evaluation of the answers.

Each pair shows two arms' images for one prompt, unnamed and in random order, beside a real photo of the object. Raters
answer three questions, as in ImageRAG's study: which image fits the prompt better, which has the better quality, which
they prefer overall. The other form, one image at a time, is in `absolute`. The page stores the answers in the browser
and saves them as a JSON file, which `read_answers` parses. The key, a file that raters do not get, maps the sides to
the arms.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.evals.human_study.documents import ArmPreference
from imagerag.evals.human_study.real_images import ReferencePhoto
from imagerag.evals.human_study.study_files import SIDE, page_of, rater_answers, write_two
from imagerag.evals.reports.gallery import thumbnail
from imagerag.evals.result_record import Result
from imagerag.evals.statistics.estimators import Proportion
from imagerag.evals.statistics.significance import fleiss_kappa, sign_flip

QUESTIONS: Final[Mapping[str, str]] = {
    "alignment": "Which image fits the text better?",
    "quality": "Which image is of better quality?",
    "overall": "Which image do you prefer overall?",
}
INTRO: Final = (
    "You see two images for the same text and, where there is one, a real image of what it asks for. Answer three "
    "questions about the two. There are no right answers; nothing is sent anywhere. At the end, save your answers as a "
    "file and give that to whoever asked you."
)
CHOICES: Final = ("left", "right", "same")
STUDY: Final = ("study.html", "study-key.json")


@dataclass(frozen=True)
class Pair:
    """Two images to compare.

    Attributes:
        id: random, so that it does not reveal the arms.
        left, right: arms.
    """

    id: str
    case: str
    seed: int
    prompt: str
    left: str
    right: str
    images: tuple[str, str]


def pairs_of(results: Iterable[Result], arm: str, base: str, *, limit: int = 50, seed: int = 0) -> list[Pair]:
    """Blind pairs of two arms, in random order; cases in which both show the same image are left out.

    Raises:
        UsageError: no case has two different images.
    """
    by_case: dict[tuple[str, int], dict[str, Result]] = defaultdict(dict)
    for result in results:
        if result.arm in (arm, base) and result.image is not None and result.status != "technical":
            by_case[result.case, result.seed][result.arm] = result
    rng = Random(f"imagerag.study/{seed}/{arm}/{base}")
    pairs = []
    for (case, number), both in by_case.items():
        one, other = both.get(arm), both.get(base)
        if one is None or other is None or one.image == other.image:
            continue
        left, right = rng.sample((one, other), 2)
        assert left.image is not None, "only those with an image are here"
        assert right.image is not None, "only those with an image are here"
        images = (left.image.sha256, right.image.sha256)
        pairs.append(Pair(f"{rng.getrandbits(40):010x}", case, number, one.prompt, left.arm, right.arm, images))
    if not pairs:
        raise UsageError(f"there is no case in which {arm!r} and {base!r} show different images")
    return rng.sample(pairs, min(limit, len(pairs)))


def study_page(
    pairs: Sequence[Pair],
    load_bytes: Callable[[str], bytes | None],
    title: str,
    real: Mapping[str, ReferencePhoto] = {},
) -> str:
    """The page for raters: images are embedded, nothing is fetched, and no arm is named.

    Args:
        real: case → a real photo of the object, shown beside its pairs.

    Raises:
        UsageError: an image is missing.
    """
    items: list[dict[str, Any]] = []
    for pair in pairs:
        data = [load_bytes(sha256) for sha256 in pair.images]
        if None in data:
            raise UsageError(f"an image of {pair.case} is lost: run the evaluation again")
        images = [thumbnail(one, SIDE) for one in data if one is not None]
        item = {"id": pair.id, "prompt": pair.prompt, "left": images[0], "right": images[1]}
        if (thing := real.get(pair.case)) is not None:
            item |= {"real": thumbnail(thing.data, SIDE), "concept": thing.of}
        items.append(item)
    choices = [["left", "left"], ["same", "no difference"], ["right", "right"]]
    return page_of(title, INTRO, QUESTIONS, choices, items)


def key_of(pairs: Sequence[Pair], arm: str, base: str) -> dict[str, Any]:
    """The key of the pairs: the arm on each side; raters must not get it."""
    return {
        "schema": "imagerag.study-key/1",
        "arm": arm,
        "base": base,
        "pairs": {pair.id: {"case": pair.case, "seed": pair.seed, "left": pair.left} for pair in pairs},
    }


def write_study(
    folder: Path, results: Iterable[Result], load_bytes: Callable[[str], bytes | None], *, arm: str, base: str,
    limit: int = 50, seed: int = 0, real: Mapping[str, ReferencePhoto] = {},
) -> tuple[Path, Path]:  # fmt: skip
    """Write `study.html` for the raters and `study-key.json`, which raters must not see.

    Args:
        real: case → an image of the real thing.

    Raises:
        UsageError: another process writes the folder, or no case has two different images.
    """
    pairs = pairs_of(results, arm, base, limit=limit, seed=seed)
    return write_two(folder, STUDY, study_page(pairs, load_bytes, "Which image?", real), key_of(pairs, arm, base))


def read_answers(files: Iterable[Path], key: Mapping[str, Any]) -> list[ArmPreference]:
    """Count the answers in the raters' files; of several files by one rater the newest answer to a pair counts.

    Raises:
        UsageError: a file has another format, or belongs to another study.
    """
    votes: dict[str, dict[tuple[str, str], str]] = {question: {} for question in QUESTIONS}
    for file, rater, pair, answer in rater_answers(files, key["pairs"]):
        for question, choice in answer.items():
            if question not in QUESTIONS or choice not in CHOICES:
                raise UsageError(f"{file}: {choice!r} to {question!r} is no answer")
            votes[question][rater, pair] = _for_whom(choice, key["pairs"][pair]["left"], key["arm"])
    return [_preference(question, question_votes) for question, question_votes in votes.items()]


def _for_whom(choice: str, left: str, arm: str) -> str:
    if choice == "same":
        return "same"
    return "arm" if (choice == "left") == (left == arm) else "base"


def _preference(question: str, votes: Mapping[tuple[str, str], str]) -> ArmPreference:
    counts = {name: sum(vote == name for vote in votes.values()) for name in ("arm", "base", "same")}
    by_pair: dict[str, list[str]] = defaultdict(list)
    for (_, pair), vote in sorted(votes.items()):
        by_pair[pair].append(vote)
    sign = {"arm": 1.0, "base": -1.0, "same": 0.0}
    lean = [sum(sign[vote] for vote in pair_votes) / len(pair_votes) for pair_votes in by_pair.values()]
    low, high = Proportion(counts["arm"], counts["arm"] + counts["base"]).wilson()
    total = sum(counts.values())
    return ArmPreference(
        question=question,
        **counts,
        value=(counts["arm"] + counts["same"] / 2) / total if total else float("nan"),
        low=low,
        high=high,
        p=sign_flip(lean),
        kappa=fleiss_kappa([[pair_votes.count(name) for name in sign] for pair_votes in by_pair.values()]),
        raters=len({rater for rater, _ in votes}),
        pairs=len(by_pair),
    )
