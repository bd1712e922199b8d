"""The gRPC service of the small server: its own reading of requests is that of `/v2`, by the same code."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from service.rpc.messages import SERVICE, message, protocol
from tests.conformance.answering import computed
from tests.conformance.described import INPUTS, OUTPUTS, VERSIONS
from tests.conformance.faults import Accepted, Faults, Refused
from tests.conformance.rpc_services import SmallHealth, SmallReflection
from tests.conformance.tensors import Array, datatype_of, octets_of, take_inputs

CODES = grpc.StatusCode
CONTENTS = {
    "FP32": "fp32_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "BYTES": "bytes_contents",
}
MISSING = ("rpc-unknown-model", "rpc-unknown-version")


class RpcFaults(Faults):
    """The faults of the gRPC service, by their names without `rpc-`."""

    def refuse(self, name: str) -> NoReturn:
        super().refuse(f"rpc-{name.removesuffix('-of-octets')}")

    def wants(self, name: str) -> None:
        super().wants(f"rpc-{name}")


class SmallRpc(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The protocol's methods, as they are named."""

    def __init__(self) -> None:
        self.faults = RpcFaults()

    def service(self, call: Any) -> Any:
        """None of a method that there is not."""
        package, _, method = call.method.lstrip("/").partition("/")
        if package != SERVICE:
            return None
        if method == "NoSuchMethod":
            return self._nobody_s() if "rpc-unknown-method" in self.faults else None
        messages, _ = protocol()
        return grpc.unary_unary_rpc_method_handler(
            self._answering(getattr(self, f"_{method}")),
            request_deserializer=getattr(messages, f"{method}Request").FromString,
            response_serializer=getattr(messages, f"{method}Response").SerializeToString,
        )

    def _nobody_s(self) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda request, _context: request)

    def _answering(self, answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def answering(request: Any, context: Any) -> Any:
            try:
                return answer(request, context)
            except Refused as refusal:
                name = str(refusal)
                code = CODES.NOT_FOUND if name.startswith(MISSING) else CODES.INVALID_ARGUMENT
                context.abort(CODES.INTERNAL if name == "rpc-deadline" else code, name)

        return answering

    def has(self, name: str) -> bool:
        return f"rpc-{name}" in self.faults

    def _ServerLive(self, _request: Any, _context: Any) -> Any:
        return message("ServerLiveResponse", live=not self.has("live"))

    def _ServerReady(self, _request: Any, _context: Any) -> Any:
        return message("ServerReadyResponse", ready=not self.has("ready"))

    def _ModelReady(self, request: Any, _context: Any) -> Any:
        if request.name not in INPUTS:
            ready = self.has("unknown-model-not-ready")
        elif request.version and request.version not in VERSIONS:
            ready = self.has("unknown-version-not-ready")
        else:
            ready = not self.has("version-ready" if request.version else "model-ready")
        return message("ModelReadyResponse", ready=ready)

    def _ServerMetadata(self, _request: Any, _context: Any) -> Any:
        version = "" if self.has("server-metadata") else "1"
        return message("ServerMetadataResponse", name="small", version=version)

    def _ModelMetadata(self, request: Any, _context: Any) -> Any:
        found = message("ModelMetadataResponse", platform="small_python")
        try:
            if request.name not in INPUTS:
                self.faults.refuse("unknown-model-metadata")
            if request.version and request.version not in VERSIONS:
                self.faults.refuse("unknown-version-metadata")
        except Accepted:
            return found
        wrong = "version-metadata" if request.version else "model-name"
        found.name = "another" if self.has(wrong) else request.name
        found.versions.extend(VERSIONS[:1] if self.has("model-versions") else VERSIONS)
        for which, tensors in (("inputs", INPUTS), ("outputs", OUTPUTS)):
            for name, (datatype, shape) in tensors[request.name].items():
                said = "float" if self.has(f"model-{which}") else datatype
                getattr(found, which).add(name=name, datatype=said, shape=shape)
        return found

    def _ModelInfer(self, request: Any, context: Any) -> Any:
        try:
            inputs = self._taken(request, context)
            names = self._asked(request)
        except Accepted:
            return message("ModelInferResponse", model_name=request.model_name)
        outputs = computed(inputs)
        if self.has("batch") and len(outputs["y"]) > 1:
            outputs["y"][-1] += 1
        if self.has("values-of-rest"):
            outputs = {name: values * 3 if name == "y" else values for name, values in outputs.items()}
        return self._answer(request, {name: outputs[name] for name in names})

    def _taken(self, request: Any, context: Any) -> dict[str, Array]:
        faults, model = self.faults, request.model_name
        if (context.time_remaining() or math.inf) < 5:
            faults.wants("deadline")
        if model not in INPUTS:
            faults.refuse("unknown-model")
        if request.model_version:
            if request.model_version not in VERSIONS:
                faults.refuse("unknown-version")
            faults.wants("version-asked")
        if request.parameters:
            faults.wants("unknown-parameters")
        if len(request.inputs) > 1 and request.inputs[0].name == "t":
            faults.wants("any-order-of-inputs")
        document, tail = self._document(request)
        faults.wants("valid-request")
        return take_inputs(document, tail, INPUTS[model], faults)

    def _document(self, request: Any) -> tuple[dict[str, Any], bytes]:
        """The request as `/v2` has it."""
        faults, raw = self.faults, list(request.raw_input_contents)
        if not request.inputs:
            faults.refuse("no-inputs")
        if raw and any(each.HasField("contents") for each in request.inputs):
            faults.refuse("both-contents")
        faults.wants("raw-contents" if raw else "typed-contents")
        if raw and len(raw) != len(request.inputs):
            few = len(raw) < len(request.inputs)
            faults.refuse("fewer-raw-contents" if few else "more-raw-contents")
        entries = [
            {"name": each.name, "datatype": each.datatype, "shape": list(each.shape)}
            for each in request.inputs
        ]
        for at, entry in enumerate(entries):
            if raw:
                entry["parameters"] = {"binary_data_size": len(raw[at])}
            else:
                entry["data"] = self._contents(request.inputs[at])
        return {"inputs": entries}, b"".join(raw)

    def _contents(self, tensor: Any) -> list[Any]:
        if tensor.datatype not in CONTENTS:
            self.faults.refuse("unknown-datatype")
        field = CONTENTS[tensor.datatype]
        if any(other.name != field for other, _ in tensor.contents.ListFields()):
            self.faults.refuse("contents-of-another-datatype")
        values = list(getattr(tensor.contents, field))
        return [each.decode() for each in values] if tensor.datatype == "BYTES" else values

    def _asked(self, request: Any) -> list[str]:
        every = list(OUTPUTS[request.model_name])
        asked = [each.name for each in request.outputs]
        if not set(asked) <= set(every):
            self.faults.refuse("unknown-output")
        if not asked:
            return every[:-1] if self.has("all-outputs") else every
        return every if self.has("outputs-by-name") and len(asked) == 1 else asked

    def _answer(self, request: Any, outputs: dict[str, Array]) -> Any:
        version = request.model_version or "2"
        answer = message("ModelInferResponse", model_name=request.model_name, model_version=version)
        answer.id = "" if self.has("identifier") else request.id
        if self.has("answer-model-name"):
            answer.model_name = "another"
        if self.has("answer-model-version") and not request.model_version:
            answer.model_version = "7"
        for name, values in outputs.items():
            answer.outputs.add(name=name, datatype=datatype_of(values), shape=values.shape)
            answer.raw_output_contents.append(octets_of(values))
        names = list(outputs)
        if self.has("outputs-in-another-order") and names == ["u", "s", "y"]:
            answer.outputs[0].name, answer.outputs[2].name = "y", "u"
        if self.has("output-datatypes"):
            for each in answer.outputs:
                each.datatype = "UINT64" if each.datatype == "INT64" else each.datatype
        if self.has("output-shapes"):
            answer.outputs[0].shape.append(1)
        if self.has("form-of-answers"):
            answer.outputs[0].contents.fp32_contents.append(1)
        if self.has("size-of-answers"):
            answer.raw_output_contents[0] += b"\0\0\0\0"
        return answer


@contextmanager
def serving(small: SmallRpc) -> Iterator[str]:
    """Its address."""
    server = grpc.server(ThreadPoolExecutor(4), handlers=(small,))
    health_pb2_grpc.add_HealthServicer_to_server(SmallHealth(small.has), server)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(SmallReflection(small.has), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
