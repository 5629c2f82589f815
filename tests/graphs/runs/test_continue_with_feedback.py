"""Going on with feedback: a requirement for good, and an image that is changed, or drawn anew."""

from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from imagerag.agent.errors import UsageError
from imagerag.agent.feedback import with_feedback
from imagerag.agent.images.encoding import png
from imagerag.agent.ports import Capabilities
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome, Requirement, Subject
from imagerag.graphs.runs.continuation import ContinueOptions
from imagerag.graphs.runs.events import last_record
from imagerag.graphs.runs.fork import ForkOptions
from imagerag.tools.testing.fakes import sample_image
from tests.scripted_runs import scripted_run

CAPTION = "a detailed picture of a heart"
RED = "make it red"
BIG = "make it bigger"


async def gone_on(stage: Any, *judgements: Any, of: str = "first", to: str = "second", **options: Any) -> RunRecord:
    stage.judge.enqueue(*judgements)
    return await last_record(stage.runner.continue_run(of, ContinueOptions(**options), new_id=to))


def sent(record: RunRecord) -> list[list[tuple[str, str]]]:
    return [[(one.role, one.image.sha256) for one in attempt.references] for attempt in record.attempts]


def drawn_with(stage: Any) -> str:
    return str(stage.generator.calls[-1].arguments["prompt"])


def no_edits(stage: Any) -> None:
    stage.generator.capabilities = replace(stage.generator.capabilities, edits=False)


async def test_the_image_is_changed_and_the_words_are_a_requirement_of_every_attempt(stage):
    heart = stage.library.plant(f"a detailed picture of {RED}")
    first = await scripted_run(stage, [])
    record = await gone_on(stage, [RED], [], feedback=f"  {RED}\n")
    assert (record.outcome, record.feedback, record.prompt) == (Outcome.ALIGNED, [RED], "a heart")
    assert record.requirements == [Requirement(text="a heart"), Requirement(text=RED, kind="feedback")]
    edited = ("edit", first.image.sha256)
    # What the judge misses of it is looked for in the library, as anything else is.
    assert sent(record) == [[edited], [edited, ("reference", heart.sha256)]]
    for attempt in record.attempts:
        assert [check.requirement.kind for check in attempt.verdict.checks] == ["content", "feedback"]
    assert drawn_with(stage).endswith(RED)
    assert "a heart" not in record.attempts[0].prompt
    asked = [call.arguments["prompt"] for call in stage.judge.calls if call.method == "critique"]
    assert asked[1:] == [with_feedback("a heart", [RED])] * 2
    assert sum(record.calls.values()) == len(record.call_log)


async def test_a_generator_that_does_not_edit_draws_anew_with_the_references_and_the_words(stage):
    no_edits(stage)
    heart = stage.library.plant(CAPTION)
    await scripted_run(stage, ["a heart"], [])
    record = await gone_on(stage, [], feedback=RED)
    assert sent(record) == [[("reference", heart.sha256)]]
    assert (record.revision, record.outcome) == (None, Outcome.ALIGNED)
    assert with_feedback("a heart", [RED]) in drawn_with(stage)


async def test_feedback_adds_up_and_only_what_is_new_is_changed(stage):
    await scripted_run(stage, [])
    second = await gone_on(stage, [], feedback=RED)
    third = await gone_on(stage, [], of="second", to="third", feedback=BIG)
    assert third.feedback == [RED, BIG]
    assert [(one.text, one.kind) for one in third.requirements] == [
        ("a heart", "content"),
        (RED, "feedback"),
        (BIG, "feedback"),
    ]
    assert third.revision.image.sha256 == second.image.sha256
    assert third.revision.instruction == BIG
    fourth = await gone_on(stage, [], of="third", to="fourth", prompt="a star")
    assert (fourth.feedback, fourth.revision) == ([RED, BIG], None)
    assert with_feedback("a star", [RED, BIG]) in drawn_with(stage)


async def test_several_at_once_and_one_that_was_given_before(stage):
    await scripted_run(stage, [])
    await gone_on(stage, [], feedback=[RED, BIG])
    record = await gone_on(stage, [], of="second", to="third", feedback=RED)
    # What was said last overrides what was said before it.
    assert (record.feedback, record.revision.instruction) == ([BIG, RED], RED)


async def test_what_was_not_done_before_is_told_once_more(stage):
    await scripted_run(stage, [])
    await gone_on(stage, [RED], feedback=RED, more_rounds=0)
    record = await gone_on(stage, [], of="second", to="third", feedback=BIG)
    assert record.revision.instruction == f"{RED}; {BIG}"


async def test_more_rounds_go_on_with_the_same_change(stage):
    await scripted_run(stage, [])
    second = await gone_on(stage, [RED], feedback=RED, more_rounds=0)
    assert second.outcome is Outcome.BEST_EFFORT
    stage.library.plant(f"a detailed picture of {RED}")
    third = await gone_on(stage, [], of="second", to="third", more_rounds=1)
    assert (third.outcome, third.feedback, third.revision) == (Outcome.ALIGNED, [RED], second.revision)
    assert third.attempts[-1].prompt.endswith(RED)


async def test_who_is_in_the_image_that_is_changed_is_credited_still(stage):
    heart = stage.library.plant(CAPTION, title="A heart", licence="CC-BY-4.0")
    await scripted_run(stage, ["a heart"], [])
    record = await gone_on(stage, [], feedback=RED)
    assert [(one.role, one.licence) for one in record.references] == [("edit", ""), ("reference", "CC-BY-4.0")]
    again = await gone_on(stage, [], of="second", to="third", exclude_images=[2], feedback=BIG)
    assert again.excluded_images == [heart.sha256]
    # Every image so far was made with what is not wanted any more: none of them is changed.
    assert (again.revision, sent(again)) == (None, [[]])


@pytest.mark.parametrize("option", ["keep_images", "exclude_images"])
async def test_the_image_that_is_changed_is_no_reference(stage, option):
    await scripted_run(stage, [])
    await gone_on(stage, [], feedback=RED)
    with pytest.raises(UsageError, match=r"^1 of run second is the image that is changed.* it has no reference$"):
        await gone_on(stage, of="second", to="third", feedback=BIG, **{option: [1]})


async def test_a_choice_of_references_goes_with_the_image_that_is_changed(stage):
    wanted = stage.library.plant("another heart")
    first = await scripted_run(stage, [])
    record = await gone_on(stage, [], feedback=RED, add_images=[wanted.sha256])
    assert sent(record) == [[("edit", first.image.sha256), ("reference", wanted.sha256)]]


async def test_where_there_is_no_room_for_the_image_it_is_drawn_anew(make_stage, tmp_path):
    stage = make_stage(tmp_path / "home", max_references=1)
    wanted = stage.library.plant("another heart")
    await scripted_run(stage, [])
    record = await gone_on(stage, [], feedback=RED, add_images=[wanted.sha256])
    assert sent(record) == [[("reference", wanted.sha256)]]
    assert record.revision is None


async def test_an_edited_image_is_changed_further_within_its_mask(stage):
    stage.generator.capabilities = Capabilities(edits=True, takes_mask=True)
    blobs = stage.runner.dependencies.blobs
    hole = Image.new("RGBA", (16, 16), "white")
    hole.paste((0, 0, 0, 0), (0, 0, 8, 8))
    room, mask = await blobs.put(sample_image("room")), await blobs.put(png(hole))
    own = Subject(image=room, intent="edit", mask=mask)
    first = await scripted_run(stage, [], subjects=[own])
    assert first.image.width == room.width
    record = await gone_on(stage, [], feedback=RED)
    assert [(one.role, one.selected_by, one.mask) for one in record.attempts[0].references] == [
        ("edit", "parent_run", mask)
    ]
    assert record.attempts[0].mask.held


async def test_a_judge_that_takes_no_feedback_reads_it_in_the_prompt(stage):
    stage.judge.capabilities = Capabilities()
    await scripted_run(stage, [])
    record = await gone_on(stage, [], feedback=RED)
    call = stage.judge.calls[-1]
    assert (call.arguments["requirements"], call.arguments["prompt"]) == ([], with_feedback("a heart", [RED]))
    assert record.outcome is Outcome.ALIGNED


async def test_a_replay_of_it_costs_nothing_and_is_the_same(stage):
    stage.library.plant(f"a detailed picture of {RED}")
    await scripted_run(stage, [])
    record = await gone_on(stage, [RED], [], feedback=RED)
    calls = len(stage.generator.calls) + len(stage.judge.calls)
    again = await last_record(stage.runner.replay("second", ForkOptions(step=1), new_id="again"))
    assert again.canonical().model_dump_json() == record.canonical().model_dump_json()
    assert len(stage.generator.calls) + len(stage.judge.calls) == calls
    stage.judge.enqueue([])
    other = await last_record(stage.runner.replay("second", ForkOptions(step=1, prompt="a star"), new_id="other"))
    assert other.attempts[0].prompt.endswith(with_feedback("a star", [RED]))


@pytest.mark.parametrize("mode", ["fused", "stepwise"])
async def test_either_way_of_judging_reads_it(stage, mode):
    await scripted_run(stage, [], judge_mode=mode)
    record = await gone_on(stage, [], feedback=RED)
    assert record.outcome is Outcome.ALIGNED
    assert stage.judge.calls[-1].arguments["prompt"] == with_feedback("a heart", [RED])
