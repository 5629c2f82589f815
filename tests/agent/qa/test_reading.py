"""Reading a model's answer: the form, what comes near it, and what is no answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import JudgeReplyError, RefusalError
from imagerag.tools.answerers.response_parsing import read_answer


def said(held: Any = True, answer: Any = "The lamp [1].", citations: Any = None) -> str:
    given_ = [{"source": 1, "supports": "it glows"}] if citations is None else citations
    return json.dumps({"citations": given_, "held": held, "answer": answer})


@pytest.mark.parametrize(
    ("reply", "held", "cited"),
    [
        (said(), True, {1: "it glows"}),
        (f"```json\n{said()}\n```", True, {1: "it glows"}),
        (f"Here it is: {said()} Hope that helps!", True, {1: "it glows"}),
        (said(citations=[1, 2]), True, {1: "", 2: ""}),
        (said(citations=["[2]", "SOURCE 1"]), True, {1: "", 2: ""}),
        (said(citations={"source": "1", "quote": "x"}), True, {1: "x"}),
        (said(citations=[{"source": 1}, {"source": 7}]), True, {1: "", 7: ""}),
        (said(held="yes"), True, {1: "it glows"}),
        (said(held=False, citations=[], answer="It does not say."), False, {}),
        (said(held=False, citations=[{"source": 9}], answer="No."), False, {}),
        (said(citations=[], answer="The lamp [2] and [1]."), True, {1: "The lamp  and .", 2: "The lamp  and ."}),
        ('{"answer": "The lamp.", "sources": [1]}', True, {1: ""}),
        ("{'answer': 'The lamp.', 'held': True, 'citations': [1,],}", True, {1: ""}),
        ("The lamp glows [1]. The clock [2, 3] does not.", True, {1: "The lamp glows .", 2: "", 3: ""}),
    ],
)
def test_an_answer_is_read(reply: str, held: bool, cited: dict[int, str]) -> None:
    read = read_answer(reply, 3)
    assert read.held is held
    assert {one.source for one in read.cited} == set(cited)
    assert all(one.supports == cited[one.source] for one in read.cited if cited[one.source])
    assert read.text


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Yes.",
        "The lamp glows.",
        said(answer=""),
        said(answer=None),
        said(answer="The lamp.", citations=[]),
        said(answer="The lamp.", citations=[{"source": 4}]),
        said(answer="The lamp [0].", citations=[{"source": 0}]),
        '{"held": true}',
        "I'm unable to see the pictures.",
        f"{said()}\n{said(answer='The clock [2].')}",
    ],
)
def test_what_nobody_could_check_is_no_answer(reply: str) -> None:
    with pytest.raises(JudgeReplyError) as told:
        read_answer(reply, 3)
    assert told.value.raw == reply


def test_a_refusal_is_one() -> None:
    with pytest.raises(RefusalError):
        read_answer("I can't help with that.", 3)


@given(st.text(max_size=300), st.integers(0, 5))
def test_no_reply_breaks_it(reply: str, count: int) -> None:
    try:
        read = read_answer(reply, count)
    except (JudgeReplyError, RefusalError):
        return
    assert not read.held or any(one.source <= count for one in read.cited)
