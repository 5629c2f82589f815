"""Compute every metric for every result of a case; a metric that fails is None, with the reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from imagerag.agent.errors import BlobError, ImageRAGError
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.metrics.base import AcrossSeeds, Metric, Sample
from imagerag.evals.result_record import SCORED, Result, Score
from imagerag.evals.suites.case import Case


@dataclass(frozen=True)
class Scoring:
    """Computes the metrics of an evaluation."""

    dependencies: EvalDependencies
    metrics: Sequence[Metric]

    async def scored(self, case: Case, results: Sequence[Result]) -> list[Result]:
        """Score all results of a case, replacing earlier scores."""
        samples = [await self._sample(case, result) for result in results]
        scored = [await measured(sample, self.metrics) for sample in samples]
        for metric in self.metrics:
            if isinstance(metric, AcrossSeeds) and len(case.seeds) > 1:
                for arm in dict.fromkeys(result.arm for result in results):
                    mine = [at for at, result in enumerate(scored) if result.arm == arm]
                    more = await metric.across([samples[at] for at in mine])
                    for at in mine:
                        scored[at] = scored[at].model_copy(update={"scores": {**scored[at].scores, **more}})
        return scored

    async def _sample(self, case: Case, result: Result) -> Sample:
        image = result.image if result.status in SCORED else None
        looks = any(metric.needs_image for metric in self.metrics)
        try:
            data = await self.dependencies.blobs.get(image.sha256) if image and looks else None
        except BlobError:
            data = None
        return Sample(case=case, result=result, dependencies=self.dependencies, image=data)


async def measured(sample: Sample, metrics: Sequence[Metric]) -> Result:
    """Score one result; a metric that fails is None, with the reason."""
    scores: dict[str, Score] = {}
    unscored_reasons: dict[str, str] = {}
    for metric in metrics:
        if metric.needs_image and sample.image is None:
            scores[metric.spec], unscored_reasons[metric.spec] = None, f"no image: {sample.result.status}"
            continue
        try:
            scores |= await metric.measure(sample)
        except ImageRAGError as error:
            scores[metric.spec], unscored_reasons[metric.spec] = None, f"{type(error).__name__}: {error}"
    return sample.result.model_copy(update={"scores": scores, "unscored_reasons": unscored_reasons})
