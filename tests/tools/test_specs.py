import subprocess
import sys

import pytest

from imagerag.agent.errors import SpecError
from imagerag.tools.spec import BackendSpec

LOCAL = "http://localhost:11434/v1"


@pytest.mark.parametrize(
    ("text", "provider", "model", "base_url"),
    [
        ("sketch", "sketch", "", None),
        (" Sketch ", "sketch", "", None),
        ("open_clip:ViT-B-32-quickgelu/openai", "open_clip", "ViT-B-32-quickgelu/openai", None),
        ("open_clip:ViT-B-32//data/weights, last.pt", "open_clip", "ViT-B-32//data/weights, last.pt", None),
        ("open_clip:local-dir:/data/me@home", "open_clip", "local-dir:/data/me@home", None),
        (f"openai:qwen3-vl@{LOCAL}", "openai", "qwen3-vl", LOCAL),
        (f"openai:qwen3-vl:8b@{LOCAL}", "openai", "qwen3-vl:8b", LOCAL),
        (f"openai@{LOCAL}", "openai", "", LOCAL),
        ("clip:open_clip:ViT-B-32/laion2b", "clip", "open_clip:ViT-B-32/laion2b", None),
    ],
)
def test_a_spec_is_provider_model_and_address(text: str, provider: str, model: str, base_url: str | None) -> None:
    spec = BackendSpec.parse(text)
    assert spec == BackendSpec(provider, model, base_url)
    assert BackendSpec.parse(str(spec)) == spec


@pytest.mark.parametrize("text", ["", "  ", ":x", "openai:", "a b:c", "1x", "openai:m@http://", "x,,y", "x,"])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"spec|no model|address"):
        BackendSpec.parse_all(text)


@pytest.mark.parametrize(
    "text",
    [
        "vllm:m@127.0.0.1:8000/v1",
        "ollama:qwen3-vl:8b@gpu.example.org:11434",
        "openai:m@[::1]:8000/v1",
        "comfyui:flow.json@localhost:8188",
        "openai:m@me:hunter2@127.0.0.1:8000/v1",
    ],
)
def test_an_address_without_its_scheme_is_no_part_of_a_model(text: str) -> None:
    with pytest.raises(SpecError, match="needs http:// or https://") as raised:
        BackendSpec.parse(text)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("comfyui:flow.json@ws://me:hunter2@127.0.0.1:8188", "not ws://; its websocket is opened at the same address"),
        ("comfyui:flow.json@WSS://gpu.example.org", "not WSS://; its websocket"),
        ("openai:m@ftp://h/v1", "begins with http:// or https://, not ftp://$"),
        ("openai:m?timeout_s=3@file:///etc", "not file://$"),
    ],
)
def test_an_address_of_another_scheme_is_refused_with_the_right_one(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        BackendSpec.parse(text)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("model", ["@cf/meta/llama-3.2-11b", "model@sha256:0a1b", "a/b@main", "name@2026-11"])
def test_an_at_sign_may_be_in_a_models_name(model: str) -> None:
    assert BackendSpec.parse(f"openai:{model}").model == model


def test_a_model_without_its_provider_gets_a_hint() -> None:
    with pytest.raises(SpecError, match="did you mean open_clip:ViT-B-32/openai"):
        BackendSpec.parse("ViT-B-32/openai")


def test_a_fallback_is_a_list() -> None:
    specs = BackendSpec.parse_all(f"openai:gpt-image-2.6-flare, openai:x@{LOCAL},sketch")
    assert [str(spec) for spec in specs] == ["openai:gpt-image-2.6-flare", f"openai:x@{LOCAL}", "sketch"]
    with pytest.raises(SpecError, match="names 3 backends"):
        BackendSpec.parse("a,b,c")


def test_specs_and_registry_load_nothing_heavy() -> None:
    code = (
        "import sys, imagerag.tools.spec, imagerag.tools.registry\n"
        "import imagerag.tools.testing.fakes, imagerag.tools.backend_factories, imagerag.tools.sketch.registration\n"
        "import imagerag.tools.sketch.judge\n"
        "heavy = {'torch', 'open_clip', 'langgraph', 'numpy', 'PIL', 'langchain_core'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
