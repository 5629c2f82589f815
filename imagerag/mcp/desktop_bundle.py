"""Desktop bundles (`.mcpb`) of the MCP server: `python -m imagerag.mcp.desktop_bundle WHEEL`, or `make mcpb`.

A bundle is a zip file with a manifest (specification 0.4, server type `uv`), the wheel, and a project that installs it:
the desktop application brings uv, which fetches Python and the dependencies.
"""

import argparse
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from imagerag import __version__
from imagerag.mcp.server import INSTRUCTIONS
from imagerag.mcp.tool_list import listed_tools

MANIFEST: Final = "0.4"
NAME: Final = "imagerag"
DESCRIPTION: Final = "Draws what you asked for, checks it, and finds what is missing in your own images."
PYTHON: Final = ">=3.11"
_DATE: Final = (2026, 1, 1, 0, 0, 0)
"""Of every file in a bundle: the same content is the same bundle."""

VARIABLES: Final[Mapping[str, str]] = {
    "OPENAI_API_KEY": "openai_api_key",
    "GEMINI_API_KEY": "gemini_api_key",
    "IMAGERAG_LIBRARY": "library",
    "IMAGERAG_GENERATOR": "generator",
    "IMAGERAG_JUDGE": "judge",
    "IMAGERAG_HOME": "home",
}
"""Environment variable → field of the form that fills it."""

FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "openai_api_key": {
        "type": "string",
        "title": "OpenAI API key",
        "description": "For OpenAI's models. Without any key the embedded toy world draws, offline.",
        "sensitive": True,
    },
    "gemini_api_key": {
        "type": "string",
        "title": "Gemini API key",
        "description": "For generators and judges of Google's API (gemini:MODEL).",
        "sensitive": True,
    },
    "library": {
        "type": "string",
        "title": "Library",
        "description": "Name of the library that references come from; imagerag index PATH --library NAME makes one.",
    },
    "folders": {
        "type": "directory",
        "title": "Folders with images",
        "description": "Images below these folders may be named as subjects, to edit and as queries; none by default.",
        "multiple": True,
    },
    "max_cost_usd": {
        "type": "number",
        "title": "US dollars of one run",
        "description": "A run stops before it costs more. Calls whose price is not known are not made.",
        "min": 0,
        "default": 1,
    },
    "daily_max_cost_usd": {
        "type": "number",
        "title": "US dollars of one day",
        "description": "All runs of a day (UTC) together stop before they cost more.",
        "min": 0,
        "default": 5,
    },
    "generator": {
        "type": "string",
        "title": "Generator",
        "description": "Spec of the image generator, provider:model. Empty: OpenAI's with its key, else the toy world.",
    },
    "judge": {
        "type": "string",
        "title": "Judge",
        "description": "Spec of the judge, provider:model or auto. Empty: as the generator.",
    },
    "home": {
        "type": "directory",
        "title": "Data folder",
        "description": "Where libraries, images and runs are kept. Empty: the usual folder of this platform.",
    },
}
"""The form that a person fills in; nothing is required."""


def manifest() -> dict[str, Any]:
    """The manifest of the bundle, with the tools that the server serves."""
    return {
        "manifest_version": MANIFEST,
        "name": NAME,
        "display_name": NAME,
        "version": __version__,
        "description": DESCRIPTION,
        "long_description": INSTRUCTIONS,
        "author": {"name": "imagerag developers"},
        "license": "Apache-2.0",
        "keywords": ["image generation", "retrieval", "references"],
        "server": {
            "type": "uv",
            "entry_point": "server.py",
            "mcp_config": {
                "command": "uv",
                "args": [
                    "run",
                    "--directory",
                    "${__dirname}",
                    "server.py",
                    "--max-cost-usd=${user_config.max_cost_usd}",
                    "--daily-max-cost-usd=${user_config.daily_max_cost_usd}",
                    "${user_config.folders}",
                ],
                "env": {name: f"${{user_config.{field}}}" for name, field in VARIABLES.items()},
            },
        },
        "tools": [{"name": one.name, "description": one.description} for one in listed_tools()],
        "user_config": dict(FIELDS),
        "compatibility": {"platforms": ["darwin", "win32", "linux"], "runtimes": {"python": PYTHON}},
    }


def project(wheel: str) -> str:
    """The project file (`pyproject.toml`) that installs the wheel beside it."""
    return f'''[project]
name = "imagerag-desktop"
version = "{__version__}"
requires-python = "{PYTHON}"
dependencies = ["imagerag[mcp]"]

[tool.uv]
package = false

[tool.uv.sources]
imagerag = {{ path = "{wheel}" }}
'''


SERVER: Final = '''"""Starts the MCP server of imagerag, which this bundle brings along."""

from imagerag.mcp.desktop import main

if __name__ == "__main__":
    main()
'''


def build(wheel: Path, folder: Path) -> Path:
    """Write a bundle.

    Args:
        wheel: the wheel that it brings along.
        folder: where to.

    Returns:
        Its file, `imagerag-VERSION.mcpb`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "manifest.json": json.dumps(manifest(), indent=2).encode(),
        "pyproject.toml": project(wheel.name).encode(),
        "server.py": SERVER.encode(),
        wheel.name: wheel.read_bytes(),
    }
    bundle = folder / f"{NAME}-{__version__}.mcpb"
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)
    return bundle


def main() -> None:
    """Build a bundle as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m imagerag.mcp.desktop_bundle", description=main.__doc__)
    parser.add_argument("wheel", type=Path, help="the wheel of imagerag")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder to write it into")
    options = parser.parse_args()
    print(build(options.wheel, options.out))


if __name__ == "__main__":
    main()
