import time

import numpy as np
import pytest

from imagerag.agent.errors import BackendError, BlobError, JudgeReplyError, RefusalError, UsageError
from imagerag.agent.ports import BlobStore, Embedder, Filter, ImageGenerator, ImagePart, Judge, ReferenceLibrary
from imagerag.agent.types import Concept, Requirement, SamplingParams, Size, Verdict
from imagerag.agent.types.filters import parse_filter
from imagerag.tools.testing.fakes import (
    HashEmbedder,
    MemoryBlobs,
    ScriptedGenerator,
    ScriptedJudge,
    ScriptedLibrary,
    ScriptExhaustedError,
    describe_image,
    sample_image,
)

FIRST = SamplingParams(seed=1)
IMAGE = ImagePart(data=sample_image("x"), media_type="image/png")


def test_the_fakes_are_the_ports() -> None:
    generator: ImageGenerator = ScriptedGenerator()
    judge: Judge = ScriptedJudge()
    embedder: Embedder = HashEmbedder()
    library: ReferenceLibrary = ScriptedLibrary()
    blobs: BlobStore = MemoryBlobs()
    assert generator.identity != judge.identity
    assert embedder.context_length == library.context_length
    assert blobs is not None


async def critique(judge: Judge, mode="fused", requirements=()):
    return await judge.critique("p", IMAGE, subjects=[], requirements=requirements, mode=mode, variation=FIRST)


async def test_a_generator_draws_what_was_asked_and_remembers() -> None:
    fake = ScriptedGenerator(max_references=2, supports_seed=True)
    one = await fake.generate("a", [], variation=FIRST, size=Size(width=32, height=20))
    same = await fake.generate("a", [], variation=FIRST, size=Size(width=32, height=20))
    other = await fake.generate("a", [IMAGE], variation=FIRST, size=None)
    reseeded = await fake.generate("a", [], variation=SamplingParams(seed=2), size=None)
    assert one == same
    assert len({one.data, other.data, reseeded.data}) == 3
    assert describe_image(one.data).width == 32
    assert [call.prompt for call in fake.calls] == ["a"] * 4
    assert fake.calls[2].references == [IMAGE]


async def test_a_generator_follows_its_script() -> None:
    fake = ScriptedGenerator(BackendError("down"), None, b"bytes")
    fake.enqueue(RefusalError("no"))
    with pytest.raises(BackendError, match="down"):
        await fake.generate("a", [], variation=FIRST, size=None)
    assert (await fake.generate("a", [], variation=FIRST, size=None)).data.startswith(b"\x89PNG")
    assert (await fake.generate("a", [], variation=FIRST, size=None)).data == b"bytes"
    with pytest.raises(RefusalError):
        await fake.generate("a", [], variation=FIRST, size=None)


async def test_a_judge_finds_what_its_script_says() -> None:
    judge = ScriptedJudge(0.5, True, ["a cat"], JudgeReplyError("huh", raw="??"))
    judge.enqueue(1.0, Verdict(status="abstained", aligned=None), [])
    assert (await critique(judge)).verdict == Verdict(aligned=False, score=0.5, raw="0.5")
    assert (await critique(judge)).verdict == Verdict(aligned=True, raw="yes")
    missing = (await critique(judge)).verdict
    assert missing.missing == (Concept(text="a cat", caption="a detailed picture of a cat"),)
    assert (missing.aligned, missing.score) == (False, 0.5)
    with pytest.raises(JudgeReplyError):
        await critique(judge)
    assert (await critique(judge)).verdict.aligned
    assert (await critique(judge)).verdict.status == "abstained"
    assert (await critique(judge)).verdict.score == 1
    with pytest.raises(ScriptExhaustedError, match=r"no answer left for critique\(prompt='p'"):
        await critique(judge)


async def test_a_judge_keeps_to_the_checklist() -> None:
    judge = ScriptedJudge(["b"])
    asked = [Requirement(text=text) for text in "abc"]
    answer = await critique(judge, requirements=asked)
    assert answer.requirements == tuple(asked)
    assert [check.met for check in answer.verdict.checks] == [True, False, True]
    assert answer.verdict.score == pytest.approx(2 / 3)


async def test_stepwise_names_in_later_calls() -> None:
    judge = ScriptedJudge(["a cat"], False)
    verdict = (await critique(judge, mode="stepwise")).verdict
    assert verdict == Verdict(aligned=False, raw="no")
    named = await judge.missing_concepts("p", IMAGE, verdict=verdict, variation=FIRST)
    assert named.concepts == (Concept(text="a cat"),)
    captions = await judge.captions("p", named.concepts, max_tokens=77, variation=FIRST)
    assert captions.captions == ("a detailed picture of a cat",)
    await critique(judge, mode="stepwise")
    judge.enqueue_missing([], ["a dog"], BackendError("down"))
    judge.enqueue_captions(["a brown dog"])
    judge.enqueue_preferences("second")
    assert (await judge.missing_concepts("p", IMAGE, verdict=verdict, variation=FIRST)).concepts == ()
    assert (await judge.missing_concepts("p", IMAGE, verdict=verdict, variation=FIRST)).concepts[0].text == "a dog"
    with pytest.raises(BackendError):
        await judge.missing_concepts("p", IMAGE, verdict=verdict, variation=FIRST)
    assert (await judge.captions("p", [], max_tokens=9, variation=FIRST)).captions == ("a brown dog",)
    assert (await judge.compare("p", IMAGE, IMAGE)).better == "second"
    assert (await judge.compare("p", IMAGE, IMAGE)).better == "neither"
    assert (await judge.choose("q", [IMAGE, IMAGE])).order == (0, 1)


async def test_a_judge_may_follow_a_rule_and_take_its_time() -> None:
    judge = ScriptedJudge(lambda prompt, image: 1.0 if image == IMAGE else RefusalError("no"), latency_s=0.01)
    began = time.monotonic()
    assert (await critique(judge)).verdict.aligned
    assert (await critique(judge)).verdict.aligned
    assert time.monotonic() - began >= 0.01
    assert [call.method for call in judge.calls] == ["critique", "critique"]


async def test_toy_vectors_are_unit_and_alike_where_texts_are() -> None:
    embedder = HashEmbedder()
    rows = await embedder.embed_texts(["a red circle", "a red circle on white", "wholly different words", ""])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert rows[0] @ rows[1] > rows[0] @ rows[2]
    images = await embedder.embed_images([sample_image("a"), sample_image("a"), sample_image("b")])
    assert images[0] @ images[1] == pytest.approx(1, abs=1e-6)
    assert images[0] @ images[2] < 0.99
    assert embedder.count_tokens("a red circle") == 5


async def test_a_library_returns_what_was_planted() -> None:
    library = ScriptedLibrary(elsewhere=0.1)
    cat = library.plant("a cat", similarity=0.8, tags=("pet",), metadata={"price": 3})
    dog = library.plant({"a dog": 0.9, "a cat": 0.3}, licence="proprietary", title="Rex")
    hits = await library.search("a cat", k=5, filter=Filter())
    assert [(hit.image, hit.similarity) for hit in hits] == [(cat, 0.8), (dog, 0.3)]
    assert [hit.similarity for hit in await library.search("else", k=1, filter=Filter())] == [0.1]
    for wanted in (
        Filter(where=parse_filter({"price": "3"})),
        Filter(tags=("pet",)),
        Filter(licences=("CC0-1.0",)),
        Filter(exclude=frozenset({dog.sha256})),
    ):
        assert [hit.image for hit in await library.search("a cat", k=5, filter=wanted)] == [cat]
    data = await library.image_bytes(dog.sha256)
    assert (await library.search_by_image(data, k=1, filter=Filter()))[0].image == dog
    assert abs(hits[0].vector @ hits[1].vector) < 0.5
    with pytest.raises(BlobError):
        await library.image_bytes("0" * 64)


async def test_blobs_are_kept_under_their_hash() -> None:
    blobs = MemoryBlobs()
    kept = await blobs.put(sample_image("a", Size(width=16, height=24)))
    assert (kept.width, kept.height, kept.media_type) == (16, 24, "image/png")
    assert await blobs.get(kept.sha256) == sample_image("a", Size(width=16, height=24))
    with pytest.raises(BlobError):
        await blobs.get("0" * 64)
    with pytest.raises(UsageError):
        await blobs.put(b"no image")
