"""Traces: the caller's is continued, each stage is a span of it, and the log names it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from service.app import create_app
from service.http import tracing
from service.settings import Settings
from tests.conftest import ROOT, Served, free_ports, running, served, wait_for

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


# What is a parent, and what is none, by the specification.
PARENTS = {
    f"00-{TRACE}-{PARENT}-01": True,
    f"00-{TRACE}-{PARENT}-00": True,
    f"01-{TRACE}-{PARENT}-01-what-comes-later": True,
    f"00-{TRACE}-{PARENT}-01-more": False,
    f"ff-{TRACE}-{PARENT}-01": False,
    f"00-{TRACE.upper()}-{PARENT}-01": False,
    f"00-{32 * '0'}-{PARENT}-01": False,
    f"00-{TRACE}-{16 * '0'}-01": False,
    f"00-{TRACE}-{PARENT}": False,
    "": False,
}
TWICE = [("traceparent", f"00-{TRACE}-{PARENT}-01"), ("traceparent", f"00-{32 * '1'}-{PARENT}-01")]
TENSOR = {"name": "hours", "datatype": "FP32", "shape": [1], "data": [4]}


def kept(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Where the spans of the service are."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "make_provider", lambda _: provider)
    return exporter


async def test_spans_continue_the_caller_s_trace(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = kept(monkeypatch)
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


async def test_what_is_no_parent_begins_a_trace(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(monkeypatch)
    async with running(create_app(Settings(artifacts=published, traces="console"))) as client:
        for given, continued in PARENTS.items():
            answer = await client.get("/health/live", headers={"traceparent": given})
            assert (answer.headers["traceparent"].split("-")[1] == TRACE) is continued, given
        answer = await client.get("/health/live", headers=TWICE)
    assert answer.headers["traceparent"].split("-")[1] not in (TRACE, 32 * "1")


async def test_the_state_of_a_trace_may_come_in_lines(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = kept(monkeypatch)
    fields = [*HEADERS.items(), ("tracestate", "a=1,b=2"), ("tracestate", "c=3")]
    async with running(create_app(Settings(artifacts=published, traces="console"))) as client:
        await client.get("/health/live", headers=fields)
    (span,) = exporter.get_finished_spans()
    assert span.context
    assert dict(span.context.trace_state) == {"a": "1", "b": "2", "c": "3"}


async def test_spans_are_named_by_what_is_declared(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And by nothing that clients make up: names are few."""
    exporter = kept(monkeypatch)
    async with running(create_app(Settings(artifacts=published, traces="console"))) as client:
        for path in ("/made/up", "/models/made-up", "/health/live"):
            await client.get(path)
        for name in ("made-up", "pass"):
            await client.post(f"/predict/{name}", json={"hours": 4})
    spans = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    assert {(span.name, (span.attributes or {}).get("http.route")) for span in spans} == {
        ("GET", None),
        ("POST", None),
        ("GET /models/{name}", "/models/{name}"),
        ("GET /health/live", "/health/live"),
        ("POST /predict/pass", "/predict/pass"),
    }


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "abacus"),
        ({"OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=ours,team=x"}, "ours"),
    ],
)
def test_the_service_is_called_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name: str
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    provider = tracing.make_provider("console")
    provider.shutdown()
    assert provider.resource.attributes["service.name"] == name
    assert ("team" in provider.resource.attributes) is (name == "ours")


async def test_where_the_sdk_is_disabled_there_is_no_trace(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with running(create_app(Settings(artifacts=published, traces="console"))) as client:
        answer = await client.post("/predict/pass", json={"hours": 4})
    assert (answer.status_code, "traceparent" in answer.headers) == (200, False)


def test_spans_go_to_the_console_and_the_log_has_the_trace_s_id(published: Path) -> None:
    options = ("--artifacts", str(published), "--traces", "console", "--access-log")
    with served(*options) as service:
        service.client.post("/predict/pass", json={"hours": 4}, headers=HEADERS)
        wait_for(lambda: f"trace_id={TRACE}" in service.log.read_text())


def test_spans_that_nobody_takes_end_nothing(published: Path) -> None:
    command = [sys.executable, "-m", "service", "--artifacts", str(published), "--traces", "console"]
    (port,) = free_ports(1)
    environment = os.environ | {"OTEL_BSP_SCHEDULE_DELAY": "50"}
    with (
        open("/dev/full", "w") as full,
        NamedTemporaryFile("r") as log,
        subprocess.Popen(
            [*command, "--port", str(port)], cwd=ROOT, env=environment, stdout=full, stderr=log.fileno()
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        try:
            wait_for(lambda: "Uvicorn running" in Path(log.name).read_text())
            for _ in range(2):
                assert client.post("/predict/pass", json={"hours": 4}).status_code == 200
                wait_for(lambda: "No space left on device" in Path(log.name).read_text())
            assert "standard output cannot be written" not in Path(log.name).read_text()
        finally:
            process.terminate()
            assert process.wait() == 0


@pytest.fixture(scope="module")
def untraced(published: Path) -> Iterator[Served]:
    with served("--artifacts", str(published), "--access-log") as service:
        yield service


@pytest.mark.parametrize(
    ("path", "document"),
    [("/predict/pass", {"hours": 4}), ("/v2/models/pass/infer", {"inputs": [TENSOR]}), ("/nothing", {})],
)
def test_without_traces_the_caller_s_id_is_logged_nevertheless(
    untraced: Served, path: str, document: dict[str, Any]
) -> None:
    def logged() -> list[str]:
        return [line for line in untraced.log.read_text().splitlines() if f"path={path}" in line]

    for given in PARENTS:
        answer = untraced.client.post(path, json=document, headers={"traceparent": given})
        assert "traceparent" not in answer.headers
    untraced.client.post(path, json=document, headers=TWICE)
    lines = wait_for(lambda: found if len(found := logged()) > len(PARENTS) else None)
    assert [f"trace_id={TRACE}" in line for line in lines] == [*PARENTS.values(), False]
    assert sum("trace_id=" in line for line in lines) == sum(PARENTS.values())
