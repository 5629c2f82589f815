"""Calls that describe the images of a library: journal, budget and retries around a describer.

Each run of `index` has a budget of its own. A response is in the journal before it is used, and responses of earlier
runs count: an index run that was killed, or that describes the same images for another library, pays for none of them
again. Several images are described at the same time; the calls under way count against the budget at the most that
they can cost.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from imagerag.agent.calls.costs import estimator_of, max_cost
from imagerag.agent.calls.journal import CallRequest, FailedCall, Journal, JournalEntry
from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.errors import BackendError
from imagerag.agent.ports import Describer, ImageDescription, ImagePart
from imagerag.agent.retry_policy import BUSY_S, is_retryable
from imagerag.agent.types import DescriptionEstimate, ModelCall, RunConfig, SamplingParams, cost_of_calls
from imagerag.store.library.library_metadata import DescriberSettings

ROLE: Final = "describe"
READABLE: Final = 2
"""How often an image is sent until a response can be parsed."""

TRIES: Final = 4
"""How often a call is made whose service fails, and says that trying again can help."""

FORM: Final = 1
"""Number of the prompt's wording in the journal's keys; another wording is another request."""


def estimate_descriptions(describer: Describer, settings: DescriberSettings, images: int) -> DescriptionEstimate:
    """Estimate the calls and the cost of describing a number of images. No model is called."""
    tariff, config = estimator_of(describer), _config(settings)
    if config.assume_cost_usd_per_call is not None:
        tariff = tariff.assuming(config.assume_cost_usd_per_call)
    calls, most = images * READABLE, max_cost(tariff, _content("", 0), None) if images else 0.0
    usual = tariff.usual(0, 1, None) if images else 0.0
    expected = None if usual is None else usual * images
    highest = None if most is None else most * calls
    if settings.max_calls is not None:
        calls = min(calls, settings.max_calls)
        highest = None if most is None else most * calls
    if settings.max_cost_usd is not None:
        expected, highest = (None if usd is None else min(usd, settings.max_cost_usd) for usd in (expected, highest))
    return DescriptionEstimate(
        images=images,
        expected_calls=min(images, calls),
        max_calls=calls,
        expected_cost_usd=expected,
        max_cost_usd=highest,
    )


@dataclass(frozen=True)
class _SharedResponses:
    """A journal that keeps no copy of a response for each run that uses it: no run of `index` is done again by its
    record, and images that a model refuses would add one every time."""

    journal: Journal

    async def find(self, key: str, *, run_id: str | None) -> JournalEntry | None:
        return await self.journal.find(key, run_id=run_id)

    async def keep(self, entry: JournalEntry, *, used_by: str | None = None, answers: str = "") -> None:
        if used_by is None:
            await self.journal.keep(entry, answers=answers)

    async def keep_lost(self, lost: FailedCall) -> None:
        await self.journal.keep_lost(lost)

    async def unanswered(self, run_id: str) -> Sequence[FailedCall]:
        return ()  # the run is new

    async def of_run(self, run_id: str) -> tuple[Sequence[JournalEntry], Sequence[FailedCall]]:
        return await self.journal.of_run(run_id)

    async def similar(self, request: CallRequest) -> JournalEntry | None:
        return await self.journal.similar(request)


@dataclass(kw_only=True)
class JournalledDescriber:
    """The calls of one run of `index`. Implements `DescriptionCalls`.

    Attributes:
        run_id: under which the journal keeps the calls.
        made: the calls so far, apart from those of images that are being described.
    """

    describer: Describer
    settings: DescriberSettings
    journal: Journal
    pause: Callable[[float], Any] = asyncio.sleep
    run_id: str = field(default_factory=lambda: f"index-{uuid.uuid4().hex[:12]}")
    made: list[ModelCall] = field(default_factory=list)
    _callers: list[ModelCaller] = field(default_factory=list)

    @property
    def model(self) -> str:
        """The describer's identity."""
        return self.describer.identity

    @property
    def cost_usd(self) -> float | None:
        """What the calls cost so far in US dollars; None where a price is not known."""
        return cost_of_calls(self.made)

    @property
    def requests(self) -> int:
        """How often a model was called."""
        return sum(call.requests for call in self.made if not call.cached)

    def estimate(self, images: int) -> DescriptionEstimate:
        """Calls and cost of describing a number of images; no model is called."""
        return estimate_descriptions(self.describer, self.settings, images)

    async def describe(self, sha256: str, image: ImagePart, *, attempt: int) -> ImageDescription:
        """See `DescriptionCalls`."""
        caller = ModelCaller(
            config=_config(self.settings),
            journal=_SharedResponses(self.journal),
            run_id=self.run_id,
            task=sha256,
            before=self.made,
            round=0,
            failed={},
            backends={ROLE: self.describer},
            scope=ROLE,  # a call that was lost with its process is made again by another run
            siblings=self._callers,
        )
        self._callers.append(caller)
        try:
            return await self._retried(caller, _content(sha256, attempt), image)
        finally:
            self._callers.remove(caller)
            self.made += caller.made

    async def _retried(self, caller: ModelCaller, content: Mapping[str, Any], image: ImagePart) -> ImageDescription:
        async def ask(variation: SamplingParams) -> ImageDescription:
            return await self.describer.describe(image, variation=variation)

        for failures in range(TRIES):
            try:
                return await caller.execute_and_parse(ROLE, self.model, ImageDescription, content, ask)
            except BackendError as error:
                if not is_retryable(error) or failures + 1 == TRIES:
                    raise
                if error.retry_after_s is None:  # otherwise the caller waits as long before its next call
                    await self.pause(BUSY_S[failures])
        raise AssertionError("the last failure is raised")


def _config(settings: DescriberSettings) -> RunConfig:
    return RunConfig(
        cache="reuse",
        max_calls=settings.max_calls,
        max_cost_usd=settings.max_cost_usd,
        assume_cost_usd_per_call=settings.assume_cost_usd_per_call,
    )


def _content(sha256: str, attempt: int) -> dict[str, Any]:
    """All that decides the response; an image by its hash in the library."""
    return {"images": [["describe", sha256]], "form": FORM, "attempt": attempt}
