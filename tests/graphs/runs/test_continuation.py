"""Going on from where a run ended: more rounds, other references, another prompt."""

from typing import Any

import pytest

from imagerag.agent.errors import RunStateError, UnknownRunError, UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Concept, Outcome, Requirement, RequirementCheck, Verdict
from imagerag.assistants.run_text import format_run
from imagerag.graphs.runs.continuation import ContinueOptions
from imagerag.graphs.runs.events import last_record
from tests.scripted_runs import scripted_run

CAPTION = "a detailed picture of a heart"


async def gone_on(stage: Any, *judgements: Any, **steering: Any) -> RunRecord:
    stage.judge.enqueue(*judgements)
    return await last_record(stage.runner.continue_run("first", ContinueOptions(**steering), new_id="second"))


def asked(part: Any, method: str) -> int:
    return sum(call.method == method for call in part.calls)


async def test_more_rounds_go_on_without_drawing_or_judging_again(stage):
    used = stage.library.plant(CAPTION, similarity=0.9)
    spare = stage.library.plant(CAPTION, similarity=0.8)
    first = await scripted_run(stage, ["a heart"], ["a heart"], max_rounds=1)
    assert first.outcome is Outcome.BEST_EFFORT
    drawn, judged = asked(stage.generator, "generate"), asked(stage.judge, "critique")
    record = await gone_on(stage, [], more_rounds=1)
    assert record.outcome is Outcome.ALIGNED
    assert record.parent_run.run_id == "first"
    assert (asked(stage.generator, "generate"), asked(stage.judge, "critique")) == (drawn + 1, judged + 1)
    assert record.attempts[0].image == first.attempts[first.best_attempt].image
    # What did not help in the first run is not sent again in the second.
    assert [ref.image for ref in record.references] == [spare] != [used]
    assert record.requirements == first.requirements


async def test_what_somebody_wishes_for_is_what_comes_and_the_picture_before_stays_in_its_own_run(stage):
    stage.library.plant(CAPTION)
    wanted = stage.library.plant("another heart")
    first = await scripted_run(stage, [])
    record = await gone_on(stage, ["a heart"], add_images=[wanted.sha256], more_rounds=0)
    assert (record.outcome, record.best_attempt, len(record.attempts)) == (Outcome.BEST_EFFORT, 0, 1)
    assert [ref.image for ref in record.references] == [wanted]
    assert record.requirements == first.requirements
    assert (await stage.runner.record("first")).outcome is Outcome.ALIGNED


async def test_the_run_that_ended_stays_as_it_was(stage):
    stage.library.plant(CAPTION)
    await scripted_run(stage, ["a heart"], ["a heart"], max_rounds=1)
    before = await stage.runner.record("first")
    await gone_on(stage, [], prompt="a red heart")
    assert await stage.runner.record("first") == before


async def test_a_reference_that_is_not_wanted_goes_with_every_picture_it_made(stage):
    unwanted = stage.library.plant(CAPTION, similarity=0.9)
    other = stage.library.plant(CAPTION, similarity=0.8)
    first = await scripted_run(stage, ["a heart"], [])
    assert (first.outcome, [ref.image for ref in first.references]) == (Outcome.ALIGNED, [unwanted])
    record = await gone_on(stage, [], exclude_images=[1])
    assert record.attempts[0].image == first.attempts[0].image
    assert [ref.image for ref in record.references] == [other]
    assert record.excluded_images == [unwanted.sha256]
    stage.judge.enqueue([])
    third = await last_record(stage.runner.continue_run("second", ContinueOptions(prompt="two hearts"), new_id="third"))
    assert third.excluded_images == [unwanted.sha256]


async def test_a_run_whose_every_picture_used_it_draws_anew(stage):
    unwanted = stage.library.plant("a heart", similarity=0.9)
    other = stage.library.plant("a heart", similarity=0.8)
    first = await scripted_run(stage, [], start="retrieve", max_references=1)
    assert [ref.image for ref in first.references] == [unwanted]
    record = await gone_on(stage, [], exclude_images=[unwanted.sha256[:8]])
    assert [ref.image for ref in record.references] == [other]
    assert record.outcome is Outcome.ALIGNED


async def test_a_reference_that_is_kept_goes_with_every_drawing(stage):
    kept = stage.library.plant(CAPTION, similarity=0.9)
    fresh = stage.library.plant("a detailed picture of a star", similarity=0.9)
    await scripted_run(stage, ["a heart"], [])
    record = await gone_on(stage, ["a star"], [], prompt="a heart and a star", keep_images=[1])
    assert [[ref.image for ref in attempt.references] for attempt in record.attempts] == [[kept], [kept, fresh]]
    assert [pin.image for pin in record.kept_images] == [kept]


async def test_what_is_to_be_used_is_drawn_with_next_even_when_the_judge_was_content(stage):
    stage.library.plant(CAPTION, similarity=0.9)
    wanted = stage.library.plant("a heart", similarity=0.4, title="Mine")
    await scripted_run(stage, [])
    record = await gone_on(stage, [], add_images=[wanted.sha256])
    assert asked(stage.generator, "generate") == 2
    assert [(ref.image, ref.selected_by, ref.title) for ref in record.attempts[-1].references] == [
        (wanted, "by_hand", "Mine")
    ]


async def test_another_prompt_is_drawn_at_once_with_the_references_of_the_picture_before(stage):
    heart = stage.library.plant(CAPTION)
    star = stage.library.plant("a detailed picture of a star")
    first = await scripted_run(stage, ["a heart"], [])
    record = await gone_on(stage, ["a star"], [], prompt="a heart and a star")
    assert record.prompt == "a heart and a star"
    assert [[ref.image for ref in attempt.references] for attempt in record.attempts] == [[heart], [star, heart]]
    assert record.requirements != first.requirements
    assert record.outcome is Outcome.ALIGNED


async def test_another_prompt_without_references_begins_as_every_run_does(stage):
    await scripted_run(stage, [])
    record = await gone_on(stage, [], prompt="a star")
    assert (record.outcome, len(record.attempts), asked(stage.generator, "generate")) == (Outcome.ALIGNED, 1, 2)


async def test_another_prompt_with_references_to_use_draws_at_once(stage):
    wanted = stage.library.plant("a star", similarity=0.4)
    await scripted_run(stage, [])
    record = await gone_on(stage, [], prompt="a star", add_images=[wanted.sha256])
    assert [[ref.image for ref in attempt.references] for attempt in record.attempts] == [[wanted]]


async def test_another_seed_draws_anew_with_the_same_references_and_checklist(stage):
    heart = stage.library.plant(CAPTION)
    first = await scripted_run(stage, ["a heart"], [])
    record = await gone_on(stage, [], seed=7)
    assert [[ref.image for ref in attempt.references] for attempt in record.attempts] == [[heart]]
    assert (record.setup.config.seed, record.attempts[0].variation.seed) == (7, 7)
    assert record.requirements == first.requirements


async def test_what_may_be_spent_can_be_set_anew(stage):
    stage.library.plant(CAPTION)
    await scripted_run(stage, ["a heart"], max_calls=2)
    record = await gone_on(stage, [], max_calls=4)
    assert (record.outcome, record.setup.config.max_calls) == (Outcome.ALIGNED, 4)


async def test_an_unread_verdict_is_asked_for_again(stage):
    first = await scripted_run(stage, ConnectionError("gone"))
    assert first.outcome is not Outcome.ALIGNED
    record = await gone_on(stage, [])
    assert (record.outcome, asked(stage.generator, "generate")) == (Outcome.ALIGNED, 1)


@pytest.mark.parametrize(
    ("steering", "told"),
    [
        ({}, "aligned already"),
        ({"exclude_images": [7]}, "lists 1"),
        ({"keep_images": ["zzzzzzz"]}, "no id of an image"),
        ({"add_images": ["0" * 64]}, "not in library"),
        ({"add_images": [1]}, "lists 1"),
        ({"keep_images": [1], "exclude_images": [1]}, "both wanted and not wanted"),
        ({"prompt": "\0"}, "NUL"),
        ({"prompt": ""}, "the prompt is empty"),
        ({"prompt": 3}, "the prompt has to be text, not int"),
        ({"feedback": 3}, "the feedback has to be text, not int"),
        ({"exclude_images": "12"}, r"exclude_images is a list of images, also of one: \['12'\]"),
        ({"seed": 0}, "aligned already"),
        ({"seed": -1}, "seed"),
        ({"feedback": ""}, "the feedback is empty"),
        ({"feedback": [" \n"]}, "the feedback is empty"),
        ({"feedback": "red " * 500}, "at most 1000"),
        ({"feedback": [f"make it {n}" for n in range(21)]}, "at most 20"),
        ({"feedback": "a \0 heart"}, "NUL"),
        ({"more_rounds": 99, "prompt": "x"}, "more_rounds: at most 20"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_spent(stage, steering, told):
    stage.library.plant(CAPTION)
    await scripted_run(stage, ["a heart"], [])
    calls = len(stage.generator.calls) + len(stage.judge.calls)
    with pytest.raises(UsageError, match=told):
        await gone_on(stage, **steering)
    assert len(stage.generator.calls) + len(stage.judge.calls) == calls
    with pytest.raises(UnknownRunError):
        await stage.runner.record("second")


async def test_a_run_that_waits_is_answered_first(stage):
    stage.library.plant(CAPTION)
    await scripted_run(stage, ["a heart"], select=True)
    with pytest.raises(RunStateError, match=r"choose=\[1, 2\]"):
        await gone_on(stage)


async def test_more_than_the_generator_takes_is_refused(make_stage, tmp_path):
    stage = make_stage(tmp_path / "home", max_references=1)
    first, second = (stage.library.plant("a heart", similarity=s) for s in (0.9, 0.8))
    await scripted_run(stage, [])
    with pytest.raises(UsageError, match="at most 1"):
        await gone_on(stage, add_images=[first.sha256, second.sha256])


def verdict_on(feedback: str, *missing: str) -> Verdict:
    """A verdict with a feedback that can mean several things, and what is missing beside it."""
    wishes = [("a red circle", "content", True, ""), (feedback, "feedback", False, f"which thing “{feedback}” means")]
    wishes += [(text, "content", False, "") for text in missing]
    checks = tuple(
        RequirementCheck(
            requirement=Requirement(text=text, kind=kind), met=met, evidence=evidence, unclear=bool(evidence)
        )
        for text, kind, met, evidence in wishes
    )
    return Verdict(aligned=False, score=0.5, checks=checks, missing=tuple(Concept(text=text) for text in missing))


@pytest.mark.parametrize(
    ("feedback", "step"),
    [("make it pink", "feedback='make the red circle pink'"), ("a bit larger", "feedback=TEXT")],
)
async def test_a_feedback_that_can_mean_several_things_ends_the_run_and_what_to_type_is_said(stage, feedback, step):
    stage.library.plant(CAPTION, similarity=0.9)
    await scripted_run(stage, [])
    record = await gone_on(stage, verdict_on(feedback), feedback=feedback)
    assert (record.outcome, record.causes) == (Outcome.NO_USABLE_REFERENCE, ["unclear_feedback"])
    assert record.reason == f"the feedback is unclear: which thing “{feedback}” means"
    assert record.searches == []
    assert record.next_steps[0] == f"say which thing is meant: `rag.runs.continue_('first', {step})`"
    assert "ask the user which thing is meant" in format_run(record)


async def test_what_is_missing_beside_an_unclear_feedback_is_searched_for(stage):
    stage.library.plant(CAPTION, similarity=0.9)
    await scripted_run(stage, [])
    stage.judge.enqueue_captions([CAPTION])
    unclear = verdict_on("make it pink", "a heart")
    record = await gone_on(stage, unclear, unclear, feedback="make it pink", more_rounds=1)
    assert (record.outcome, len(record.attempts)) == (Outcome.BEST_EFFORT, 2)
    assert record.next_steps[0].startswith("say which thing is meant")
