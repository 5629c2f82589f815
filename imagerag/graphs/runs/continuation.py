"""Going on from where a run ended: more rounds, feedback, other references, another prompt, another seed.

The run that ended stays as it was. What goes on is a run of its own that begins with the best image so far and what
was found out about it, so nothing that was paid for is asked again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph.graph import START
from pydantic import ValidationError

from imagerag.agent import concept_tracker
from imagerag.agent.errors import RunStateError, UsageError
from imagerag.agent.outcomes import best_attempts
from imagerag.agent.ports import ReferenceLibrary
from imagerag.agent.run_record import RunRecord, references_within
from imagerag.agent.types import Attempt, ParentRun, RunSpec, Subject, UsedReference
from imagerag.formatting.messages import invalid
from imagerag.graphs.runs.image_names import check_names, id_of, references_of
from imagerag.graphs.runs.revisions import revision_of
from imagerag.graphs.validation import validate_feedback


@dataclass(frozen=True, kw_only=True)
class ContinueOptions:
    """Changes for the new run. Images are named by SHA-256, or by the first six characters or more.

    Attributes:
        more_rounds: redrawings at most, 0 to 20.
        exclude_images: references never to be used again; also by number, as the run's record lists its `references`.
        keep_images: references that go with every drawing; also by number.
        add_images: library images to draw with now, whatever the judge says is missing.
        prompt: what to draw from now on, when it is not the same. It is drawn at once, with the references of the
            image it goes on from.
        feedback: what is to be different, in the person's words. It stays a requirement of every later run. The image
            it goes on from is changed where the generator can edit; otherwise it is drawn anew.
        seed: another seed, with which it is drawn anew.
        library: where references come from from now on; several with commas between them.
        max_calls: model calls the new run may make; this and the next three are as they were where nothing is said.
        max_cost_usd: US dollars it may spend.
        assume_cost_usd_per_call: US dollars that a call counts as whose price is not known.
        deadline_s: seconds it may take.
        patience_s: seconds that a call waits at most for a service that says when to ask again.
    """

    more_rounds: int = 2
    exclude_images: Sequence[str | int] = ()
    keep_images: Sequence[str | int] = ()
    add_images: Sequence[str | int] = ()
    prompt: str | None = None
    feedback: str | Sequence[str] | None = None
    seed: int | None = None
    library: str | None = None
    max_calls: int | None = None
    max_cost_usd: float | None = None
    assume_cost_usd_per_call: float | None = None
    deadline_s: float | None = None
    patience_s: float | None = None

    @property
    def feedback_lines(self) -> Sequence[str]:
        """The feedback as a list."""
        if isinstance(self.feedback, list | tuple):
            return self.feedback
        return [] if self.feedback is None else [self.feedback]  # type: ignore[list-item]


@dataclass(frozen=True, kw_only=True)
class InitialState:
    """A state that a new run begins with, as if the node `after` had just made it."""

    after: str
    values: Mapping[str, Any] = field(repr=False)


def apply_options(setup: RunSpec, steering: ContinueOptions) -> RunSpec:
    """Setup of the new run."""
    names = ("seed", "max_calls", "max_cost_usd", "assume_cost_usd_per_call", "patience_s")
    options = {name: getattr(steering, name) for name in names}
    changes = {name: value for name, value in options.items() if value is not None}
    try:
        config = {**setup.config.model_dump(), "max_rounds": steering.more_rounds, "cache": "record", **changes}
        deadline_s = setup.deadline_s if steering.deadline_s is None else steering.deadline_s
        own = {"config": config, "deadline_s": deadline_s, "library": steering.library or setup.library}
        if steering.library:
            own["snapshots"] = {}  # of the library that is named now, whatever it holds
        return RunSpec(**{**setup.model_dump(), **own})
    except ValidationError as error:
        problem = invalid(error, most=1, inside="config")
        raise UsageError(problem.replace("max_rounds: ", "more_rounds: ", 1)) from error


async def continuation(
    record: RunRecord,
    steering: ContinueOptions,
    *,
    subjects: Sequence[Subject],
    limit: int,
    edits: bool = False,
    library: ReferenceLibrary | None,
) -> InitialState:
    """The state from which a run goes on.

    Args:
        record: the run that ended.
        subjects: the user's own images in it.
        limit: how many images may go with a prompt.
        edits: whether the generator changes an image that it is sent.
        library: what it took its references from.

    Raises:
        RunStateError: it has not ended, or there is nothing to do that was not done.
        UsageError: an image that is not known, or more references than may be sent.
    """
    prompt = record.prompt if steering.prompt is None else steering.prompt
    new = validate_feedback(steering.feedback_lines)
    excluded, pinned, references = await _image_choices(record, steering, library)
    sent_count = len(subjects) + len(pinned) + len(references)
    if sent_count > limit:
        raise UsageError(f"at most {limit} can be sent with the prompt: keep or use fewer")
    base = _base(record, excluded)
    values = {
        "prompt": prompt,
        "parent_run": ParentRun(run_id=record.run_id),
        "excluded_images": excluded,
        "kept_images": pinned,
        "subjects": [*subjects],
        "feedback": validate_feedback([*record.feedback, *new]),
        "revision": record.revision if base and prompt == record.prompt else None,
    }
    if base is None or prompt != record.prompt:
        return _anew(values, references or _carried(base, pinned))
    if new:
        edited = any(own.intent == "edit" for own in subjects)
        if edits and sent_count + (not edited) <= limit:
            return _anew(values | {"revision": revision_of(base, record, subjects, new)}, references)
        return _anew(values | {"revision": None}, references or _carried(base, pinned))
    if _is_other_seed(record, steering):
        return _anew(values | {"requirements": record.requirements}, references or _carried(base, pinned))
    return _onward(values, references, base, record)


def _is_other_seed(record: RunRecord, steering: ContinueOptions) -> bool:
    return steering.seed is not None and (record.setup is None or steering.seed != record.setup.config.seed)


def _anew(values: dict[str, Any], references: Sequence[UsedReference]) -> InitialState:
    """Draw what was not drawn before: with references where there are some, else as every run begins."""
    return (
        InitialState(after="select", values=values | _round(references))
        if references or values["revision"] or "requirements" in values
        else InitialState(after=START, values=values)
    )


def _onward(
    values: dict[str, Any], references: Sequence[UsedReference], base: Attempt, record: RunRecord
) -> InitialState:
    """Go on from an image: draw with what was chosen, else find out what it lacks.

    What somebody chose is what they want to see: the image before is left to its own run, and not compared.
    """
    verdict = base.verdict
    if verdict and verdict.aligned and not references:
        raise aligned_already(record.run_id)
    values |= _round(references)
    if not references:
        values["attempts"] = [base.model_copy(update={"index": 0, "round": 0})]
    if verdict and verdict.aligned is not None:
        entries = [
            entry.model_copy(update={"first_missing_round": 0, "resolved_round": None}) for entry in record.concepts
        ]
        tracked = concept_tracker.update_missing(entries, verdict.missing, 0) if verdict.missing else entries
        values |= {"requirements": record.requirements, "tracked_concepts": tracked}
    return InitialState(after="select" if references else "generate", values=values)


def aligned_already(run_id: str) -> RunStateError:
    """The error of going on from an aligned run with nothing to be different."""
    return RunStateError(
        f"run {run_id} is aligned already: say what is to be different (feedback, another prompt or seed, references "
        "to use, or not to use)"
    )


def _round(references: Sequence[UsedReference]) -> dict[str, Any]:
    return {"chosen": list(references), "concepts": [], "concept_tries": 0, "queries": [], "tracked_concepts": []}


def _carried(base: Attempt | None, pinned: Sequence[UsedReference]) -> list[UsedReference]:
    """The references of the image to go on from: another prompt usually speaks of the same things."""
    pinned_shas = {pin.image.sha256 for pin in pinned}
    references = base.references if base else ()
    return [r for r in references if r.role == "reference" and r.image.sha256 not in pinned_shas]


def _base(record: RunRecord, excluded: Sequence[str]) -> Attempt | None:
    """The image to go on from: the best that was not drawn with a reference that is not wanted any more."""
    if not excluded and record.best_attempt is not None:
        return record.attempts[record.best_attempt]
    unwanted = set(excluded)
    fit = [
        a for a in record.attempts if not unwanted & {one.image.sha256 for one in references_within(a, record.revision)}
    ]
    return next(iter(best_attempts(fit)), None)


async def _image_choices(
    record: RunRecord, steering: ContinueOptions, library: ReferenceLibrary | None
) -> tuple[list[str], list[UsedReference], list[UsedReference]]:
    """Images never to be used, those that go with every drawing, and those to draw with next."""
    for parameter in ("exclude_images", "keep_images", "add_images"):
        check_names(getattr(steering, parameter), parameter)
    without = [id_of(name, record) for name in steering.exclude_images]
    keep = [id_of(name, record) for name in steering.keep_images]
    use = [id_of(name, record, numbered=False) for name in steering.add_images]
    if both := set(without) & {*keep, *use}:
        raise UsageError(f"both wanted and not wanted: {', '.join(sorted(both))}")
    excluded = [sha for sha in dict.fromkeys([*record.excluded_images, *without]) if sha not in {*keep, *use}]
    pins = {pin.image.sha256: pin for pin in record.kept_images if pin.image.sha256 not in excluded}
    pins |= {pin.image.sha256: pin for pin in await references_of(keep, record, library)}
    references = await references_of([sha for sha in use if sha not in pins], record, library)
    return excluded, list(pins.values()), references
