"""The paths a run can take, node by node, and what it ends with."""

import pytest
from langgraph.types import Command

from imagerag.agent.errors import AuthError, BackendError, JudgeReplyError, RateLimitedError, RefusalError
from imagerag.agent.nodes import Nodes
from imagerag.agent.run_record import run_record
from imagerag.agent.types import Outcome, Requirement, RunConfig, Subject, Verdict
from imagerag.graphs.generation import build_workflow
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary, sample_image

CAPTION = "a detailed picture of a heart"
LOOK_AGAIN = ["extract_concepts", "write_captions", "retrieve", "shortlist", "regenerate", "critique"]


async def test_an_aligned_first_drawing_retrieves_nothing(bench):
    bench.judge.enqueue([])
    record = await bench.run()
    assert bench.path == ["generate", "critique", "finish"]
    assert (record.outcome, record.best_attempt, record.searches) == (Outcome.ALIGNED, 0, [])
    assert record.calls == {"generate": 1, "judge.critique": 1}


async def test_what_is_missing_is_found_and_drawn_again(bench):
    heart = bench.library.plant(CAPTION, title="Heart 1")
    bench.judge.enqueue(["a heart"], [])
    record = await bench.run("a heart and a star")
    assert bench.path == ["generate", "critique", *LOOK_AGAIN, "finish"]
    assert (record.outcome, record.best_attempt) == (Outcome.ALIGNED, 1)
    assert [reference.image for reference in record.references] == [heart]
    assert record.attempts[1].prompt == f"According to these images of {CAPTION}, generate a heart and a star"
    assert [(entry.concept.text, entry.resolved_round) for entry in record.concepts] == [("a heart", 1)]
    assert bench.generator.calls[1].references[0].data == await bench.library.image_bytes(heart.sha256)


async def test_every_attempt_is_judged_by_the_original_prompt_and_the_first_checklist(bench):
    bench.library.plant(CAPTION)
    bench.judge.enqueue(["a heart"], [])
    await bench.run("a heart and a star")
    first, second = bench.judge.calls
    assert first.prompt == second.prompt == "a heart and a star"
    assert first.requirements == []
    assert second.requirements == [Requirement(text="a heart and a star"), Requirement(text="a heart")]


async def test_rounds_spent_gives_the_best_attempt_not_the_last(bench):
    for similarity in (0.9, 0.8, 0.7):
        bench.library.plant(CAPTION, similarity=similarity)
    bench.judge.enqueue(0.2, 0.9, 0.5)
    bench.judge.enqueue_missing(["a heart"], ["a heart"])
    record = await bench.run(max_rounds=2)
    assert (record.outcome, record.best_attempt, len(record.attempts)) == (Outcome.BEST_EFFORT, 1, 3)


async def test_a_worse_redrawing_is_never_returned(bench):
    bench.library.plant(CAPTION)
    bench.judge.enqueue(0.5, 0.1)
    bench.judge.enqueue_missing(["a heart"])
    record = await bench.run(max_rounds=1)
    assert record.best_attempt == 0


async def test_no_rounds_only_judges(bench):
    bench.judge.enqueue(["a heart"])
    record = await bench.run(max_rounds=0)
    assert bench.path == ["generate", "critique", "finish"]
    assert record.outcome is Outcome.BEST_EFFORT
    assert record.unresolved == ["a heart"]


async def test_a_reference_that_did_not_help_is_not_sent_again_and_the_loop_converges(bench):
    first = bench.library.plant(CAPTION, similarity=0.9)
    second = bench.library.plant(CAPTION, similarity=0.8)
    bench.judge.enqueue(["a heart"], ["a heart"], ["a heart"])
    record = await bench.run(max_rounds=10)
    assert [[ref.image for ref in a.references] for a in record.attempts] == [[], [first], [second]]
    assert record.outcome is Outcome.NO_USABLE_REFERENCE
    assert bench.path[-11:] == [
        "extract_concepts", "write_captions", "retrieve", "shortlist",
        "extract_concepts", "write_captions", "extract_concepts", "write_captions",  # the judge names nothing else
        "retrieve", "shortlist", "finish",
    ]  # fmt: skip


async def test_a_reference_that_helped_is_sent_again_after_the_unresolved_ones(bench):
    heart = bench.library.plant(CAPTION)
    stars = [bench.library.plant("a detailed picture of a star", similarity=s) for s in (0.9, 0.8)]
    bench.judge.enqueue(["a heart", "a star"], ["a star"], [])
    record = await bench.run()
    sent = [[(ref.image, ref.selected_by) for ref in attempt.references] for attempt in record.attempts[1:]]
    assert sent == [[(heart, "retrieved"), (stars[0], "retrieved")], [(stars[1], "retrieved"), (heart, "kept")]]


async def test_concepts_the_generator_has_no_room_for_wait_for_the_next_round(bench):
    bench.generator = ScriptedGenerator(max_references=1)
    bench.library.plant(CAPTION)
    star = bench.library.plant("a detailed picture of a star")
    bench.judge.enqueue(["a heart", "a star"], ["a star"], [])
    record = await bench.run()
    decisions = [c.decision for search in record.searches[:2] for c in search.candidates if c.similarity > 0.5]
    assert decisions == ["taken", "reserve"]
    assert [ref.image for ref in record.attempts[2].references] == [star]


async def test_nothing_passes_then_the_prompt_itself_is_searched_with(bench):
    scene = bench.library.plant("a scene", similarity=0.7)
    bench.judge.enqueue(["a heart"], [])
    record = await bench.run("a scene")
    assert bench.path == [
        "generate", "critique", "extract_concepts", "write_captions", "retrieve", "shortlist",
        "extract_concepts", "write_captions", "extract_concepts", "write_captions",  # the judge names nothing else
        "retrieve", "shortlist", "regenerate", "critique", "finish",
    ]  # fmt: skip
    assert [search.query.by for search in record.searches] == ["caption", "prompt"]
    assert [ref.image for ref in record.references] == [scene]
    assert record.outcome is Outcome.ALIGNED


async def test_nothing_at_all_passes(bench):
    bench.library.plant(CAPTION, similarity=0.49)
    bench.judge.enqueue(["a heart"])
    record = await bench.run()
    assert record.outcome is Outcome.NO_USABLE_REFERENCE
    assert "a heart" in record.reason
    assert record.best_attempt == 0
    assert [c.decision for c in record.searches[0].candidates] == ["below_threshold"]
    assert record.searches[0].threshold == 0.5


@pytest.mark.parametrize(("threshold", "taken"), [("off", True), (0.3, True), (0.45, False), ("auto", False)])
async def test_the_threshold_is_the_callers_to_set(bench, threshold, taken):
    bench.library.plant(CAPTION, similarity=0.4)
    bench.judge.enqueue(["a heart"], [])
    record = await bench.run(threshold=threshold, max_rounds=1)
    assert (len(record.attempts) == 2) is taken


async def test_filters_and_the_number_of_candidates_reach_the_library(bench):
    bench.judge.enqueue(["a heart"])
    await bench.run(filter={"category": "toy"}, tags=("x",), licences=("CC0-1.0",), candidates=3)
    asked = bench.library.calls[0]
    assert (asked.k, asked.filter.where.pairs, asked.filter.tags, asked.filter.licences) == (
        3, {"category": "toy"}, ("x",), ("CC0-1.0",),
    )  # fmt: skip


async def test_without_a_library_the_run_still_ends_by_name(bench):
    bench.library = None
    bench.judge.enqueue(["a heart"])
    assert (await bench.run()).outcome is Outcome.NO_USABLE_REFERENCE


async def test_naming_what_is_missing_is_tried_three_times_each_hotter_and_each_its_own_step(bench):
    bench.judge.enqueue(False, True)
    bench.judge.enqueue_missing([], JudgeReplyError("mumbling", raw="hm"), ["a heart"])
    bench.library.plant(CAPTION)
    record = await bench.run(judge_mode="stepwise")
    assert bench.path[:6] == ["generate", "critique", *["extract_concepts"] * 3, "write_captions"]
    tries = [call.variation.temperature for call in record.call_log if call.role == "judge.missing_concepts"]
    assert tries == [0.0, pytest.approx(1 / 3), pytest.approx(5 / 6)]
    assert "hm" in [call.raw_response for call in record.call_log]
    assert record.outcome is Outcome.ALIGNED


async def test_a_judge_that_never_names_anything_falls_back_to_the_prompt(bench):
    bench.judge.enqueue(False)
    bench.judge.enqueue_missing([], [], [])
    record = await bench.run()
    assert bench.path[2:] == [*["extract_concepts"] * 3, "retrieve", "shortlist", "finish"]
    assert record.outcome is Outcome.NO_USABLE_REFERENCE


async def test_a_judge_without_levers_is_asked_only_once(bench):
    bench.judge = ScriptedJudge(False, honours=frozenset())
    bench.judge.enqueue_missing([])
    await bench.run()
    assert bench.path.count("extract_concepts") == 1


async def test_fused_asks_once_a_round_and_stepwise_three_times(bench):
    bench.library.plant(CAPTION)
    bench.judge.enqueue(["a heart"], [])
    fused = await bench.run()
    assert {role: n for role, n in fused.calls.items() if role != "generate"} == {"judge.critique": 2}
    bench.judge.enqueue(False, True)
    bench.judge.enqueue_missing(["a heart"])
    stepwise = await bench.run(thread="stepwise", judge_mode="stepwise")
    assert {role: n for role, n in stepwise.calls.items() if role != "generate"} == {
        "judge.critique": 2, "judge.missing_concepts": 1, "judge.captions": 1,
    }  # fmt: skip


async def test_a_bare_judge_compares_in_both_orders_and_the_first_drawing_stays_unless_both_agree(bench):
    for similarity in (0.9, 0.8):
        bench.library.plant(CAPTION, similarity=similarity)
    bench.judge.enqueue(False, False, False)
    bench.judge.enqueue_missing(["a heart"], ["a heart"])
    bench.judge.enqueue_preferences("second", "second", "second", "first")
    record = await bench.run(judge_mode="stepwise", max_rounds=2)
    assert record.calls["judge.compare"] == 4
    assert record.best_attempt == 2


async def test_an_image_handed_in_is_judged_first_and_nothing_is_drawn_for_it(bench):
    image = await bench.blobs.put(sample_image("mine"))
    bench.judge.enqueue([])
    record = await bench.run(initial_image=image)
    assert record.attempts[0].origin == "handed_in"
    assert (record.image.sha256, record.calls) == (image.sha256, {"judge.critique": 1})


async def test_the_users_own_subjects_are_sent_with_every_drawing_and_use_up_room(bench):
    bench.generator = ScriptedGenerator(max_references=2)
    subject = Subject(image=await bench.blobs.put(sample_image("dog")), name="my dog")
    for text in (CAPTION, "a detailed picture of a star"):
        bench.library.plant(text)
    bench.judge.enqueue(["a heart", "a star"], [])
    record = await bench.run(subjects=[subject])
    roles = [[part.role for part in call.references] for call in bench.generator.calls]
    assert roles == [["subject"], ["subject", "reference"]]
    assert [part.concept for part in bench.judge.calls[0].subjects] == ["my dog"]
    assert record.attempts[0].prompt.startswith("According to these images of my dog")


async def test_no_room_beside_the_subjects_is_said(bench):
    bench.generator = ScriptedGenerator(max_references=1)
    subject = Subject(image=await bench.blobs.put(sample_image("dog")), name="my dog")
    bench.library.plant(CAPTION)
    bench.judge.enqueue(["a heart"])
    record = await bench.run(subjects=[subject])
    assert record.outcome is Outcome.NO_USABLE_REFERENCE
    assert "takes no more images" in record.reason


async def test_retrieving_first_draws_with_references_at_once(bench):
    scene = bench.library.plant("a scene")
    bench.judge.enqueue([])
    record = await bench.run("a scene", start="retrieve")
    assert bench.path == ["retrieve", "shortlist", "regenerate", "critique", "finish"]
    assert (record.attempts[0].index, [ref.image for ref in record.attempts[0].references]) == (0, [scene])


async def test_retrieving_first_and_finding_nothing_still_draws(bench):
    bench.judge.enqueue([])
    record = await bench.run("a scene", start="retrieve")
    assert bench.path == ["retrieve", "shortlist", "generate", "critique", "finish"]
    assert record.outcome is Outcome.ALIGNED


async def test_an_unreadable_verdict_is_asked_for_once_more_then_the_judge_abstains(bench):
    bench.judge.enqueue(JudgeReplyError("not JSON", raw="umm"), JudgeReplyError("not JSON", raw="err"))
    record = await bench.run()
    assert record.outcome is Outcome.JUDGE_UNAVAILABLE
    assert record.attempts[0].verdict == Verdict(status="abstained", aligned=None, reason="not JSON", raw="err")
    assert [call.raw_response for call in record.call_log if call.role == "judge.critique"] == ["umm", "err"]
    assert record.image is not None


async def test_an_unreadable_verdict_read_the_second_time_is_a_verdict(bench):
    bench.judge.enqueue(JudgeReplyError("not JSON", raw="umm"), [])
    assert (await bench.run()).outcome is Outcome.ALIGNED


async def test_a_refusal_is_final_and_says_why(bench):
    bench.generator.enqueue(RefusalError("violence"))
    record = await bench.run()
    assert bench.path == ["finish"]
    assert (record.outcome, record.reason, record.image) == (Outcome.REFUSED, "violence", None)
    assert len(bench.generator.calls) == 1


async def test_a_refused_redrawing_keeps_what_was_drawn(bench):
    bench.library.plant(CAPTION)
    bench.generator.enqueue(None, RefusalError("violence"))
    bench.judge.enqueue(["a heart"])
    record = await bench.run()
    assert (record.outcome, record.best_attempt) == (Outcome.REFUSED, 0)


async def test_a_backend_that_may_recover_is_asked_again_and_each_try_is_in_the_record(bench):
    bench.generator.enqueue(RateLimitedError("slow down"), BackendError("500"), None)
    bench.judge.enqueue([])
    record = await bench.run()
    assert record.outcome is Outcome.ALIGNED
    assert [call.error for call in record.call_log if call.role == "generate"] == ["slow down", "500", None]


async def test_a_service_that_says_how_long_to_wait_is_left_alone_that_long(bench, monkeypatch):
    waits = []

    async def no_sleep(seconds):
        waits.append(seconds)

    bench.generator.enqueue(RateLimitedError("slow down", retry_after_s=7), RateLimitedError("and again"), None)
    bench.judge.enqueue([])
    monkeypatch.setattr("imagerag.agent.calls.model_caller.asyncio.sleep", no_sleep)
    record = await bench.run()
    assert record.outcome is Outcome.ALIGNED
    assert [wait for wait in waits if wait == 7] == [7]


async def test_every_try_of_a_call_carries_the_same_idempotency_key_and_no_other_call_does(bench):
    from imagerag.agent.calls.call_context import current_call

    keys = []

    class Noting(ScriptedGenerator):
        async def generate(self, *given, **named):
            keys.append(current_call().idempotency_key)
            return await super().generate(*given, **named)

    bench.library.plant(CAPTION)
    bench.generator = Noting(BackendError("lost"), None, None)
    bench.judge.enqueue(["a heart"], [])
    await bench.run()
    first, again, second = keys
    assert first == again
    assert None not in keys
    assert second != first


async def test_a_backend_that_cannot_recover_is_not_asked_again(bench):
    bench.generator.enqueue(AuthError("no key"))
    record = await bench.run()
    assert (record.outcome, record.reason) == (Outcome.FAILED, "generate failed: no key")
    assert len(bench.generator.calls) == 1


async def test_a_judge_that_stays_down_leaves_the_drawing(bench):
    bench.judge.enqueue(*[BackendError("down")] * 3)
    record = await bench.run()
    assert (record.outcome, record.best_attempt) == (Outcome.JUDGE_UNAVAILABLE, 0)
    assert len(bench.judge.calls) == 3


async def test_a_generator_that_gives_no_image_fails_by_name(bench):
    bench.generator.enqueue(*[b"<html>"] * 3)
    record = await bench.run()
    assert record.outcome is Outcome.FAILED
    assert "no image" in record.reason


async def test_a_search_that_fails_ends_the_run_once_and_keeps_the_drawing(bench, monkeypatch):
    async def broken(*_, **__):
        raise OSError("disk")

    monkeypatch.setattr(bench.library, "search", broken)
    bench.judge.enqueue(["a heart", "a star"])
    record = await bench.run()
    assert (record.outcome, record.best_attempt) == (Outcome.FAILED, 0)
    assert "disk" in record.reason
    assert bench.path.count("finish") == 1


async def test_a_bug_in_a_judge_is_a_failed_run_not_a_verdict(bench):
    bench.judge.enqueue(ZeroDivisionError("oops"))
    record = await bench.run()
    assert (record.outcome, record.error) == (Outcome.FAILED, "ZeroDivisionError")
    assert record.image is not None


@pytest.mark.parametrize("calls", range(1, 5))
async def test_the_call_budget_is_never_overdrawn(bench, calls):
    bench.library.plant(CAPTION)
    bench.judge.enqueue(["a heart"], [])
    record = await bench.run(max_calls=calls)
    assert len(bench.generator.calls) + len(bench.judge.calls) == calls
    assert record.outcome is (Outcome.ALIGNED if calls == 4 else Outcome.BUDGET_EXHAUSTED)
    assert record.image is not None


async def test_a_failed_try_counts_against_the_budget(bench):
    bench.generator.enqueue(BackendError("500"), BackendError("500"), None)
    record = await bench.run(max_calls=2)
    assert record.outcome is Outcome.BUDGET_EXHAUSTED
    assert len(bench.generator.calls) == 2


async def test_a_deadline_cuts_a_call_that_hangs(bench):
    import time

    bench.generator.latency_s = 30
    record = await bench.run(deadline_at=time.time() + 0.2)
    assert record.outcome is Outcome.BUDGET_EXHAUSTED
    assert "deadline" in record.reason


async def test_a_caption_the_encoder_cannot_read_whole_is_shortened_by_the_judge(bench):
    bench.library = ScriptedLibrary(context_length=8)
    bench.library.plant("a short caption")
    long = Verdict(aligned=False, score=0.0, missing=({"text": "a heart", "caption": "very " * 20},))
    bench.judge.enqueue(long, [])
    bench.judge.enqueue_captions(["a short caption"])
    record = await bench.run()
    assert bench.judge.calls[1].max_tokens == 8
    assert (record.searches[0].query.text, record.outcome) == ("a short caption", Outcome.ALIGNED)
    assert "shortened" in record.searches[0].query.note


async def test_a_caption_that_stays_too_long_gives_way_to_the_concepts_own_words_and_says_so(bench):
    bench.library = ScriptedLibrary(context_length=8)
    long = Verdict(aligned=False, score=0.0, missing=({"text": "a heart", "caption": "very " * 20},))
    bench.judge.enqueue(long)
    bench.judge.enqueue_captions(["still " * 20])
    record = await bench.run()
    assert record.searches[0].query.text == "a heart"
    assert "longer than the encoder reads" in record.searches[0].query.note


async def test_captions_of_the_wrong_number_do_not_shift_onto_other_concepts(bench):
    bench.judge.enqueue(False)
    bench.judge.enqueue_missing(["a heart", "a star"])
    bench.judge.enqueue_captions(["only one caption"])
    record = await bench.run(judge_mode="stepwise")
    assert [s.query.text for s in record.searches[:2]] == ["only one caption", "a star"]


async def test_a_choice_that_cannot_be_is_asked_again(bench):
    images = [bench.library.plant(CAPTION, similarity=0.9 - at / 10) for at in range(2)]
    bench.judge.enqueue(["a heart"], [])
    config = RunConfig(select=True, max_references=1)
    graph = build_workflow(
        Nodes(generator=bench.generator, judge=bench.judge, library=bench.library, blobs=bench.blobs)
    ).compile(checkpointer=bench.saver)
    thread_config = {"configurable": {"thread_id": "ask"}, "recursion_limit": 50}
    await graph.ainvoke({"prompt": "a heart"}, thread_config, context=config)
    for chosen, problem in (
        ([i.sha256 for i in images], "2 are too many: at most 1"),
        (["f" * 64], "not offered: fff"),
    ):
        await graph.ainvoke(Command(resume={"chosen": chosen}), thread_config, context=config)
        question = (await graph.aget_state(thread_config)).interrupts[0].value
        assert question["problem"].startswith(problem)
    await graph.ainvoke(Command(resume={"chosen": [images[1].sha256]}), thread_config, context=config)
    record = run_record("ask", (await graph.aget_state(thread_config)).values)
    assert [(ref.image, ref.selected_by) for ref in record.references] == [(images[1], "by_hand")]
