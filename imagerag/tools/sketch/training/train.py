"""Train the sketch CLIP: `python -m imagerag.tools.sketch.training.train --out DIR --seed N --steps N --minutes M`.

Two losses share one cosine. InfoNCE ranks images and texts, mainly by the complete captions. A sigmoid loss over the
batch, with the exact table of which text is true in which image, gives the cosine an absolute meaning, so that one
threshold separates present things from hard negatives (SigLIP, Zhai et al. 2023).

The learning rate follows a cosine over the larger of the elapsed fractions of steps and minutes. If all steps fit into
the minutes, a run is reproducible from its seed; otherwise it is not bit-identical.

The embedded weights come from two runs on two busy cores (`--start` names the first); their `training.json` has the
settings. The first run used only the InfoNCE of complete captions.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.tools.sketch.training import evaluate
from imagerag.tools.sketch.training.dataset import Pool, build
from imagerag.tools.sketch.training.losses import batches, contrast, sigmoid

if TYPE_CHECKING:
    import torch

CONFIG: Final = Path(__file__).parents[1] / "clip" / "open_clip_config.json"


@dataclass(frozen=True)
class Settings:
    """Settings of a training run.

    Attributes:
        out: folder for the weights, the configuration and `training.json`.
        seed: for drawings, texts, order and initial weights; at most 8999, so that evaluation drawings stay unseen.
        steps: maximum number of steps.
        minutes: maximum minutes, without drawing the pool.
        families: families of four drawings in the pool.
        batch: images per step.
        rate: peak learning rate.
        every: minutes between evaluations, each of which saves the weights.
        threads: Torch threads and drawing processes.
        pool: a `.npz` to keep the drawings in, or to take them from.
        start: folder of an earlier run to continue from; its weights are used, its optimiser state is not.
        config: the open_clip configuration to train; by default the embedded one.
        precision: "bf16", or "fp32", which is many times faster on processors without native bf16.
    """

    out: str
    seed: int = 1
    steps: int = 6000
    minutes: float = 60.0
    families: int = 26_000
    batch: int = 256
    rate: float = 1.5e-3
    every: float = 4.0
    threads: int = 2
    pool: str = ""
    start: str = ""
    config: str = ""
    precision: str = "bf16"

    @property
    def config_file(self) -> Path:
        """Path of the configuration to train."""
        return Path(self.config) if self.config else CONFIG


def train(settings: Settings) -> dict[str, Any]:
    """Train, save, and return what `training.json` holds."""
    import torch

    config = json.loads(settings.config_file.read_text())
    pool = _pool(settings, config["model_cfg"])
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    run = _Run(settings, config, pool)
    for step, batch in zip(range(settings.steps), batches(pool, settings.batch, settings.seed), strict=False):
        progress = max(step / settings.steps, run.minutes / settings.minutes)
        if progress >= 1:
            break
        losses = run.step(batch, progress)
        if step % 50 == 0:
            print(f"{run.minutes:6.1f} min  step {step:5d}  {losses}", flush=True)
        if run.minutes > run.next_save:
            run.save(step, captions=100, sizes=(500,))
    return run.save(step, captions=200, sizes=(50, 500, 5000))


def _pool(settings: Settings, model: dict[str, Any]) -> Pool:
    import numpy as np

    if settings.pool and Path(settings.pool).exists():
        with np.load(settings.pool) as arrays:
            return Pool(**{field.name: arrays[field.name] for field in fields(Pool)})
    started = time.monotonic()
    side, context = model["vision_cfg"]["image_size"], model["text_cfg"]["context_length"]
    pool = build(settings.seed, settings.families, side, context, settings.threads)
    print(f"drew {len(pool.pixels)} images in {time.monotonic() - started:.0f} s", flush=True)
    if settings.pool:
        np.savez(settings.pool, **{field.name: getattr(pool, field.name) for field in fields(Pool)})
    return pool


class _Run:
    """The model, its running average (which is evaluated and saved), and the optimiser."""

    def __init__(self, settings: Settings, config: dict[str, Any], pool: Pool) -> None:
        import numpy as np
        import torch
        from open_clip.model import CLIP

        self.settings, self.config = settings, config
        self.model: Any = CLIP(**config["model_cfg"]).to(memory_format=torch.channels_last)
        self.earlier = self._resume()
        self.average: Any = deepcopy(self.model).eval()
        scale, even = self.earlier.get("sigmoid_scale", 12.0), self.earlier.get("even_odds_cosine", 0.5)
        self.log_scale = torch.nn.Parameter(torch.tensor(math.log(scale)))
        self.bias = torch.nn.Parameter(torch.tensor(-scale * even))
        self.seen = torch.from_numpy(np.unique(pool.tokens).astype(np.int64))
        parameters = list(self.model.named_parameters())
        decayed = [value for name, value in parameters if value.ndim >= 2 and "embedding" not in name]
        free = [value for name, value in parameters if not (value.ndim >= 2 and "embedding" not in name)]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": 0.05},
            {"params": [*free, self.log_scale, self.bias]},
        ]
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
        self.started, self.steps = time.monotonic(), 0
        self.next_save = settings.every

    def _resume(self) -> dict[str, Any]:
        """Load the weights of an earlier run; returns its record, empty if there is none."""
        from safetensors.torch import load_file

        if not self.settings.start:
            return {}
        folder = Path(self.settings.start)
        self.model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
        record: dict[str, Any] = json.loads((folder / "training.json").read_text())
        return record

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.started) / 60

    def step(self, batch: Any, progress: float) -> str:
        """One update at `progress` in [0, 1) of the schedule; returns the losses for the log."""
        import torch

        rate = self.settings.rate * min(1, (self.steps + 1) / 150) * (0.5 + 0.5 * math.cos(math.pi * progress))
        # Word binding is learned from the contrastive loss; an absolute scale too early teaches bags of words.
        share = 0.5 if self.earlier else 0.5 * min(1.0, max(0.03, (progress - 0.08) / 0.3))
        self.model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.precision == "bf16"):
            images = self.model.encode_image(batch.pixels)
            texts = self.model.encode_text(batch.tokens)
        unit = torch.nn.functional.normalize
        cosine = unit(images.float(), dim=1) @ unit(texts.float(), dim=1).T
        first = contrast(cosine, self.model.logit_scale.exp(), batch)
        second = sigmoid(cosine, self.log_scale.exp(), self.bias, batch)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(first + share * second)
        first, second = first.detach(), second.detach()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
            self.log_scale.clamp_(0, math.log(80))
        self._follow()
        scale, bias = self.log_scale.exp().item(), self.bias.item()
        return (
            f"contrast {first.item():.3f}  sigmoid {second.item():.3f}  scale {self.model.logit_scale.exp().item():.1f}"
            f"  sigmoid scale {scale:.1f}  even at {-bias / scale:.3f}  rate {rate:.1e}"
        )

    def _follow(self) -> None:
        import torch

        self.steps += 1
        share = 1 - min(0.997, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for mean, value in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
                if mean.dtype.is_floating_point:
                    mean.lerp_(value, share)
                else:
                    mean.copy_(value)

    def save(self, step: int, captions: int, sizes: tuple[int, ...]) -> dict[str, Any]:
        """Write weights, configuration and `training.json`, then evaluate the written model."""
        out = Path(self.settings.out)
        out.mkdir(parents=True, exist_ok=True)
        spent = self.minutes
        _write_weights(self.average.state_dict(), self.seen, out / "open_clip_model.safetensors")
        if out.resolve() != self.settings.config_file.parent.resolve():
            shutil.copy(self.settings.config_file, out / CONFIG.name)
        clip = evaluate.load(str(out))
        metrics = evaluate.measure(clip, sizes=sizes, captions=captions)
        scale = self.log_scale.exp().item()
        record = {
            "settings": _recorded_settings(self.settings), "steps": step + 1, "seconds": round(spent * 60),
            "sigmoid_scale": scale,
            "even_odds_cosine": -self.bias.item() / scale, "metrics": metrics,
        }  # fmt: skip
        if self.earlier:
            record["earlier"] = {key: self.earlier[key] for key in ("settings", "steps", "seconds")}
        (out / "training.json").write_text(json.dumps(record, indent=2) + "\n")
        print(f"{spent:6.1f} min  saved at step {step}: {json.dumps(metrics)}", flush=True)
        self.next_save = self.minutes + self.settings.every
        return record


def _recorded_settings(settings: Settings) -> dict[str, Any]:
    """The settings that affect a training; paths are left out."""
    return {name: value for name, value in asdict(settings).items() if name not in ("out", "pool", "start", "config")}


def _write_weights(state: dict[str, torch.Tensor], token_ids: torch.Tensor, path: Path) -> None:
    """Save half-precision weights, with the rows of tokens that never occurred set to zero.

    An untrained row is noise that looks like meaning; zero has no meaning, and compresses well.
    """
    import torch
    from safetensors.torch import save_file

    table = state["token_embedding.weight"]
    occurs = torch.zeros(len(table), 1, dtype=torch.bool)
    occurs[token_ids] = True
    tensors = {
        name: (value.half() if value.dtype.is_floating_point else value).contiguous().clone()
        for name, value in {**state, "token_embedding.weight": table * occurs}.items()
    }
    partial = path.with_suffix(".partial")
    save_file(tensors, partial)
    partial.chmod(0o644)  # safetensors makes it readable by its owner only
    partial.replace(path)  # atomic, because others load this file while it is rewritten


def main() -> None:
    """Command line; every field of `Settings` is an option."""
    parser = argparse.ArgumentParser(description="Train the sketch CLIP.")
    for field in fields(Settings):
        kind = {"str": str, "int": int, "float": float}[str(field.type)]
        needed = field.name == "out"
        parser.add_argument(f"--{field.name}", type=kind, required=needed, default=None if needed else field.default)
    train(Settings(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
