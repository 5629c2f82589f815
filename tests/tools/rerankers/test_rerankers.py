"""Rerankers by themselves: what they order by, what they are called, and what a spec may say."""

from hashlib import sha256

import numpy as np
import pytest

from imagerag.agent.errors import JudgeReplyError, SpecError
from imagerag.agent.ports import Hit, ImagePart
from imagerag.agent.types import ImageRef
from imagerag.tools.registry import make_reranker, providers
from imagerag.tools.rerankers.bm25 import bm25, words
from imagerag.tools.testing.fakes import ScriptedJudge, sample_image
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse


def hit(number: int, caption: str = "", title: str = "", tags: tuple[str, ...] = ()) -> Hit:
    image = ImageRef(sha256=sha256(bytes([number])).hexdigest(), media_type="image/png", width=8, height=8)
    return Hit(image=image, similarity=0.5, vector=np.zeros(2, np.float32), title=title, caption=caption, tags=tags)


def parts(count: int) -> list[ImagePart]:
    return [ImagePart(data=sample_image(str(number)), media_type="image/png") for number in range(count)]


async def test_bm25_reads_captions_titles_and_tags_and_leaves_none_out() -> None:
    reranker = make_reranker("bm25", judge=ScriptedJudge())
    assert (reranker.identity, reranker.capabilities.needs_images) == ("bm25", False)
    captions = [hit(n, text) for n, text in enumerate(["a blue hat", "", "a red hat, red felt", "a red car"])]
    assert (await reranker.rerank("Red hat", captions, ())).order == (2, 0, 3, 1)
    assert (await reranker.rerank("", captions, ())).order == (0, 1, 2, 3)
    assert (await reranker.rerank("x", [], ())).order == ()
    elsewhere = [hit(0, "a bag"), hit(1, title="KX-204"), hit(2, tags=("felt",))]
    assert (await reranker.rerank("kx 204", elsewhere, ())).order[0] == 1
    assert (await reranker.rerank("felt", elsewhere, ())).order[0] == 2


def test_bm25_counts_rare_words_more_and_long_texts_less() -> None:
    assert words("Ein rotes帽子!") == ["ein", "rotes", "帽", "子"]
    rare, common, long, none = bm25(
        ["rare", "common"],
        [["rare", "x"], ["common", "x"], ["common", "x", "x", "x", "x"], ["x"]],
    )
    assert rare > common > long > none == 0


async def test_vlm_lets_the_judge_pick_over_real_http_and_says_what_it_cost() -> None:
    hits = [hit(n, text) for n, text in enumerate(["a blue hat", "", "a red hat", "a red car"])]
    with MockOpenAIServer() as server:
        server.enqueue(
            "chat", MockResponse(text='{"reason": "", "ranking": [3, 1]}'), MockResponse(text="the one with the hat")
        )
        reranker = make_reranker(f"vlm:openai:some-vlm@{server.base_url}", judge=ScriptedJudge())
        assert reranker.capabilities.needs_images
        assert reranker.identity.startswith("vlm:openai:some-vlm@")
        ranking = await reranker.rerank("red hat", hits, parts(4))
        assert ranking.order == (2, 0)
        assert ranking.usage["input_tokens"] > 0
        assert '"ranking"' in ranking.raw
        with pytest.raises(JudgeReplyError):
            await reranker.rerank("red hat", hits, parts(4))
        assert (await reranker.rerank("red hat", [], [])).order == ()
        with pytest.raises(ValueError, match="1 images for 4 hits"):
            await reranker.rerank("red hat", hits, parts(1))
        assert server.count() == 2


async def test_vlm_alone_asks_the_judge_of_the_run() -> None:
    judge = ScriptedJudge()
    judge.enqueue_rankings([1, 0])
    reranker = make_reranker("vlm", judge=judge)
    assert reranker.identity == "vlm:scripted:judge"
    assert (await reranker.rerank("q", [hit(0), hit(1)], parts(2))).order == (1, 0)


@pytest.mark.parametrize("spec", ["bm25:plus", "bm25@http://localhost:1/v1", "colbert", "bm25,vlm", "vlm:nosuch:model"])
def test_what_there_is_not(spec: str) -> None:
    with pytest.raises(SpecError):
        make_reranker(spec, judge=ScriptedJudge())
    assert {"bm25", "vlm"} <= set(providers("reranker"))
