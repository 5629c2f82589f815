"""Answers of front ends to a question: every form is read, and what cannot be is refused with the reason."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from imagerag.agent.errors import UsageError
from imagerag.chat.choice import ACTION, Choice, Question
from imagerag.graphs.configuration.public_url import image_url

FIRST, SECOND, THIRD = "a" * 64, "b" * 64, "c" * 64


def question(*, limit: int = 2, may_edit: bool = True, **values: Any) -> Question:
    offered = [
        {
            "number": number,
            "id": sha,
            "concept": concept,
            "similarity": 0.41,
            "title": title,
            "caption": "",
            "licence": licence,
        }
        for number, (sha, concept, title, licence) in enumerate(
            [(FIRST, "a mug", "Mug", "CC-BY-NC-4.0"), (SECOND, "a mug", "Cup", ""), (THIRD, "a hat", "Hat", "CC0-1.0")],
            start=1,
        )
    ]
    value = {"kind": "choose_references", "prompt": "a mug and a hat", "limit": limit, "may_edit": may_edit}
    return Question({**value, "candidates": offered, **values})


def edited(**arguments: Any) -> dict[str, Any]:
    return {"type": "edit", "args": {"action": ACTION, "args": arguments}}


@pytest.mark.parametrize(
    ("answer", "chosen", "edit"),
    [
        ([{"type": "accept", "args": None}], [FIRST, THIRD], None),
        (
            [{"type": "accept", "args": {"action": ACTION, "args": {"references": "1, 3", "edit": ""}}}],
            [FIRST, THIRD],
            None,
        ),
        ({"type": "accept"}, [FIRST, THIRD], None),
        ([edited(references="3, 1")], [THIRD, FIRST], None),
        ([edited(references=[2])], [SECOND], None),
        ([edited(references="none", edit="2")], [], SECOND),
        ([edited(references="3", edit=1)], [THIRD], FIRST),
        ([edited(references="", edit="")], [], None),
        ([{"type": "response", "args": "2 and 3"}], [SECOND, THIRD], None),
        ([{"type": "response", "args": "#2"}], [SECOND], None),
        ([{"type": "response", "args": "None."}], [], None),
        ([{"type": "ignore", "args": None}], [], None),
        ({"decisions": [{"type": "approve"}]}, [FIRST, THIRD], None),
        (
            {"decisions": [{"type": "edit", "edited_action": {"name": ACTION, "args": {"references": "2"}}}]},
            [SECOND],
            None,
        ),
        ({"decisions": [{"type": "reject"}]}, [], None),
        ({"decisions": [{"type": "reject", "message": "2"}]}, [SECOND], None),
        ({"decisions": [{"type": "reject", "args": "2"}]}, [SECOND], None),
        ({"chosen": [THIRD]}, [THIRD], None),
        ({"chosen": [], "edit": THIRD}, [], THIRD),
        ("1, 1, 2", [FIRST, SECOND], None),
        ([3, 1], [THIRD, FIRST], None),
        (2, [SECOND], None),
        (f"image://{THIRD}", [THIRD], None),
    ],
)
def test_an_answer_is_read(answer: Any, chosen: list[str], edit: str | None) -> None:
    assert question().choice(answer) == Choice(chosen=chosen, edit=edit)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([{"type": "response", "args": "the blue one"}], "not numbers from 1 to 3"),
        ([{"type": "response", "args": "4"}], "not numbers from 1 to 3"),
        ([{"type": "response", "args": "-1"}], "not numbers from 1 to 3"),
        ([edited(references="1, 2, 3")], "3 are too many: at most 2"),
        ([edited(references="1", edit="1")], "name it once"),
        ([edited(references="", edit="1, 2")], "one image can be edited"),
        ([edited(images="1")], "no 'images'"),
        ([{"type": "edit", "args": None}], "type edit has args"),
        ([{"type": "agree"}], "accept, edit, response or ignore, not 'agree'"),
        ({"chosen": ["f" * 64]}, "not numbers"),
        ([{"type": "accept"}, {"type": "accept"}], "not numbers"),
        ({"decisions": []}, "one decision"),
        (True, "not numbers"),
    ],
)
def test_an_answer_that_cannot_be_is_refused_with_the_reason(answer: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        question().choice(answer)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["type", "args", "action", "decisions", "references", "edit", "chosen", "message"])
                | st.text(),
                inner,
            )
        ),
    )
)
def test_no_answer_is_an_error_of_ours(answer: Any) -> None:
    """Front ends let people write any JSON."""
    try:
        choice = question().choice(answer)
    except UsageError:
        return
    assert set(choice.chosen) <= {FIRST, SECOND, THIRD}


def test_no_edit_is_offered_where_none_can_be() -> None:
    asked = question(may_edit=False)
    assert asked.interrupt()["action_request"]["args"] == {"references": "1, 3"}
    with pytest.raises(UsageError, match="no image can be edited here"):
        asked.choice([edited(references="", edit="1")])


def test_the_interrupt_has_both_forms_and_is_json() -> None:
    value = json.loads(json.dumps(question().interrupt("no")))
    assert value["action_request"]["action"] == value["action_requests"][0]["name"] == ACTION
    assert value["action_request"]["args"] == value["action_requests"][0]["args"]
    assert value["review_configs"] == [{"action_name": ACTION, "allowed_decisions": ["approve", "edit", "reject"]}]
    assert value["problem"] == "no"
    assert question(problem="the file is gone").interrupt()["problem"] == "the file is gone"


def test_hostile_titles_are_text() -> None:
    hostile = question()
    title = "<img src=x onerror=alert(1)> ![a](http://evil) [b](javascript:c) www.evil.example\n# x"
    hostile.value["candidates"][0]["title"] = title
    text = hostile.text()
    tokens = [
        token
        for block in MarkdownIt("gfm-like", {"html": True, "linkify": True}).parse(text)
        for token in [block, *(block.children or [])]
    ]
    assert not [token for token in tokens if token.type in ("html_inline", "html_block", "heading_open")]
    links = {token.attrs["href"] for token in tokens if token.type == "link_open"}
    assert links == {image_url(sha) for sha in (FIRST, SECOND, THIRD)}
    assert {token.attrs["src"] for token in tokens if token.type == "image"} == links
    assert "no commercial use" in text
