"""A run as the app shows it: its report, and the attempts, checklists and candidates that a model has no use for."""

from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt, Candidate, FrozenModel, Search, UsedReference
from imagerag.assistants.argument_types import RunId
from imagerag.assistants.tool_inputs import Request
from imagerag.assistants.tool_outputs import LONG, MOST, SHORT, ReferenceReport, RunReport, uri
from imagerag.assistants.tool_reports import run_report
from imagerag.formatting.quoting import line
from imagerag.formatting.web_credits import page_of

DESCRIPTION: Final = "The state of a run for the app: attempts with checklists, candidates, the step it is at."


class ViewRun(Request):
    """Arguments of `run_view`: the run, or the request of this session that began one."""

    run_id: RunId | None = None
    request_id: Annotated[str | None, Field(max_length=100)] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.run_id is None) == (self.request_id is None):
            raise ValueError("give run_id or request_id")
        return self


class CheckView(FrozenModel):
    """One requirement, and whether an attempt meets it."""

    text: str
    kind: str
    met: bool
    evidence: str = ""


class AttemptView(FrozenModel):
    """One image of a run. `judged` is None before the judge has looked, False where it abstained."""

    index: int
    uri: str
    references: int
    judged: bool | None = None
    aligned: bool | None = None
    checks: tuple[CheckView, ...] = ()


class CandidateView(ReferenceReport):
    """A library image, with the cosine it had to reach and what was decided about it."""

    threshold: float | None = None
    decision: str = ""
    page: Annotated[str, Field(description="The page it was found on, an http or https address.")] = ""


class RunView(RunReport):
    """A run for the app."""

    live: Annotated[bool, Field(description="Whether it goes on in this server.")] = False
    prompt: str = ""
    node: Annotated[str, Field(description="The step that ended last.")] = ""
    partial: Annotated[str, Field(description="The unfinished image of what is being drawn.")] = ""
    best_attempt: int | None = None
    attempts: tuple[AttemptView, ...] = ()
    references: tuple[CandidateView, ...] = ()
    offered: tuple[CandidateView, ...] = ()
    may_edit: Annotated[bool, Field(description="Whether one of those offered may be edited instead.")] = False
    candidates: tuple[CandidateView, ...] = ()
    redraw: Annotated[dict[str, Any] | None, Field(description="Arguments that draw it anew with another seed.")] = None


def run_view(record: RunRecord, *, live: bool = False, node: str = "", partial: str = "") -> RunView:
    """The view of a run.

    Args:
        live: whether it is under way in this server.
        node: the step that ended last.
        partial: the unfinished image of what is being drawn, as `image://SHA256`.
    """
    report = run_report(record)
    searched = {one.image.sha256: (search, one) for search in record.searches for one in search.candidates}
    last = [search for search in record.searches if search.round == record.searches[-1].round]
    fields = {name: getattr(report, name) for name in RunReport.model_fields if name not in ("references", "offered")}
    return RunView(
        **fields,
        prompt=line(record.prompt, LONG),
        live=live,
        node=node,
        partial=partial,
        best_attempt=record.best_attempt,
        attempts=tuple(map(_attempt, record.attempts[-MOST:])),
        references=tuple(_candidate_view(*pair) for pair in zip(report.references, record.references, strict=False)),
        offered=tuple(_offered(one, *searched.get(one.uri.removeprefix("image://"), ())) for one in report.offered),
        candidates=tuple(_candidate(search, one) for search in last for one in search.candidates)[: 2 * MOST],
        may_edit=bool(report.offered) and bool((record.question or {}).get("may_edit")),
        redraw=_redraw(record),
    )


def _attempt(attempt: Attempt) -> AttemptView:
    verdict = attempt.verdict
    return AttemptView(
        index=attempt.index,
        uri=uri(attempt.image.sha256),
        references=len(attempt.references),
        judged=None if verdict is None else verdict.status == "judged",
        aligned=verdict.aligned if verdict else None,
        checks=tuple(
            CheckView(
                text=line(check.requirement.text, SHORT),
                kind=check.requirement.kind,
                met=check.met,
                evidence=line(check.evidence, LONG),
            )
            for check in (verdict.checks[:MOST] if verdict else ())
        ),
    )


def _candidate_view(report: ReferenceReport, reference: UsedReference) -> CandidateView:
    return CandidateView(**report.model_dump(), page=page_of(reference.web))


def _offered(report: ReferenceReport, search: Search | None = None, one: Candidate | None = None) -> CandidateView:
    if search is None or one is None:
        return CandidateView(**report.model_dump())
    return CandidateView(**report.model_dump(), threshold=search.threshold_of(one), page=page_of(one.web))


def _candidate(search: Search, one: Candidate) -> CandidateView:
    return CandidateView(
        number=0,
        uri=uri(one.image.sha256),
        role="offered",
        similarity=one.similarity,
        concept=line(search.query.concept.text, SHORT),
        title=line(one.title, SHORT),
        caption=line(one.caption, SHORT),
        licence=line(one.licence, SHORT),
        author=line(one.author, SHORT),
        source=line(one.source, SHORT),
        threshold=search.threshold_of(one),
        decision=one.decision or "",
        page=page_of(one.web),
    )


def _redraw(record: RunRecord) -> dict[str, Any] | None:
    """The arguments of `start_image` that draw the same with the next seed.

    None for a run with an image that was handed in as its first or was masked: no argument of a tool says that again.
    """
    setup, first = record.setup, record.attempts[0] if record.attempts else None
    if setup is None or first is None or first.origin == "handed_in" or first.mask is not None:
        return None
    config = setup.config
    own = [one for one in first.references if one.role != "reference" and one.selected_by == "given"]
    subjects = [{"image": uri(one.image.sha256), "name": one.concept} for one in own if one.role == "subject"]
    edit = next((uri(one.image.sha256) for one in own if one.role == "edit"), None)
    arguments = {
        "prompt": record.prompt,
        "library": setup.library,
        "subjects": subjects,
        "edit": edit,
        "max_rounds": config.max_rounds,
        "max_references": config.max_references,
        "references_per_concept": config.references_per_concept,
        "select": config.select,
        "start": config.start,
        "seed": (config.seed + 1) % 2**32,
        "partial_images": config.partial_images or None,
        "size": str(config.size) if config.size else None,
        "filter": [str(config.filter)] if config.filter else None,
        "tags": config.tags,
        "licences": config.licences,
        "max_calls": config.max_calls,
        "max_cost_usd": config.max_cost_usd,
        "deadline_s": setup.deadline_s,
    }
    return {name: value for name, value in arguments.items() if value not in (None, [], ())}
