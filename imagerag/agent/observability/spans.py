"""OpenTelemetry: a span for every run, node and model call, and metrics of how runs ended. Nothing where it is missing.

Names follow OpenTelemetry's semantic conventions for generative AI (`gen_ai.*`); what is ours is `imagerag.*`. Images
appear by SHA-256, never as bytes, and no span holds a prompt or a model's words.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime

from imagerag.agent.observability import event_log
from imagerag.agent.types import Attempt, ModelCall, RunSpec, Search

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from imagerag.agent.run_record import RunRecord

try:
    from opentelemetry import metrics, trace

    INSTALLED: Final = True
except ImportError:
    INSTALLED = False  # type: ignore[misc]

_SCOPE: Final = "imagerag"
_OUTPUT: Final = {"generate": "image", "judge": "json"}
_runs: "Final[dict[str, Span]]" = {}
"""The spans of the runs under way in this process; nodes are their children, whatever task they run in."""


def _tracer() -> "Tracer":
    return trace.get_tracer(_SCOPE)


class RunSpan:
    """The span of a run from its start or resume until it ends or waits.

    It is not made the current span: a run's events are read from an async generator, which has no context of its own.
    """

    def __init__(self, run_id: str, setup: RunSpec) -> None:
        self._run_id = run_id
        event_log.log_run_start(run_id, setup)
        if INSTALLED:
            attributes = {
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": "imagerag",
                "imagerag.run.id": run_id,
                "imagerag.generator": setup.generator,
                "imagerag.judge": setup.judge,
                "imagerag.library": setup.library or "",
            }
            _runs[run_id] = _tracer().start_span("invoke_workflow imagerag", attributes=attributes)

    def end(self, record: "RunRecord | None") -> None:
        """End it; with a record, say how the run stands, and count it once it has ended."""
        event_log.log_run_stop(self._run_id, record)
        span = _runs.pop(self._run_id, None)
        if span is None:
            return
        if record is not None:
            span.set_attributes(_of_run(record))
            if record.error:
                span.set_status(trace.StatusCode.ERROR, record.error)
            if record.outcome:
                _count(record)
        span.end()


def _no_span(update: Any) -> None:
    pass


_UNTRACED: Final = nullcontext(_no_span)


def node_span(name: str, runtime: Runtime[Any]) -> "AbstractContextManager[Callable[[Any], None]]":
    """The span of a node; call its value with the node's update. Does nothing where OpenTelemetry is not installed.

    A context manager and no wrapper of the node: a wrapper would be one more coroutine to resume at every await.
    """
    return _node_span(name, runtime) if INSTALLED else _UNTRACED


@contextmanager
def _node_span(name: str, runtime: Runtime[Any]) -> "Iterator[Callable[[Any], None]]":
    info = runtime.execution_info
    run_id = (info.thread_id if info else None) or ""
    parent = trace.set_span_in_context(_runs[run_id]) if run_id in _runs else None
    with _span(name, {"imagerag.run.id": run_id, "imagerag.node": name}, parent) as span:
        yield lambda update: span.set_attributes(_of_update(update))


@contextmanager
def model_call(call: ModelCall) -> "Iterator[Callable[[Any], None]]":
    """The span of a request to a model; call what it gives with the answer."""
    if not INSTALLED:
        yield lambda answer: None
        return
    port = call.role.partition(".")[0]
    provider, _, model = call.backend.partition(":")
    operation = "generate_content" if port == "generate" else "chat"
    fields = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model or provider,
        "gen_ai.request.temperature": call.variation.temperature,
        "gen_ai.request.seed": call.variation.seed,
        "gen_ai.output.type": _OUTPUT.get(port, "text"),
        "imagerag.role": call.role,
        "imagerag.round": call.round,
        "imagerag.request": call.request,
    }
    attributes = {name: value for name, value in fields.items() if value is not None}
    with _span(f"{operation} {model or provider}", attributes, None, client=True) as span:
        yield lambda answer: span.set_attributes(_of_answer(answer))


@contextmanager
def _span(
    name: str, attributes: "Mapping[str, AttributeValue]", parent: Any, *, client: bool = False
) -> "Iterator[Span]":
    kind = trace.SpanKind.CLIENT if client else trace.SpanKind.INTERNAL
    with _tracer().start_as_current_span(
        name, context=parent, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except GraphBubbleUp:  # a question to a human, not an error
            raise
        except BaseException as error:
            # The message may quote what a service said, and is in the run's record; here its class is enough.
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise


def _of_answer(answer: Any) -> "dict[str, AttributeValue]":
    usage: Mapping[str, int] = getattr(answer, "usage", None) or {}
    image = getattr(answer, "image", None)
    fields = {
        "gen_ai.usage.input_tokens": usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": usage.get("output_tokens"),
        "gen_ai.response.model": getattr(answer, "served_by", "").partition(":")[2] or None,
        "imagerag.cost_usd": getattr(answer, "cost_usd", None),
        "imagerag.image.sha256": image.sha256 if image else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _of_update(update: Mapping[str, Any]) -> "dict[str, AttributeValue]":
    fields: dict[str, AttributeValue] = {}
    attempts: list[Attempt] = update.get("attempts") or []
    if attempts:
        fields |= {"imagerag.attempt": attempts[-1].index, "imagerag.image.sha256": attempts[-1].image.sha256}
        verdict = attempts[-1].verdict
        if verdict and verdict.aligned is not None:
            fields["imagerag.aligned"] = verdict.aligned
        if verdict and verdict.score is not None:
            fields["imagerag.score"] = verdict.score
    searches: list[Search] = update.get("searches") or []
    if searches:
        candidates = [candidate for search in searches for candidate in search.candidates]
        references = [candidate for candidate in candidates if candidate.decision == "taken"]
        fields |= {
            "imagerag.candidates": len(candidates),
            "imagerag.references.sha256": [c.image.sha256 for c in references],
        }
    if update.get("concepts"):
        fields["imagerag.concepts"] = len(update["concepts"])
    if update.get("result"):
        fields["imagerag.outcome"] = str(update["result"].outcome)
    return fields


def _of_run(record: "RunRecord") -> "dict[str, AttributeValue]":
    fields = {
        "imagerag.status": record.status,
        "imagerag.outcome": str(record.outcome) if record.outcome else None,
        "imagerag.attempts": len(record.attempts),
        "imagerag.calls": len(record.call_log),
        "imagerag.cost_usd": record.cost_usd,
        "imagerag.image.sha256": record.image.sha256 if record.image else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _count(record: "RunRecord") -> None:
    """Metrics of a run that has ended."""
    meter = metrics.get_meter(_SCOPE)
    outcome = {"imagerag.outcome": str(record.outcome)}
    meter.create_counter("imagerag.runs", unit="{run}", description="Runs by outcome.").add(1, outcome)
    rounds = record.attempts[-1].round if record.attempts else 0
    meter.create_histogram("imagerag.rounds", unit="{round}", description="Redrawings of a run.").record(
        rounds, outcome
    )
    meter.create_histogram("imagerag.run.duration", unit="s", description="Wall time of a run.").record(
        record.elapsed_s, outcome
    )
    if record.cost_usd is not None:
        meter.create_counter("imagerag.cost", unit="USD", description="What runs cost, where it is known.").add(
            record.cost_usd, outcome
        )
    calls = meter.create_counter("imagerag.calls", unit="{call}", description="Model calls.")
    latency = meter.create_histogram("gen_ai.client.operation.duration", unit="s", description="Time of a model call.")
    for call in record.call_log:
        attributes: dict[str, AttributeValue] = {"imagerag.role": call.role, "gen_ai.request.model": call.backend}
        attributes |= {"error.type": "error"} if call.error else {}
        calls.add(1, {**attributes, "imagerag.cached": call.cached})
        if not call.cached:
            latency.record(call.elapsed_s, attributes)
    similarity = meter.create_histogram("imagerag.similarity", unit="1", description="Cosine of references sent.")
    for reference in record.references:
        if reference.similarity is not None:
            similarity.record(reference.similarity)
