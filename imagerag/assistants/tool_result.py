"""Results of tools, and the limits for each run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from imagerag.agent.control_tokens import neutralised
from imagerag.agent.types import ImageRef

Amount = TypeVar("Amount", int, float)


@dataclass(frozen=True, kw_only=True)
class ToolResult:
    """The result of a tool. It holds no pixels: `ChatService.image_bytes` and `thumbnail` fetch them.

    Attributes:
        text: what the model reads; at most 2,000 characters.
        data: the same as JSON-able data, bounded; `kind` says which of `imagerag.assistants.tool_outputs` it is.
        images: the images the answer is about, the most important first.
        is_error: nothing was done as asked, or the run failed.
        document: the whole document behind it (`imagerag.run/1`, …), however long: for programs, not for the model.
    """

    text: str
    data: dict[str, Any]
    images: tuple[ImageRef, ...] = ()
    is_error: bool = False
    document: dict[str, Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # A caption in it must not end the tool's turn in whatever model reads it.
        object.__setattr__(self, "text", neutralised(self.text))


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """Limits of each run, whatever a model requests; None leaves a limit to the request.

    Attributes:
        max_rounds: redrawings.
        max_calls: model calls.
        max_cost_usd: US dollars.
        assume_cost_usd_per_call: no ceiling, but what a call counts as whose price is not known, in US dollars.
        deadline_s: seconds.
    """

    max_rounds: int | None = None
    max_calls: int | None = None
    max_cost_usd: float | None = None
    assume_cost_usd_per_call: float | None = None
    deadline_s: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "RunLimits":
        """The limits among the options of a server."""
        return cls(**{limit.name: options[limit.name] for limit in fields(cls)})

    def spending(self, calls: int | None, cost_usd: float | None, seconds: float | None) -> dict[str, Any]:
        """The limits of a run that was asked for with these, as `ImageRAG.stream` takes them."""
        return {
            "max_calls": least(calls, self.max_calls),
            "max_cost_usd": least(cost_usd, self.max_cost_usd),
            "assume_cost_usd_per_call": self.assume_cost_usd_per_call,
            "deadline_s": least(seconds, self.deadline_s),
        }


def least(request: Amount | None, allowed: Amount | None) -> Amount | None:
    """The smaller of two limits, where None is no limit."""
    amounts = [amount for amount in (request, allowed) if amount is not None]
    return min(amounts) if amounts else None
