"""OpenTelemetry traces, where they are wanted: a span a request, and one for each stage of a prediction.

The caller's trace is continued (W3C Trace Context, `traceparent`), and its id goes into the answer. The SDK
is an extra, `abacus-serving[tracing]`; nothing imports this module without it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.middleware import route_of
from service.http.trace_context import trace_fields
from service.option_types import Traces


class Spans:
    """Makes the spans of requests, whatever they come by."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("service")
        self._propagator = TraceContextTextMapPropagator()

    def tracing(self, app: ASGIApp) -> "Tracing":
        """The middleware that makes those of HTTP."""
        return Tracing(app, self)

    @contextmanager
    def around(self, scope: Scope, name: str, attributes: Mapping[str, str]) -> Iterator[Span]:
        """The span of one request, whose state is left with what was done, and with the trace's id."""
        context = self._propagator.extract(trace_fields(scope["headers"]))
        with self._tracer.start_as_current_span(name, context, SpanKind.SERVER, attributes) as span:
            state = scope.setdefault("state", {})
            if span.get_span_context().is_valid:
                state["trace_id"] = f"{span.get_span_context().trace_id:032x}"
            yield span
            prediction = state.get("prediction")
            if prediction:
                served_by, stages, ended_ns = prediction
                span.set_attributes({f"abacus.{name}": value for name, value in served_by.items()})
                self._add_stages(span, stages, ended_ns)

    def _add_stages(self, span: Span, stages: Mapping[str, float], ended_ns: int) -> None:
        """`stages`: seconds of each, one after the other, the last of which ended at `ended_ns`."""
        context = trace.set_span_in_context(span)
        started_ns = ended_ns - sum(int(seconds * 1e9) for seconds in stages.values())
        for stage, seconds in stages.items():
            part = self._tracer.start_span(stage, context, start_time=started_ns)
            started_ns += int(seconds * 1e9)
            part.end(started_ns)


class Tracing:
    """Makes the spans of HTTP. Stands around RequestContext, which leaves in the state what it did."""

    def __init__(self, app: ASGIApp, spans: Spans) -> None:
        self._app = app
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        attributes = {"http.request.method": method, "url.path": scope["path"]}
        with self._spans.around(scope, method, attributes) as span:

            async def send_with_trace(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _set_status(span, message["status"])
                    ours = [(b"traceparent", parent.encode()) for parent in traceparents(span)]
                    message["headers"] = [*message["headers"], *ours]
                await send(message)

            await self._app(scope, receive, send_with_trace)
            if route := route_of(scope):
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)


def make_provider(traces: Traces) -> TracerProvider:
    """`otlp` reads OpenTelemetry's own environment, such as OTEL_EXPORTER_OTLP_ENDPOINT."""
    resource = Resource.create()
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "abacus"}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(_exporter(traces)))
    return provider


def _exporter(traces: Traces) -> SpanExporter:
    if traces == "console":
        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _set_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)


def set_code(span: Span, code: str, is_error: bool) -> None:
    """Note the status of a call over gRPC, by its name."""
    span.set_attribute("rpc.response.status_code", code)
    if is_error:
        span.set_attribute("error.type", code)
        span.set_status(StatusCode.ERROR)


def traceparents(span: Span) -> list[str]:
    """The header by which others continue this trace; none where OpenTelemetry's SDK is disabled."""
    context = span.get_span_context()
    if not context.is_valid:
        return []
    return [f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"]
