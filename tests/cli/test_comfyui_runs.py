"""Whole runs whose generator is a workflow on a ComfyUI server; the sketch painter draws there, from its inputs."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.ports import ImagePart, ReferenceTemplate
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.sketch.generator import SketchGenerator
from imagerag.tools.testing.mock_openai.sketch_templates import read_back
from tests.cli.conftest import ABSENT, HELD, KNOWN, Imagerag, document, one_line
from tests.processes import IMAGERAG, Python
from tests.tools.generators.comfyui_server import ComfyLoopback
from tests.tools.generators.comfyui_workflows import adapted, node, text_to_image

TEMPLATE = ReferenceTemplate(whole="According to these images of {items}, generate: {prompt}", item="<{n}: {caption}>")
OPTIONS = "?template=According+to+these+images+of+{items}%2C+generate:+{prompt}&template_item=<{n}:+{caption}>"


async def paint(prompt: dict[str, Any], uploads: dict[str, bytes]) -> bytes:
    """The sketch painter's image of a workflow, from nothing but its inputs."""
    text = prompt["6"]["inputs"]["text"]
    scene, said = read_back(TEMPLATE, TEMPLATE.whole, text) or (text, {})
    loaded = [prompt[name]["inputs"]["image"] for name in ("20", "22") if name in prompt]
    captions = [said[n].caption if n in said else "" for n in range(1, len(loaded) + 1)]
    parts = [
        ImagePart(data=uploads[name], media_type="image/png", concept=caption)
        for name, caption in zip(loaded, captions, strict=True)
    ]
    variation = SamplingParams(seed=prompt["3"]["inputs"]["seed"])
    size = Size(width=256, height=256)
    return (await SketchGenerator().generate(scene, parts, variation=variation, size=size)).data


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(adapted()))
    return file


def spec(flow: Path, server: ComfyLoopback) -> str:
    return f"comfyui:{flow}{OPTIONS}@{server.url}"


def test_a_run_draws_finds_what_is_missing_and_draws_again(imagerag: Imagerag, flow: Path) -> None:
    with ComfyLoopback(paint) as server:
        command = ("generate", HELD, "--generator", spec(flow, server), "--size", "256x256", "--json")
        result = imagerag(*command)
        assert result.exit_code == 0, result.output
        run = document(result)
        assert run["outcome"] == "aligned"
        assert len(server.drawn) == len(run["attempts"]) > 1
        assert "20" not in server.drawn[0]  # without references, past the adapters
        assert "20" in server.drawn[-1]
        assert run["cost_usd"] == 0
        assert run["attempts"][0]["generator"].startswith("comfyui:flow.json?workflow=")
        assert len(server.uploads) >= len(run["references"]) > 0
        drawn = len(server.drawn)
        replayed = document(imagerag(*command, "--cache", "replay"))
        assert replayed["image"]["sha256"] == run["image"]["sha256"]
        assert len(server.drawn) == drawn


def test_a_run_that_was_killed_in_a_drawing_goes_on_with_it(imagerag: Imagerag, flow: Path) -> None:
    with ComfyLoopback(paint, fault="hang") as server:
        generator = spec(flow, server)
        with Python(*IMAGERAG, "generate", KNOWN, "--generator", generator, "--size", "256x256", "--json") as running:
            while server.running is None:
                assert running.poll() is None
                time.sleep(0.02)
            running.send_signal(signal.SIGKILL)
            running.communicate()
        server.release()
        run = document(imagerag("resume", "last", "--json"))
        assert run["outcome"] == "aligned"
        assert (len(server.prompts), len(server.drawn)) == (1, 1)


def test_ctrl_c_takes_the_drawing_back(imagerag: Imagerag, flow: Path) -> None:
    with ComfyLoopback(paint, fault="hang") as server:
        with Python(*IMAGERAG, "generate", KNOWN, "--generator", spec(flow, server), "--json") as running:
            while server.running is None:
                assert running.poll() is None
                time.sleep(0.02)
            job = server.running["id"]
            running.send_signal(signal.SIGINT)
            out, _ = running.communicate()
        assert json.loads(out)["outcome"] == "cancelled"
        assert server.interrupts == [job]


def test_a_wrong_workflow_ends_a_run_before_anything_is_drawn(imagerag: Imagerag, flow: Path) -> None:
    broken = {**text_to_image(), "9": node("MySave", "Mine", images=["8", 0])}
    flow.write_text(json.dumps(broken))
    with ComfyLoopback(paint) as server:
        for more in (["--dry-run"], []):
            result = imagerag("generate", ABSENT, "--generator", spec(flow, server), *more)
            assert result.exit_code == (2 if more else 1), result.output
            assert "node 9 “Mine” (MySave): the server has no such node" in " ".join(result.output.split())
        checked = imagerag("doctor", "--generator", spec(flow, server), "--json")
        assert any("node 9 “Mine”" in problem for problem in document(checked)["problems"])
        assert server.prompts == []
        flow.write_text("{}")
        assert "has no nodes: export it" in one_line(imagerag("generate", ABSENT, "--generator", spec(flow, server)))
