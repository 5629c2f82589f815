"""What goes wrong while drawing, with a pipeline that does it on demand."""

from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from imagerag.agent.errors import BackendError, ImageRAGError, RefusalError
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.generators.diffusers import loading, pipeline
from imagerag.tools.generators.diffusers.loading import Loaded
from imagerag.tools.generators.diffusers.pipeline import DiffusersGenerator


class Pipe:
    """Draws what it is told to, or fails as it is told to."""

    def __init__(self, answer: Any, *, flagged: list[bool] | None = None, checker: bool = False) -> None:
        self.answer, self.flagged, self.freed = answer, flagged, 0
        self.safety_checker = object() if checker else None
        self.placed: list[tuple[str, Any]] = []

    def __call__(self, prompt: str, image: Any = None, height: int = 0, width: int = 0, generator: Any = None) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return SimpleNamespace(images=[self.answer], nsfw_content_detected=self.flagged)

    def maybe_free_model_hooks(self) -> None:
        self.freed += 1

    def to(self, device: str) -> None:
        self.placed.append(("to", device))

    def enable_model_cpu_offload(self, device: str) -> None:
        self.placed.append(("model", device))

    def enable_sequential_cpu_offload(self, device: str) -> None:
        self.placed.append(("sequential", device))


def grey(colour: int = 90, mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (64, 64), (colour,) * 3).convert(mode)


async def drawn(monkeypatch: pytest.MonkeyPatch, pipe: Pipe, dtype: str = "float32") -> Any:
    monkeypatch.setattr(pipeline, "load", lambda *_, **__: Loaded(pipe, "cpu", f"torch.{dtype}"))
    generator = DiffusersGenerator("flux-kontext", device="cpu")
    return await generator.generate("a hat", [], variation=SamplingParams(seed=1), size=Size(width=64, height=64))


def out_of_memory() -> Exception:
    import torch

    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


@pytest.mark.parametrize(("pipe", "dtype", "error", "told"), [
    (lambda: Pipe(grey(0), flagged=[True]), "float32", RefusalError, "safety checker"),
    (lambda: Pipe(grey(0), checker=True), "float32", RefusalError, "safety checker"),
    (lambda: Pipe(grey(0)), "float16", BackendError, "dtype=bfloat16"),
    (lambda: Pipe(out_of_memory()), "float32", BackendError, "out of memory: set offload=model"),
    (lambda: Pipe(RuntimeError("MPS backend out of memory")), "float32", BackendError, "set offload=model"),
    (lambda: Pipe(ValueError("odd shapes\nsecond line")), "float32", BackendError, "ValueError: odd shapes$"),
])  # fmt: skip
async def test_failures_have_our_names(
    monkeypatch: pytest.MonkeyPatch, pipe: Any, dtype: str, error: type[ImageRAGError], told: str
) -> None:
    made = pipe()
    with pytest.raises(error, match=told) as raised:
        await drawn(monkeypatch, made, dtype)
    assert not getattr(raised.value, "retryable", False)
    assert made.freed == isinstance(made.answer, Exception)


async def test_a_picture_that_is_meant_to_be_black_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await drawn(monkeypatch, Pipe(grey(0), flagged=[False]))).data


async def test_transparency_is_kept_where_there_is_some(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    half = grey(90, "RGBA")
    half.putpixel((0, 0), (1, 2, 3, 4))
    for picture, mode in ((grey(90, "RGBA"), "RGB"), (half, "RGBA"), (grey(90, "L"), "RGB")):
        data = (await drawn(monkeypatch, Pipe(picture))).data
        assert Image.open(io.BytesIO(data)).mode == mode


@pytest.mark.parametrize(("device", "offload", "placed"), [
    ("cpu", "none", ("to", "cpu")), ("cpu", "model", ("to", "cpu")), ("cuda", "none", ("to", "cuda")),
    ("cuda:1", "model", ("model", "cuda:1")), ("mps", "sequential", ("sequential", "mps")),
])  # fmt: skip
def test_weights_wait_where_they_are_told_to(device: str, offload: Any, placed: tuple[str, str]) -> None:
    pipe = Pipe(None)
    loading._place(pipe, device, offload)
    assert pipe.placed == [placed]


def test_a_locked_model_says_how_to_unlock_it_and_a_missing_part_names_the_extra() -> None:
    with pytest.raises(BackendError, match="hf auth login"), loading._loading_errors("some/model"):
        raise OSError("Access to model some/model is gated")
    with pytest.raises(ImageRAGError, match=r"imagerag\[diffusers\]"), loading._loading_errors("some/model"):
        raise ImportError("sentencepiece")
    with (
        pytest.raises(BackendError, match="loading some/model ran out of memory"),
        loading._loading_errors("some/model"),
    ):
        raise out_of_memory()
