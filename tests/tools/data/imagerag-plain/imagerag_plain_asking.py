"""The same package's answerer and reranker: `plain:COLOUR` looks for its colour's name in the titles of pictures."""

from imagerag.agent.ports import FREE, Capabilities, Ranking
from imagerag.agent.qa.ports import AnswerWithCitations
from imagerag.agent.qa.types import Citation


class PlainAnswerer:
    synonyms, capabilities = {}, Capabilities(tariff=FREE)

    def __init__(self, spec):
        spec.settings({})
        self.identity, self.colour = str(spec), spec.model or "red"

    async def answer(self, question, sources, **asked):
        cited = tuple(Citation(source=one.number, supports=one.title) for one in sources if self.colour in one.title)
        return AnswerWithCitations(
            text=f"{len(cited)} are {self.colour}", cited=cited, in_library=bool(cited), cost_usd=0.0
        )

    async def answer_without(self, question, **asked):
        return AnswerWithCitations(text="", in_library=False, cost_usd=0.0)


class PlainReranker:
    capabilities = Capabilities(tariff=FREE)

    def __init__(self, spec, *, judge):
        spec.settings({})
        self.identity, self.colour = str(spec), spec.model or "red"

    async def rerank(self, query, hits, images=()):
        order = sorted(range(len(hits)), key=lambda at: self.colour not in hits[at].title)
        return Ranking(order=tuple(order), cost_usd=0.0)
