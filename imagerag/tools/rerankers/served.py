"""Reranker behind a server: `http:MODEL[?OPTIONS]@URL`, with `/rerank` as vLLM, Jina and Cohere have it.

The request is `{"model", "query", "documents"}`, the response `{"results": [{"index", "relevance_score"}]}`. A document
is the words of a candidate, or for a model that sees images its image, in the form that vLLM takes. Whether it sees
them is known from its name, or said (`?images=true`).
"""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.control_tokens import neutralised
from imagerag.agent.errors import JudgeReplyError, SpecError
from imagerag.agent.ports import Capabilities, Hit, ImagePart, Judge, Ranking
from imagerag.agent.threads import in_thread
from imagerag.tools.credentials import Variable
from imagerag.tools.judges.vlm.images import scaled
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.openai.errors import map_openai_errors
from imagerag.tools.pricing.call_cost import Price, cost_of, price_of, tariff_of, with_cost
from imagerag.tools.pricing.token_usage import counts_of
from imagerag.tools.spec import with_options
from imagerag.tools.spec_options import Number, Reader

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices
    from imagerag.tools.spec import BackendSpec

OPTIONS: Final[Mapping[str, Reader]] = {
    "key_env": Variable(),
    "images": bool,
    "longest_side": Number(int, least=64, most=8192),
    "min_score": Number(float, least=-1e6),
    "timeout_s": Number(float, least=0.1),
}
"""Options of a spec, after `?`. Candidates below `min_score` are left out; the scale is the model's own."""

_SEES: Final = re.compile(r"(?:^|[-_/.])(?:vl|reranker-m0)(?:[-_.]|$)", re.I)
_ANSWER_TOKENS: Final = 1
"""The response has scores only; no service bills for tokens of it."""


class ServedReranker:
    """Scores candidates with a cross-encoder behind a server; one request for a search.

    Args:
        model: the server's name for it.
        account: address and key.
        images: whether candidates are sent as images; by default as the name tells.
        longest_side: images are scaled down to it, in pixels.
        min_score: candidates with a lower score are left out; None leaves out none.
        timeout_s: for the whole response, in seconds.
        price: computes the cost from the usage that the service reports.
    """

    def __init__(
        self,
        model: str,
        account: OpenAICredentials,
        *,
        images: bool | None = None,
        longest_side: int = 768,
        min_score: float | None = None,
        timeout_s: float = 60.0,
        price: Price | None = None,
    ) -> None:
        self.model, self.account, self.min_score = model, account, min_score
        self.images = bool(_SEES.search(model)) if images is None else images
        self._said, self._side = images, longest_side
        self._timeout_s, self._price = timeout_s, price

    @property
    def identity(self) -> str:
        """`http:MODEL@URL` with the options that change its order, without secrets."""
        side = self._side if self._side != 768 else None
        options = {"images": self._said, "longest_side": side, "min_score": self.min_score}
        return with_options(f"http:{self.model}@{self.account.base_url}", options)

    @property
    def capabilities(self) -> Capabilities:
        """Capabilities: the price, and that a model is called."""
        tariff = tariff_of(self._price, draws=False, answer=_ANSWER_TOKENS)
        return Capabilities(tariff=tariff, needs_images=self.images, asks_model=True)

    async def rerank(self, query: str, hits: Sequence[Hit], images: Sequence[ImagePart]) -> Ranking:
        """The hits by their scores, best first; equal scores keep the order of the search.

        Raises:
            BackendError: the server does not answer.
            JudgeReplyError: it does not score each of them once.
            ValueError: not as many images as hits, for a model that sees them.
        """
        if not hits:
            return Ranking(order=())
        if self.images and len(hits) != len(images):
            raise ValueError(f"{len(images)} images for {len(hits)} hits")
        documents = (
            [await in_thread(self._image_document, image) for image in images]
            if self.images
            else [_words(hit) for hit in hits]
        )
        body = {"model": self.model, "query": neutralised(query), "documents": documents}
        answer = await map_openai_errors(
            self.identity, self._send(body), timeout_s=self._timeout_s, secrets=self.account.secrets
        )
        usage = _usage(answer)
        cost_usd = cost_of(self._price, self.model, usage and {**usage, "output_tokens": 0})
        with with_cost(cost_usd, usage):
            scores = _scores(answer, len(hits), self.identity)
        places = [at for at, score in enumerate(scores) if self.min_score is None or score >= self.min_score]
        return Ranking(
            order=tuple(sorted(places, key=lambda at: -scores[at])),
            raw=", ".join(f"{score:.4f}" for score in scores),
            usage=usage,
            cost_usd=cost_usd,
        )

    async def _send(self, body: Mapping[str, Any]) -> object:
        client = self.account.client(self.identity, self._timeout_s)
        return await client.post("/rerank", cast_to=object, body=body)

    def _image_document(self, image: ImagePart) -> dict[str, Any]:
        """An image as vLLM takes it."""
        small = scaled(image.data, self._side)
        url = f"data:{small.media_type};base64,{base64.b64encode(small.data).decode()}"
        return {"content": [{"type": "image_url", "image_url": {"url": url}}]}


def served_reranker(spec: "BackendSpec", *, judge: Judge, prices: "Prices | None" = None) -> ServedReranker:
    """`http:MODEL[?OPTIONS]@URL`.

    Raises:
        SpecError: no model or no address, or an invalid option; valid ones are in `OPTIONS`.
    """
    settings = spec.settings(OPTIONS)
    settings.pop("key_env", None)
    if not spec.model or not spec.base_url:
        raise SpecError(f"{str(spec)!r}: a reranker behind a server is http:MODEL@http://HOST/v1")
    account = OpenAICredentials.of_spec(spec)
    return ServedReranker(spec.model, account, price=price_of(prices, spec.model, account), **settings)


def _words(hit: Hit) -> str:
    """Caption, title and tags; a server may refuse an empty document."""
    return neutralised(" ".join(filter(None, (hit.caption_or_description, hit.title, *hit.tags)))) or "-"


def _scores(answer: object, count: int, who: str) -> list[float]:
    """One score per document, in the order of the request.

    Raises:
        JudgeReplyError: another number of scores, or one that is no number.
    """
    listed = answer.get("results") if isinstance(answer, Mapping) else None
    results: list[Any] = listed if isinstance(listed, list) else []
    score_by_index: dict[int, float] = {}
    for one in results:
        index, score = (one.get("index"), one.get("relevance_score")) if isinstance(one, Mapping) else (None, None)
        if isinstance(index, int) and 0 <= index < count and isinstance(score, int | float) and math.isfinite(score):
            score_by_index.setdefault(index, float(score))
    if len(score_by_index) != count or len(results) != count:
        raise JudgeReplyError(
            f"{who} gave scores of {len(score_by_index)} of {count} candidates", raw=str(answer)[:500]
        )
    return [score_by_index[at] for at in range(count)]


def _usage(answer: object) -> dict[str, int]:
    """Input tokens; servers count them under several names."""
    usage = answer.get("usage") if isinstance(answer, Mapping) else None
    counted = usage if isinstance(usage, Mapping) else {}
    totals = {"input_tokens": counted.get("total_tokens")}
    return {name: count for name, count in (counts_of(totals) | counts_of(counted)).items() if name in totals}
