"""The desktop bundle: what is in it, and its command, started as a desktop application starts it."""

import json
import os
import re
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from imagerag import __version__
from imagerag.mcp.desktop import arguments
from imagerag.mcp.desktop_bundle import FIELDS, VARIABLES, build

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle around a wheel of nothing (tests/package builds the real one), unpacked."""
    folder = tmp_path_factory.mktemp("bundle")
    wheel = folder / f"imagerag-{__version__}-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    bundle = build(wheel, folder / "dist")
    assert bundle.name == f"imagerag-{__version__}.mcpb"
    again = build(wheel, folder / "again")
    assert again.read_bytes() == bundle.read_bytes()
    with zipfile.ZipFile(bundle) as packed:
        packed.extractall(folder / "it")
    return folder / "it"


def manifest_of(unpacked: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((unpacked / "manifest.json").read_text())
    return loaded


def filled(value: Any, fields: dict[str, Any], folder: Path) -> Any:
    """What a desktop application makes of a value: placeholders of fields that are left empty stay."""
    if isinstance(value, list):
        several: list[Any] = []
        for one in value:
            whole = re.fullmatch(r"\$\{user_config\.(\w+)\}", one)
            found = fields.get(whole[1]) if whole else None
            several += found if isinstance(found, list) else [filled(one, fields, folder)]
        return several
    text = value.replace("${__dirname}", str(folder))
    return re.sub(r"\$\{user_config\.(\w+)\}", lambda match: str(fields.get(match[1], match[0])), text)


def test_the_manifest_names_what_there_is(unpacked: Path) -> None:
    manifest = manifest_of(unpacked)
    assert (manifest["manifest_version"], manifest["version"]) == ("0.4", PROJECT["version"])
    assert manifest["server"]["type"] == "uv"
    assert manifest["compatibility"]["runtimes"]["python"] == PROJECT["requires-python"]
    assert manifest["license"] == PROJECT["license"]
    used = set(re.findall(r"\$\{user_config\.(\w+)\}", json.dumps(manifest["server"])))
    assert used == manifest["user_config"].keys()
    secret = {name for name, field in FIELDS.items() if field.get("sensitive")}
    assert secret == {field for name, field in VARIABLES.items() if name.endswith("_KEY")}
    project = tomllib.loads((unpacked / "pyproject.toml").read_text())
    (source,) = project["tool"]["uv"]["sources"].values()
    assert (unpacked / source["path"]).exists()
    assert project["project"]["dependencies"] == ["imagerag[mcp]"]


async def test_its_command_serves_the_tools_that_it_names(unpacked: Path, tmp_path: Path) -> None:
    manifest = manifest_of(unpacked)
    configured = manifest["server"]["mcp_config"]
    fields = {name: one["default"] for name, one in manifest["user_config"].items() if "default" in one}
    fields |= {"home": str(tmp_path / "home"), "folders": [str(tmp_path), str(unpacked)], "library": "sketch"}
    words = filled(configured["args"], fields, unpacked)
    assert words[:3] == ["run", "--directory", str(unpacked)]  # uv's, which makes an environment of its own
    environment = {name: filled(text, fields, unpacked) for name, text in configured["env"].items()}
    clean = {name: value for name, value in os.environ.items() if name not in configured["env"]}
    started = StdioServerParameters(
        command=sys.executable, args=words[3:], env={**clean, **environment, "PYTHONPATH": str(ROOT)}, cwd=str(unpacked)
    )
    async with Client(started) as client:
        served = (await client.list_tools()).tools
    assert [(one.name, one.description) for one in served] == [(t["name"], t["description"]) for t in manifest["tools"]]


def test_what_is_left_empty_is_left_out() -> None:
    given = ["--max-cost-usd=1", "--daily-max-cost-usd=${user_config.daily_max_cost_usd}", "/a b", "", "/c"]
    assert arguments(given) == ["mcp", "--max-cost-usd=1", "--root=/a b", "--root=/c"]
    assert arguments(["${user_config.folders}", "--max-cost-usd="]) == ["mcp"]
