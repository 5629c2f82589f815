"""What was named and found nothing is asked for again, hotter, before the prompt itself is searched with."""

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from imagerag.agent.errors import JudgeReplyError, RefusalError
from imagerag.agent.nodes import Nodes
from imagerag.agent.run_record import run_record
from imagerag.agent.types import Outcome, RunConfig, Verdict
from imagerag.graphs.generation import build_workflow
from imagerag.store.sqlite.checkpoint_types import serializer
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge

HEART, HALF_MOON, ORGAN = (f"a detailed picture of {name}" for name in ("a heart", "a half moon", "an organ"))
ASK = ["extract_concepts", "write_captions", "retrieve", "shortlist"]
PROMPT_SEARCH = ["retrieve", "shortlist"]
ONE_THIRD, FIVE_SIXTHS = pytest.approx(1 / 3), pytest.approx(5 / 6)


def temperatures(record, role):
    return [call.variation.temperature for call in record.call_log if call.role == role]


async def test_a_fused_verdict_that_found_nothing_is_asked_for_other_words_at_a_third(bench):
    moon = bench.library.plant(HALF_MOON)
    bench.judge.enqueue(["a heart"], [])
    bench.judge.enqueue_missing(["a half moon"])
    record = await bench.run()
    assert bench.path == ["generate", "critique", *ASK, *ASK, "regenerate", "critique", "finish"]
    assert [ref.image for ref in record.references] == [moon]
    assert record.outcome is Outcome.ALIGNED
    assert temperatures(record, "judge.missing_concepts") == temperatures(record, "judge.captions") == [ONE_THIRD]
    assert [(s.query.ask, s.query.note) for s in record.searches] == [(0, ""), (1, "asked again at temperature 0.33")]


@pytest.mark.parametrize("mode", ["fused", "stepwise"])
async def test_two_hotter_asks_then_the_prompt_then_the_end(bench, mode):
    scene = bench.library.plant("a scene", similarity=0.7)
    bench.judge.enqueue(["a heart"] if mode == "fused" else False, [] if mode == "fused" else True)
    bench.judge.enqueue_missing(*[["a heart"]] * (mode == "stepwise"), ["a half moon"], ["an organ"])
    record = await bench.run("a scene", judge_mode=mode)
    assert bench.path == [
        "generate", "critique", *ASK, *ASK, *ASK, *PROMPT_SEARCH, "regenerate", "critique", "finish",
    ]  # fmt: skip
    assert [search.query.text for search in record.searches] == [HEART, HALF_MOON, ORGAN, "a scene"]
    first = [pytest.approx(0)] if mode == "stepwise" else []
    assert temperatures(record, "judge.missing_concepts") == [*first, ONE_THIRD, FIVE_SIXTHS]
    assert temperatures(record, "judge.captions")[-2:] == [ONE_THIRD, FIVE_SIXTHS]
    assert [ref.image for ref in record.references] == [scene]


async def test_what_was_searched_in_vain_is_told(bench):
    bench.library.plant("another")
    bench.judge.enqueue(["a heart"])
    bench.judge.enqueue_missing(["a half moon"], ["an organ"])
    await bench.run()
    told = [(call.method, call.variation.failed_searches) for call in bench.judge.calls if call.method != "critique"]
    assert told == [
        ("missing_concepts", ("a heart",)),
        ("captions", (HEART,)),
        ("missing_concepts", ("a heart", "a half moon")),
        ("captions", (HEART, HALF_MOON)),
    ]


async def test_the_same_again_is_not_searched_with_again(bench):
    bench.library.plant("another")  # so that the library is not empty
    bench.judge.enqueue(["a heart"])
    bench.judge.enqueue_missing(["A heart"], ["a half moon"])
    bench.judge.enqueue_captions([HEART.upper()], [HALF_MOON])
    record = await bench.run()
    assert [call.text for call in bench.library.calls if call.method == "search"] == [HEART, HALF_MOON, "a scene"]
    assert bench.path == [
        "generate", "critique", *ASK, "extract_concepts", "write_captions", *ASK, *PROMPT_SEARCH, "finish",
    ]  # fmt: skip
    assert record.outcome is Outcome.NO_USABLE_REFERENCE
    assert record.reason.startswith("no usable reference for a heart:")


async def test_an_ask_that_names_nothing_goes_on_to_the_next(bench):
    bench.library.plant("another")
    bench.judge.enqueue(["a heart"])
    bench.judge.enqueue_missing(JudgeReplyError("mumbling", raw="hm"), RefusalError("I would rather not"))
    record = await bench.run()
    assert bench.path[2:] == [*ASK, "extract_concepts", "extract_concepts", *PROMPT_SEARCH, "finish"]
    assert record.outcome is Outcome.NO_USABLE_REFERENCE
    assert [call.error for call in record.call_log if call.error] == ["mumbling", "I would rather not"]


async def test_words_that_say_nothing_are_no_concept(bench):
    bench.library.plant(HALF_MOON)
    blank = Verdict(aligned=False, score=0.0, missing=({"text": " … "},))
    bench.judge.enqueue(blank, [])
    bench.judge.enqueue_missing(["?"], ["a half moon"])
    record = await bench.run()
    assert bench.path[2:5] == ["extract_concepts"] * 2 + ["write_captions"]
    assert temperatures(record, "judge.missing_concepts") == [pytest.approx(0), ONE_THIRD]
    assert record.outcome is Outcome.ALIGNED


async def test_a_judge_that_takes_no_temperature_is_asked_in_other_words_and_the_trace_says_so(bench):
    bench.library.plant("another")
    bench.judge = ScriptedJudge(["a heart"], honours=frozenset({"seed", "prompt_variant"}))
    bench.judge.enqueue_missing(["a half moon"], ["an organ"])
    record = await bench.run(seed=7)
    asked = [call.variation for call in record.call_log if call.role == "judge.missing_concepts"]
    assert [(v.varied_parameter, v.seed, v.prompt_variant, v.temperature) for v in asked] == [
        ("seed_and_wording", 8, 1, None), ("seed_and_wording", 9, 2, None),
    ]  # fmt: skip
    assert record.searches[1].query.note == "asked again in other words (seed 8; the judge takes no temperature)"


async def test_a_judge_that_could_only_say_the_same_is_not_asked(bench):
    bench.library.plant("another")
    bench.judge = ScriptedJudge(["a heart"], honours=frozenset())
    await bench.run()
    assert bench.path[2:] == [*ASK, *PROMPT_SEARCH, "finish"]


@pytest.mark.parametrize("why", ["no library", "an empty library", "no room", "a filter that leaves nothing"])
async def test_nobody_is_asked_where_no_words_could_find_anything(bench, why):
    bench.judge.enqueue(["a heart"])
    if why != "an empty library":
        bench.library.plant(HEART)
    if why == "no library":
        bench.library = None
    if why == "no room":
        bench.generator = ScriptedGenerator(max_references=0)
    await bench.run(tags=("toy",) if why == "a filter that leaves nothing" else ())
    assert bench.path.count("extract_concepts") == 1


@pytest.mark.parametrize(("calls", "asks"), [(5, 0), (6, 1), (7, 1), (8, 2)])
async def test_the_calls_for_a_drawing_and_its_verdict_are_left(bench, calls, asks):
    """A run makes two calls before, and an ask takes two; the prompt finds something to draw with."""
    bench.library.plant("a scene", similarity=0.7)
    bench.judge.enqueue(["a heart"], [])
    bench.judge.enqueue_missing(["a half moon"], ["an organ"])
    record = await bench.run("a scene", max_calls=calls)
    assert bench.path.count("extract_concepts") == 1 + asks
    assert record.outcome is Outcome.ALIGNED
    assert sum(record.calls.values()) <= calls


async def test_a_reference_that_did_not_help_does_not_come_back_under_another_name(bench):
    bench.library.plant({HEART: 0.9, HALF_MOON: 0.9})
    bench.judge.enqueue(["a heart"], ["a heart"])
    bench.judge.enqueue_missing(["a half moon"], [])
    record = await bench.run()
    assert len(record.attempts) == 2
    assert [c.decision for s in record.searches for c in s.candidates][:3] == ["taken", "already_used", "already_used"]
    assert record.outcome is Outcome.NO_USABLE_REFERENCE


async def test_what_was_found_under_another_name_is_resolved_with_what_it_stands_for(bench):
    moon = bench.library.plant(HALF_MOON)
    star = bench.library.plant("a detailed picture of a star", similarity=0.8)
    bench.judge.enqueue(["a heart"], ["a heart", "a star"], [])
    bench.judge.enqueue_missing(["a half moon"])
    record = await bench.run()
    assert [[ref.image for ref in attempt.references] for attempt in record.attempts] == [[], [moon], [star]]
    named = {entry.concept.text: (entry.stands_for, entry.resolved_round) for entry in record.concepts}
    assert named == {"a heart": ((), 2), "a half moon": (("a heart",), 2), "a star": ((), 2)}


async def test_a_run_that_is_stopped_between_two_asks_goes_on_with_the_next(bench):
    bench.library.plant("another")
    bench.judge.enqueue(["a heart"])
    bench.judge.enqueue_missing(["a half moon"], ["an organ"])
    nodes = Nodes(generator=bench.generator, judge=bench.judge, library=bench.library, blobs=bench.blobs)
    saver = InMemorySaver(serde=serializer())
    config = {"configurable": {"thread_id": "run"}, "recursion_limit": 60}
    graph = build_workflow(nodes).compile(checkpointer=saver, interrupt_after=["shortlist"])
    await graph.ainvoke({"prompt": "a scene"}, config, context=RunConfig())
    for stop in range(3):
        values = (await graph.aget_state(config)).values
        assert (values["concept_tries"], len(values["searches"])) == (1 + stop, 1 + stop)
        graph = build_workflow(nodes).compile(checkpointer=saver, interrupt_after=["shortlist"])
        await graph.ainvoke(None, config, context=RunConfig())
    await build_workflow(nodes).compile(checkpointer=saver).ainvoke(None, config, context=RunConfig())
    record = run_record("run", (await graph.aget_state(config)).values)
    assert [search.query.text for search in record.searches] == [HEART, HALF_MOON, ORGAN, "a scene"]
    assert temperatures(record, "judge.missing_concepts") == [ONE_THIRD, FIVE_SIXTHS]
    assert record.outcome is Outcome.NO_USABLE_REFERENCE


async def test_what_did_not_help_under_another_name_does_not_come_back_under_its_own(bench):
    """The next verdict's caption finds what only other words had found before."""
    bench.library.plant({HALF_MOON: 0.9, "a red heart": 0.9})
    again = Verdict(aligned=False, score=0.0, missing=({"text": "a heart", "caption": "a red heart"},))
    bench.judge.enqueue(["a heart"], again)
    bench.judge.enqueue_missing(["a half moon"], [], [])
    record = await bench.run()
    assert [[c.decision for c in s.candidates] for s in record.searches][:3] == [
        ["below_threshold"], ["taken"], ["already_used"],
    ]  # fmt: skip
    assert len(record.attempts) == 2
    assert record.outcome is Outcome.NO_USABLE_REFERENCE
