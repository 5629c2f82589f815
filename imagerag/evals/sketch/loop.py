"""Section `loop`: checks of the whole graph, on prompts that need an image of the library and on others.

A new library holds some of the things that the generator cannot draw. There are three kinds of prompts: those that need
a thing in the library, those that need a thing that is not in it (but similar ones are), and those that need no
reference. An `aligned` run is checked without the judge, by the true content of the references it used.
"""

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from imagerag.agent.calls.costs import requests_made
from imagerag.agent.calls.error_calls import calls_from_error
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome, cost_of_calls
from imagerag.evals.check_record import Check, run_id_of, unscored_check
from imagerag.evals.sketch.context import CheckContext
from imagerag.evals.synthetic_images import SyntheticImage, caption_text, chance, fill, things_in_text
from imagerag.tools.sketch.painting import KNOWN_PATTERNS, KNOWN_SHAPES
from imagerag.tools.sketch.world import BACKGROUNDS, Scene, Thing, all_things, random_scene

SIDE: Final = 256
LIBRARY: Final = "eval-loop"
KINDS: Final = ("held", "absent", "known")
METRICS: Final = {
    "held": ("loop.held.aligned", "loop.held.right_reference"),
    "absent": ("loop.absent.aligned", "loop.absent.no_usable_reference"),
    "known": ("loop.known.aligned", "loop.known.no_search"),
}
"""Metrics of a run of each kind; an aligned run also counts for `FALSE`."""
FALSE: Final = "loop.false_success"


@dataclass(frozen=True)
class Prompt:
    """The prompt of a run.

    Attributes:
        kind: one of `KINDS`.
        things: all things that should be in the image.
    """

    kind: str
    things: tuple[Thing, ...]
    background: str | None = None

    @property
    def text(self) -> str:
        """The prompt in canonical words."""
        return caption_text(self.things, self.background)


@dataclass(frozen=True)
class World:
    """The things of one evaluation.

    Attributes:
        held: things unknown to the generator that the library shows.
        absent: things unknown to the generator that are not in the library.
        known: things known to the generator.
        extra: known things that the library also holds.
    """

    held: tuple[Thing, ...]
    absent: tuple[Thing, ...]
    known: tuple[Thing, ...]
    extra: tuple[Thing, ...]

    @classmethod
    def of(cls, seed: int, cases: int) -> "World":
        """Put up to half of the unknown things into the library, so that every absent one has hard negatives in it."""
        things = all_things()
        chance(seed, "loop things").shuffle(things)
        unknown = [thing for thing in things if not generator_knows(thing)]
        drawable = tuple(thing for thing in things if generator_knows(thing))
        half = min(max(cases, 8), len(unknown) // 2)
        return cls(tuple(unknown[:half]), tuple(unknown[half : 2 * half]), drawable, drawable[: max(1, half // 3)])


def generator_knows(thing: Thing) -> bool:
    """Whether the generator draws a thing correctly without a reference."""
    return thing.shape in KNOWN_SHAPES and thing.pattern in KNOWN_PATTERNS


def prompts(seed: int, cases: int, world: World) -> list[Prompt]:
    """Prompts of every kind: a thing alone, with a known thing, or on a background; some have two held things."""
    result: list[Prompt] = []
    for kind in KINDS:
        rng = chance(seed, "loop", kind)
        pool: Sequence[Thing] = getattr(world, kind)
        result += [Prompt(kind, *_prompt_things(rng, pool[at % len(pool)], kind, world)) for at in range(cases)]
    return result


def _prompt_things(rng: Random, thing: Thing, kind: str, world: World) -> tuple[tuple[Thing, ...], str | None]:
    form = rng.choices(("alone", "with_known", "on_background", "pair"), (4, 3, 2, 1))[0]
    if form == "on_background":
        return (thing,), rng.choice(BACKGROUNDS)
    others = world.held if form == "pair" and kind == "held" else world.known
    companions = () if form == "alone" else (rng.choice([other for other in others if other != thing]),)
    return tuple(rng.sample((thing, *companions), 1 + len(companions))), None


async def check_loop(context: CheckContext) -> AsyncIterator[Check]:
    """Make `context.cases` runs of every kind against one fresh library."""
    world = World.of(context.seed, context.cases)
    stock = [*world.held, *world.extra]
    numbers = {kind: itertools.count() for kind in KINDS}
    cases = {
        f"loop/{prompt.kind}/{next(numbers[prompt.kind]):04}": prompt
        for prompt in prompts(context.seed, context.cases, world)
    }
    context.begin("loop", len(stock) + len(cases))
    if not context.wants_any(cases):
        context.step(len(stock) + len(cases))
        return
    rng = chance(context.seed, "loop library")
    library = await context.new_library(LIBRARY)
    scenes = await fill(
        library, [SyntheticImage.of(random_scene(rng, (thing,)), SIDE) for thing in stock], context.step
    )
    for name, prompt in cases.items():
        if context.wants(name):
            yield await run(context, name, prompt, scenes)
        context.step()


async def run(context: CheckContext, id: str, prompt: Prompt, scenes: dict[str, Scene]) -> Check:
    """Run the graph once, with its own seed, and score its outcome.

    Args:
        scenes: id → true content of the library's images.
    """
    config = context.setup.config.model_copy(update={"seed": int(id[-4:])})
    setup = context.setup.model_copy(update={"library": LIBRARY, "config": config})
    record = None
    try:
        async for event in context.dependencies.runner.start(prompt.text, setup, run_id=run_id_of(id)):
            record = event.record or record
        assert record is not None, "a run's last event carries its record"
        return score_run(id, prompt, record, scenes)
    except Exception as error:
        calls = calls_from_error(error)
        return unscored_check(
            id,
            prompt.text,
            METRICS[prompt.kind],
            error,
            calls=requests_made(calls, done_again=False),
            cost_usd=cost_of_calls(calls),
        )


def score_run(id: str, prompt: Prompt, record: RunRecord, scenes: dict[str, Scene]) -> Check:
    """Score a finished run; one that ended `failed` or without a verdict has no result."""
    kind, outcome = prompt.kind, record.outcome
    costs: Any = {"calls": sum(record.calls.values()), "cost_usd": record.cost_usd}
    note = f"{outcome} after {len(record.attempts) - 1} redrawn, {len(record.searches)} searches: {record.reason}"
    if outcome in (Outcome.FAILED, Outcome.JUDGE_UNAVAILABLE, None):
        results = dict.fromkeys(METRICS[kind])
        return Check(id=id, prompt=prompt.text, results=results, note=note, error=record.error or str(outcome), **costs)
    aligned = outcome == Outcome.ALIGNED
    wrong = image_errors(prompt, record, scenes)
    second = {
        "held": not wrong,
        "absent": outcome == Outcome.NO_USABLE_REFERENCE,
        "known": not record.searches,
    }[kind]
    results = dict(zip(METRICS[kind], (aligned, second), strict=True))
    if aligned:
        results[FALSE] = bool(wrong)
    details = wrong if aligned or kind == "held" else []
    return Check(id=id, prompt=prompt.text, results=results, note=". ".join([note, *details]), **costs)


def image_errors(prompt: Prompt, record: RunRecord, scenes: dict[str, Scene]) -> list[str]:
    """The certain errors in a run's image, derived from its references alone.

    An unknown thing is drawn correctly only with a reference that shows it; a reference that shows something else
    spoils it. Known things are drawn correctly.
    """
    reference_things = [
        (things_in_text(reference.concept), scenes[reference.image.sha256].things) for reference in record.references
    ]
    errors = [
        f"{caption_text([thing])} was not among what the references show"
        for thing in prompt.things
        if not generator_knows(thing)
        and not any(thing in stands_for and thing in things for stands_for, things in reference_things)
    ]
    return errors + [
        f"{caption_text([thing])} was drawn from an image of {caption_text(things)}"
        for stands_for, things in reference_things
        for thing in stands_for
        # The generator assigns a shared reference to one of its things; one for a single thing always replaces it.
        if len(stands_for) == 1 and thing in prompt.things and thing not in things and generator_knows(thing)
    ]
