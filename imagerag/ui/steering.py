"""What the forms that continue and fork a run send, and the options that are made of it."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.run_record import RunRecord
from imagerag.ui.draw_request import check_backend, spending_within
from imagerag.ui.requests import data_of
from imagerag.ui.state import UiState


class Limits(BaseModel):
    """Limits of the new run, within those of the server."""

    model_config = ConfigDict(extra="forbid")

    max_calls: int | None = Field(default=None, ge=1)
    max_cost_usd: float | None = Field(default=None, ge=0)
    assume_cost_usd_per_call: float | None = Field(default=None, gt=0)
    deadline_s: float | None = Field(default=None, gt=0)

    def within(self, state: UiState) -> dict[str, Any]:
        """The options of a run, without what is not limited.

        Raises:
            UsageError: what a call of unknown price counts as, on a server that limits the cost.
        """
        return spending_within(state.limits, data_of(self))


LIMITS: Final = frozenset(Limits.model_fields)


class ContinueRequest(Limits):
    """What the form to continue sends; see `rag.runs.stream_continue`."""

    more_rounds: int = Field(default=2, ge=0, le=20)
    feedback: str | None = None
    prompt: str | None = None
    seed: int | None = None
    exclude_images: list[str] = Field(default_factory=list, max_length=500)
    keep_images: list[str] = Field(default_factory=list, max_length=100)
    add_images: list[str] = Field(default_factory=list, max_length=100)


class ForkRequest(Limits):
    """What the form to fork sends; see `rag.runs.stream_replay`."""

    step: int = Field(ge=0)
    prompt: str | None = None
    references: list[str] | None = Field(default=None, max_length=100)
    seed: int | None = None
    generator: str | None = None
    judge: str | None = None
    no_cache: bool = False


def continue_options(body: ContinueRequest, state: UiState) -> dict[str, Any]:
    """The options of `rag.runs.stream_continue`, within the server's limits.

    Raises:
        UsageError: what a call of unknown price counts as, on a server that limits the cost.
    """
    options = {name: value for name, value in data_of(body).items() if name not in LIMITS}
    options = {name: value for name, value in options.items() if value not in ("", [])}
    if state.limits.max_rounds is not None:
        options["more_rounds"] = min(body.more_rounds, state.limits.max_rounds)
    return options | body.within(state)


def fork_changes(body: ForkRequest, state: UiState, record: RunRecord) -> dict[str, Any]:
    """The step and the changes of `rag.runs.stream_replay`, within the server's limits.

    Raises:
        UntrustedError: a backend with an address or a path of its own that the server was not started with.
        UsageError: what a call of unknown price counts as, on a server that limits the cost.
    """
    changes = {name: value for name, value in data_of(body).items() if name not in LIMITS and value != ""}
    for role in ("generator", "judge"):
        if record.setup is not None and changes.get(role) == getattr(record.setup, role):
            del changes[role]  # as it was: the record answers for it
        check_backend(state, role, changes.get(role))
    return changes | body.within(state)
