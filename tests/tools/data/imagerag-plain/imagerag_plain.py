"""A third-party package in 30 lines: `plain:COLOUR` draws one colour, and judges whether a picture has it."""

import io

from PIL import Image, ImageColor

from imagerag.agent import ports
from imagerag.agent.types import Concept, Verdict


class PlainGenerator:
    max_references, sizes, template = 4, None, ports.ReferenceTemplate()
    capabilities = ports.Capabilities(tariff=ports.FREE, supports_seed=True)

    def __init__(self, spec):  # what follows `plain:` is spec.model, what follows `@` is spec.base_url
        spec.settings({})  # it takes no options: any is an error
        self.identity, self.colour = str(spec), spec.model or "red"

    async def generate(self, prompt, references, *, variation, size):
        out = io.BytesIO()
        Image.new("RGB", (size.width, size.height) if size else (64, 64), self.colour).save(out, "PNG")
        return ports.GeneratedImage(data=out.getvalue(), cost_usd=0.0)


class PlainJudge:
    honours, capabilities = frozenset(), ports.Capabilities(tariff=ports.FREE)

    def __init__(self, spec, *, embedder=None):
        spec.settings({})
        self.identity, self.colour = str(spec), spec.model or "red"

    async def critique(self, prompt, image, **asked):
        found = Image.open(io.BytesIO(image.data)).convert("RGB").getpixel((0, 0))
        return ports.Critique(verdict=Verdict(aligned=found == ImageColor.getrgb(self.colour)), cost_usd=0.0)

    async def missing_concepts(self, prompt, image, **asked):
        return ports.MissingConcepts(concepts=(Concept(text=self.colour),), cost_usd=0.0)

    async def captions(self, prompt, concepts, **asked):
        return ports.Captions(captions=tuple(f"a picture in {concept.text}" for concept in concepts), cost_usd=0.0)

    async def compare(self, prompt, first, second):
        return ports.Preference(better="neither", cost_usd=0.0)

    async def choose(self, query, images):
        return ports.Ranking(order=tuple(range(len(images))), cost_usd=0.0)
