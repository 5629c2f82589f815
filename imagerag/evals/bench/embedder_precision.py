"""Throughput of the encoder by precision: images and texts per second, fp32 beside bf16, by batch size.

The default encoder for real photos (ViT-B-32-quickgelu) with random weights: speed does not depend on the weights, so
nothing is downloaded. It runs on the GPU where there is one.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from imagerag.evals.bench.timing import TimingRow, Work, interleaved
from imagerag.evals.statistics.estimators import quartiles

MODEL: Final = "ViT-B-32-quickgelu"
BATCHES: Final = (1, 8, 32)


async def embedder(repeats: int, *, model: str = MODEL, batches: tuple[int, ...] = BATCHES) -> list[TimingRow]:
    """Throughput of the image and the text encoder. Ratios compare times with fp32: above 1 is slower."""
    import open_clip
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    net: Any = await asyncio.to_thread(open_clip.create_model, model, pretrained=None)
    nets = {"fp32": net.to(device).eval(), "bf16": None}
    halved: Any = await asyncio.to_thread(open_clip.create_model, model, pretrained=None)
    nets["bf16"] = halved.to(device, torch.bfloat16).eval()
    rows = []
    for tower, inputs in (("images", _pixels), ("texts", _tokens)):
        for size in batches:
            work = {name: _forward(each, tower, inputs(each, size)) for name, each in nets.items()}
            rows += _rows(tower, size, device, await interleaved(work, repeats))
    return rows


def _rows(tower: str, size: int, device: str, times: dict[str, list[float]]) -> list[TimingRow]:
    base = quartiles(times["fp32"])[1]
    rows = []
    for kind, spent in times.items():
        low, middle, high = quartiles(spent)
        rows.append(
            TimingRow(
                section="embedder",
                name=f"{tower} {kind}, batch {size}",
                value=size / middle,
                unit=f"{tower}/s",
                spread=(size / high, size / low),
                n=len(spent),
                ratio=None if kind == "fp32" else middle / base,
                against="" if kind == "fp32" else "fp32's time",
                note=device,
            )
        )
    return rows


def _pixels(net: Any, size: int) -> Any:
    import torch

    weight = next(net.visual.parameters())
    side = net.visual.image_size
    high, wide = side if isinstance(side, tuple) else (side, side)
    return torch.randn(size, 3, high, wide, device=weight.device, dtype=weight.dtype)


def _tokens(net: Any, size: int) -> Any:
    import torch

    weight = net.token_embedding.weight
    return torch.randint(1, weight.shape[0], (size, net.context_length), device=weight.device)


def _forward(net: Any, tower: str, batch: Any) -> Work:
    encode: Callable[..., Any] = net.encode_image if tower == "images" else net.encode_text

    def compute() -> None:
        import torch

        with torch.inference_mode():
            # Reading a number waits for the GPU to finish.
            float(encode(batch, normalize=True).float().sum())

    async def once() -> None:
        await asyncio.to_thread(compute)

    return once
