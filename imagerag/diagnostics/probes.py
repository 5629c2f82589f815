"""One small real call to the generator and to the judge: whether they respond, and what that can cost."""

import asyncio
import io
import time
from contextlib import suppress
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from imagerag.agent.calls.costs import estimator_of
from imagerag.agent.errors import ImageRAGError
from imagerag.agent.ports import ImagePart
from imagerag.agent.types import SamplingParams
from imagerag.formatting.numbers import dollars
from imagerag.graphs.configuration.settings import Settings
from imagerag.graphs.dependencies import Dependencies
from imagerag.tools.built_in_providers import Role
from imagerag.tools.spec import BackendSpec

PROBE_PROMPT: Final = "a red circle on a white background"


class Probe(BaseModel):
    """The result of one small real call; `cost_usd` is None where the price is not known."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    answered: bool
    detail: str
    elapsed_s: float
    cost_usd: float | None = None


def configured_specs(settings: Settings) -> list[tuple[Role, str]]:
    """(role, spec) of every backend that is configured, `auto` as what it stands for; those that cannot be read stand
    for themselves."""
    with suppress(ImageRAGError):  # nothing for `auto` is said of `auto` itself
        settings = settings.with_backends
    settings_specs: list[tuple[Role, str]] = [
        ("generator", settings.generator), ("judge", settings.judge), ("embedder", settings.embedder),
    ]  # fmt: skip
    if settings.answerer:
        settings_specs.append(("answerer", settings.answerer))
    if settings.reranker:
        settings_specs.append(("reranker", settings.reranker))
    specs: list[tuple[Role, str]] = []
    for role, text in settings_specs:
        try:
            specs += [(role, str(spec)) for spec in BackendSpec.parse_all(text) if str(spec) != "on-refusal"]
        except ImageRAGError:
            specs.append((role, text))
    return specs


def probe_costs(settings: Settings, dependencies: Dependencies) -> list[str]:
    """The calls that probing makes and their highest cost, a line for each backend."""
    parts = []
    for role, spec in configured_specs(settings):
        if role not in ("generator", "judge"):
            continue
        try:
            part = dependencies.generator(spec) if role == "generator" else dependencies.judge(spec)
        except ImageRAGError:
            continue
        most = estimator_of(part).most(len(PROBE_PROMPT), role == "judge", None)
        parts.append(f"asking {part.identity} once ({role}): {dollars(most)}{' at most' if most else ''}")
    return parts


async def probe_backend(role: Role, part: Any) -> Probe:
    """Make one small call to a generator or a judge."""
    began = time.monotonic()
    try:
        if role == "generator":
            generated = await part.generate(PROBE_PROMPT, [], variation=SamplingParams(), size=None)
            message, cost = f"drew {len(generated.data):,} bytes of {generated.media_type}", generated.cost_usd
        else:
            image = ImagePart(data=await asyncio.to_thread(_circle), media_type="image/png")
            inputs: dict[str, Any] = {
                "subjects": (),
                "requirements": (),
                "mode": "fused",
                "variation": SamplingParams(),
            }
            critique = await part.critique(PROBE_PROMPT, image, **inputs)
            message = (
                f"says {'yes' if critique.verdict.aligned else 'no'} to “{PROBE_PROMPT}”, which is what it was shown"
            )
            cost = critique.cost_usd
    except ImageRAGError as error:
        return Probe(answered=False, detail=f"{type(error).__name__}: {error}", elapsed_s=time.monotonic() - began)
    return Probe(answered=True, detail=message, elapsed_s=time.monotonic() - began, cost_usd=cost)


def _circle() -> bytes:
    from PIL import Image, ImageDraw

    image, out = Image.new("RGB", (256, 256), "white"), io.BytesIO()
    ImageDraw.Draw(image).ellipse((64, 64, 192, 192), fill=(220, 30, 30))
    image.save(out, "PNG")
    return out.getvalue()
