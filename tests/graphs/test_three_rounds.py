"""Loops of three rounds: which references go with each drawing, and what the record says helped."""

from imagerag.agent.types import Outcome

CAPTION = "a detailed picture of {}"


async def test_the_second_try_of_a_concept_helps_and_is_kept_with_what_comes_after(bench):
    wrong = bench.library.plant(CAPTION.format("a heart"), similarity=0.9, title="wrong heart")
    right = bench.library.plant(CAPTION.format("a heart"), similarity=0.8, title="right heart")
    star = bench.library.plant(CAPTION.format("a star"), similarity=0.9, title="star")
    bench.judge.enqueue(["a heart"], ["a heart"], ["a star"], [])
    record = await bench.run("a heart and a star", max_rounds=3)
    assert record.outcome is Outcome.ALIGNED
    sent = [[r.image for r in attempt.references] for attempt in record.attempts]
    assert sent == [[], [wrong], [right], [star, right]]
    assert [[r.selected_by for r in attempt.references] for attempt in record.attempts][-1] == ["retrieved", "kept"]
    assert [(e.concept.text, e.first_missing_round, e.resolved_round) for e in record.concepts] == [
        ("a heart", 0, 2),
        ("a star", 2, 3),
    ]
    assert [attempt.round for attempt in record.attempts] == [0, 1, 2, 3]
    decisions = {s.round: [c.decision for c in s.candidates] for s in record.searches}
    assert decisions[1][:2] == ["taken", "reserve"]
    assert decisions[2][:2] == ["already_used", "taken"]


async def test_what_helped_makes_room_for_what_is_missing(bench):
    for text in ("a heart", "a star", "a moon"):
        bench.library.plant(CAPTION.format(text), similarity=0.9)
    bench.judge.enqueue(["a heart"], ["a star"], ["a moon"], [])
    record = await bench.run("a heart, a star and a moon", max_rounds=3, max_references=2)
    sent = [[r.concept for r in attempt.references] for attempt in record.attempts]
    assert sent == [[], ["a heart"], ["a star", "a heart"], ["a moon", "a heart"]]


async def test_as_many_rounds_as_are_allowed_and_no_more(bench):
    for similarity in (0.9, 0.8, 0.7, 0.6):
        bench.library.plant(CAPTION.format("a heart"), similarity=similarity)
    bench.judge.enqueue(*[["a heart"]] * 4)
    record = await bench.run("a heart", max_rounds=3)
    assert (record.outcome, [attempt.round for attempt in record.attempts]) == (Outcome.BEST_EFFORT, [0, 1, 2, 3])
    assert record.reason.startswith("still missing after 3 rounds: a heart")
