"""The reference of the MCP tools is made from the server, and the clients' configurations in it are accepted."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import click
import pytest
from pydantic import BaseModel

from imagerag.assistants.image_blocks import MAX_ENCODED
from imagerag.assistants.tool_inputs import DESCRIPTIONS, MAX_HITS, MAX_SIDE
from imagerag.assistants.tool_outputs import ANSWER, MOST
from imagerag.cli import main
from imagerag.cli.mcp import mcp_command
from imagerag.mcp.job_schemas import ADDED, LONGEST_WAIT_S
from imagerag.mcp.tool_list import TOOLS
from tests.docs.generated import DOCS, check, code, table

PAGE = "reference/mcp-tools.md"
LIMITS = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "maxItems", "pattern"
)  # fmt: skip
WORDS = {
    "minimum": "at least {}", "maximum": "at most {}", "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}", "minLength": "", "maxLength": "at most {} characters",
    "maxItems": "at most {} entries", "pattern": "",
}  # fmt: skip


def resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with its reference looked up, and of a choice with null the other one."""
    if "$ref" in schema:
        return {**definitions[schema["$ref"].rsplit("/", 1)[-1]], **schema}
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    return {**resolved(options[0], definitions), **schema} if len(options) == 1 else dict(schema)


def kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A value's type in words."""
    schema = resolved(schema, definitions)
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if isinstance(schema.get("items"), Mapping):
        return f"list of {kind(schema['items'], definitions)}"
    if "anyOf" in schema:
        return " or ".join(kind(option, definitions) for option in schema["anyOf"] if option != {"type": "null"})
    if "properties" in schema:
        return f"object ({code(schema['properties'])})"
    kinds = schema.get("type", "value")
    return kinds if isinstance(kinds, str) else " or ".join(name for name in kinds if name != "null")


def limits(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The limits of a value in words."""
    schema = resolved(schema, definitions)
    said = (WORDS[name].format(f"{schema[name]:,}") for name in LIMITS if name in schema and WORDS[name])
    return ", ".join(said)


def arguments(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """The rows of a tool's inputs."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    for name, value in schema.get("properties", {}).items():
        needed = name in schema.get("required", ())
        default = value.get("default")
        shown = "required" if needed else f"`{json.dumps(default)}`" if default not in (None, [], {}, "") else ""
        text = resolved(value, definitions).get("description", "")
        parts = (kind(value, definitions), limits(value, definitions))
        yield f"`{name}`", "; ".join(filter(None, parts)), shown, text


def results(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """The rows of a tool's result."""
    schema = model.model_json_schema(mode="serialization")
    definitions = schema.get("$defs", {})
    for name, value in schema["properties"].items():
        yield f"`{name}`", kind(value, definitions), value.get("description", "")


def tools() -> str:
    """A section for every tool."""
    return "\n\n".join(section(name) for name in TOOLS)


def section(name: str) -> str:
    takes, gives, reads = TOOLS[name]
    inputs = list(arguments(takes))
    effect = "Reads only: spends nothing and changes nothing." if reads else "May call models and write a run."
    return "\n\n".join(
        [
            f"### {name}",
            f"{DESCRIPTIONS.get(name) or ADDED[name]}",
            f"{effect} Returns [`{gives.__name__}`](#{gives.__name__.lower()}).",
            table(("input", "type", "default", "description"), inputs) if inputs else "No inputs.",
        ]
    )


def outputs() -> str:
    """A section for every shape of result."""
    shapes = dict.fromkeys(gives for _, gives, _ in TOOLS.values())
    return "\n\n".join(
        f"### {shape.__name__}\n\n{' '.join((shape.__doc__ or '').split())}\n\n"
        + table(("field", "type", "description"), results(shape))
        for shape in shapes
    )


def bounds() -> str:
    """The limits that the server itself sets, as constants and as options of `imagerag mcp`."""
    fixed = [
        ("text of a result, which the model reads", f"{ANSWER:,} characters"),
        ("entries of any list in a result", str(MOST)),
        ("hits of a search", str(MAX_HITS)),
        ("side of an image from `view_image`", f"{MAX_SIDE:,} pixels"),
        ("thumbnail in a result", f"{MAX_ENCODED // 1000} kB, base64"),
        ("wait of `run_result`", f"{LONGEST_WAIT_S:g} s"),
    ]
    options = [
        (
            f"`{max(option.opts, key=len)}`",
            (option.help or "").replace("[", "\\["),
            f"`{option.default}`" if option.show_default else "",
        )
        for option in mcp_command.params
        if isinstance(option, click.Option) and not option.hidden
    ]
    return "\n\n".join(
        [table(("limit", "value"), fixed), table(("option of `imagerag mcp`", "description", "default"), options)]
    )


def test_generated_reference_of_mcp_tools_is_what_the_server_says() -> None:
    check(PAGE, tools=tools(), outputs=outputs(), limits=bounds())


def test_every_tool_and_every_input_is_described() -> None:
    assert len(TOOLS) >= 10
    for name, (takes, _, _) in TOOLS.items():
        assert f"### {name}\n" in tools()
        assert [row[0] for row in arguments(takes) if not row[3]] == [], name
    assert "| `prompt` | string; at most" in section("generate_image")
    assert "Reads only" in section("search_references")
    assert "Reads only" not in section("start_image")


CONFIGURATIONS = re.findall(r"```json\n(.*?)```", (DOCS / PAGE).read_text("utf-8"), re.S)


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_configurations_of_clients_are_accepted(text: str) -> None:
    ((_, servers),) = json.loads(text).items()
    (entry,) = servers.values()
    if "url" in entry:
        assert entry["url"].endswith("/mcp")
        return
    assert entry["command"] == "imagerag"
    first, *rest = entry["args"]
    assert first == "mcp"
    parent = click.Context(main, info_name="imagerag", **main.context_settings)
    context = mcp_command.make_context("mcp", rest, parent=parent)
    assert context.params["roots"]


def test_the_page_has_configurations() -> None:
    assert len(CONFIGURATIONS) >= 3
