"""Inputs and outputs of the tools for background runs, which only MCP has."""

from typing import Annotated, Final, Literal

from pydantic import Field

from imagerag.agent.types import FrozenModel, Outcome
from imagerag.assistants.argument_types import RunId
from imagerag.assistants.tool_inputs import ContinueRun, GenerateImage, Request

LONGEST_WAIT_S: Final = 50.0
"""Under the 60 s after which many clients give up."""

Thumbnail = Annotated[
    bool, Field(description="Show a small copy of the image, for you and the user. False leaves the link alone.")
]
Keep = Annotated[
    bool,
    Field(
        description="Let the run go on when this client leaves. Without it a run that nobody asks about is cancelled, "
        "so that nothing is spent for nobody. Where the server stops too, continue_run(run_id) goes on with it."
    ),
]


class Generate(GenerateImage):
    """Arguments of `generate_image`."""

    thumbnail: Thumbnail = True


class Continue(ContinueRun):
    """Arguments of `continue_run`."""

    wait: bool = Field(
        default=True,
        description="False answers at once while the run goes on; then ask run_result, as after start_image.",
    )
    thumbnail: Thumbnail = True


class Start(GenerateImage):
    """Arguments of `start_image`."""

    keep: Keep = False


class JobRequest(Request):
    """Arguments of `run_status` and `cancel_run`."""

    run_id: RunId = Field(description="The run, as start_image named it.")


class Result(JobRequest):
    """Arguments of `run_result`."""

    wait_s: float = Field(
        default=25.0, ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the end, when it has not come yet."
    )
    thumbnail: Thumbnail = True


class JobReport(FrozenModel):
    """The status of a background run."""

    kind: Literal["job"] = "job"
    run_id: str
    status: Literal["queued", "running", "interrupted", "ended"]
    outcome: Outcome | None = None
    step: Annotated[str, Field(description="What it did last.")] = ""
    steps: int = 0


ADDED: Final = {
    "start_image": (
        "Like generate_image, but answers at once with a run_id while the run goes on: for clients that give up on "
        "calls that take minutes. Then ask run_result (it waits a little) or run_status; cancel_run stops it. A run "
        "that nobody asks about for some minutes is cancelled, unless keep=true."
    ),
    "run_status": "Where a run stands: queued, running, interrupted (it waits for a choice), ended.",
    "run_result": (
        "What a run came to: the answer that generate_image would have given. Waits up to wait_s seconds for the end; "
        "when it has not come by then, the status is 'running': ask again. Works for every run made so far."
    ),
    "cancel_run": "Stop a run: nothing more is spent. The best image so far is kept.",
}
"""Descriptions of the tools for background runs, for a model."""
