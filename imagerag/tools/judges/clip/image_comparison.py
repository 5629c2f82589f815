"""Compare an image with the images it was generated with: same subject, and unchanged rest."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.images.mask_compositing import changed_share
from imagerag.agent.ports import Embedder, ImagePart
from imagerag.agent.ports.embedder import embed_images
from imagerag.agent.threads import in_thread
from imagerag.agent.types import Requirement
from imagerag.tools.judges.clip.crops import Regions, crops_of, decoded_input
from imagerag.tools.judges.clip.region_scorer import RegionScore

ALIKE: Final = 0.8
"""Minimum cosine of two images that show the same thing, for encoders of photographs; not calibrated."""

Compared: TypeAlias = "tuple[bool, float, str]"
"""Result of a comparison: met or not, the deciding number, and the reason in words."""

Compare: TypeAlias = Callable[[str, bytes, bytes], Awaitable[Compared]]
"""Compare function: (prompt, the judged image, the image that was sent)."""


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Comparisons of images by a key-free judge.

    Attributes:
        same: whether the subject of one image is in the other.
        kept: whether one image is the other with only the changes that the prompt requests.
    """

    same: Compare
    kept: Compare


def whole_image_comparisons(embedder: Embedder, regions: Regions) -> Comparisons:
    """Comparisons by cosines of whole images and their parts, for any encoder."""

    async def same(_prompt: str, judged: bytes, other: bytes) -> Compared:
        encode, embed = decoded_input(embedder)
        views, other_views = [await in_thread(crops_of, data, regions, encode=encode) for data in (judged, other)]
        vectors = await embed([view.data for view in (*views, *other_views)])
        cosines = vectors[: len(views)] @ vectors[len(views) :].T
        best = float(cosines.max())
        return best >= ALIKE, best, f"at most {best:z.2f} like the image that was sent; {ALIKE:.2f} is the same"

    async def compare_kept(_prompt: str, judged: bytes, other: bytes) -> Compared:
        first, second = await embed_images(embedder, [judged, other])
        cosine = float(first @ second)
        share = await in_thread(_share, judged, other)
        return cosine >= ALIKE, cosine, f"{cosine:z.2f} like the original, {share:.0%} of its pixels changed"

    return Comparisons(same=same, kept=compare_kept)


async def compared(
    how: Comparisons,
    prompt: str,
    judged: ImagePart,
    sent_images: Sequence[ImagePart],
    requirements: Sequence[Requirement],
) -> list[RegionScore]:
    """One score per comparing requirement; it is not met if its image was not sent."""
    findings = []
    for requirement in requirements:
        number = requirement.image or 0
        if not 0 < number <= len(sent_images):
            findings.append(_finding(requirement, (False, 0.0, "the image to compare with was not shown")))
            continue
        compare = how.kept if requirement.kind == "kept" else how.same
        findings.append(_finding(requirement, await compare(prompt, judged.data, sent_images[number - 1].data)))
    return findings


def _finding(requirement: Requirement, comparison: Compared) -> RegionScore:
    met, number, words = comparison
    return RegionScore(
        text=requirement.text, met=met, similarity=number, rival="", rival_similarity=0.0, view="whole", words=words
    )


def _share(judged: bytes, other: bytes) -> float:
    return changed_share(open_rgb(judged), open_rgb(other))
