"""Arguments that a model made up are refused in one line, which never repeats them."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from imagerag.assistants.argument_errors import refusal
from imagerag.assistants.tool_inputs import DESCRIPTIONS, TOOLS, ContinueRun, GenerateImage

ID = "ab" * 32


def said(tool: str, arguments: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        TOOLS[tool](**arguments)
    return refusal(caught.value)


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("generate_image", {}, "prompt: it is needed"),
        ("generate_image", {"prompt": "  "}, "prompt: it is empty"),
        ("generate_image", {"prompt": "x" * 100_000}, "100,000 characters are too many; at most 32,000"),
        ("generate_image", {"prompt": "a\0b"}, "NUL"),
        ("generate_image", {"prompt": "a\ud800b"}, "surrogate"),
        ("generate_image", {"prompt": "x", "filter": {"a\0": "b"}}, "NUL"),
        ("generate_image", {"prompt": "x", "licences": ["\udfff"]}, "surrogate"),
        ("generate_image", {"prompt": "x", "subjects": [{"image": "a\0.png"}]}, "NUL"),
        ("generate_image", {"prompt": "x", "subjects": [{"image": "x" * 5_000}]}, "5,000 characters"),
        ("generate_image", {"prompt": "x", "size": "huge"}, "size: not a size: 'huge'; give WIDTHxHEIGHT"),
        ("generate_image", {"prompt": "x", "max_rounds": 21}, "max_rounds: at most 20"),
        ("generate_image", {"prompt": "x", "max_cost_usd": float("nan")}, "max_cost_usd"),
        ("generate_image", {"prompt": "x", "quality": "best"}, "quality: there is no such argument"),
        ("generate_image", {"prompt": "x", "max_rounds": True}, "max_rounds: it has to be a whole number"),
        ("generate_image", {"prompt": "x", "max_cost_usd": False}, "max_cost_usd"),
        ("generate_image", {"prompt": None}, "prompt: it has to be text"),
        ("search_references", {}, "give query (words) or image"),
        ("search_references", {"k": 3}, "or image, or both"),
        ("search_references", {"query": "x", "k": 100}, "k: at most 10"),
        ("search_references", {"image": "a.png", "by": "captions"}, "captions are compared with words alone"),
        ("continue_run", {"run_id": "../../etc"}, "run_id: a run id is letters"),
        ("continue_run", {"run_id": "run-1", "exclude_images": ["the second"]}, "give the number of a reference"),
        ("continue_run", {"run_id": "run-1", "choose": [1], "add_images": [ID]}, "choose goes alone"),
        ("ask_library", {"question": "x" * 5_000}, "at most 4,000"),
        ("view_image", {"image_id": "image://../../x"}, "image_id: give image://"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tool: str, arguments: dict[str, Any], words: str) -> None:
    told = said(tool, arguments)
    assert words in told
    assert "\n" not in told
    assert len(told) < 400


def test_a_line_stays_short_however_much_is_wrong() -> None:
    told = said("generate_image", {"prompt": 1, **{f"argument{at}" * 200: at for at in range(500)}})
    assert len(told) < 400
    assert told.endswith("and 498 more")


def test_ids_are_taken_as_models_write_them() -> None:
    request = ContinueRun(
        run_id="run-1",
        exclude_images=[2, f"image://{ID}"],
        keep_images=[ID[:8]],
        add_images=[f" image://{ID.upper()} "],
    )  # type: ignore[arg-type, list-item]
    assert (request.exclude_images, request.keep_images, request.add_images) == (("2", ID), (ID[:8],), (ID,))


@pytest.mark.parametrize("tool", TOOLS)
def test_every_argument_tells_a_model_what_it_is(tool: str) -> None:
    schema = TOOLS[tool].model_json_schema()
    assert schema["additionalProperties"] is False
    assert [name for name, field in schema["properties"].items() if not field.get("description")] == []
    assert 100 < len(DESCRIPTIONS[tool]) < 1_000
    assert len(json.dumps(schema)) < 6_000


def test_the_prompt_survives_as_it_is() -> None:
    prompt = 'a "quoted" sign; DROP TABLE runs; 愛 🐈'
    assert GenerateImage(prompt=prompt).prompt == prompt


def test_nothing_is_asked_with_an_argument_that_is_null_or_empty_whatever_it_is_called() -> None:
    asked = {"prompt": "x", "mask": "", "negative_prompt": None, "seed": None, "size": " ", "subjects": None}
    assert GenerateImage.model_validate(asked) == GenerateImage(prompt="x")


def test_numbers_in_an_object_of_metadata_are_the_texts_they_are() -> None:
    asked = GenerateImage.model_validate({"prompt": "x", "filter": {"price": 12, "stars": 4.5, "kind": "mug"}})
    assert asked.filter.pairs == {"price": "12", "stars": "4.5", "kind": "mug"}
    assert GenerateImage.model_validate({"prompt": "x", "filter": '{"price": 12}'}).filter.pairs == {"price": "12"}
