"""An encoder of somebody's own that gives too few vectors, or no usable ones, is named by judges and metrics, too."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from imagerag.agent.errors import LibraryError
from imagerag.agent.ports import ImagePart
from imagerag.agent.types import SamplingParams
from imagerag.evals.dependencies import DeterministicEmbedder
from imagerag.evals.metrics.encoder_scores import CachedEncoder
from imagerag.tools.judges.clip.image_comparison import whole_image_comparisons
from imagerag.tools.judges.clip.judge import ClipJudge
from imagerag.tools.sketch.describer import SketchDescriber
from imagerag.tools.sketch.image_comparison import sketch_comparisons
from tests.store.library.test_vectors_of_own_encoders import FAULTS, spoil
from tests.tools.judges.clip.test_clip_judge import ColourEmbedder, critique, scene, squares

RED, BOTH = scene("red"), scene("red", "blue")


def judge(encoder: Any) -> ClipJudge:
    return ClipJudge(encoder, others=lambda _: (), regions=squares)


USES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "critique": lambda encoder: critique(judge(encoder), "a red square and a blue square", BOTH),
    "choice": lambda encoder: judge(encoder).choose("red", [RED, BOTH]),
    "preference": lambda encoder: judge(encoder).compare("red", RED, BOTH),
    "an image that was sent": lambda encoder: whole_image_comparisons(encoder, squares).same("", RED.data, BOTH.data),
    "an image that is kept": lambda encoder: whole_image_comparisons(encoder, squares).kept("", RED.data, BOTH.data),
    "things": lambda encoder: sketch_comparisons(encoder).same("", RED.data, BOTH.data),
    "description": lambda encoder: SketchDescriber(encoder).describe(
        ImagePart(data=BOTH.data, media_type="image/png"), variation=SamplingParams()
    ),
    "metric": lambda encoder: CachedEncoder(encoder).encode(RED.data),
    "evaluation": lambda encoder: DeterministicEmbedder(encoder).embed_texts(["red"]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("use", USES)
async def test_the_encoder_is_named(monkeypatch: pytest.MonkeyPatch, use: str, fault: str) -> None:
    encoder = ColourEmbedder()
    spoil(encoder, monkeypatch, fault)
    with pytest.raises(LibraryError, match="the encoder colours gave"):
        await USES[use](encoder)
