"""Factories of the built-in providers' backends from their specs, named by `registry.py`."""

from imagerag.agent.port_validation import check_embeds_images
from imagerag.agent.ports import Embedder, Judge
from imagerag.tools.embedders.default_encoder import DEFAULT_MODEL
from imagerag.tools.embedders.full_spec import full_spec
from imagerag.tools.embedders.openclip import OpenClipEmbedder
from imagerag.tools.judges.clip.judge import ClipJudge
from imagerag.tools.pricing.price_table import Prices
from imagerag.tools.registry import judge_of_encoder, make_embedder, make_judge
from imagerag.tools.spec import BackendSpec


def open_clip_embedder(spec: BackendSpec) -> Embedder:
    """`open_clip:NAME/TAG`, `…:NAME/FILE`, `…:NAME/TAG=FILE`, `…:local-dir:DIR`, `…:hf-hub:ORG/NAME`."""
    spec.refuse_address()
    return OpenClipEmbedder(spec.model or DEFAULT_MODEL)


def clip_judge(spec: BackendSpec, *, embedder: Embedder | None = None) -> Judge:
    """`clip` (uses `embedder`), `clip:NAME/TAG` and `clip:PROVIDER:MODEL` (use an embedder of their own).

    If the encoder has a judge of its own, that judge is made instead.
    """
    spec.refuse_address()
    if spec.model:
        embedder = make_embedder(full_spec(spec.model))
    embedder = embedder or make_embedder("open_clip")
    check_embeds_images(embedder)
    if judge := judge_of_encoder(embedder.identity.spec):
        return make_judge(judge, embedder=embedder)
    return ClipJudge(embedder)


def openai_judge(spec: BackendSpec, *, embedder: Embedder | None = None, prices: Prices | None = None) -> Judge:
    """`openai:MODEL[?OPTIONS][@URL]`: a vision-language model behind any server that speaks the protocol."""
    from imagerag.tools.judges.vlm.spec import vlm_judge

    return vlm_judge(spec, prices=prices)
