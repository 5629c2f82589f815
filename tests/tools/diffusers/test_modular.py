"""Modular pipelines (FLUX.3) with tiny random weights, loaded by their real loading code."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_pipelines import CALLS, SIZE

from imagerag.agent.calls.call_context import CallContext, ProgressCallback, in_call
from imagerag.agent.errors import BackendError, UsageError
from imagerag.agent.ports import GeneratedImage, ImagePart
from imagerag.agent.types import SamplingParams
from imagerag.tools.generators.diffusers.modular import ModularPipe
from imagerag.tools.generators.diffusers.pipeline import DiffusersGenerator
from imagerag.tools.generators.diffusers.pipeline_call import StoppedError

Make = Callable[..., DiffusersGenerator]
Folder = Callable[[str], Path]
CALL = CALLS["flux3-klein"] | {"prompt": "a red hat", "height": 64, "width": 64, "num_inference_steps": 2}


def loaded(folder: Path, *, base: bool = False, upsampler: bool = True) -> ModularPipe:
    import diffusers
    import torch

    kind = diffusers.Flux3ModularPipeline if base else diffusers.Flux3DistilledModularPipeline
    pipe = ModularPipe.from_pretrained(kind, str(folder), upsampler=upsampler, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def image(pipe: ModularPipe, **options: Any) -> bytes:
    import torch

    drawn: bytes = pipe(**CALL, generator=torch.Generator().manual_seed(1), **options).images[0].tobytes()
    return drawn


def copied(folder: Path, to: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a pipeline with a changed index."""
    shutil.copytree(folder, to)
    path = to / "modular_model_index.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))
    return to


async def draw(generator: DiffusersGenerator, references: list[ImagePart] | None = None) -> GeneratedImage:
    return await generator.generate("a red hat", references or [], variation=SamplingParams(seed=3), size=SIZE)


@pytest.mark.parametrize(("name", "steps"), [("flux3", 16), ("flux3-base", 50)])
def test_a_folder_is_known_by_the_class_in_its_index(folder: Folder, name: str, steps: int) -> None:
    generator = DiffusersGenerator(str(folder(name)), device="cpu")
    assert (generator.max_references, generator.capabilities.edits) == (10, True)
    assert generator._family.steps == steps
    assert "is here" in generator.ready()


async def test_the_prompt_that_its_language_model_wrote_is_kept(make: Make, references: list[ImagePart]) -> None:
    plain, edit = await draw(make("flux3-klein")), await draw(make("flux3-klein"), references[:1])
    assert plain.revised_prompt
    assert edit.revised_prompt not in (None, plain.revised_prompt)
    with pytest.raises(UsageError, match="takes no max_new_tokens"):
        await draw(make("flux3-klein", upsampler=False))
    weights, call = make("flux3-klein")._source.repo, {"text_encoder_out_layers": (1, 2)}
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32", "steps": 2}
    unexpanded = DiffusersGenerator(f"flux3-klein={weights}", call=call, upsampler=False, **options)
    assert (await draw(unexpanded)).revised_prompt is None
    assert (await draw(unexpanded)).data != plain.data
    assert "upsampler=false" in unexpanded.identity
    assert make("flux3-klein", upsampler=True)
    with pytest.raises(UsageError, match="no prompt upsampler"):
        make("flux2-klein", upsampler=True)


async def test_weights_without_an_upsampler_say_how_to_draw_without_it(folder: Folder, tmp_path: Path) -> None:
    whole = folder("flux3")
    mine = copied(
        whole, tmp_path / "mine", lambda index: [index.pop(name) for name in list(index) if "upsampl" in name]
    )
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32", "steps": 1, "call": CALLS["flux3-klein"]}
    with pytest.raises(BackendError, match=r"names no prompt_upsampler.*\?upsampler=false"):
        await draw(DiffusersGenerator(f"flux3-klein={mine}", **options))
    call = {"text_encoder_out_layers": (1, 2)}
    drawn = await draw(DiffusersGenerator(f"flux3-klein={mine}", upsampler=False, **options | {"call": call}))
    assert drawn.revised_prompt is None
    broken = copied(whole, tmp_path / "broken", lambda index: index.pop("vae"))
    with pytest.raises(BackendError, match=r"names no vae$"):
        await draw(DiffusersGenerator(f"flux3-klein={broken}", **options))


async def test_steps_are_reported(make: Make) -> None:
    reported: list[tuple[int, int]] = []
    with in_call(CallContext(progress=ProgressCallback(step=lambda *step: reported.append(step)))):
        drawn = await draw(make("flux3-klein", steps=3))
    assert reported == [(1, 3), (2, 3), (3, 3)]
    assert drawn.usage == {"steps": 3}


@pytest.mark.parametrize("last", [-1, 0])
def test_a_cancelled_call_stops_at_a_token_or_a_step(
    folder: Folder, capfd: pytest.CaptureFixture[str], last: int
) -> None:
    pipe, steps = loaded(folder("flux3")), list[int]()

    def after_step(_pipe: Any, step: int, _time: Any, _tensors: dict[str, Any]) -> dict[str, Any]:
        steps.append(step)
        if step == last:
            raise StoppedError
        return {}

    capfd.readouterr()
    with pytest.raises(StoppedError):
        image(pipe, callback_on_step_end=after_step)
    assert steps[-1] == last
    assert capfd.readouterr().err == ""
    count = len(steps)
    image(pipe)
    assert len(steps) == count, "the next call does not report to the callback of the one before"


def test_two_pipelines_do_not_share_their_blocks(folder: Folder) -> None:
    one, two = loaded(folder("flux3")), loaded(folder("flux3"))
    reported: list[int] = []

    def after_step(_pipe: Any, step: int, _time: Any, _tensors: dict[str, Any]) -> dict[str, Any]:
        reported.append(step)
        return {}

    assert image(one, callback_on_step_end=after_step) == image(two)
    assert [step for step in reported if step >= 0] == [0, 1]


async def test_guidance_is_taken_where_there_is_some(make: Make) -> None:
    weak, usual, again = [
        (await draw(make("flux3-klein-base", guidance=guidance))).data for guidance in (1.0, None, 4.0)
    ]
    assert weak != usual
    assert usual == again
    with pytest.raises(UsageError, match="takes no guidance"):
        await draw(make("flux3-klein", guidance=2.0))


async def test_an_index_names_no_code_and_damaged_weights_are_an_error(folder: Folder, tmp_path: Path) -> None:
    def hostile(index: dict[str, Any]) -> None:
        index["transformer"][2]["type_hint"] = ["subprocess", "Popen"]

    options: dict[str, Any] = {"device": "cpu", "dtype": "float32"}
    evil = copied(folder("flux3"), tmp_path / "evil", hostile)
    with pytest.raises(BackendError, match="code of its own"):
        await draw(DiffusersGenerator(f"flux3-klein={evil}", **options))
    damaged = copied(folder("flux3"), tmp_path / "damaged", lambda index: None)
    for file in (damaged / "vae").glob("*.safetensors"):
        file.write_bytes(b"cut short")
    with pytest.raises(BackendError, match=r"could not be loaded \(ValueError: Unable to load vae"):
        await draw(DiffusersGenerator(f"flux3-klein={damaged}", **options))


def test_offloading_draws_the_same_image(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    import diffusers

    expected = image(loaded(folder("flux3")))
    by_layer = loaded(folder("flux3"))
    by_layer.enable_sequential_cpu_offload(device="cpu")
    assert image(by_layer) == expected
    managed: list[tuple[set[str], str]] = []

    def enable(manager: Any, device: str) -> None:
        managed.append(({name.rsplit("_", 1)[0] for name in manager.components}, device))

    monkeypatch.setattr(diffusers.ComponentsManager, "enable_auto_cpu_offload", enable)
    loaded(folder("flux3")).enable_model_cpu_offload(device="cuda")
    names, device = managed[0]
    assert device == "cuda"
    assert {"transformer", "vae", "text_encoder", "prompt_upsampler"} <= names
