"""Workflows over real HTTP and websockets, at a server with ComfyUI's protocol: what is sent, told and refused."""

import asyncio
import io
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagerag.agent.calls.call_context import CallContext, ProgressCallback, in_call
from imagerag.agent.calls.costs import estimator_of
from imagerag.agent.errors import (
    AuthError,
    BackendError,
    BackendTimeoutError,
    MissingExtraError,
    UnreadableImageError,
    UsageError,
)
from imagerag.agent.ports import ImageGenerator, ImagePart
from imagerag.agent.types import SamplingParams, Size
from imagerag.graphs.generation import is_retryable
from imagerag.tools.generators.comfyui import jobs
from imagerag.tools.healthcheck import check_health, server_warnings
from imagerag.tools.registry import make_generator
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.mock_openai import tiny_png
from tests.tools.generators.comfyui_server import ComfyLoopback
from tests.tools.generators.comfyui_workflows import EDIT, QWEN, adapted, node, text_to_image
from tests.tools.generators.conftest import hole

ONE = ImagePart(data=tiny_png("one"), media_type="image/png")
TWO = ImagePart(data=tiny_png("two"), media_type="image/png", role="subject")
EDITED = ImagePart(data=tiny_png("three", 1000, 500), media_type="image/png", role="edit")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_POLL_S", 0.02)


@pytest.fixture
def server() -> Iterator[ComfyLoopback]:
    with ComfyLoopback() as loopback:
        yield loopback


@pytest.fixture
def flow(tmp_path: Path) -> Callable[[dict[str, Any]], str]:
    def write(document: dict[str, Any]) -> str:
        file = tmp_path / "flow.json"
        file.write_text(json.dumps(document))
        return str(file)

    return write


def generator_at(server: ComfyLoopback, file: str | Path, options: str = "") -> ImageGenerator:
    return make_generator(f"comfyui:{file}{options}@{server.url}")


async def draw(
    generator: ImageGenerator, *references: ImagePart, prompt: str = "a cat", size: Size | None = None, key: str = ""
) -> Any:
    with in_call(CallContext(idempotency_key=key or None)):
        return await generator.generate(prompt, references, variation=SamplingParams(seed=7), size=size)


async def test_text_seed_and_size_are_sent(server: ComfyLoopback, flow: Any) -> None:
    generator = generator_at(server, flow(text_to_image()), "?negative_prompt=blurry%2C+grey")
    drawn = await draw(generator, size=Size(width=512, height=768))
    sent = server.prompts[0]["prompt"]
    assert sent["6"]["inputs"]["text"] == "a cat"
    assert sent["7"]["inputs"]["text"] == "blurry, grey"
    assert sent["3"]["inputs"]["seed"] == 7
    assert (sent["5"]["inputs"]["width"], sent["5"]["inputs"]["height"]) == (512, 768)
    assert drawn.data in server.files.values()
    assert drawn.usage == {"asked_width": 512, "asked_height": 768, "drawn_width": 64, "drawn_height": 64}
    assert (drawn.media_type, drawn.cost_usd) == ("image/png", 0.0)
    await draw(generator)
    assert server.prompts[1]["prompt"]["5"]["inputs"]["width"] == 1024


async def test_references_are_uploaded_under_their_hash(server: ComfyLoopback) -> None:
    generator = generator_at(server, QWEN)
    await draw(generator, TWO, ONE)
    sent = server.prompts[0]["prompt"]
    names = [sent[name]["inputs"]["image"] for name in ("4", "5")]
    assert [server.uploads[name] for name in names] == [TWO.data, ONE.data]
    assert all(name.startswith("imagerag/") for name in names)
    assert "6" not in sent
    assert "image3" not in sent["7"]["inputs"]
    await draw(generator, ONE)
    assert len(server.uploads) == 2
    assert "canvas" not in (await draw(generator)).usage


@pytest.mark.parametrize(("file", "references"), [(EDIT, [EDITED]), (QWEN, [ONE, TWO, ONE])])
async def test_the_examples_of_the_documentation_draw(
    server: ComfyLoopback, file: Path, references: list[ImagePart]
) -> None:
    drawn = await draw(generator_at(server, file, "?negative_prompt=blurry"), *references)
    assert drawn.data in server.files.values()


async def test_an_edit_has_its_image_its_mask_and_its_size(server: ComfyLoopback, flow: Any) -> None:
    document = json.loads(EDIT.read_text())
    document["20"] = node("EmptyLatentImage", width="%width%", height="%height%", batch_size=1)
    generator = generator_at(server, flow(document))
    masked = ImagePart(data=EDITED.data, media_type="image/png", role="edit", mask=hole(1000, 500))
    await draw(generator, masked)
    sent = server.prompts[0]["prompt"]
    assert server.uploads[sent["4"]["inputs"]["image"]] == EDITED.data
    mask = Image.open(io.BytesIO(server.uploads[sent["5"]["inputs"]["image"]]))
    red, _, _, alpha = mask.split()
    original = Image.open(io.BytesIO(hole(1000, 500))).getchannel("A")
    assert alpha.tobytes() == original.tobytes()
    assert red.tobytes() == original.point(lambda value: 255 - value).tobytes()  # whichever channel is read
    assert (sent["20"]["inputs"]["width"], sent["20"]["inputs"]["height"]) == (1000, 496)
    await draw(generator, EDITED)
    assert "5" not in server.prompts[1]["prompt"]
    assert "7" not in server.prompts[1]["prompt"]


async def test_a_workflow_that_needs_its_reference_gets_a_plain_one(server: ComfyLoopback, flow: Any) -> None:
    document = json.loads(EDIT.read_text().replace("%image%", "%reference_1%"))
    drawn = await draw(generator_at(server, flow(document), "?edits=true"))
    assert drawn.usage == {"canvas": 1}
    (canvas,) = server.uploads.values()
    assert Image.open(io.BytesIO(canvas)).getcolors() == [(1024 * 1024, (221, 221, 221))]
    sent = server.prompts[0]["prompt"]
    assert sent["8"]["inputs"]["latent_image"] == ["6", 0]


REQUESTS = {
    "no prompt": ({"prompt": "  "}, "the prompt is empty"),
    "too long": ({"prompt": "x" * 32_001}, "32,001 characters"),
    "too many": ({"references": [ONE] * 4}, "4 images were to be sent; it takes 3"),
    "a mask": ({"references": [ImagePart(data=b"x", media_type="image/png", mask=b"y")]}, "takes no mask"),
    "a type": ({"references": [ImagePart(data=b"x", media_type="image/bmp")]}, "takes PNG, JPEG and WebP"),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_that_does_not_fit_is_not_sent(server: ComfyLoopback, name: str) -> None:
    request, message = REQUESTS[name]
    references: Any = request.get("references", [])
    with pytest.raises(UsageError, match=message):
        await draw(generator_at(server, QWEN), *references, prompt=str(request.get("prompt", "a cat")))
    with pytest.raises(UsageError, match="has a size of its own: write %width%"):
        await draw(generator_at(server, EDIT), EDITED, size=Size(width=64, height=64))
    with pytest.raises(UsageError, match=r"edits an image, in node 4 “Image to edit” \(LoadImage\), and there is none"):
        await draw(generator_at(server, EDIT), ONE)
    assert server.requests == []


async def test_steps_and_previews_are_told(server: ComfyLoopback, flow: Any) -> None:
    steps: list[tuple[int, int]] = []
    previews: list[tuple[bytes, int]] = []

    async def partial(data: bytes, number: int) -> None:
        previews.append((data, number))

    def watched(wanted: int) -> CallContext:
        return CallContext(
            progress=ProgressCallback(
                partial_images=wanted, step=lambda done, of: steps.append((done, of)), partial=partial
            )
        )

    generator = generator_at(server, flow(text_to_image()))
    with in_call(watched(2)):
        await generator.generate("a cat", [], variation=SamplingParams(), size=None)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert previews == [(tiny_png("preview 2"), 0), (tiny_png("preview 3"), 1)]
    assert server.prompts[0]["extra_data"] == {"preview_method": "auto"}
    with in_call(watched(0)):
        await generator.generate("a cat", [], variation=SamplingParams(), size=None)
    assert len(previews) == 2
    assert server.prompts[1]["extra_data"] == {}


@pytest.mark.parametrize("options", [{"websocket": False}, {"fault": "websocket"}, {"old": True}])
async def test_without_a_websocket_the_image_comes_all_the_same(flow: Any, options: dict[str, Any]) -> None:
    with ComfyLoopback(**options) as server:
        drawn = await draw(generator_at(server, flow(text_to_image())))
        assert drawn.data in server.files.values()
        assert len(server.drawn) == 1


async def test_saved_images_come_before_previews_and_the_first_is_taken(flow: Any) -> None:
    document = text_to_image()
    document = {"1": node("PreviewImage", images=["8", 0]), **document, "10": document["9"]}
    document = {"0": node("PreviewImage", images=["00", 0]), "00": node("LoadImage", image="example.png"), **document}
    with ComfyLoopback(batch=2) as server:
        server.uploads["example.png"] = ONE.data
        drawn = await draw(generator_at(server, flow(document)))
        assert drawn.usage == {"images": 4}
        assert drawn.data == next(data for name, data in server.files.items() if name.startswith("output_9_"))
        other = await draw(generator_at(server, flow(document), "?output=10"))
        assert other.usage == {"images": 2}
        assert other.data == [data for name, data in server.files.items() if name.startswith("output_10_")][-2]
        with pytest.raises(UsageError, match="node 8 keeps no image"):
            await draw(generator_at(server, flow(document), "?output=8"))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a missing class": ({"9": node("MySave", "Mine", images=["8", 0])}, r"node 9 “Mine” \(MySave\): the server has no"),
    "a missing checkpoint": (
        {"4": node("CheckpointLoaderSimple", "Load Checkpoint", ckpt_name="gone.safetensors")},
        r"node 4 “Load Checkpoint” \(CheckpointLoaderSimple\): Value not in list: ckpt_name: 'gone.safetensors'",
    ),
    "a missing input": ({"8": node("VAEDecode", samples=["3", 0])}, r"node 8 \(VAEDecode\): Required input is missing"),
    "one output of two": (
        {"8b": node("VAEDecode", "Second", samples=["3", 0]), "9b": node("SaveImage", images=["8b", 0])},
        r"node 8b “Second” \(VAEDecode\): Required input is missing",
    ),
    "nothing kept": ({"9": node("VAEDecode", samples=["3", 0], vae=["4", 2])}, "no node of it keeps an image"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_wrong_workflow_is_refused_before_it_runs(server: ComfyLoopback, flow: Any, name: str) -> None:
    change, message = REFUSED[name]
    with pytest.raises(UsageError, match=message):
        await draw(generator_at(server, flow(text_to_image() | change)))
    await asyncio.sleep(0.05)
    assert (server.pending, server.running) == ([], None)
    assert server.files == {} or name == "one output of two"


FAULTS = {
    "error": (r"node 3 \(KSampler\) failed: RuntimeError: mat1 and mat2 shapes", False),
    "memory": (r"node 3 \(KSampler\) failed: torch.OutOfMemoryError", True),
    "interrupted": (r"interrupted at the server, in node 3 \(KSampler\)", False),
    "empty": ("ran and kept no image in 9: end it with SaveImage", False),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failure_names_the_node(flow: Any, fault: str) -> None:
    message, retried = FAULTS[fault]
    with ComfyLoopback(fault=fault) as server:
        with pytest.raises(BackendError, match=message) as failed:
            await draw(generator_at(server, flow(text_to_image())), key="k")
        assert is_retryable(failed.value) is retried
        server.fault = ""
        if fault != "empty":
            drawn = await draw(generator_at(server, flow(text_to_image())), key="k")
            assert drawn.data in server.files.values()
        assert len({prompt["prompt_id"] for prompt in server.prompts}) == len(server.prompts)


VIEWS = {
    "html": (BackendError, "a page of HTML instead of an image"),
    "huge": (BackendError, "more than 64 MB"),
    "redirect": (BackendError, "points elsewhere, which is not followed"),
    "missing": (BackendError, "HTTP 404"),
    "damaged": (UnreadableImageError, "a damaged image"),
}


@pytest.mark.parametrize("view", VIEWS)
async def test_an_image_that_is_none_is_not_taken(flow: Any, view: str) -> None:
    kind, message = VIEWS[view]
    with ComfyLoopback(view=view) as server:
        with pytest.raises(kind, match=message):
            await draw(generator_at(server, flow(text_to_image())), key="k")
        server.view_fault = ""
        await draw(generator_at(server, flow(text_to_image())), key="k")
        assert len(server.drawn) == 1  # what was drawn is fetched, and not drawn again


async def test_a_page_at_the_address_is_no_comfyui(flow: Any) -> None:
    no_json = pytest.raises(BackendError, match=r"no JSON object \(text/html\): is it ComfyUI")
    with ComfyLoopback(page="<html><title>Welcome</title></html>") as server, no_json:
        await draw(generator_at(server, flow(text_to_image())))
    with pytest.raises(BackendError, match=f"does ComfyUI run at {server.url}") as failed:
        await draw(generator_at(server, flow(text_to_image())))
    assert (failed.value.sent, failed.value.retryable) == (False, True)


async def test_the_key_goes_to_its_server_by_http_and_websocket(flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFY_KEY", "very-secret-key")
    file = flow(text_to_image())
    with ComfyLoopback(key="very-secret-key") as server:
        with pytest.raises(AuthError, match=r"\?key_env=NAME@URL") as failed:
            await draw(generator_at(server, file))
        assert "secret" not in str(failed.value)
        await draw(generator_at(server, file, "?key_env=COMFY_KEY"))
        assert len(server.clients) == 1
        with pytest.raises(AuthError, match="set OTHER_KEY"):
            await draw(generator_at(server, file, "?key_env=OTHER_KEY"))
    with pytest.raises(AuthError, match="not sent over http to comfy"):
        await draw(make_generator(f"comfyui:{file}?key_env=COMFY_KEY@http://comfy.example.org"))


async def test_a_websocket_that_points_elsewhere_is_not_followed(
    server: ComfyLoopback, flow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMFY_KEY", "very-secret-key")
    elsewhere = server.url.replace("http:", "ws:") + "/ws"
    with ComfyLoopback(key="very-secret-key", websocket_at=elsewhere) as first:
        await draw(generator_at(first, flow(text_to_image()), "?key_env=COMFY_KEY"))
        assert len(first.drawn) == 1
    assert server.clients == []


async def test_a_second_try_of_a_call_finds_its_job(flow: Any) -> None:
    file = flow(text_to_image())
    with ComfyLoopback(fault="hang") as server:
        first = asyncio.create_task(draw(generator_at(server, file), key="run-1"))
        while server.running is None:
            await asyncio.sleep(0.01)
        second = asyncio.create_task(draw(generator_at(server, file), key="run-1"))
        while len(server.clients) < 2:
            await asyncio.sleep(0.01)
        server.release()
        drawn = [await first, await second, await draw(generator_at(server, file), key="run-1")]
        assert len({one.data for one in drawn}) == 1
        assert (len(server.prompts), len(server.drawn)) == (1, 1)
        assert str(uuid.UUID(server.prompts[0]["prompt_id"])) == server.prompts[0]["prompt_id"]
        await draw(generator_at(server, file), key="run-2")
        assert len(server.drawn) == 2


@pytest.mark.parametrize("old", [False, True])
async def test_a_cancelled_call_stops_its_job_and_no_other(flow: Any, old: bool) -> None:
    file = flow(text_to_image())
    with ComfyLoopback(fault="hang", old=old) as server:
        running = asyncio.create_task(draw(generator_at(server, file)))
        while server.running is None:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(draw(generator_at(server, file)))
        while not server.pending:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)  # until the answer has come
        waited = server.pending[0]["id"]
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (server.deleted, server.interrupts) == ([waited], [])
        ran = server.running["id"]
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert server.interrupts == [ran]


async def test_a_call_that_takes_too_long_is_cancelled_at_the_server(flow: Any) -> None:
    with ComfyLoopback(fault="hang") as server:
        with pytest.raises(BackendTimeoutError, match=r"no image after 1.5 s \(its job .* was cancelled"):
            await draw(generator_at(server, flow(text_to_image()), "?timeout_s=1.5"))
        assert len(server.interrupts) == 1


async def test_a_call_that_only_waited_says_behind_how_many(flow: Any) -> None:
    file = flow(text_to_image())
    with ComfyLoopback(fault="hang") as server:
        first = asyncio.create_task(draw(generator_at(server, file)))
        while server.running is None:
            await asyncio.sleep(0.01)
        with pytest.raises(BackendTimeoutError, match="was cancelled at the server, with 1 before it in the queue"):
            await draw(generator_at(server, file, "?timeout_s=1.5"))
        server.release()
        assert (await first).data in server.files.values()


async def test_a_class_whose_name_does_not_survive_in_a_path_is_found(server: ComfyLoopback, flow: Any) -> None:
    server.classes["Save/All"] = server.classes["SaveImage"]
    document = text_to_image() | {"9": node("Save/All", filename_prefix="x", images=["8", 0])}
    await generator_at(server, flow(document)).check_server()  # type: ignore[attr-defined]


async def test_a_job_that_a_restarted_server_has_lost_is_told(flow: Any) -> None:
    with ComfyLoopback(fault="hang") as server:
        task = asyncio.create_task(draw(generator_at(server, flow(text_to_image())), key="k"))
        while server.running is None:
            await asyncio.sleep(0.01)
        server.running = None
        with pytest.raises(BackendError, match="has lost the job") as failed:
            await task
        assert is_retryable(failed.value)


async def test_doctor_and_the_dry_run_see_what_is_wrong(flow: Any) -> None:
    document = text_to_image()
    with ComfyLoopback() as server:
        spec = BackendSpec.parse(f"comfyui:{flow(document)}@{server.url}")
        assert await server_warnings(make_generator(spec)) == ()
        found = await check_health(spec, "generator")
        assert (found.reachable, found.listed, found.detail) == (
            True, True, "answers (ComfyUI 0.36.0), and has all nodes",
        )  # fmt: skip
        document["4"]["inputs"]["ckpt_name"] = "gone.safetensors"
        flow(document)
        found = await check_health(spec, "generator")
        assert (found.reachable, found.listed) == (True, False)
        assert "node 4 “Load Checkpoint” (CheckpointLoaderSimple): ckpt_name 'gone.safetensors'" in found.detail
        (warning,) = await server_warnings(make_generator(spec))
        assert "gone.safetensors" in warning
        flow({**document, "9": node("MySave", images=["8", 0])})
        found = await check_health(spec, "generator")
        assert (found.reachable, "MySave" in found.detail) == (False, True)
        with pytest.raises(UsageError, match="MySave"):
            await server_warnings(make_generator(spec))
        assert (server.prompts, server.uploads) == ([], {})
    flow(text_to_image())
    (warning,) = await server_warnings(make_generator(spec))
    assert "does ComfyUI run at" in warning


async def test_adapters_are_passed_by_when_there_is_no_reference(server: ComfyLoopback, flow: Any) -> None:
    await draw(generator_at(server, flow(adapted())), ONE)
    assert server.prompts[0]["prompt"]["3"]["inputs"]["model"] == ["21", 0]


def test_a_missing_package_is_named(flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagerag.agent.extras.is_installed", lambda module: module != "websockets")
    with pytest.raises(MissingExtraError, match=r"imagerag\[comfyui\]"):
        make_generator(f"comfyui:{flow(text_to_image())}")


async def test_a_price_that_is_stated_is_the_cost(
    server: ComfyLoopback, flow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "prices.toml"
    table.write_text('[models."flow.json@127.0.0.1"]\nper_call = 0.02\n')
    monkeypatch.setenv("IMAGERAG_PRICES", str(table))
    generator = generator_at(server, flow(text_to_image()))
    assert estimator_of(generator).most(9, 0, None) == 0.02
    assert (await draw(generator)).cost_usd == 0.02
    elsewhere = make_generator(f"comfyui:{flow(text_to_image())}@http://gpu.example.org:8188")
    assert estimator_of(elsewhere).known is False
