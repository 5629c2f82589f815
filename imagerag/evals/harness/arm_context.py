"""The context of an arm's procedure: one case with one seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.image_generation import ImageGeneration
from imagerag.agent.outcomes import best_attempts
from imagerag.agent.ports import Critique, ImageGenerator, ImagePart
from imagerag.agent.run_record import RunRecord, run_record
from imagerag.agent.sent_images import ImageParts, subjects_of
from imagerag.agent.state import RunState
from imagerag.agent.types import (
    Attempt,
    ImageRef,
    Requirement,
    RunResult,
    RunSpec,
    SamplingParams,
    Subject,
    UsedReference,
)
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.retries import with_retries
from imagerag.evals.suites.case import Case


@dataclass
class ArmContext:
    """One case with one seed, and the parts that an arm may use.

    Attributes:
        setup: the backends, library and config of this run.
        run_id: the id of the run's calls in the journal: the same for the same arm, case and seed.
        initial: the image to start from; None when the arm generates its own.
    """

    case: Case
    seed: int
    setup: RunSpec
    dependencies: EvalDependencies
    run_id: str
    initial: ImageRef | None = None
    subjects: tuple[Subject, ...] = ()
    calls: ModelCaller | None = field(default=None, repr=False)

    async def run(self, **config: Any) -> RunRecord:
        """Run the generation graph from the initial image, with some config overridden; returns the record.

        A second run in one context needs a `run_id` of its own: give `run_id="…"`.
        """
        run_id = str(config.pop("run_id", self.run_id))
        run_config = self.case.filtered(self.setup.config.model_copy(update=config))
        setup = self.setup.model_copy(update={"config": run_config})
        record = None
        async for event in self.dependencies.runner.start(
            self.case.prompt, setup, subjects=self.subjects, initial_image=self.initial, run_id=run_id
        ):
            record = event.record or record
        assert record is not None, "a run's last event carries its record"
        return record

    async def draw(self, prompt: str, *, round: int = 0) -> Attempt:
        """Generate an image without references but with the case's own images; through the journal."""
        generator, calls, variation = self._generator, self.model_caller(), SamplingParams(seed=self.seed)
        calls.round = round
        parts = ImageParts(blobs=self.dependencies.blobs, library=None)
        generated = await with_retries(
            lambda: self.image_generation(generator, parts).draw(calls, prompt, self.own_images, variation)
        )
        return Attempt(
            index=round,
            round=round,
            prompt=prompt,
            image=generated.image,
            original=generated.original,
            size=generated.size,
            sources=generated.sources,
            generator=generated.served_by or generator.identity,
            variation=variation,
            revised_prompt=generated.revised_prompt,
            fallback_errors=generated.fallback_errors,
        )

    def image_generation(self, generator: ImageGenerator, parts: ImageParts) -> ImageGeneration:
        """The product's own image generation, without progress events."""
        return ImageGeneration(
            generator=generator,
            blobs=self.dependencies.blobs,
            config=self.setup.config,
            node="regenerate",
            part=parts.reference,
            tell=lambda event: None,
        )

    @property
    def own_images(self) -> list[UsedReference]:
        """The case's own images, as references that are always sent."""
        return subjects_of(cast(RunState, {"subjects": list(self.subjects)}))

    @property
    def _generator(self) -> ImageGenerator:
        return self.dependencies.generator(self.setup.generator)

    async def critique(self, attempt: Attempt, requirements: Sequence[Requirement] = ()) -> Critique:
        """Judge an image against the case's own prompt and its checklist; through the journal."""
        judge, prompt, mode = self.dependencies.judge(self.setup.judge), self.case.prompt, self.setup.config.judge_mode
        content = {
            "prompt": prompt,
            "image": attempt.image.sha256,
            "subjects": [subject.image.sha256 for subject in self.subjects],
            "requirements": [requirement.model_dump() for requirement in requirements],
            "mode": mode,
        }
        image, subjects = await self.image_part(attempt.image), await self.subject_parts()

        async def ask(variation: SamplingParams) -> Critique:
            return await judge.critique(
                prompt, image, subjects=subjects, requirements=requirements, mode=mode, variation=variation
            )

        calls = self.model_caller()
        calls.round = attempt.round
        critique: Critique = await with_retries(
            lambda: calls.execute_and_parse("judge.critique", judge.identity, Critique, content, ask)
        )
        return critique

    async def image_part(self, image: ImageRef) -> ImagePart:
        """Load an image of the evaluation as models take it."""
        return await ImageParts(blobs=self.dependencies.blobs, library=None).image(image)

    async def subject_parts(self) -> list[ImagePart]:
        """Load the case's own images as models take them."""
        parts = ImageParts(blobs=self.dependencies.blobs, library=None)
        return [await parts.reference(subject) for subject in self.own_images]

    def model_caller(self) -> ModelCaller:
        """Make the caller for this case's model calls, with budget, journal and record."""
        if self.calls is None:
            self.calls = ModelCaller(
                config=self.setup.config,
                journal=self.dependencies.held_journal,
                run_id=self.run_id,
                task="",
                before=[],
                round=0,
                failed={},
                backends={"generate": self._generator, "judge": self.dependencies.judge(self.setup.judge)},
            )
        return self.calls

    def record(self, attempts: list[Attempt], result: RunResult, *, best: int | None = None, **more: Any) -> RunRecord:
        """Make the run record of a procedure that made its calls through this context.

        Args:
            best: the attempt that the arm returns; by default the best, as in a run.
            more: further values of a run's state: `searches`, `tracked_concepts`.
        """
        winners = best_attempts(attempts)[:1] if best is None else [attempts[best]]
        calls = self.calls.made if self.calls else []
        state = {
            "prompt": self.case.prompt,
            "attempts": attempts,
            "calls": calls,
            "result": result,
            "best": winners[0].index if winners else None,
            "setup": self.setup,
            **more,
        }
        return run_record(self.run_id, state)


def initial_attempt(job: ArmContext) -> Attempt:
    """The initial image of the case, as an attempt."""
    assert job.initial is not None, "only called where there is one"
    return Attempt(index=0, round=0, prompt=job.case.prompt, image=job.initial, origin="handed_in")
