"""Training objective of the sketch CLIP: batches with their exact truth table, and two losses."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any, Final

from imagerag.tools.sketch.training.dataset import FAMILY, TEXTS, Pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_WEIGHTS: Final = (1.0, 1.0, 1.0, 0.4, 1.0)
"""Weights of the kinds of text in `TEXTS` in the sigmoid loss."""
_MORE: Final = 2.0
"""Logits subtracted for images that show more than the text says: weak negatives, which rank below the exact image."""


@dataclass(frozen=True)
class Batch:
    """B images and 2B texts; the first B texts describe the image of the same row completely.

    Attributes:
        pixels: normalised floats `(B, 3, side, side)`.
        tokens: `(2B, context)`.
        truth: bool `(B, 2B)`, whether the text is true in the image.
        exact: bool `(B, B)`, whether the text says neither too little nor too much.
        weights: `(2B,)`, for the sigmoid loss.
    """

    pixels: Tensor
    tokens: Tensor
    truth: Tensor
    exact: Tensor
    weights: Tensor


def batches(pool: Pool, size: int, seed: int) -> Iterator[Batch]:
    """Endless batches of `size` images in whole families, shuffled by `seed`."""
    import numpy as np

    rng = np.random.default_rng(seed)
    members, step = np.arange(FAMILY), size // FAMILY
    while True:
        order = rng.permutation(len(pool.pixels) // FAMILY)
        for at in range(0, len(order) - step + 1, step):
            rows = (order[at : at + step, None] * FAMILY + members).ravel()
            kinds = np.concatenate([rng.integers(0, 2, size), rng.integers(2, len(TEXTS), size)])
            yield _batch(pool, rows, kinds)


def _batch(pool: Pool, rows: Any, kinds: Any) -> Batch:
    import numpy as np
    import torch

    size, twice = len(rows), np.concatenate([rows, rows])
    scenes = torch.from_numpy(pool.scenes[rows])
    truth = holds(
        scenes,
        torch.from_numpy(pool.grounds[rows]),
        torch.from_numpy(pool.claims[twice, kinds]),
        torch.from_numpy(pool.claim_grounds[twice, kinds]),
    )
    claim_sizes = torch.from_numpy(pool.claim_sizes[rows, kinds[:size]])
    return Batch(
        augment(torch.from_numpy(pool.pixels[rows])),
        torch.from_numpy(pool.tokens[twice, kinds].astype(np.int64)),
        truth,
        truth[:, :size] & ((scenes[:, :, 0] >= 0).sum(1)[:, None] == claim_sizes[None]),
        # A vague text is true in many images; without normalisation such texts would outweigh the precise ones.
        torch.tensor(_WEIGHTS)[torch.from_numpy(kinds)] * (3 / truth.sum(0).clamp(min=3)),
    )


def holds(scenes: Tensor, grounds: Tensor, claims: Tensor, claim_grounds: Tensor) -> Tensor:
    """Truth table of claims and scenes: bool `(scenes, claims)`, tables as in `Pool`.

    Each specification of a claim must be met by a different thing.
    """
    import torch

    specification, there = claims[None, :, :, None], scenes[:, None, None]
    unasked = (specification < 0).all(-1)
    meets = ((specification == there) | (specification < 0)).all(-1) & ((there[..., 0] >= 0) | unasked)
    ways = [meets[..., 0, a] & meets[..., 1, b] & meets[..., 2, c] for a, b, c in permutations(range(3))]
    ground = (claim_grounds[None] < 0) | (claim_grounds[None] == grounds[:, None])
    return torch.stack(ways).any(0) & ground


def augment(pixels: Tensor) -> Tensor:
    """Flip, shift, brightness, contrast, noise: uint8 `(B, H, W, 3)` to normalised float `(B, 3, H, W)`."""
    import torch
    from torch.nn.functional import pad

    count, side = pixels.shape[:2]
    images = pixels.permute(0, 3, 1, 2).float() / 255
    images = torch.where(torch.rand(count, 1, 1, 1) < 0.5, images.flip(3), images)
    groups = []
    for group in pad(images, (3, 3, 3, 3), mode="replicate").chunk(16):
        y, x = (int(value) for value in torch.randint(0, 7, (2,)))
        groups.append(group[:, :, y : y + side, x : x + side])
    images = torch.cat(groups)
    images = (images - 0.5) * (1 + 0.06 * torch.randn(count, 1, 1, 1)) + 0.5 + 0.03 * torch.randn(count, 1, 1, 1)
    images = images + 0.02 * torch.rand(count, 1, 1, 1) * torch.randn_like(images)
    return ((images.clamp(0, 1) - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)


def contrast(cosine: Tensor, scale: Tensor, batch: Batch) -> Tensor:
    """InfoNCE in both directions, over the complete texts, and at half weight over the others.

    For complete texts, other exact pairs are masked and larger scenes weakened; for the others, which are true in many
    images, all other true pairs are masked, and false texts are negatives only.
    """
    import torch
    from torch.nn.functional import cross_entropy

    size = len(cosine)
    own = torch.eye(size, dtype=torch.bool)
    target = torch.arange(size)
    whole = scale * cosine[:, :size] - _MORE * (batch.truth[:, :size] & ~batch.exact)
    whole = whole.masked_fill(batch.exact & ~own, float("-inf"))
    truth = batch.truth[:, size:]
    part = (scale * cosine[:, size:]).masked_fill(truth & ~own, float("-inf"))
    own_truth = truth.diagonal()
    first = cross_entropy(whole, target) + cross_entropy(whole.T, target)
    second = cross_entropy(part[own_truth], target[own_truth]) + cross_entropy(part.T[own_truth], target[own_truth])
    return first / 2 + second / 4


def sigmoid(cosine: Tensor, scale: Tensor, bias: Tensor, batch: Batch) -> Tensor:
    """SigLIP's loss over the whole truth table, summed over texts and averaged over images."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    losses = binary_cross_entropy_with_logits(scale * cosine + bias, batch.truth.float(), reduction="none")
    return (losses * batch.weights).sum() / len(cosine)
