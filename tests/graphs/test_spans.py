"""OpenTelemetry: what a run tells an exporter, and what it does not."""

import base64
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from imagerag.agent.errors import BackendError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import RunConfig, RunSpec

CAPTION = "a detailed picture of a heart"


@pytest.fixture(scope="module")
def exporters() -> Any:
    """What is exported, in memory. OpenTelemetry takes one provider for a whole process."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    return spans, reader


@pytest.fixture
def spans(exporters: Any) -> InMemorySpanExporter:
    exporters[0].clear()
    return exporters[0]


async def ran(stage: Any, *judgements: Any, run_id: str = "run", **config: Any) -> RunRecord:
    stage.judge.enqueue(*judgements)
    setup = RunSpec(generator="scripted", judge="scripted", library="scripted", config=RunConfig(**config))
    return [event async for event in stage.runner.start("a heart", setup, run_id=run_id)][-1].record


async def test_one_span_a_run_a_node_and_a_model_call_each_under_the_other(stage, spans):
    stage.library.plant(CAPTION)
    record = await ran(stage, ["a heart"], [])
    found = spans.get_finished_spans()
    root = next(span for span in found if span.parent is None)
    nodes = [span for span in found if span.parent and span.parent.span_id == root.context.span_id]
    calls = [span for span in found if span.kind is trace.SpanKind.CLIENT]
    assert root.name == "invoke_workflow imagerag"
    assert root.attributes["imagerag.outcome"] == "aligned"
    assert [span.name for span in sorted(nodes, key=lambda span: span.start_time)] == [
        "generate", "critique", "extract_concepts", "write_captions", "retrieve", "shortlist", "regenerate",
        "critique", "finish",
    ]  # fmt: skip
    assert len(calls) == len(record.call_log)
    above = {span.context.span_id: span.name for span in nodes}
    assert {(above[span.parent.span_id], span.attributes["imagerag.role"]) for span in calls} == {
        ("generate", "generate"), ("critique", "judge.critique"),
        ("regenerate", "generate"),
    }  # fmt: skip
    drawn = [span for span in calls if span.attributes["imagerag.role"] == "generate"]
    assert {span.attributes["imagerag.image.sha256"] for span in drawn} == {a.image.sha256 for a in record.attempts}
    assert {span.attributes["gen_ai.output.type"] for span in drawn} == {"image"}
    assert {span.context.trace_id for span in found} == {root.context.trace_id}


async def test_no_span_holds_a_picture_a_prompt_or_a_models_words(stage, spans):
    stage.library.plant(CAPTION)
    record = await ran(stage, ["a heart"], [])
    text = "\n".join(span.to_json() for span in spans.get_finished_spans())
    data = [await stage.runner.dependencies.blobs.get(attempt.image.sha256) for attempt in record.attempts]
    for secret in ("a heart", CAPTION, *(base64.b64encode(one[:60]).decode()[:40] for one in data)):
        assert secret not in text


async def test_a_call_that_fails_is_an_error_by_its_class(stage, spans):
    stage.generator.enqueue(BackendError("it said sk-secret", retryable=False))
    await ran(stage)
    failed = [span for span in spans.get_finished_spans() if span.kind is trace.SpanKind.CLIENT]
    assert [span.attributes["error.type"] for span in failed] == ["BackendError"]
    assert "sk-secret" not in "".join(span.to_json() for span in spans.get_finished_spans())
    assert {span.status.status_code for span in failed} == {trace.StatusCode.ERROR}


async def test_a_question_to_a_human_is_no_error(stage, spans):
    stage.library.plant(CAPTION)
    record = await ran(stage, ["a heart"], select=True)
    assert record.status == "interrupted"
    assert not [s for s in spans.get_finished_spans() if s.status.status_code is trace.StatusCode.ERROR]
    root = next(span for span in spans.get_finished_spans() if span.parent is None)
    assert root.attributes["imagerag.status"] == "interrupted"


async def test_a_run_that_is_left_early_ends_its_span(stage, spans):
    stage.judge.enqueue([])
    setup = RunSpec(generator="scripted", judge="scripted", library="scripted")
    run = stage.runner.start("a heart", setup, run_id="left")
    async for event in run:
        if event.kind == "step":
            break
    await run.aclose()
    root = next(span for span in spans.get_finished_spans() if span.parent is None)
    assert root.attributes["imagerag.outcome"] == "cancelled"


async def test_runs_side_by_side_keep_their_spans_apart(stage, spans):
    import asyncio

    stage.judge.enqueue([], [])
    await asyncio.gather(ran(stage, run_id="one"), ran(stage, run_id="two"))
    found = spans.get_finished_spans()
    roots = {span.attributes["imagerag.run.id"]: span.context.trace_id for span in found if span.parent is None}
    named = [span for span in found if "imagerag.node" in span.attributes]
    assert set(roots) == {"one", "two"}
    assert all(span.context.trace_id == roots[span.attributes["imagerag.run.id"]] for span in named)


async def test_metrics_count_runs_by_outcome_and_calls_by_role(stage, exporters):
    stage.library.plant(CAPTION)
    await ran(stage, ["a heart"], [])
    data = exporters[1].get_metrics_data()
    points = {
        metric.name: metric.data.data_points
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {
        "imagerag.runs", "imagerag.rounds", "imagerag.run.duration", "imagerag.calls", "imagerag.similarity",
        "gen_ai.client.operation.duration",
    } <= set(points)  # fmt: skip
    assert any(point.attributes["imagerag.outcome"] == "aligned" for point in points["imagerag.runs"])
    assert {point.attributes["imagerag.role"] for point in points["imagerag.calls"]} >= {"generate", "judge.critique"}


def test_without_opentelemetry_nodes_are_left_as_they_are():
    code = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from imagerag.agent.observability import spans\n"
        "assert not spans.INSTALLED and spans.node_span('a', None) is spans.node_span('b', None)\n"
        "with spans.node_span('a', None) as finished: finished({'attempts': object()})\n"
        "from imagerag.agent.types import RunSpec, ModelCall\n"
        "spans.RunSpan('x', RunSpec(generator='a', judge='b')).end(None)\n"
        "call = ModelCall(role='generate', backend='a:b', elapsed_s=0)\n"
        "with spans.model_call(call) as answered: answered(object())\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr == ""
