"""Traces: the caller's is continued, each stage is a span of it, and the log names it."""

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.app import create_app
from service.http import tracing
from service.settings import Settings
from tests.conftest import running, served, wait_for

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


async def test_spans_continue_the_caller_s_trace(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "make_provider", lambda _: provider)
    async with running(create_app(Settings(artifacts=published, traces="console"))) as client:
        answer = await client.post("/predict/pass", json={"hours": 4}, headers=HEADERS)
        refused = await client.post("/predict/pass", json={"hours": -4})
        await client.get("/health/live")
    spans = {span.name: span for span in exporter.get_finished_spans()}
    version, trace, parent, _ = answer.headers["traceparent"].split("-")
    assert (version, trace) == ("00", TRACE)
    assert parent != PARENT
    mine = [span for span in spans.values() if span.context and f"{span.context.trace_id:032x}" == TRACE]
    assert {span.name for span in mine} >= {"decode", "queue", "infer"}
    decode, queue, infer = (spans[stage] for stage in ("decode", "queue", "infer"))
    assert decode.end_time == queue.start_time
    assert queue.end_time == infer.start_time
    assert infer.parent is not None
    assert f"{infer.parent.span_id:016x}" == parent
    attributes = spans["POST /predict/pass"].attributes or {}
    assert attributes["http.response.status_code"] == 422  # the later of the two
    assert refused.headers["traceparent"].split("-")[1] != TRACE
    assert "GET /health/live" in spans


def test_spans_go_to_the_console_and_the_log_has_the_trace_s_id(published: Path) -> None:
    options = ("--artifacts", str(published), "--traces", "console", "--access-log")
    with served(*options) as service:
        service.client.post("/predict/pass", json={"hours": 4}, headers=HEADERS)
        wait_for(lambda: f"trace_id={TRACE}" in service.log.read_text())


def test_without_traces_the_caller_s_id_is_logged_nevertheless(published: Path) -> None:
    with served("--artifacts", str(published), "--access-log") as service:
        answer = service.client.post("/predict/pass", json={"hours": 4}, headers=HEADERS)
        assert "traceparent" not in answer.headers
        wait_for(lambda: f"trace_id={TRACE}" in service.log.read_text())
