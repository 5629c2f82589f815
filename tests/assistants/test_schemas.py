"""What the published schemas accept the tools accept, and what answers print can be handed back."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ValidationError

import imagerag
from imagerag import ImageRAG
from imagerag.agent.types.filters import parse_filter
from imagerag.assistants.argument_errors import refusal
from imagerag.assistants.argument_types import FORMS
from imagerag.assistants.json_schemas import published, published_answer
from imagerag.assistants.tool_inputs import (
    TOOLS,
    ContinueRun,
    GenerateImage,
    ListLibraries,
    SearchReferences,
    ViewImage,
)
from imagerag.mcp.tool_list import AS_ANOTHER, listed_tools
from imagerag.mcp.tool_list import TOOLS as SERVED

ID = "0123456789abcdef" * 4
ALL = {**TOOLS, **{name: takes for name, (takes, _, _) in SERVED.items()}}
SCHEMAS = {name: published(model) for name, model in ALL.items()}


def valid(name: str, arguments: dict[str, Any]) -> bool:
    return bool(Draft202012Validator(SCHEMAS[name]).is_valid(arguments))


@pytest.mark.parametrize("name", ALL)
def test_a_published_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert "$ref" not in json.dumps(SCHEMAS[name])
    assert SCHEMAS[name]["additionalProperties"] is False
    assert [key for key, field in SCHEMAS[name]["properties"].items() if not field.get("description")] == []


AS_MODELS_SEND_THEM: list[tuple[str, dict[str, Any]]] = [
    ("generate_image", {"prompt": "x", "library": None, "size": None, "tags": None, "seed": None, "max_rounds": None}),
    ("generate_image", {"prompt": "x", "library": "", "size": "", "start": "", "initial_image": ""}),
    ("generate_image", {"prompt": "x", "size": "auto", "select": None, "subjects": None, "filter": None}),
    ("generate_image", {"prompt": "x", "filter": ["category=shoes"], "licences": [], "max_cost_usd": None}),
    ("generate_image", {"prompt": "x", "subjects": [{"image": f"image://{ID}", "name": None}]}),
    (
        "continue_run",
        {"run_id": "run-1", "exclude_images": [1, "2", f"image://{ID}"], "keep_images": [ID[:12]], "choose": None},
    ),
    ("continue_run", {"run_id": "run-1", "add_images": [f"image://{ID}"], "prompt": "", "more_rounds": None}),
    ("continue_run", {"run_id": "run-1", "choose": [1, "3", f"image://{ID[:12]}"]}),
    ("search_references", {"query": "x", "image": None, "k": None}),
    ("search_references", {"query": "x", "by": "captions"}),
    ("search_references", {"query": "", "image": f"image://{ID}", "library": ""}),
    ("view_image", {"image_id": f"image://{ID}", "library": None, "max_side": None}),
    ("view_image", {"image_id": ID[:12]}),
    ("ask_library", {"question": "x", "thread": None, "compare": None, "deadline_s": None}),
    ("ask_library", {"question": "x", "thread": "", "library": ""}),
    ("list_libraries", {"library": None}),
]


@pytest.mark.parametrize(("name", "arguments"), AS_MODELS_SEND_THEM)
def test_what_models_send_is_accepted_by_schema_and_tool(name: str, arguments: dict[str, Any]) -> None:
    assert valid(name, arguments)
    asked = ALL[name].model_validate(arguments)
    left_out = {key: value for key, value in arguments.items() if value not in (None, "", "auto")}
    assert asked == ALL[name].model_validate(left_out)


def test_more_forms_are_understood() -> None:
    asked = GenerateImage(prompt="x", size="1024 × 768", filter={"a": "b"}, tags="red", licences='["CC0-1.0"]')  # type: ignore[arg-type]
    assert (asked.size, asked.filter.pairs, asked.tags, asked.licences) == (
        "1024x768",
        {"a": "b"},
        ("red",),
        ("CC0-1.0",),
    )
    assert ContinueRun(run_id="run-1", exclude_images=2).exclude_images == ("2",)  # type: ignore[arg-type]
    assert ContinueRun(run_id="run-1", choose="[]").choose == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["shoes", "", "price is null", "price≤5", {"price": 5}, None, 5])
def test_a_filter_in_another_form_is_answered_with_the_forms_there_are(wrong: object) -> None:
    with pytest.raises(ValidationError) as caught:
        GenerateImage(prompt="x", filter=[wrong])  # type: ignore[arg-type]
    problem = refusal(caught.value)
    assert f"filter: {wrong!r} is none: write text such as key=value" in problem
    for example in FORMS:
        assert example in problem
        assert parse_filter(example)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Whatever a schema accepts, as far as these schemas go."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    whole = st.integers(low, schema.get("maximum"))
    made: dict[str, st.SearchStrategy[Any]] = {
        "null": st.none(),
        "boolean": st.booleans(),
        "integer": whole,
        "number": st.floats(
            low, schema.get("maximum"), allow_nan=False, allow_infinity=False, exclude_min="exclusiveMinimum" in schema
        ),
        "string": st.text() | st.sampled_from(["", "auto", ID, f"image://{ID}", ID[:12], "1024x1024", "a=b"]),
        "array": st.deferred(lambda: st.lists(values(schema["items"]), max_size=4)),
        "object": st.deferred(lambda: whole_of(schema)),
    }
    return st.one_of(*(made[kind] for kind in kinds))


def whole_of(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: values(field) for name, field in schema.get("properties", {}).items()}
    needed = schema.get("required", [])
    optional = {name: made for name, made in fields.items() if name not in needed}
    return st.fixed_dictionaries({name: fields[name] for name in needed}, optional=optional)


WHOLE = {name: st.tuples(st.just(name), whole_of(schema)) for name, schema in sorted(SCHEMAS.items())}


@settings(max_examples=300, deadline=None)
@given(st.one_of(*WHOLE.values()))
def test_what_a_schema_accepts_is_taken_or_refused_in_plain_words(asked: tuple[str, dict[str, Any]]) -> None:
    name, arguments = asked
    assert valid(name, arguments)
    try:
        ALL[name].model_validate(arguments)
    except ValidationError as error:
        told = refusal(error)
        assert told
        assert "\n" not in told
        assert len(told) < 400
        assert not re.search(r"it should be a valid|pattern|Value error", told)


@pytest.mark.parametrize("name", SERVED)
def test_an_answer_has_the_form_that_is_published(name: str) -> None:
    gives = SERVED[name][1]
    schema = published_answer(gives)
    Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == set(gives.model_fields)


def test_the_list_of_tools_stays_small() -> None:
    listed = listed_tools()
    assert [one.name for one in listed] == list(SERVED)
    assert len(json.dumps(listed)) < 16_000


def test_what_an_argument_means_is_said_once_in_the_list() -> None:
    said = [
        (name, schema["description"])
        for tool in listed_tools()
        for name, schema in tool.parameters["properties"].items()
        if "description" in schema
    ]
    assert len(set(said)) == len(said)
    first = {name for name, _ in said}
    alone = [one for name in SERVED if name not in AS_ANOTHER for one in published(ALL[name])["properties"].items()]
    assert {name for name, schema in alone if "description" in schema} <= first


def test_what_answers_print_is_taken_back(stage: Any) -> None:
    async def through() -> None:
        found = await stage.service.search_references(SearchReferences(query="hearts"))
        uri, short = found.data["hits"][0]["uri"], found.images[0].sha256[:12]
        run = await stage.service.generate_image(GenerateImage(prompt="a heart"))
        told = [*re.findall(r"image://[0-9a-f]+", found.text + run.text), short]
        assert uri in told
        for named in told:
            for tool, arguments in (
                ("view_image", {"image_id": named}),
                ("continue_run", {"run_id": run.data["run_id"], "add_images": [named]}),
            ):
                assert valid(tool, arguments)
            seen = await stage.service.view_image(ViewImage(image_id=named, library="mine"))
            assert not seen.is_error, seen.text
        again = await stage.service.search_references(SearchReferences(image=uri))
        assert not again.is_error, again.text
        for number in (reference["number"] for reference in run.data["references"]):
            assert ContinueRun(run_id=run.data["run_id"], exclude_images=[number]).exclude_images == (str(number),)
        unknown = await stage.service.view_image(ViewImage(image_id="ffffff"))
        assert "no image of an earlier answer begins with image://ffffff" in unknown.text

    import asyncio

    asyncio.run(through())


def test_files_are_told_with_their_extension(stage: Any) -> None:
    import asyncio
    from pathlib import Path

    async def drawn() -> Any:
        return await stage.service.generate_image(GenerateImage(prompt="a heart"))

    answer = asyncio.run(drawn())
    file = Path(answer.data["image"]["path"])
    assert file.suffix == ".png"
    assert f"File: {file}" in answer.text
    assert file.read_bytes() == asyncio.run(stage.rag.runs.image_bytes(answer.images[0].sha256))


async def test_libraries_are_told_with_what_they_can_be_filtered_by(sketch: ImageRAG) -> None:
    from imagerag.assistants.service import ChatService

    service = ChatService(sketch)
    found = await service.list_libraries(ListLibraries())
    (one,) = [library for library in found.data["libraries"] if library["name"] == "sketch"]
    assert one["usual"] is True
    assert one["images"] > 10
    assert one["threshold"] > 0
    assert "CC-BY-4.0" in one["licences"]
    assert one["tags"] or one["metadata"]
    for key in one["metadata"]:
        wanted = {"query": "a red circle", "filter": [f"{key['key']}={key['values'][0]}"], "tags": one["tags"][:1]}
        assert valid("search_references", wanted)
        hits = await service.search_references(SearchReferences.model_validate({**wanted, "tags": []}))
        assert hits.data["hits"]
    assert '"sketch" (used unless you name another)' in found.text
    assert len(found.text) <= 2_000
    missing = await service.list_libraries(ListLibraries(library="nothing"))
    assert missing.is_error
    assert "no library 'nothing'" in missing.text


async def test_a_library_made_in_python_is_listed_too(stage: Any) -> None:
    found = await stage.service.list_libraries(ListLibraries())
    assert [library["name"] for library in found.data["libraries"]] == ["mine"]
    assert found.data["libraries"][0]["note"].startswith("made in Python")


@pytest.mark.parametrize("at", range(len(TOOLS)))
def test_openais_strict_form_keeps_every_argument_free_to_be_left_out(at: int) -> None:
    tool = imagerag.as_tools(ImageRAG(preset="sketch"))[at]
    made = convert_to_openai_tool(tool, strict=True)["function"]
    assert made["name"] == tool.name
    assert made["description"]
    told = made["parameters"]
    needed = SCHEMAS[tool.name].get("required", [])
    nothing = {name: None for name in told["properties"] if name not in needed}
    given = {"prompt": "x", "question": "x", "run_id": "run-1", "image_id": ID, "query": "x", "image": "x"}
    asked = {
        **nothing,
        **{name: given[name] for name in [*needed, *(["query"] if tool.name == "search_references" else [])]},
    }
    assert Draft202012Validator({**told, "required": list(told["properties"])}).is_valid(asked)
    TOOLS[tool.name].model_validate(asked)
    objects = [
        told,
        *(field["items"] for field in told["properties"].values() if "properties" in field.get("items", {})),
    ]
    assert all(one["additionalProperties"] is False for one in objects)
