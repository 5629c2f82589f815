"""Whether a judge takes images, and how many: known before the first drawing is paid, not after it.

Nobody can judge an image who takes none, and most servers say so only when one comes. So a judge of which it is not
known is shown a tiny test image first, as a call like any other: it is counted, recorded, and fits the budget. What
it took is kept with the journal's answers, by its name and address, and is not asked again. No question is asked
where a drawing costs nothing, where a replay asks nobody, and where a budget of calls leaves room for little else.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from imagerag.agent.calls.journal import CallRequest, Journal, decode, variation_content
from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.ports import ImageCheck, capabilities_of
from imagerag.agent.types import ModelCall, RunConfig, SamplingParams

CHECK_IMAGES: Final = "judge.check_images"
"""The role of such calls."""

NEEDED: Final = 3
"""Calls that must be left for one of them to be this: the drawing, and a look at it, come first."""

_locks: "WeakKeyDictionary[asyncio.AbstractEventLoop, defaultdict[str, asyncio.Lock]]" = WeakKeyDictionary()


@runtime_checkable
class ChecksImages(Protocol):
    """A judge that can be asked whether it takes images: one that a server answers for."""

    @property
    def identity(self) -> str: ...

    def image_check_needed(self, count: int) -> bool:
        """Whether it is not known that it takes `count` images with one request, on sheets if need be."""
        ...

    def images_checked(self, count: int, limit: int | None) -> None:
        """Learn what was found before, maybe by another process."""
        ...

    async def check_images(self, count: int) -> ImageCheck:
        """Ask it about `count` tiny test images.

        Raises:
            NoImagesError: it takes none.
            BackendError: it did not answer.
        """
        ...


async def check_images(judge: object, generator: object, calls: ModelCaller, *, count: int) -> None:
    """Make sure that a judge takes images, before a drawing is paid for.

    Args:
        calls: those of the node that is to draw.
        count: how many images will go with one question.

    Raises:
        NoImagesError: it takes none.
        BackendError: it did not answer.
        BudgetExceededError: asking it does not fit the budget.
    """
    if not isinstance(judge, ChecksImages) or not needs_image_check(
        judge, generator, calls.config, count, calls.before
    ):
        return
    async with _locks.setdefault(asyncio.get_running_loop(), defaultdict(asyncio.Lock))[judge.identity]:
        if calls.journal is not None:
            await recall(judge, calls.journal, count)
        if judge.image_check_needed(count):
            checked = judge
            check = await calls.execute(
                CHECK_IMAGES, judge.identity, ImageCheck, _content(count), lambda: checked.check_images(count)
            )
            judge.images_checked(count, check.limit)


def needs_image_check(
    judge: object, generator: object, config: RunConfig, count: int, calls: Sequence[ModelCall] = ()
) -> bool:
    """Whether a run has to ask its judge before it draws.

    Args:
        calls: what the run called before.
    """
    if not isinstance(judge, ChecksImages) or not judge.image_check_needed(count) or not may_cost(generator):
        return False
    if config.cache == "replay" or any(call.role == "judge.critique" and call.completed for call in calls):
        return False
    return config.max_calls is None or config.max_calls - sum(call.requests for call in calls) >= NEEDED


def may_cost(generator: object) -> bool:
    """Whether a drawing is paid for, as far as the generator says anything of prices."""
    tariff = capabilities_of(generator).tariff
    return tariff is not None and (not tariff.known or tariff.most(0, 0, None) != 0)


async def recall(judge: ChecksImages, journal: Journal, count: int) -> None:
    """Tell a judge what was found of it before, whichever run asked."""
    request = CallRequest.of(
        CHECK_IMAGES, judge.identity, {**_content(count), "variation": variation_content(SamplingParams())}
    )
    entry = await journal.find(request.key, run_id=None)
    if entry is not None and entry.failure is None:
        judge.images_checked(count, decode(entry, ImageCheck).limit)


def _content(count: int) -> Mapping[str, Any]:
    return {"images": ["test"] * count}
