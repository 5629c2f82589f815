"""The JSON Schemas that models and their clients are shown: what is accepted, in as few words as it takes."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

_SAID_BY_NULL: Final[tuple[object, ...]] = (None, "", [], {}, ())
"""Defaults that go without saying: leaving an argument out means the same."""

_LEFT_OUT: Final = frozenset(
    {"title", "$defs", "anyOf", "properties", "minLength", "maxLength", "maxItems", "exclusiveMaximum"}
)
"""What a model does not need: what is too long is refused in plain words."""


def published(model: type[BaseModel], *, briefly: bool = False) -> dict[str, Any]:
    """The input schema of a tool. Optional values may be null or empty, as many models send them.

    Args:
        briefly: without the arguments' descriptions, where another tool has the same.
    """
    whole = _schema(model, "validation")
    schema = _plain(whole, whole.get("$defs", {}), nullable=True)
    for argument in schema["properties"].values() if briefly else ():
        argument.pop("description", None)
    return schema


def published_answer(model: type[BaseModel], *, briefly: bool = False) -> dict[str, Any]:
    """The output schema of a tool, one level deep: programs have the classes, models read the text.

    Args:
        briefly: that it is an object, where another tool answers the same.
    """
    if briefly:
        return {"type": "object"}
    properties = _schema(model, "serialization")["properties"]
    return {"type": "object", "properties": {name: _outline(value) for name, value in properties.items()}}


@cache
def _schema(model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
    """The schema of Pydantic, once per process: every server made here publishes the same. Not to be changed."""
    return model.model_json_schema(mode=mode)


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any], *, nullable: bool) -> dict[str, Any]:
    """A schema without titles, references and defaults that go without saying."""
    if "$ref" in schema:
        definition = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        schema = {**definition, **{key: value for key, value in schema.items() if key != "$ref"}}
    plain = {key: value for key, value in schema.items() if key not in _LEFT_OUT}
    if plain.get("default", 0) in _SAID_BY_NULL:
        del plain["default"]
    if "properties" in schema:
        plain.pop("description", None)
        required = schema.get("required", ())
        plain["properties"] = {
            name: _argument(value, definitions, nullable=nullable and name not in required)
            for name, value in schema["properties"].items()
        }
    if isinstance(plain.get("items"), Mapping):
        plain["items"] = _plain(plain["items"], definitions, nullable=nullable)
    for option in schema.get("anyOf", ()):
        if option != {"type": "null"}:
            plain = {**_plain(option, definitions, nullable=nullable), **plain}
    return plain


def _argument(schema: Mapping[str, Any], definitions: Mapping[str, Any], *, nullable: bool) -> dict[str, Any]:
    plain = _plain(schema, definitions, nullable=nullable)
    if not nullable:
        return plain
    kinds = plain["type"] if isinstance(plain["type"], list) else [plain["type"]]
    plain["type"] = [*kinds, *({"null"} - set(kinds))]
    if "enum" in plain:
        plain["enum"] = [*plain["enum"], "", None]
    return plain


def _outline(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A property of an answer by its type alone, and what is said of it."""
    described = {"description": schema["description"]} if "description" in schema else {}
    options = [option.get("type", "object") for option in schema.get("anyOf", (schema,))]
    if "$ref" in schema or any("$ref" in option for option in schema.get("anyOf", ())):
        # Of the references that answers hold, outcomes are words, all else is an object.
        references = [str(option.get("$ref", "")) for option in schema.get("anyOf", (schema,))]
        options = [
            "string" if name.endswith("Outcome") else kind for kind, name in zip(options, references, strict=True)
        ]
    return {"type": options[0] if len(options) == 1 else options, **described}
