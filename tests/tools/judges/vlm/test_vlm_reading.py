"""A model's words are read rightly, or found unreadable; never is a yes made of what is none."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import JudgeReplyError, RefusalError
from imagerag.agent.types import Concept, Requirement
from imagerag.tools.judges.vlm import response_parsing
from imagerag.tools.judges.vlm.ranking_parser import parse_preference, parse_ranking
from imagerag.tools.judges.vlm.structured_verdict import combine_votes, majority_vote, parse_critique, verdict_of
from imagerag.tools.model_text import fold

UNREADABLE, REFUSED = "unreadable", "refused"

VERDICTS: dict[str, bool | str] = {
    "No, the eyes are wrong": False,
    "No, the e\u200byes are wrong": False,
    "Yes.": True,
    "yes": True,
    "YES": True,
    "**Yes**": True,
    "“Yes.”": True,
    "Yes, the picture matches the prompt.": True,
    "Yes it does.": True,
    "Yes, there are no differences.": True,
    "Yes — no doubt.": True,
    "Answer: yes": True,
    "The answer is: No.": False,
    "<think>Is it? yes, no, yes.</think>\n\nNo.": False,
    "The hat has the wrong colour.\n\nVerdict: no": False,
    "It shows the cat on the mat as asked.\nYes.": True,
    "```\nYes\n```": True,
    '```json\n{"answer": "no"}\n```': False,
    '{"aligned": true}': True,
    "Not quite.": False,
    "No": False,
    "no the hat is red": False,
    "yes but no": UNREADABLE,
    "Yes and no.": UNREADABLE,
    "Yes. No.": UNREADABLE,
    "Yes/No": UNREADABLE,
    "yes or no": UNREADABLE,
    "No. Yes!": UNREADABLE,
    "Yes, but the hat is missing": UNREADABLE,
    "Yes, mostly.": UNREADABLE,
    "Yes, the image doesn't match.": UNREADABLE,
    "Yes, except for the hat": UNREADABLE,
    "Yesterday I would have said so": UNREADABLE,
    "Yes-man": UNREADABLE,
    "Eyes": UNREADABLE,
    "No doubt about it, it matches.": UNREADABLE,
    "No differences.": UNREADABLE,
    "Nobody knows": UNREADABLE,
    "Maybe": UNREADABLE,
    "": UNREADABLE,
    " \n ": UNREADABLE,
    "The image shows a cat.": UNREADABLE,
    "I can't help with that": REFUSED,
    "I can’t help with that.": REFUSED,
    "I'm sorry, but I can't assist with this request.": REFUSED,
    "Sorry, I cannot comply: it violates our content policy.": REFUSED,
    "This request violates our usage policies.": REFUSED,
    "No, I can't help with that.": REFUSED,
    "Ich kann dabei leider nicht helfen.": REFUSED,
    "抱歉，我无法协助处理这个请求。": REFUSED,
    "I’m unable to…": UNREADABLE,
    "I'm unable to see the image.": UNREADABLE,
    "I am not able to tell": UNREADABLE,
    "Unable to": UNREADABLE,
    "unable to name": UNREADABLE,
    "I can't tell whether it matches.": UNREADABLE,
    "Ja": True,
    "Ja, das Bild passt.": True,
    "Ja, aber der Hut fehlt": UNREADABLE,
    "Nein, die Augen fehlen": False,
    "Oui.": True,
    "Non, il manque le chapeau": False,
    "Sí": True,
    "Si el sombrero fuera rojo": UNREADABLE,
    "Não.": False,
    "Да": True,
    "Нет, шляпа красная": False,
    "はい": True,
    "はい、一致しています。": True,
    "いいえ、目が違います": False,
    "不是": False,
    "不是，眼睛不对": False,
    "是的。": True,
    "是不是": UNREADABLE,
    "不符合要求": False,
    "네": True,
    "아니요": False,
}


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except JudgeReplyError:
        return UNREADABLE
    except RefusalError:
        return REFUSED


@pytest.mark.parametrize(("said", "meant"), VERDICTS.items())
def test_a_verdict_is_read_rightly(said: str, meant: bool | str) -> None:
    assert outcome(lambda: response_parsing.verdict(said)) == meant


@pytest.mark.parametrize("said", ["maybe so", "", "yes but no"])
def test_what_could_not_be_read_is_kept(said: str) -> None:
    with pytest.raises(JudgeReplyError) as error:
        response_parsing.verdict(said)
    assert error.value.raw == said


def c(text: str, kind: Any = "content") -> Concept:
    return Concept(text=text, kind=kind)


CONCEPTS: dict[str, tuple[Concept, ...] | str] = {
    "content: a red hat\nstyle: oil painting": (c("a red hat"), c("oil painting", "style")),
    "a red hat\na sheep": (c("a red hat"), c("a sheep")),
    "- a red hat\n- a sheep\n": (c("a red hat"), c("a sheep")),
    "1. a red hat\n2) a sheep\n(3) 3 cats": (c("a red hat"), c("a sheep"), c("3 cats")),
    "Here is what is missing:\n\n* **a red hat**\n* _x_ y": (c("a red hat"), c("_x_ y")),
    "**Content:**\n- a red hat\n\n**Style:**\n- watercolour": (c("a red hat"), c("watercolour", "style")),
    "[Style] watercolour": (c("watercolour", "style"),),
    "Missing: a red hat.": (c("a red hat"),),
    "a red hat\nA Red Hat": (c("a red hat"),),
    "```\na red hat\n```": (c("a red hat"),),
    '["a red hat", "a sheep"]': (c("a red hat"), c("a sheep")),
    '```json\n{"missing": ["style: ink"]}\n```': (c("ink", "style"),),
    "• 帽子": (c("帽子"),),
    "2 cats": (c("2 cats"),),
    "a man unable to walk": (c("a man unable to walk"),),
    "can't-stop poster": (c("can't-stop poster"),),
    "I'm unable to identify any differences.": (),
    "I can’t see what is missing": (),
    "Unable to": (),
    "None": (),
    "Nothing is missing.": (),
    "There are no missing concepts.": (),
    "I can't help with that": REFUSED,
    "": UNREADABLE,
    "Yes": UNREADABLE,
    "No.": UNREADABLE,
    "---": UNREADABLE,
    "The picture " + "goes on and on " * 40: UNREADABLE,
}


@pytest.mark.parametrize(("said", "meant"), CONCEPTS.items())
def test_concepts_are_read_rightly(said: str, meant: Any) -> None:
    assert outcome(lambda: response_parsing.concepts(said)) == meant


CAPTIONS: dict[tuple[str, int], tuple[str, ...] | str] = {
    ("1. A red hat on a hook.\n2. A sheep.", 2): ("A red hat on a hook.", "A sheep."),
    ("A red hat.\nA sheep.", 2): ("A red hat.", "A sheep."),
    ("Captions:\n- A red hat.\n\n- A sheep.", 2): ("A red hat.", "A sheep."),
    ('"A red hat."', 1): ("A red hat.",),
    ("A red hat\non a hook.", 1): ("A red hat on a hook.",),
    ('["A red hat.", "A sheep."]', 2): ("A red hat.", "A sheep."),
    ("A red hat.", 2): UNREADABLE,
    ("1. A red hat.\n2. A sheep.", 1): UNREADABLE,
    ("", 1): UNREADABLE,
    ("I'm unable to write that.", 1): UNREADABLE,
    ("I cannot assist with that.", 1): REFUSED,
}


@pytest.mark.parametrize(("said", "meant"), CAPTIONS.items())
def test_captions_are_read_rightly(said: tuple[str, int], meant: Any) -> None:
    assert outcome(lambda: response_parsing.captions(*said)) == meant


def answer(*met: bool, **more: Any) -> str:
    checks = [
        {"number": n, "requirement": f"point {n}", "kind": "content", "evidence": "seen", "met": m, "caption": "a cap"}
        for n, m in enumerate(met, start=1)
    ]
    return json.dumps({"checks": checks, **more})


def met(said: str, *requirements: str) -> Any:
    wanted = [Requirement(text=text) for text in requirements]
    return outcome(lambda: [check.met for check in parse_critique(said, wanted).checks])


GOOD = answer(True, False)
FUSED: dict[str, Any] = {
    GOOD: [True, False],
    f"```json\n{GOOD}\n```": [True, False],
    f"Here it is:\n```json\n{GOOD}\n```\nI hope this helps!": [True, False],
    f"{GOOD}\nThat is {{all}} of it.": [True, False],
    f"<think>{answer(True)}</think>{GOOD}": [True, False],
    f"{GOOD}\n{GOOD}": [True, False],
    f"{GOOD}\n{answer(True, True)}": UNREADABLE,
    "{'checks': [{'requirement': 'it\\'s red', 'met': True, 'caption': None,},]}": [True],
    '{"checks": [{"requirement": "a, ]", "met": true,}],}': [True],
    '{"checks": [{"requirement": "a", "met": "yes"}, {"requirement": "b", "met": "no"}]}': [True, False],
    '{"checklist": [{"point": "a", "met": true}]}': [True],
    '{"checks": [{"requirement": "a", "met": true}, {"requirement": "A", "met": false}]}': [False],
    '{"checks": [{"requirement": "a", "met": "partly"}]}': UNREADABLE,
    '{"checks": [{"requirement": "a", "met": null}]}': UNREADABLE,
    '{"checks": [{"requirement": "a"}]}': UNREADABLE,
    '{"checks": [{"requirement": " ", "met": true}]}': UNREADABLE,
    '{"checks": []}': UNREADABLE,
    '{"aligned": true}': UNREADABLE,
    "{}": UNREADABLE,
    "[]": UNREADABLE,
    "null": UNREADABLE,
    "": UNREADABLE,
    "Yes.": UNREADABLE,
    GOOD[:-9]: UNREADABLE,
    "{'checks': [{'requirement': 'it's red', 'met': True}]}": UNREADABLE,
    answer(True, False, aligned=True): [True, False],
    answer(True, True, aligned=False): UNREADABLE,
    "I can’t assist with that.": REFUSED,
    "I'm unable to view images.": UNREADABLE,
    "[" * 5000: UNREADABLE,
    '{"a":' * 5000: UNREADABLE,
}


@pytest.mark.parametrize(("said", "meant"), FUSED.items())
def test_a_structured_answer_is_read_rightly(said: str, meant: Any) -> None:
    assert met(said) == meant


def test_a_given_checklist_is_kept_word_for_word_and_in_its_order() -> None:
    shuffled = json.dumps({"checks": json.loads(answer(True, False))["checks"][::-1]})
    assert met(shuffled, "one", "two") == [True, False]
    judged = parse_critique(shuffled, [Requirement(text="one"), Requirement(text="two", kind="style")])
    assert judged.requirements == (Requirement(text="one"), Requirement(text="two", kind="style"))


def test_a_checklist_without_numbers_is_matched_by_its_words_and_never_by_chance() -> None:
    said = '{"checks": [{"requirement": "Two", "met": false}, {"requirement": "one", "met": true}]}'
    assert met(said, "one", "two") == [True, False]
    assert met(said, "one", "three") == UNREADABLE
    assert met(answer(True), "point 1", "point 2") == UNREADABLE
    assert met(answer(True, True, True), "point 1", "point 2") == UNREADABLE


def test_the_checklist_wins_over_a_verdict_that_contradicts_it() -> None:
    verdict = verdict_of(parse_critique(answer(True, False, aligned=True), []), raw="")
    assert verdict.aligned is False
    assert verdict.score == 0.5
    assert verdict.missing == (Concept(text="point 2", caption="a cap"),)
    assert "against its own checklist" in verdict.reason


def test_votes_are_counted_point_by_point_and_a_tie_is_not_met() -> None:
    first, second, third = (parse_critique(answer(*points), []) for points in ((0, 1, 0), (1, 1, 0), (1, 0, 0)))
    assert [check.met for check in majority_vote([first, second, third]).checks] == [True, True, False]
    assert [check.met for check in majority_vote([first, second]).checks] == [False, True, False]
    assert not combine_votes([first, second], 3)
    assert combine_votes([parse_critique(answer(0, 1), [])] * 2, 3)
    assert combine_votes([first], 1)


def test_preferences_and_rankings_are_read_rightly() -> None:
    for said in ('{"better": "First"}', "first", "Image 1.", '```json\n{"reason": "x", "better": "1"}\n```'):
        assert parse_preference(said) == "first"
    assert parse_preference('{"better": "tie"}') == "neither"
    assert outcome(lambda: parse_preference("the one on the left")) == UNREADABLE
    assert outcome(lambda: parse_preference("I can't help with that")) == REFUSED
    assert parse_ranking('{"ranking": [3, 1, 3]}', 3) == [2, 0]
    assert parse_ranking("3, 1", 3) == parse_ranking("[3, 1]", 3) == [2, 0]
    assert parse_ranking('{"ranking": []}', 3) == parse_ranking("[]", 3) == []
    for said in ('{"ranking": [4]}', '{"ranking": [0]}', "the third", ""):
        assert outcome(lambda said=said: parse_ranking(said, 3)) == UNREADABLE


PIECES = (
    """yes no Yes. No, but not " ' { } [ ] : , "met" true false True ``` json I can't help unable to 是 不 はい ja"""
)
WORDS = st.sampled_from([*PIECES.split(), "\n", "checks", '{"checks":[', "\ud800", "\x00", "“", "’"])
SAID = st.one_of(st.text(), st.lists(WORDS).map(" ".join), st.lists(WORDS).map("".join))
READERS: list[Callable[[str], Any]] = [
    response_parsing.verdict,
    response_parsing.concepts,
    lambda said: response_parsing.captions(said, 2),
    lambda said: parse_critique(said, []),
    lambda said: parse_critique(said, [Requirement(text="a")]),
    parse_preference,
    lambda said: parse_ranking(said, 3),
]


@settings(deadline=None)
@given(SAID)
@example("9" * 5000)
@example('{"checks": [{"met": 1' + "0" * 5000 + "}]}")
@example("{'a': '\\x'}")
def test_no_text_makes_a_reader_raise_anything_else(said: str) -> None:
    for read in READERS:
        outcome(lambda read=read: read(said))


EXPLICIT = re.compile(r"yes|yep|yeah|ja|oui|s[ií]|sim|tak|evet|да|ναι|نعم|はい|ええ|是|对|符合|네|예|true", re.I)


@settings(deadline=None)
@given(SAID)
def test_what_is_no_explicit_yes_is_never_a_yes(said: str) -> None:
    if outcome(lambda: response_parsing.verdict(said)) is True:
        assert EXPLICIT.search(fold(said))
    points = met(said)
    if isinstance(points, list) and all(points):
        assert re.search(r"true|yes|1|on|y|t", said, re.I)


@settings(deadline=None)
@given(st.sampled_from([said for said in (*VERDICTS, *FUSED, *CONCEPTS) if len(said) < 2000]))
def test_a_fence_changes_nothing(said: str) -> None:
    fenced = f"```json\n{said}\n```"
    for read in READERS:
        assert outcome(lambda read=read: read(fenced)) == outcome(lambda read=read: read(said))


@settings(deadline=None, max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_well_formed_answer_is_read_whatever_stands_around_it(value: Any) -> None:
    said = answer(True, False, more=value)
    assert met(said) == met(f"Sure!\n{said}\nDone.") == met(f"```\n{said}\n```") == [True, False]
