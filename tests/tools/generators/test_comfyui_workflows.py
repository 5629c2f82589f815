"""Workflow files: what is refused without a server, what placeholders become, and what absent images take out."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import BackendError, SpecError
from imagerag.agent.ports import capabilities_of
from imagerag.agent.types import Size
from imagerag.graphs.configuration.trust_policy import is_plain
from imagerag.tools.generators.comfyui.absent_images import fitted, without
from imagerag.tools.generators.comfyui.errors import execution_error, refused
from imagerag.tools.generators.comfyui.jobs import has_succeeded
from imagerag.tools.generators.comfyui.node_info import NodeInfo, class_problems, result_nodes, value_problems
from imagerag.tools.generators.comfyui.placeholders import filled
from imagerag.tools.generators.comfyui.progress import preview_in
from imagerag.tools.generators.comfyui.results import image_of
from imagerag.tools.generators.comfyui.sent_files import Files
from imagerag.tools.generators.comfyui.workflow import Workflow
from imagerag.tools.registry import make_generator
from tests.tools.generators.comfyui_server import CLASSES
from tests.tools.generators.comfyui_workflows import EDIT, EXAMPLES, QWEN, adapted, node, text_to_image

INFOS = {name: NodeInfo.parse(info) for name, info in CLASSES.items()}


def written(folder: Path, document: object) -> str:
    file = folder / "flow.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(file)


def changed(node_id: str, **inputs: Any) -> dict[str, Any]:
    flow = text_to_image()
    flow[node_id]["inputs"] |= inputs
    return flow


REFUSED = {
    "no JSON": ("{", r"is no JSON: export it .*Export \(API\)"),
    "a list": ([], "has no nodes"),
    "nothing": ({}, "has no nodes"),
    "the editor's format": ({"nodes": [{"id": 1}], "links": []}, r"format of ComfyUI's editor.*Export \(API\)"),
    "no node": ({"4": "x"}, "'4' is no node"),
    "no class": (
        {"4": {"inputs": {}, "_meta": {"title": "Mine"}}},
        r"node 4 “Mine” \(unknown class\) has no class_type",
    ),
    "no prompt": (changed("6", text="a cat"), "no node has the placeholder %prompt%"),
    "a link to nowhere": (changed("6", clip=["44", 1]), r"node 6 “Prompt” \(CLIPTextEncode\) takes clip from node 44"),
    "a circle": (
        changed("3", latent_image=["8", 0]),
        r"its links lead in a circle: (?=.*node 3 \(KSampler\)).*node 8 \(VAEDecode\)",
    ),
    "an unknown placeholder": (
        changed("3", seed="%sed%"),
        r"node 3 .*%sed% in seed; did you mean %seed%\? There are %pr",
    ),
    "another case": (changed("3", seed="%SEED%"), r"unknown placeholder %SEED%.*did you mean %seed%"),
    "references from 2": (changed("3", model="%reference_2%"), "no %reference_1%: number them from 1"),
    "a mask of nothing": (changed("3", model="%mask%"), "no image that the mask belongs to"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_workflow_is_refused_when_it_is_named(tmp_path: Path, name: str) -> None:
    document, message = REFUSED[name]
    with pytest.raises(SpecError, match=message) as failed:
        make_generator(f"comfyui:{written(tmp_path, document)}")
    assert "flow.json" in str(failed.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    for file, message in ((tmp_path, "folder"), (pipe, "a pipe"), (tmp_path / "gone.json", "No such file")):
        with pytest.raises(SpecError, match=message):
            make_generator(f"comfyui:{file}")
    with pytest.raises(SpecError, match="names no workflow: write comfyui:WORKFLOW"):
        make_generator("comfyui@http://localhost:8188")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("output=77", "no node 77, which output names"),
        ("edits=true", "no %reference_1% that could be edited"),
        ("quality=high", "no option 'quality'"),
        ("timeout_s=0", "timeout_s must be"),
    ],
)
def test_an_option_that_could_have_no_effect_is_refused(tmp_path: Path, options: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make_generator(f"comfyui:{written(tmp_path, text_to_image())}?{options}")
    flow = changed("7", text="bad")
    with pytest.raises(SpecError, match="no %negative_prompt% for negative_prompt"):
        make_generator(f"comfyui:{written(tmp_path, flow)}?negative_prompt=blurry")
    with pytest.raises(SpecError, match="edits without the option edits"):
        make_generator(f"comfyui:{EDIT}?edits=true")


def test_a_workflow_says_what_it_can(tmp_path: Path) -> None:
    plain = make_generator(f"comfyui:{written(tmp_path, text_to_image())}")
    found = capabilities_of(plain)
    assert (plain.max_references, plain.sizes, found.edits, found.takes_mask, found.supports_seed) == (
        0, None, False, False, True,
    )  # fmt: skip
    edit, qwen = make_generator(f"comfyui:{EDIT}"), make_generator(f"comfyui:{QWEN}")
    assert (edit.max_references, edit.sizes) == (1, ())
    assert (capabilities_of(edit).edits, capabilities_of(edit).takes_mask) == (True, True)
    assert (qwen.max_references, capabilities_of(qwen).edits) == (3, False)
    assert capabilities_of(make_generator(f"comfyui:{QWEN}?edits=true")).edits is True
    fixed = make_generator(f"comfyui:{written(tmp_path, changed('3', seed=5))}")
    assert capabilities_of(fixed).supports_seed is False


def test_the_identity_names_the_workflow_by_its_content(tmp_path: Path) -> None:
    file = written(tmp_path, text_to_image())
    first = make_generator(f"comfyui:{file}?key_env=OUR_KEY&timeout_s=9@http://bob:secret@gpu:8188/comfy").identity
    assert first.startswith("comfyui:flow.json?workflow=")
    assert first.endswith("@http://gpu:8188/comfy")
    assert first == make_generator(f"comfyui:{file}@http://gpu:8188/comfy/").identity
    assert first != make_generator(f"comfyui:{file}?negative_prompt=x@http://gpu:8188/comfy").identity
    written(tmp_path, changed("3", steps=21))
    assert first != make_generator(f"comfyui:{file}@http://gpu:8188/comfy").identity


def test_data_may_not_name_a_workflow() -> None:
    assert not is_plain(f"comfyui:{QWEN}")
    assert not is_plain("comfyui:flow.json@http://localhost:8188")


@given(st.text(), st.integers(0, 2**32), st.text())
def test_text_goes_in_as_it_is_and_numbers_stay_numbers(prompt: str, seed: int, negative: str) -> None:
    flow = changed("6", text="best quality, %prompt% at 50% off")
    nodes = filled(flow, {"prompt": prompt, "seed": seed, "negative_prompt": negative, "width": 8, "height": 16})
    assert nodes["6"]["inputs"]["text"] == f"best quality, {prompt} at 50% off"
    assert nodes["7"]["inputs"]["text"] == negative
    assert nodes["3"]["inputs"]["seed"] == seed
    assert (nodes["5"]["inputs"]["width"], nodes["5"]["inputs"]["height"]) == (8, 16)
    assert nodes["9"]["inputs"]["filename_prefix"] == "%year%-%width%"  # the server's own placeholders
    assert json.loads(json.dumps(flow)) == flow


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_examples_of_the_documentation_run(file: Path) -> None:
    workflow = Workflow.read(str(file))
    assert list(class_problems(workflow, INFOS)) == []
    assert list(value_problems(workflow.nodes, INFOS)) == []


def test_problems_with_a_server_name_the_node() -> None:
    flow = changed("4", ckpt_name="sd_xl_base_1.0.safetensor")
    flow["3"]["inputs"]["sampler_name"] = "eulr"
    del flow["8"]["inputs"]["vae"]
    sampler, checkpoint, decoder = value_problems(flow, INFOS)
    assert checkpoint.startswith("node 4 “Load Checkpoint” (CheckpointLoaderSimple): ckpt_name 'sd_xl_base_1.0.safeten")
    assert "did you mean 'sd_xl_base_1.0.safetensors'" in checkpoint
    assert "node 3 (KSampler): sampler_name 'eulr'" in sampler
    assert decoder == "node 8 (VAEDecode) lacks its input vae"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"9": {"class_type": "MySave", "inputs": {}}}, r"node 9 \(MySave\): the server has no such node"),
        ({"20": {"class_type": "FluxProUltraImageNode", "inputs": {"prompt": ""}}}, "node 20 .* calls a paid service"),
        ({"9": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 1]}}}, r"takes samples from output 1 of node 3"),
        ({"9": {"class_type": "VAEDecode", "inputs": {}}}, "no node of it keeps an image"),
        ({"9": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["8", 0]}}}, "no node of it keeps an image"),
        ({"9": {"class_type": "ShowText", "inputs": {"text": ["6", 0]}}}, "no node of it keeps an image"),
    ],
)
def test_a_workflow_that_cannot_run_there(change: dict[str, Any], message: str) -> None:
    found = "; ".join(class_problems(Workflow("f", text_to_image() | change, ""), INFOS))
    assert len(found.splitlines()) == 1
    assert re.search(message, found), found


def left(flow: dict[str, Any], *absent: str) -> dict[str, Any]:
    places = Workflow("f", flow, "").placeholders
    return without(flow, [place for name in absent for place in places[name]], INFOS)


def test_an_optional_input_is_left_empty() -> None:
    flow = json.loads(QWEN.read_text())
    nodes = left(flow, "reference_2", "reference_3")
    assert {"5", "6"}.isdisjoint(nodes)
    assert nodes["7"]["inputs"]["image1"] == ["4", 0]
    assert {"image2", "image3"}.isdisjoint(nodes["7"]["inputs"])
    assert set(left(flow, "reference_1", "reference_2", "reference_3")) == set(flow) - {"4", "5", "6"}
    assert flow == json.loads(QWEN.read_text())


def test_a_node_that_needs_the_image_passes_on_what_goes_through_it() -> None:
    nodes = left(adapted(), "reference_1", "reference_2")
    assert nodes["3"]["inputs"]["model"] == ["4", 0]  # past both adapters
    assert nodes["3"]["inputs"]["positive"] == ["6", 0]
    assert nodes["3"]["inputs"]["negative"] == ["7", 0]  # the second output is the second input
    assert result_nodes(nodes, INFOS, ["6"]) == ["9"]
    one = left(adapted(), "reference_2")
    assert one["3"]["inputs"]["model"] == ["21", 0]
    assert "20" in one
    assert "22" not in one


def test_a_mask_that_is_not_sent_edits_the_whole_image() -> None:
    nodes = left(json.loads(EDIT.read_text()), "mask")
    assert nodes["8"]["inputs"]["latent_image"] == ["6", 0]


def test_what_cannot_run_without_its_image_is_taken_out_up_to_its_end() -> None:
    assert result_nodes(left(json.loads(EDIT.read_text()), "image"), INFOS, ["2"]) == []


def test_a_preview_of_a_reference_is_no_result() -> None:
    flow = json.loads(EDIT.read_text().replace("%image%", "%reference_1%").replace("%mask%", "%reference_2%"))
    flow = {"0": node("PreviewImage", images=["4", 0]), **flow, "30": node("LoadImage", image="%reference_3%")}
    flow["31"] = node("PreviewImage", images=["30", 0])
    workflow = Workflow("f", flow, "")
    assert result_nodes(flow, INFOS, workflow.prompt_nodes) == ["10"]
    found = fitted(workflow, Files(reference_3=b"png"), INFOS, Size(width=64, height=64), None)
    assert found is not None
    assert set(found.stand_ins) == {"reference_1"}  # what only a preview would be left without is not left out


@given(st.sets(st.sampled_from(["reference_1", "reference_2"])))
def test_no_link_leads_to_a_node_that_was_taken_out(absent: set[str]) -> None:
    nodes = left(adapted(), *absent)
    links = [value for one in nodes.values() for value in one["inputs"].values() if isinstance(value, list)]
    assert {node_id for node_id, _ in links} <= set(nodes)


@given(st.binary())
def test_a_message_of_any_bytes_is_a_preview_or_none(message: bytes) -> None:
    assert preview_in(message) is None or preview_in(message) in message


def test_previews_come_in_two_forms() -> None:
    assert preview_in(b"\0\0\0\1\0\0\0\2png") == b"png"
    assert preview_in(b"\0\0\0\4\0\0\0\2{}png") == b"png"
    assert preview_in(b"\0\0\0\3\0\0\0\2png") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["9", "images", "filename", "input", "required", "output", "errors"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(JSON, JSON)
def test_whatever_a_server_says_is_read_or_an_error(first: Any, second: Any) -> None:
    flow = text_to_image()
    told = {"outputs": first, "status": second, "error": first, "node_errors": second}
    NodeInfo.parse({"input": {"required": first, "optional": second}, "output": first})
    NodeInfo.parse({"input": {"required": {"x": first, "y": [first, second]}}})
    assert isinstance(has_succeeded(told), bool)
    assert "refuses the workflow" in str(refused("who", flow, told))
    for messages in (first, [["execution_error", first]], [["execution_interrupted", second], [first, second]]):
        assert str(execution_error("who", flow, messages)).startswith("who: ")
    with suppress(BackendError):
        image, _ = image_of("who", {"outputs": {"9": {"images": [first, {"filename": "a", "type": second}]}}}, ["9"])
        assert all(isinstance(image[name], str) for name in ("filename", "subfolder", "type"))
    with suppress(BackendError):
        image_of("who", told, ["9"])
