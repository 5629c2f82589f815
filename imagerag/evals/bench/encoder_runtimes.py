"""Throughput of an encoder of open_clip by runtime: torch and ONNX Runtime on the CPU, in 32, 16 and 8 bits.

ViT-B-32 with random weights, which are as fast as learned ones; how close the vectors of 8 bits are to those of 32 is
another number with learned weights.
"""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from imagerag.agent.errors import MissingExtraError
from imagerag.agent.ports import logit_scale_of
from imagerag.evals.bench.indexing_speed import MODEL, random_encoder
from imagerag.evals.bench.timing import TimingRow, Work, interleaved
from imagerag.evals.statistics.estimators import quartiles

SECTION: Final = "runtimes"
BASE: Final = "torch fp32"
OPTIONS: Final = {
    BASE: "precision=fp32", "torch bf16": "precision=bf16", "onnx fp32": "runtime=onnx", "onnx int8":
    "runtime=onnx&precision=int8",
}  # fmt: skip
COUNT: Final = 32
_TEXT: Final = "a photo of {} red foxes in the snow, seen from above"


async def encoder_runtimes(repeats: int, *, model: str = MODEL) -> list[TimingRow]:
    """Images and texts per second of each runtime and precision. Ratios compare times: above 1 is slower."""
    with (
        tempfile.TemporaryDirectory() as name,
        patch.dict(os.environ, {"IMAGERAG_HOME": name}),  # exports of random weights are not kept
        random_encoder(model, Path(name)) as encoder,
    ):
        try:
            encoders = await asyncio.to_thread(_encoders, encoder.identity.spec)
        except MissingExtraError as error:
            return [TimingRow(section=SECTION, name="ONNX Runtime", value=None, unit="", note=f"not measured: {error}")]
        images = [encoder.prepare(_image(encoder.image_side, seed)) for seed in range(COUNT)]
        texts = [_TEXT.format(number) for number in range(COUNT)]
        rows = []
        for tower, inputs in (("images", images), ("texts", texts)):
            work = {name: _work(one, tower, inputs) for name, one in encoders.items()}
            vectors = {name: await _encoded(one, tower, inputs) for name, one in encoders.items()}
            rows += _rows(tower, await interleaved(work, repeats), vectors)
        return rows


def _encoders(spec: str) -> dict[str, Any]:
    from imagerag.tools.registry import new_embedder

    encoders = {name: new_embedder(f"{spec}?{options}") for name, options in OPTIONS.items()}
    for one in encoders.values():
        logit_scale_of(one)  # exports and loads it
    return encoders


def _image(side: int, seed: int) -> Any:
    import numpy as np
    from PIL import Image

    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8))


def _work(encoder: Any, tower: str, inputs: Sequence[Any]) -> Work:
    async def once() -> None:
        await _encoded(encoder, tower, inputs)

    return once


async def _encoded(encoder: Any, tower: str, inputs: Sequence[Any]) -> Any:
    if tower == "images":
        return await encoder.embed_prepared(inputs)
    return await asyncio.to_thread(encoder._encode_texts, list(inputs))  # without the cache of `embed_texts`


def _rows(tower: str, times: dict[str, list[float]], vectors: dict[str, Any]) -> list[TimingRow]:
    base, rows = quartiles(times[BASE])[1], []
    for name, spent in times.items():
        low, middle, high = quartiles(spent)
        lowest = float((vectors[name] * vectors[BASE]).sum(axis=1).min())
        rows.append(
            TimingRow(
                section=SECTION,
                name=f"{tower} {name}, {COUNT} at once",
                value=COUNT / middle,
                unit=f"{tower}/s",
                spread=(COUNT / high, COUNT / low),
                n=len(spent),
                ratio=None if name == BASE else middle / base,
                against="" if name == BASE else f"{BASE}'s time",
                note=f"lowest cosine {lowest:.5f}",
            )
        )
    return rows
