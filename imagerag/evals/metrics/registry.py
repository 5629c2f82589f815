"""Registry of metrics: specs are `NAME` or `NAME:WITH`.

Custom metrics are registered with `use_metric`, for this process, or by entry points of installed packages in the group
`imagerag.metrics`: a factory takes the whole spec and returns a `Metric`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Final

from imagerag.agent.errors import SpecError, UsageError
from imagerag.agent.port_validation import check_factory, check_port
from imagerag.agent.ports import Embedder
from imagerag.agent.types import RunConfig
from imagerag.evals.dependencies import DeterministicEmbedder, EvalDependencies
from imagerag.evals.metrics.base import AcrossSeeds, Metric
from imagerag.evals.metrics.cost import CostScore
from imagerag.evals.metrics.encoder_scores import (
    INDEPENDENT,
    CachedEncoder,
    Diversity,
    ImageScore,
    RightScore,
    TextScore,
    TimmEncoder,
)
from imagerag.evals.metrics.retrieval import RetrievalScore
from imagerag.evals.metrics.vlm_scores import GradeScore, GradingCalls, VqaScore
from imagerag.formatting.messages import near
from imagerag.tools.embedders.full_spec import full_spec

KINDS: Final[Mapping[str, str]] = {
    "text": "cosine of prompt and image: text:independent, text:ViT-B-32/laion2b_s34b_b79k, text:ViT-B-16-SigLIP/webli",
    "right": "whether the prompt fits better than its hard negatives: right:independent",
    "image": "cosine with images of the real thing: image:independent, image:ViT-B-32/laion2b_s34b_b79k",
    "dino": "the same through a timm model: dino:vit_base_patch16_224.dino",
    "diversity": "how unlike the images of a case's seeds are: diversity:independent",
    "vqa": "probability that a model says yes: vqa:openai:MODEL",
    "grade": "a model's marks from 0 to 4: grade:openai:MODEL; never the judge of the loop",
    "retrieval": "precision, recall, MRR and nDCG of the searches, where the case names what would help",
    "work": "calls, cost, searches, redrawings",
}

SKETCH: Final = ("text:independent", "right:independent", "image:independent", "retrieval", "work")
GENERAL: Final = ("retrieval", "work")

GROUP: Final = "imagerag.metrics"
"""The entry points of installed packages."""

Factory = Callable[[str], Metric]
_OWN: Final[dict[str, Factory]] = {}


def use_metric(name: str, factory: Factory) -> None:
    """Register a custom metric under a name, for the evaluations of this process.

    Args:
        name: the part of its specs before a colon: lower-case letters, digits, `-` and `_`.
        factory: makes the metric of a spec; for instance a class whose `__init__` takes the spec.

    Raises:
        SpecError: the name is taken or invalid, or the factory does not take a spec.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise SpecError(f"{name!r} cannot be a metric's name: use lower-case letters, digits, '-' and '_'")
    if name in KINDS:
        raise SpecError(f"there is a metric {name!r} already; there are: {', '.join(KINDS)}")
    check_factory(factory, f"metric {name!r}", name)
    _OWN[name] = factory


def kinds() -> dict[str, str]:
    """Name → description of all metrics: built-in, registered, and of installed packages."""
    own = {name: _summary_of(factory) for name, factory in _OWN.items()}
    return {**{point.name: f"from {point.value}" for point in entry_points(group=GROUP)}, **own, **KINDS}


def _summary_of(factory: Factory) -> str:
    return ((factory.__doc__ or "").strip().splitlines() or ["of your own"])[0]


def check_metric(what: str, metric: object) -> Metric:
    """Check that an object is a metric.

    Raises:
        SpecError: attributes or methods are missing; the message names all of them.
    """
    check_port(Metric, what, metric)
    if hasattr(metric, "across"):
        check_port(AcrossSeeds, what, metric)
    checked: Metric = metric  # type: ignore[assignment]
    return checked


def _installed(name: str) -> Factory | None:
    """The factory of a metric that an installed package or this process registered."""
    if name in _OWN:
        return _OWN[name]
    for point in entry_points(group=GROUP, name=name):
        description = f"the metric {name!r} of {point.value}"
        try:
            factory: Factory = point.load()
        except Exception as error:
            raise SpecError(f"{description} cannot be loaded ({type(error).__name__}: {error})") from error
        check_factory(factory, description, name)
        return factory
    return None


@dataclass
class MetricMaker:
    """Makes metrics that share their encoders.

    Attributes:
        judges: the judge specs of the arms, which may not grade.
        config: the config of graders' calls: the cache mode.
        graded: the calls that graders made.
    """

    dependencies: EvalDependencies
    judges: frozenset[str] = frozenset()
    config: RunConfig = field(default_factory=RunConfig)
    graded: GradingCalls = field(default_factory=GradingCalls)
    _encoders: dict[str, Any] = field(default_factory=dict)
    _cached: dict[str, CachedEncoder] = field(default_factory=dict)

    def all(self, specs: Iterable[str | Metric]) -> list[Metric]:
        """Make the metrics of these specs; a metric object is returned as it is.

        Raises:
            UsageError: an unknown metric, an object that is no metric, or a grader that is a judge of the loop.
        """
        return [self.one(spec.strip()) if isinstance(spec, str) else check_metric("metric", spec) for spec in specs]

    def one(self, spec: str) -> Metric:
        """Make the metric of one spec."""
        name, _, option = spec.partition(":")
        factories: dict[str, Callable[[], Metric]] = {
            "text": lambda: TextScore(spec, self._embedder(option), self._cached_encoder(option)),
            "right": lambda: RightScore(spec, self._embedder(option), self._cached_encoder(option)),
            "image": lambda: ImageScore(spec, self._embedder(option), self._cached_encoder(option)),
            "diversity": lambda: Diversity(spec, self._embedder(option), self._cached_encoder(option)),
            "dino": lambda: ImageScore(spec, self._timm(option), self._cached_encoder(f"timm:{option}")),
            "vqa": lambda: VqaScore(spec, option, self.dependencies, self.judges, self.config, self.graded),
            "grade": lambda: GradeScore(spec, option, self.dependencies, self.judges, self.config, self.graded),
            "retrieval": RetrievalScore,
            "work": CostScore,
        }
        factory = factories.get(name)
        if factory is None and (own := _installed(name)) is not None:
            return check_metric(f"metric {spec!r}", own(spec))
        if factory is None or (not option and name not in ("retrieval", "work")):
            there = "\n".join(f"  {kind:10} {description}" for kind, description in kinds().items())
            if factory is not None:
                raise UsageError(f"{spec!r}: after a colon comes what measures it. There are:\n{there}")
            guess = near(name, factories)
            hint = f"did you mean {guess!r}? " if guess else ""
            raise UsageError(f"no metric {spec!r}; {hint}There are:\n{there}")
        return factory()

    def _embedder(self, spec: str) -> Embedder:
        if spec not in self._encoders:
            self._encoders[spec] = (
                independent_encoder() if spec == "independent" else self.dependencies.embedder(full_spec(spec))
            )
        embedder: Embedder = self._encoders[spec]
        return embedder

    def _timm(self, spec: str) -> TimmEncoder:
        encoder: TimmEncoder = self._encoders.setdefault(f"timm:{spec}", TimmEncoder(spec))
        return encoder

    def _cached_encoder(self, spec: str) -> CachedEncoder:
        encoder = self._timm(spec.removeprefix("timm:")) if spec.startswith("timm:") else self._embedder(spec)
        return self._cached.setdefault(spec, CachedEncoder(encoder))


def independent_encoder() -> Embedder:
    """The sketch world's second encoder: its seed and architecture differ from those of the encoder that retrieves and
    judges."""
    from imagerag.tools.embedders.openclip import OpenClipEmbedder

    return DeterministicEmbedder(OpenClipEmbedder(f"local-dir:{INDEPENDENT}", spec="independent"))


def default_metrics(suite: str) -> Sequence[str]:
    """The default metrics of a suite."""
    return SKETCH if suite == "sketch" else GENERAL
