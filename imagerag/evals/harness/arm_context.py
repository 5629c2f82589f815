"""One case with one seed, as the procedure of an arm sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from imagerag.agent.calls.budget import estimators_of
from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.outcomes import best_attempts
from imagerag.agent.ports import Critique, GeneratedImageRef, ImagePart
from imagerag.agent.run_record import RunRecord, run_record
from imagerag.agent.types import Attempt, ImageRef, Requirement, RunResult, RunSpec, SamplingParams, Subject
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.retries import with_retries
from imagerag.evals.suites.case import Case


@dataclass
class ArmContext:
    """One case with one seed, and everything that an arm may work with.

    Attributes:
        setup: backends, library and config of this run.
        run_id: what its calls are kept under in the journal: the same for the same arm, case and seed.
        initial: the picture to start from; None when the arm draws its own.
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
        """Run the generation graph from the initial picture, with some config set otherwise; its record.

        A second run in one job needs a `run_id` of its own to pay for itself: give `run_id="…"`.
        """
        run_id = str(config.pop("run_id", self.run_id))
        wanted = self.case.filtered(self.setup.config.model_copy(update=config))
        setup = self.setup.model_copy(update={"config": wanted})
        record = None
        async for event in self.dependencies.runner.start(
            self.case.prompt, setup, subjects=self.subjects, initial_image=self.initial, run_id=run_id
        ):
            record = event.record or record
        assert record is not None, "a run's last event carries its record"
        return record

    async def draw(self, prompt: str, *, round: int = 0) -> Attempt:
        """Draw a picture without references, with the case's own pictures; through the journal."""
        generator, calls = self.dependencies.generator(self.setup.generator), self.booked()
        variation, size = SamplingParams(seed=self.seed), self.setup.config.size
        calls.round = round

        async def draw() -> GeneratedImageRef:
            parts = [await self.part(subject) for subject in self.subjects]
            drawn = await generator.generate(prompt, parts, variation=variation, size=size)
            image = await self.dependencies.blobs.put(drawn.data)
            told = {name: getattr(drawn, name) for name in ("revised_prompt", "cost_usd", "usage", "served_by")}
            return GeneratedImageRef(image=image, **told, fallback_errors=drawn.fallback_errors)

        content = {
            "prompt": prompt,
            "images": [["subject", subject.image.sha256, subject.name, ""] for subject in self.subjects],
            "size": str(size) if size else None,
        }
        drawn = await with_retries(
            lambda: calls.make("generate", generator.identity, GeneratedImageRef, content, draw, variation)
        )
        return Attempt(
            index=round,
            round=round,
            prompt=prompt,
            image=drawn.image,
            generator=drawn.served_by or generator.identity,
            variation=variation,
            revised_prompt=drawn.revised_prompt,
        )

    async def critique(self, attempt: Attempt, requirements: Sequence[Requirement] = ()) -> Critique:
        """The loop's judge on a picture, against the case's own prompt and its checklist; through the journal."""
        judge, prompt, mode = self.dependencies.judge(self.setup.judge), self.case.prompt, self.setup.config.judge_mode
        content = {
            "prompt": prompt,
            "image": attempt.image.sha256,
            "subjects": [subject.image.sha256 for subject in self.subjects],
            "requirements": [requirement.model_dump() for requirement in requirements],
            "mode": mode,
        }
        image, subjects = await self.picture(attempt.image), [await self.part(subject) for subject in self.subjects]

        async def ask(variation: SamplingParams) -> Critique:
            return await judge.critique(
                prompt, image, subjects=subjects, requirements=requirements, mode=mode, variation=variation
            )

        calls = self.booked()
        calls.round = attempt.round
        found: Critique = await with_retries(
            lambda: calls.make_readable("judge.critique", judge.identity, Critique, content, ask)
        )
        return found

    async def picture(self, image: ImageRef) -> ImagePart:
        """A picture of the evaluation as models take it."""
        data, media_type = await self.dependencies.blobs.encode_for_model(image.sha256)
        return ImagePart(data=data, media_type=media_type)

    async def part(self, subject: Subject) -> ImagePart:
        """One of the case's own pictures as models take it."""
        part = await self.picture(subject.image)
        return ImagePart(data=part.data, media_type=part.media_type, role="subject", concept=subject.name)

    def booked(self) -> ModelCaller:
        """What this job's own calls go through: budget, journal, record."""
        if self.calls is None:
            generator, judge = (
                self.dependencies.generator(self.setup.generator),
                self.dependencies.judge(self.setup.judge),
            )
            self.calls = ModelCaller(
                config=self.setup.config,
                journal=self.dependencies.held_journal,
                run_id=self.run_id,
                task="",
                before=[],
                round=0,
                failed={},
                tariffs=estimators_of(generator, judge),
            )
        return self.calls

    def record(self, attempts: list[Attempt], ending: RunResult, *, best: int | None = None, **more: Any) -> RunRecord:
        """The record of a procedure that made its calls through this job.

        Args:
            best: the attempt that it gives back; by default the best, as in a run.
            more: what else a run's state would hold: `searches`, `ledger`.
        """
        chosen = best_attempts(attempts)[:1] if best is None else [attempts[best]]
        made = self.calls.made if self.calls else []
        state = {
            "prompt": self.case.prompt,
            "attempts": attempts,
            "calls": made,
            "ending": ending,
            "best": chosen[0].index if chosen else None,
            "setup": self.setup,
            **more,
        }
        return run_record(self.run_id, state)


def given(job: ArmContext) -> Attempt:
    """The picture that all arms of a case start from, as an attempt."""
    assert job.initial is not None, "only called where there is one"
    return Attempt(index=0, round=0, prompt=job.case.prompt, image=job.initial, origin="handed_in")
