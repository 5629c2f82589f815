"""`server.json`, with which the MCP registry lists the server: what it says is what the project and the server have.

The rules are those of the registry's schema of 2025-12-11.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest

from imagerag.cli.mcp import mcp_command
from imagerag.graphs.configuration.settings import Settings
from imagerag.http_server.token_variables import MCP_TOKEN
from imagerag.tools.credentials import HUB_KEYS, KEYS

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "server.json").read_text())
PACKAGES: list[dict[str, Any]] = DOCUMENT["packages"]
SCHEMA = "2025-12-11"
OPTIONS = {name: option for option in mcp_command.params for name in option.opts if isinstance(option, click.Option)}

INPUT = {"description", "isRequired", "format", "value", "isSecret", "default", "placeholder", "choices", "variables"}
FORMATS = {"string", "number", "boolean", "filepath"}


def test_the_version_is_the_projects() -> None:
    assert {DOCUMENT["version"], *(one["version"] for one in PACKAGES)} == {PROJECT["version"]}


def test_the_document_is_within_the_rules() -> None:
    assert set(DOCUMENT) == {"$schema", "name", "title", "description", "version", "packages"}
    assert DOCUMENT["$schema"] == f"https://static.modelcontextprotocol.io/schemas/{SCHEMA}/server.schema.json"
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", DOCUMENT["name"])
    assert 1 <= len(DOCUMENT["description"]) <= 100
    assert 1 <= len(DOCUMENT["title"]) <= 100


@pytest.mark.parametrize("package", PACKAGES, ids=lambda one: str(one["transport"]["type"]))
def test_a_package_installs_the_project_with_its_extra(package: dict[str, Any]) -> None:
    assert (package["registryType"], package["identifier"], package["runtimeHint"]) == ("pypi", PROJECT["name"], "uvx")
    (extra,) = PROJECT["optional-dependencies"]["mcp"]
    assert package["runtimeArguments"] == [{"type": "named", "name": "--with", "value": extra}]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda one: str(one["transport"]["type"]))
def test_the_arguments_are_options_of_the_command(package: dict[str, Any]) -> None:
    arguments = package["packageArguments"]
    fixed = [one["value"] for one in arguments if one["type"] == "positional"]
    assert fixed[0] == "mcp"
    for one in arguments:
        assert set(one) <= INPUT | {"type", "name", "isRepeated", "valueHint"}
        assert one.get("format", "string") in FORMATS
        assert one["type"] == "positional" or one["name"] in OPTIONS
        assert one["type"] == "positional" or OPTIONS[one["name"]].multiple == one.get("isRepeated", False)
    assert set(fixed[1:]) <= OPTIONS.keys()
    assert ("--http" in fixed) == (package["transport"]["type"] == "streamable-http")
    if "--http" in fixed:
        address = urlsplit(package["transport"]["url"])
        (port,) = (one["value"] for one in arguments if one.get("name") == "--port")
        assert (address.hostname, str(address.port), address.path) == ("127.0.0.1", port, "/mcp")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda one: str(one["transport"]["type"]))
def test_variables_are_described_and_keys_are_secret(package: dict[str, Any]) -> None:
    variables = {one["name"]: one for one in package["environmentVariables"]}
    keys = {*KEYS.values()}
    settings = {f"IMAGERAG_{name.upper()}" for name in Settings.model_fields}
    assert keys <= variables.keys() <= {*keys, *HUB_KEYS, *settings, MCP_TOKEN, "IMAGERAG_HOME"}
    assert all(one["description"] and set(one) <= INPUT | {"name"} for one in variables.values())
    assert {name for name, one in variables.items() if one.get("isSecret")} == variables.keys() & {
        *keys,
        *HUB_KEYS,
        MCP_TOKEN,
    }
    assert (MCP_TOKEN in variables) == (package["transport"]["type"] != "stdio")
