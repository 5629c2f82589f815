"""Keep metrics independent of the encoders that retrieve or judge.

An encoder that found the references or judged the image overrates it: the same cases score higher than with another
encoder. A metric that uses such an encoder is refused, or is marked where the user allows it; every table, plot, page
and file then shows the mark.

Encoders are compared by architecture and weights, not by the spelling of their specs. Where architecture and weights
have different names (a file, a copy, another loader), the vectors of one text and one image are compared.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from imagerag.agent.errors import BackendError, SpecError, UsageError
from imagerag.agent.ports import Embedder, EmbedderIdentity
from imagerag.agent.ports.embedder import embed_images, embed_texts
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.harness.plan import Plan
from imagerag.evals.metrics.base import AcrossSeeds, Metric, Sample
from imagerag.evals.result_record import Score

MARK: Final = " (same encoder)"
ALIKE: Final = 0.99
"""Cosine from which two encoders see alike: half precision moves a vector less, other weights far more."""

WITHOUT_ENCODER: Final = frozenset({"keep", "rephrase"})
"""Procedures that neither search nor judge."""

_TIMM: Final = re.compile(
    r"vit_(?P<size>[a-z]+)_patch(?P<patch>\d+)_(?P<kind>clip|siglip)_(?:quickgelu_)?(?P<side>\d+)"
)
_SIZES: Final = {"base": "b", "large": "l", "huge": "h", "giant": "g", "gigantic": "bigg", "medium": "m"}
PROBE: Final = "a small dog with a red ball on the grass"


@dataclass(frozen=True)
class RunEncoder:
    """An encoder that takes part in a run, and its role."""

    embedder: Embedder
    what: str


async def run_encoders(plan: Plan, dependencies: EvalDependencies) -> list[RunEncoder]:
    """The encoders that the plan's arms use to retrieve or judge."""
    encoders: dict[str, RunEncoder] = {}
    for arm in plan.arms:
        if arm.procedure in WITHOUT_ENCODER:
            continue
        setup = arm.of(plan.setup, seed=0, cache="record")
        if setup.library and (embedder := await dependencies.encoder_of_library(setup.library)):
            encoders.setdefault(f"library {setup.library}", RunEncoder(embedder, f"searches library {setup.library!r}"))
        for spec in dependencies.encoders_of_judge(setup.judge):
            encoders.setdefault(f"judge {spec}", RunEncoder(dependencies.embedder(spec), f"judges as {setup.judge!r}"))
    return list(encoders.values())


async def checked(
    metrics: Sequence[Metric], plan: Plan, dependencies: EvalDependencies, *, allow: bool
) -> list[Metric]:
    """The metrics; those that use an encoder of the arms are marked.

    Args:
        allow: mark them instead of refusing them.

    Raises:
        UsageError: a metric uses one and this is not allowed; the message names it and says what to type.
    """
    encoders = {id(metric): encoder for metric in metrics if (encoder := getattr(metric, "embedder", None)) is not None}
    others = await run_encoders(plan, dependencies) if encoders else []
    result: list[Metric] = []
    for metric in metrics:
        encoder = encoders.get(id(metric))
        why = [one.what for one in others if encoder is not None and await same(encoder, one.embedder)]
        if why and not allow:
            raise UsageError(
                f"{metric.spec}: its encoder also {' and '.join(why)}, so it flatters them.\n"
                "Measure by another encoder (imagerag eval list), or see it marked:\n--allow-same-encoder"
            )
        result.append(marked(metric) if why else metric)
    return result


async def same(one: Any, other: Embedder) -> bool:
    """Whether two encoders are the same: by name, else by their vectors of one image and one text."""
    if one is other:
        return True
    names = names_of(one), names_of(other)
    if names[0] & names[1]:
        return True
    if not isinstance(getattr(one, "identity", None), EmbedderIdentity):
        return False
    if one.identity.dimension != other.identity.dimension:
        return False
    try:
        return await _see_alike(one, other)
    except (BackendError, UsageError, SpecError):
        return False  # an encoder that cannot be loaded is reported when it is used


async def _see_alike(one: Embedder, other: Embedder) -> bool:
    image = _probe()
    for pair in (
        (await embed_images(one, [image]), await embed_images(other, [image])),
        (await embed_texts(one, [PROBE]), await embed_texts(other, [PROBE])),
    ):
        if float(pair[0][0] @ pair[1][0]) < ALIKE:
            return False
    return True


def _probe() -> bytes:
    from random import Random

    from imagerag.evals.synthetic_images import SyntheticImage
    from imagerag.tools.sketch.world import Thing, random_scene

    return SyntheticImage.of(random_scene(Random(0), (Thing("heart", "purple", "dotted"),)), 128).data


def names_of(encoder: Any) -> frozenset[str]:
    """All known spellings of an encoder: two encoders that share a spelling have the same architecture and weights."""
    identity = getattr(encoder, "identity", None)
    if isinstance(identity, EmbedderIdentity):
        if identity.weights.startswith("sha256:"):
            return frozenset({identity.weights})
        return _spellings(identity.model.removeprefix("open_clip "), identity.weights)
    name, _, tag = str(getattr(encoder, "model", "")).partition("=")[0].partition(".")
    return _spellings(name, tag) if name and tag else frozenset()


def _spellings(model: str, weights: str) -> frozenset[str]:
    name = model.lower().removesuffix(" quickgelu").removesuffix("-quickgelu").rpartition("/")[2]
    if match := _TIMM.search(name):
        kind = "-siglip" if match["kind"] == "siglip" else ""
        side = "" if match["side"] == "224" else f"-{match['side']}"
        name = f"vit-{_SIZES.get(match['size'], match['size'])}-{match['patch']}{kind}{side}"
    tag, short = weights.lower(), weights.lower().partition("_")[0]
    # timm shortens the tags of weights (`laion2b_s34b_b79k` is `laion2b`); open_clip's own stay apart from each other.
    return frozenset({f"{name}/{short} of timm"} if match else {f"{name}/{tag}", f"{name}/{short} of timm"})


def marked(metric: Metric) -> Metric:
    """Mark the metric's name."""
    return _MarkedAcross(metric) if isinstance(metric, AcrossSeeds) else _Marked(metric)


class _Marked:
    """A metric that marks its score names, because its encoder takes part in the runs."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.needs_image = inner, inner.needs_image
        self.spec = f"{inner.spec}{MARK}"

    async def measure(self, sample: Sample) -> Mapping[str, Score]:
        """Compute the metric, under marked names."""
        return _renamed(await self._inner.measure(sample))


class _MarkedAcross(_Marked):
    async def across(self, samples: Sequence[Sample]) -> Mapping[str, Score]:
        """Compute the metric, under marked names."""
        return _renamed(await self._inner.across(samples))


def _renamed(scores: Mapping[str, Score]) -> dict[str, Score]:
    return {f"{name}{MARK}": score for name, score in scores.items()}


def explanation(names: Sequence[str]) -> str:
    """The legend of the mark, if a name has it; else an empty string."""
    return LEGEND if any(name.endswith(MARK) for name in names) else ""


LEGEND: Final = "(same encoder): its encoder also searched or judged, so it flatters the arms."
