"""`/runs`: the list of runs, with filters; and the removal of several at once."""

from datetime import date, datetime, time
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from imagerag.agent.errors import RunStateError
from imagerag.agent.types import Outcome
from imagerag.formatting.interface_terms import in_field_names
from imagerag.formatting.messages import invalid
from imagerag.formatting.numbers import size_of_bytes
from imagerag.ui.rendering import page
from imagerag.ui.requests import as_answer, read_json, state_of, texts_of

SHOWN: Final = 60
"""Runs that are listed at a time; the page asks for more as it is scrolled."""

NAMED: Final = 5
"""Runs that are named before they are removed; of the others there is the number."""


class RunFilters(BaseModel):
    """What the form above the list says; the address of the page holds it.

    Attributes:
        standing: an outcome, or the status of a run without one.
        since: the first day; `until` is the last.
        after: the id of the run after which the list goes on, and `after_created` when that was made.
    """

    model_config = ConfigDict(extra="ignore")

    text: str | None = Field(default=None, max_length=1000)
    standing: str | None = None
    library: str | None = None
    since: date | None = None
    until: date | None = None
    min_cost: float | None = Field(default=None, ge=0)
    max_cost: float | None = Field(default=None, ge=0)
    favourite: bool = False
    after: str | None = None
    after_created: AwareDatetime | None = None

    @classmethod
    def of(cls, request: Request) -> "tuple[RunFilters, str]":
        """Read them from an address: those that can be, and what is wrong with the others, by its field."""
        values = {name: value for name, value in request.query_params.items() if value}
        try:
            return cls.model_validate(values), ""
        except ValidationError as error:
            wrong = {str(problem["loc"][0]) for problem in error.errors()}
            names = texts_of(request).starting("runs")
            message = in_field_names(invalid(error), names)
            return cls.model_validate({name: value for name, value in values.items() if name not in wrong}), message

    @property
    def criteria(self) -> dict[str, Any]:
        """The filters as `rag.runs.list` takes them, without the place in the list."""
        criteria = self.model_dump(include={"text", "library", "min_cost", "max_cost"}, exclude_none=True)
        if self.favourite:
            criteria["favourite"] = True
        if self.standing:
            criteria["outcome" if self.standing in OUTCOMES else "status"] = self.standing
        if self.since:
            criteria["since"] = datetime.combine(self.since, time())
        if self.until:
            criteria["until"] = datetime.combine(self.until, time.max)
        return criteria


OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)
STANDINGS: Final = (*((name, "OUTCOMES") for name in OUTCOMES), ("running", "STATUSES"), ("interrupted", "STATUSES"))
"""What a run can have come to, and the table of its label."""


@as_answer
async def runs_page(request: Request) -> Response:
    """The list, or with `part` what follows on it."""
    rag, (filters, error) = state_of(request).rag, RunFilters.of(request)
    place = (filters.after_created, filters.after) if filters.after and filters.after_created else None
    entries = await rag.runs.list(SHOWN, after=place, **filters.criteria)
    follows = ""
    if len(entries) == SHOWN:
        last = {"after": entries[-1].run_id, "after_created": entries[-1].created.isoformat()}
        follows = str(request.url.include_query_params(**last))
    begun = [entry.run_id for entry in entries if entry.status == "running"]
    under_way = {run_id for run_id in begun if await rag.runs.is_under_way(run_id)}
    values: dict[str, Any] = {"entries": entries, "follows": follows, "under_way": under_way}
    if "part" in request.query_params:
        return page(request, "runs_rows.html", **values)
    values |= {"count": await rag.runs.count(**filters.criteria), "libraries": await rag.libraries.list()}
    values |= {"filters": filters, "standings": STANDINGS, "error": error}
    return page(request, "runs.html", **values)


@as_answer
async def run_image(request: Request) -> Response:
    """The small image of a run whose line on the list does not name it, as those of earlier versions."""
    record = await state_of(request).rag.runs.get(request.path_params["run_id"])
    if record.image is None:
        return Response(status_code=404)
    return RedirectResponse(f"/images/{record.image.sha256}?side=384")


class RemovalRequest(BaseModel):
    """The runs to remove.

    Attributes:
        dry_run: only say what would go.
    """

    model_config = ConfigDict(extra="forbid")

    runs: list[str] = Field(min_length=1, max_length=1000)
    dry_run: bool = True


@as_answer
async def remove_runs(request: Request) -> Response:
    """Remove runs for good, or say what that would remove."""
    body, state, t = await read_json(request, RemovalRequest), state_of(request), texts_of(request)
    if not body.dry_run and (busy := [run for run in body.runs if (task := state.tasks.get(run)) and not task.ended]):
        raise RunStateError(t("runs.busy", run=busy[0]))
    removed = await state.rag.runs.remove(*body.runs, dry_run=body.dry_run)
    named = [run.prompt[:120] for run in removed.runs[:NAMED]]
    if more := len(removed.runs) - len(named):
        named.append(t("runs.and_more", n=more))
    return JSONResponse({
        "removed": [run.run_id for run in removed.runs],
        "title": t("runs.remove_title", n=len(removed.runs)),
        "names": named,
        "says": t("runs.remove_says", size=size_of_bytes(removed.freed_bytes)),
        "done": t("runs.removed", n=len(removed.runs)),
    })  # fmt: skip


class MarkRequest(BaseModel):
    """Runs that become favourites, or are none any more."""

    model_config = ConfigDict(extra="forbid")

    runs: list[str] = Field(min_length=1, max_length=1000)
    favourite: bool


@as_answer
async def mark_runs(request: Request) -> Response:
    """Make runs favourites, or no favourites any more."""
    body = await read_json(request, MarkRequest)
    entries = await state_of(request).rag.runs.mark(*body.runs, favourite=body.favourite)
    return JSONResponse({"runs": [entry.run_id for entry in entries], "favourite": body.favourite})


ROUTES: Final = [
    Route("/runs", runs_page),
    Route("/runs/mark", mark_runs, methods=["POST"]),
    Route("/runs/remove", remove_runs, methods=["POST"]),
    Route("/runs/{run_id}/image", run_image),
]
