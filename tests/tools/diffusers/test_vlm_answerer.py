"""An answerer in this process: a real Qwen3-VL, tiny and random, reads a question with its sources."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_pipelines import SIZE

from imagerag.agent.errors import JudgeReplyError
from imagerag.agent.ports import ImagePart
from imagerag.agent.qa.ports import Source
from imagerag.agent.types import SamplingParams
from imagerag.tools.answerers.vlm import VlmAnswerer
from imagerag.tools.registry import make_answerer
from imagerag.tools.testing.fakes import sample_image


async def test_a_model_in_this_process_is_asked_like_any_other(folder: Callable[[str], Path]) -> None:
    answerer = make_answerer(f"transformers:{folder('vlm')}?device=cpu&dtype=float32&max_new_tokens=200")
    assert isinstance(answerer, VlmAnswerer)
    assert answerer.capabilities.tariff.most(1, 1, None) == 0.0
    shown = ImagePart(data=sample_image("a", SIZE), media_type="image/png")
    source = Source(number=1, id="a", image=shown, title="Lamp", metadata={"price": 3})
    with pytest.raises(JudgeReplyError) as told:  # its weights are random, and so are its words
        await answerer.answer("What is it?", [source], finding=None, earlier=[], variation=SamplingParams())
    assert told.value.raw
