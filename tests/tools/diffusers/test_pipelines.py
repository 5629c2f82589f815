"""Real pipelines with tiny random weights, through the real loading code: `from_pretrained` and `load_ip_adapter`."""

import asyncio
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_pipelines import SIZE, WEIGHTS

from imagerag.agent.calls.call_context import CallContext, ProgressCallback, in_call
from imagerag.agent.errors import BackendError, UsageError
from imagerag.agent.ports import GeneratedImage, ImagePart
from imagerag.agent.size_translation import size_for
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.generators.diffusers.pipeline import DiffusersGenerator
from imagerag.tools.testing.fakes import sample_image

Make = Callable[..., DiffusersGenerator]
FAMILIES = sorted(WEIGHTS)


async def draw(
    generator: DiffusersGenerator, references: list[ImagePart], seed: int | None = 3, size: Size = SIZE
) -> GeneratedImage:
    return await generator.generate("a red hat", references, variation=SamplingParams(seed=seed), size=size)


def opened(drawn: GeneratedImage) -> Image.Image:
    return Image.open(io.BytesIO(drawn.data))


@pytest.mark.parametrize("family", FAMILIES)
async def test_each_reference_changes_the_picture_and_a_seed_repeats_it(
    make: Make, references: list[ImagePart], family: str
) -> None:
    generator = make(family)
    most = generator.max_references
    counts = sorted(count for count in {0, 1, 2, most} if count <= most)
    drawn = [await draw(generator, references[:count]) for count in counts]
    assert len({one.data for one in drawn}) == len(counts)
    assert (await draw(generator, references[:most])).data == drawn[-1].data
    assert (await draw(generator, references[:most], seed=4)).data != drawn[-1].data
    changed = [*references[: max(0, most - 1)], ImagePart(data=sample_image("another", SIZE), media_type="image/png")]
    assert not most or (await draw(generator, changed)).data != drawn[-1].data
    for one in drawn:
        assert (opened(one).size, opened(one).format, one.media_type) == ((64, 64), "PNG", "image/png")
        assert (one.cost_usd, one.usage["steps"]) == (0.0, 2)
    with pytest.raises(UsageError, match=f"it takes {most}"):
        await draw(generator, [references[0]] * (most + 1))


@pytest.mark.parametrize("family", FAMILIES)
async def test_the_seed_holds_whatever_else_draws_random_numbers(
    make: Make, references: list[ImagePart], family: str
) -> None:
    import torch

    generator = make(family)
    sent = references[: min(1, generator.max_references)]
    await draw(generator, sent)  # loads it, if no test did before: to make modules draws random numbers
    torch.manual_seed(1)
    first, after = await draw(generator, sent), torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after), "the process's own generator was left as it was"
    assert (await draw(generator, sent)).data == first.data


async def test_an_adapter_without_a_reference_is_the_clean_pipeline(
    make: Make, references: list[ImagePart], folder: Callable[[str], Path]
) -> None:
    adapted = make("sdxl-ip-adapter")
    clean = DiffusersGenerator(str(folder("sdxl")), device="cpu", dtype="float32", steps=2)
    assert clean.max_references == 0
    usual = make("sdxl-ip-adapter")._family
    same = DiffusersGenerator(
        str(folder("sdxl")), device="cpu", dtype="float32", steps=2, guidance=5.0, call=dict(usual.call)
    )
    assert (await draw(adapted, [])).data == (await draw(same, [])).data
    assert (await draw(adapted, [])).data != (await draw(clean, [])).data
    weak, strong = [await draw(make("sdxl-ip-adapter", scale=scale), references[:1]) for scale in (0.0, 1.0)]
    assert weak.data == (await draw(adapted, [])).data
    assert strong.data not in (weak.data, (await draw(adapted, references[:1])).data)
    with pytest.raises(UsageError, match="it takes 0"):
        await draw(clean, references[:1])


async def test_where_a_reference_is_needed_a_plain_canvas_stands_in(make: Make, references: list[ImagePart]) -> None:
    generator = make("qwen-image-edit-plus")
    assert (await draw(generator, [])).usage == {"steps": 2, "canvas": 1}
    assert (await draw(generator, references[:1])).usage == {"steps": 2}


def test_a_pipeline_that_takes_no_size_is_not_asked_for_one(make: Make) -> None:
    generator = make("longcat-image-edit")
    assert generator.sizes == ()
    with pytest.raises(UsageError, match="cannot be asked for a size: leave `size` out"):
        size_for(generator, SIZE)


def test_a_pipeline_whose_code_runs_in_one_dtype_is_not_run_in_another(make: Make) -> None:
    assert "dtype" not in make("z-image-omni").identity
    with pytest.raises(UsageError, match="its code runs in bfloat16 only"):
        make("z-image-omni", dtype="float32")


@pytest.mark.parametrize(("family", "unread"), [("sdxl-ip-adapter", {"unread_tokens": 25}), ("flux-kontext", {})])
async def test_what_of_a_prompt_is_not_read_is_said(make: Make, family: str, unread: dict[str, int]) -> None:
    drawn = await make(family).generate("x" * 100, [], variation=SamplingParams(seed=1), size=SIZE)
    assert drawn.usage == {"steps": 2, **unread}


async def test_a_size_is_rounded_and_it_is_said(make: Make) -> None:
    drawn = await draw(make("flux-kontext"), [], size=Size(width=90, height=60))
    assert opened(drawn).size == (96, 64)
    sizes = {"asked_width": 90, "asked_height": 60, "drawn_width": 96, "drawn_height": 64}
    assert drawn.usage == {"steps": 2, **sizes}


@pytest.mark.parametrize("form", [("RGBA", (64, 64)), ("L", (30, 20)), ("P", (700, 40)), ("RGB", (1500, 1500))])
async def test_references_of_any_form_are_made_to_fit(make: Make, form: tuple[str, tuple[int, int]]) -> None:
    buffer = io.BytesIO()
    Image.new(form[0], form[1]).save(buffer, "PNG")
    part = ImagePart(data=buffer.getvalue(), media_type="image/png")
    generator = make("flux2-klein")
    generator._family = replace(generator._family, max_area=128 * 128)
    assert opened(await draw(generator, [part])).size == (64, 64)


async def test_a_broken_reference_is_named(make: Make, references: list[ImagePart]) -> None:
    broken = ImagePart(data=b"no image", media_type="image/png")
    with pytest.raises(UsageError, match="reference 2"):
        await draw(make("omnigen"), [references[0], broken])


async def test_steps_are_told_and_a_pipeline_is_loaded_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import diffusers

    loads: list[Any] = []
    real = diffusers.OmniGenPipeline.from_pretrained.__func__

    def counted(kind: Any, *args: Any, **options: Any) -> Any:
        loads.append(args)
        return real(kind, *args, **options)

    monkeypatch.setattr(diffusers.OmniGenPipeline, "from_pretrained", classmethod(counted))
    told: list[tuple[int, int]] = []
    options: dict[str, Any] = {"steps": 3, "load": {"low_cpu_mem_usage": False}}
    one, two = make("omnigen", **options), make("omnigen", **options)
    with in_call(CallContext(progress=ProgressCallback(step=lambda *step: told.append(step)))):
        seen = asyncio.create_task(draw(one, []))
    first, second = await asyncio.gather(seen, draw(two, []))
    assert first.data == second.data
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert len(loads) == 1


async def test_a_cancelled_call_stops_at_its_next_step_and_the_next_call_draws(make: Make) -> None:
    told: list[int] = []
    generator = make("flux2-klein", steps=60)

    def on_step(done: int, total: int) -> None:
        told.append(done)
        if done == 2:
            task.cancel()

    with in_call(CallContext(progress=ProgressCallback(step=on_step))):
        task = asyncio.create_task(draw(generator, []))
    with pytest.raises(asyncio.CancelledError):
        await task
    after = make("flux2-klein")
    assert opened(await draw(after, [])).size == (64, 64)
    assert max(told) < 60


async def test_the_event_loop_is_free_while_a_picture_is_drawn(make: Make) -> None:
    ticks = 0
    task = asyncio.create_task(draw(make("omnigen", steps=6), []))
    while not task.done():
        await asyncio.sleep(0)
        ticks += 1
    assert ticks > 6


async def test_bf16_and_settings_from_a_spec(folder: Callable[[str], Path]) -> None:
    from imagerag.tools.spec import BackendSpec

    spec = BackendSpec.parse(f"diffusers:omnigen={folder('omnigen')}?device=cpu&dtype=bfloat16&steps=1&guidance=3")
    drawn = await draw(DiffusersGenerator.from_spec(spec), [])
    assert drawn.usage == {"steps": 1}


async def test_what_a_pipeline_does_not_take_is_said(make: Make) -> None:
    with pytest.raises(UsageError, match="takes no strength"):
        await draw(make("omnigen", call={"strength": 1}), [])
    with pytest.raises(UsageError, match="prompt is empty"):
        await make("omnigen").generate("  ", [], variation=SamplingParams(), size=None)


async def test_missing_and_damaged_weights_say_what_to_do(tmp_path: Path, folder: Callable[[str], Path]) -> None:
    import shutil

    with pytest.raises(BackendError, match=r"FLUX.1-Kontext-dev could not be loaded.*diffusers:FAMILY=/DIR") as told:
        await draw(DiffusersGenerator("flux-kontext", device="cpu"), [])
    assert not told.value.retryable
    damaged = shutil.copytree(folder("omnigen"), tmp_path / "damaged")
    next((damaged / "vae").glob("*.safetensors")).write_bytes(b"cut short")
    with pytest.raises(BackendError, match="could not be loaded"):
        await draw(DiffusersGenerator(f"omnigen={damaged}", device="cpu"), [])
    with pytest.raises(UsageError, match="no mps device"):
        await draw(DiffusersGenerator(f"omnigen={damaged}", device="mps"), [])
    with pytest.raises(UsageError, match="dtype must be one of"):
        await draw(DiffusersGenerator(f"omnigen={damaged}", device="cpu", dtype="int4"), [])
