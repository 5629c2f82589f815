"""Several backends as one: if one fails, the next is called, and the record keeps the reason.

A fallback goes on to the next member at once, whatever the failure (no quota, no key, overloaded, unreachable,
timeout, an error in somebody's own code, something that is no response): waiting helps only if all members fail, and
then the graph waits. Refusals, and text or images that cannot be parsed, are responses and do not go on to the next
member. A member whose quota is spent, or that asked to wait, is not called again in the same run until its reset, as
long as another one can be. `on-refusal` in the spec makes a refusal go on, too:
`openai:gpt-image-2,diffusers:sdxl-ip-adapter,on-refusal`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, Generic, TypeVar

from imagerag.agent.calls.call_context import current_call
from imagerag.agent.calls.response_check import checked_response
from imagerag.agent.error_message import message_of
from imagerag.agent.errors import (
    BackendError,
    ImageRAGError,
    JudgeReplyError,
    RefusalError,
    SpecError,
    UnreadableImageError,
)
from imagerag.agent.ports import (
    Capabilities,
    Describer,
    GeneratedImage,
    ImageGenerator,
    Judge,
    ModelResponse,
    PriceEstimator,
    can_edit,
    capabilities_of,
    estimator_of_all,
)
from imagerag.agent.qa.ports import Answerer
from imagerag.tools.fallback.pauses import Pauses

ON_REFUSAL: Final = "on-refusal"
"""Word in a spec that makes a fallback go on to the next member after a refusal, too."""


Member = TypeVar("Member", bound=ImageGenerator | Judge | Answerer | Describer)
Response = TypeVar("Response", bound=GeneratedImage | ModelResponse)


class Fallback(Generic[Member]):
    """Base class of the fallbacks of all roles.

    Args:
        members: at least one, the preferred first.
        on_refusal: whether a refusal also goes on to the next member.

    Raises:
        SpecError: no member.
    """

    def __init__(self, members: Sequence[Member], *, on_refusal: bool = False) -> None:
        if not members:
            raise SpecError("a fallback needs at least one backend")
        self.members: tuple[Member, ...] = tuple(members)
        self.on_refusal = on_refusal
        self._pauses = Pauses()
        self.identity = ",".join([*(member.identity for member in members), *([ON_REFUSAL] if on_refusal else [])])

    @property
    def capabilities(self) -> Capabilities:
        """Combined capabilities of the members, at the price of all of them together."""
        each = [capabilities_of(member) for member in self.members]
        limits = [one.max_images for one in each if one.max_images is not None]
        return Capabilities(
            tariff=estimator_of_all([one.tariff or PriceEstimator() for one in each]),
            supports_seed=all(one.supports_seed for one in each),
            edits=all(map(can_edit, self.members)),
            takes_mask=all(one.takes_mask for one in each),
            sees_references=all(one.sees_references for one in each),
            max_images=min(limits, default=None),
            takes_feedback=all(one.takes_feedback for one in each),
            takes_language=any(one.takes_language for one in each),
            votes=max(one.votes for one in each),
            needs_images=any(one.needs_images for one in each),
            takes_images=any(one.takes_images for one in each),
            members=self.members,
        )

    async def _first(self, ask: Callable[[Member], Awaitable[Response]], kind: type[Response] | None) -> Response:
        """Call the members in order until one responds.

        Args:
            ask: calls one of them.
            kind: class of the response; None if `ask` checks it.

        Returns:
            The response, with `served_by` and `fallback_errors`; a fallback among the members has set its own.

        Raises:
            RefusalError, JudgeReplyError: a member's response; the message says which members failed before.
            BackendError: no member responded; `retryable` if one member's error is.
        """
        failed: list[ImageRAGError] = []
        run_id = current_call().run_id
        paused = self._pauses.of(run_id)
        if len(paused) == len(self.members):  # a limit may have been raised meanwhile, and there is nobody else
            paused = {}
        for place, member in enumerate(self.members):
            if place in paused:
                failed.append(paused[place].reminder)
                continue
            try:
                response = await ask(member)
                if kind is not None:
                    response = checked_response(response, kind, member.identity)
                self._pauses.remove(run_id, place)
                steps = (*map(_reason, failed), *response.fallback_errors)
                served_by, cost_usd = response.served_by or member.identity, _total(failed, response)
                return replace(response, served_by=served_by, fallback_errors=steps, cost_usd=cost_usd)
            except UnreadableImageError as error:
                unread = UnreadableImageError(_joined([*failed, error]), data=error.data)
                raise unread.with_cost(_total(failed, error), error.usage) from error
            except BackendError as error:
                self._pauses.add(run_id, place, error)
                failed.append(error)
            except RefusalError as error:
                failed.append(error)
                if not self.on_refusal:
                    raise RefusalError(_joined(failed)).with_cost(_total(failed[:-1], error), error.usage) from error
            except JudgeReplyError as error:
                unparsed = JudgeReplyError(_joined([*failed, error]), raw=error.raw)
                raise unparsed.with_cost(_total(failed, error), error.usage) from error
            except ImageRAGError:
                raise
            except Exception as error:
                failed.append(_own_error(member.identity, error))
        raise self._nobody(failed)

    def _nobody(self, failed: list[ImageRAGError]) -> ImageRAGError:
        silent = [error for error in failed if isinstance(error, BackendError)]
        known = [error.cost_usd for error in failed if error.cost_usd is not None]
        cost_usd = sum(known) if known else None
        if not silent:
            return RefusalError(_joined(failed)).with_cost(cost_usd, {})
        if len(failed) == 1:
            return failed[0]
        again = [error for error in silent if error.retryable]
        waits = [error.retry_after_s for error in again if error.retry_after_s is not None]
        # A retry is worth it as soon as one of them may respond.
        wait = min(waits) if again and len(waits) == len(again) else None
        nobody = BackendError(f"nobody answered: {_joined(failed)}", retryable=bool(again), retry_after_s=wait)
        nobody.sent = any(getattr(error, "sent", True) for error in failed)
        return nobody.with_cost(cost_usd, {})


def _total(failed: Sequence[ImageRAGError], last: ImageRAGError | GeneratedImage | ModelResponse) -> float | None:
    """The cost of a response in US dollars, with that of earlier ones as far as their services told it."""
    return None if last.cost_usd is None else last.cost_usd + sum(error.cost_usd or 0.0 for error in failed)


def _own_error(identity: str, error: Exception) -> BackendError:
    """The error of a member whose code raised what no port has."""
    failure = BackendError(f"{identity}: {type(error).__name__}: {message_of(error)}", retryable=False)
    failure.__cause__ = error
    return failure


def _reason(error: ImageRAGError) -> str:
    return f"{type(error).__name__}: {error}"


def _joined(errors: Sequence[ImageRAGError]) -> str:
    """One error as it is; several with their class names, oldest first."""
    return str(errors[0]) if len(errors) == 1 else "; then ".join(map(_reason, errors))
