"""A call over gRPC is a span that continues the caller's trace, as one over HTTP is."""

from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from service.app import create_app
from service.http import tracing
from service.rpc.messages import SERVICE, message, protocol
from service.settings import Settings
from tests.conftest import COMMITTED, free_ports, running

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def hours(model: str, hours: float) -> Any:
    request = message("ModelInferRequest", model_name=model)
    tensor = request.inputs.add(name="hours", datatype="FP32", shape=[1, 1])
    tensor.contents.fp32_contents.append(hours)
    return request


async def test_a_call_is_a_span_of_the_caller_s_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "make_provider", lambda _: provider)
    (port,) = free_ports(1)
    settings = Settings(artifacts=COMMITTED, models=("pass",), traces="console", grpc_port=port)
    async with running(create_app(settings)), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = protocol()[1].GRPCInferenceServiceStub(channel)
        metadata = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
        call = stub.ModelInfer(hours("pass", 4), metadata=metadata)
        await call
        trailing = dict(await call.trailing_metadata())
        for wrong in (hours("pass", -4), hours("cat", 4)):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.ModelInfer(wrong)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.RepositoryModelLoad(message("RepositoryModelLoadRequest", model_name="pass"))
        async for _ in stub.ModelStreamInfer(iter([hours("pass", 4)]), metadata=metadata):
            pass
    spans = exporter.get_finished_spans()
    answered, wrong, unknown = (span for span in spans if span.name == f"{SERVICE}/ModelInfer")
    assert answered.kind is SpanKind.SERVER
    assert answered.parent is not None
    assert answered.context is not None
    assert f"{answered.parent.span_id:016x}" == PARENT
    assert trailing["traceparent"] == f"00-{TRACE}-{answered.context.span_id:016x}-01"
    assert answered.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": f"{SERVICE}/ModelInfer",
        "rpc.response.status_code": "OK",
        "abacus.model": "pass",
        "abacus.version": 1,
    }
    stages = [s.name for s in spans if s.parent and s.parent.span_id == answered.context.span_id]
    assert stages == ["decode", "queue", "infer"]
    for span, code in ((wrong, "INVALID_ARGUMENT"), (unknown, "NOT_FOUND")):
        assert (span.attributes or {})["rpc.response.status_code"] == code
        assert span.status.status_code is StatusCode.UNSET  # what a client did is no error of the server's
    (refused,) = (span for span in spans if span.name == f"{SERVICE}/RepositoryModelLoad")
    assert refused.status.status_code is StatusCode.ERROR
    (streamed,) = (span for span in spans if span.name == f"{SERVICE}/ModelStreamInfer")
    assert streamed.context is not None
    assert f"{streamed.context.trace_id:032x}" == TRACE
