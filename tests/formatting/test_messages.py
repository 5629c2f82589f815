"""Unknown names are told with what they were near; pydantic's words reach nobody."""

from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from imagerag.agent.errors import UsageError
from imagerag.agent.retrieval.query_terms import query_terms
from imagerag.agent.types import RunConfig, RunSpec
from imagerag.assistants.argument_errors import refusal
from imagerag.assistants.error_text import format_error
from imagerag.assistants.tool_inputs import ContinueRun, GenerateImage, SearchReferences
from imagerag.formatting.interface_terms import in_field_names
from imagerag.formatting.messages import invalid, named, near, unknown

PYDANTIC = (
    "Input should",
    "Field required",
    "valid tuple",
    "valid integer",
    "Extra inputs",
    "unable to parse",
    "Value error",
    "type=",
    "pydantic",
)
"""How pydantic begins and what it calls things."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def unworded(text: str) -> list[str]:
    return [words for words in PYDANTIC if words.lower() in text.lower()]


def test_a_name_that_is_not_known() -> None:
    assert unknown("preset", "sketsh", ["sketch", "openai"]) == (
        "no preset 'sketsh'; did you mean 'sketch'? There are: sketch, openai"
    )
    assert unknown("snapshot", "nope", ["one"]) == "no snapshot 'nope'; there is only 'one'"
    assert unknown("arm", "zzz", ["base"], where="arms.toml") == "arms.toml: no arm 'zzz'; there is only base"
    assert unknown("library", "x", []) == "no library 'x'; there are none"
    assert len(unknown("library", "x" * 5_000, [])) < 120


def test_what_is_near() -> None:
    assert near("librarry", ["library", "generator"]) == "library"
    assert near("LIBRARY", ["library"]) == "library"
    assert near("zebra", ["library"]) == ""


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(sorted({*RunConfig.model_fields, "no_such_name"})), value=JSON)
def test_no_knob_is_refused_in_pydantics_words(name: str, value: object) -> None:
    try:
        RunConfig.model_validate({name: value})
    except ValidationError as error:
        told = invalid(error)
        assert unworded(told.replace(repr(value), "")) == []
        assert told.startswith(name)
        assert "\n" not in told or name == "filter", "a filter's message points at the place, below the text"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(sorted({*GenerateImage.model_fields, *ContinueRun.model_fields})), value=JSON)
def test_no_argument_of_a_tool_is_refused_in_pydantics_words(name: str, value: object) -> None:
    for model in (GenerateImage, ContinueRun):
        try:
            model.model_validate({"prompt": "x", "run_id": "r", name: value})
        except ValidationError as error:
            told = refusal(error)
        else:
            continue
        assert unworded(told) == []


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"max_rounds": 21}, "max_rounds: at most 20, not 21"),
        ({"max_rounds": "many"}, "max_rounds: it has to be a whole number, not 'many'"),
        ({"tags": 3}, "tags: it has to be a list, not 3"),
        ({"judge_mode": "fussed"}, "judge_mode: one of 'fused', 'stepwise', not 'fussed'"),
        ({"max_cals": 1}, "max_cals: there is no such name"),
    ],
)
def test_what_a_knob_may_be_is_said(given_: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RunConfig.model_validate(given_)
    assert invalid(caught.value) == told


def test_what_lacks_and_what_is_our_own_is_said_too() -> None:
    class Own(BaseModel):
        model_config = ConfigDict(extra="forbid")
        size: Literal["s", "m"]
        names: tuple[str, ...] = Field(max_length=1, default=())

        @field_validator("names")
        @classmethod
        def short(cls, value: tuple[str, ...]) -> tuple[str, ...]:
            raise ValueError("names are not for here")

    with pytest.raises(ValidationError) as caught:
        Own.model_validate({"names": ["a"]})
    assert invalid(caught.value) == "size: it is missing; names: names are not for here"
    with pytest.raises(ValidationError) as caught:
        RunSpec.model_validate({"generator": 1, "judge": "x"})
    assert invalid(caught.value) == "generator: it has to be text, not 1"


def test_a_filter_that_cannot_be_read_is_named_once() -> None:
    with pytest.raises(ValidationError) as failed:
        SearchReferences(query="a hat", library="mine", filter="licence=")
    assert refusal(failed.value) == "filter, column 9: expected a value (licence=)"
    with pytest.raises(ValidationError) as failed:
        RunConfig(filter="licence=")
    told = invalid(failed.value)
    assert told == "filter, column 9: expected a value\n  licence=\n          ^"
    assert in_field_names(told, {"filter": "Only pictures"}).startswith("Only pictures, column 9: expected")
    assert in_field_names("filter: it is empty", {"filter": "Only pictures"}) == "Only pictures: it is empty"


def test_an_assistant_is_shown_no_caret() -> None:
    with pytest.raises(UsageError) as failed:
        query_terms("a -")
    assert "\n" in str(failed.value)
    assert "^" not in format_error(failed.value)


@pytest.mark.parametrize(
    ("place", "words", "told"),
    [
        ("seed", "it is empty", "seed: it is empty"),
        ("", "it is empty", "it is empty"),
        ("config.filter", "filter, column 3: no", "config.filter, column 3: no"),
        ("filter", "filter: no", "filter: no"),
        ("filter", "filters are few", "filter: filters are few"),
        ("size", "the size is odd", "size: the size is odd"),
    ],
)
def test_a_value_is_named_once(place: str, words: str, told: str) -> None:
    assert named(place, words) == told
