"""`ModelInferRequest` → what is asked, and what is answered → `ModelInferResponse`."""

from collections.abc import Mapping
from typing import Any

from service.artifacts.manifest import Manifest
from service.errors import InvalidRequest
from service.protocol.answers import Told
from service.protocol.documents import MAX_DIMENSIONS, MAX_TENSORS, MAX_VALUES, Wanted, check_tensors
from service.protocol.requests import Given, Inference, check_datatype
from service.protocol.tensors import BYTES, strings_as_bytes, wrong
from service.rpc.messages import message

# Where the elements of each datatype are, if they are not bytes.
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


def inference_of(request: Any) -> Inference:
    """Raises InvalidRequest."""
    inputs, raw = request.inputs, request.raw_input_contents
    if not 1 <= len(inputs) <= MAX_TENSORS or len(request.outputs) > MAX_TENSORS:
        raise InvalidRequest(f"A request has 1 to {MAX_TENSORS:,} inputs, and as many outputs at the most.")
    if raw and len(raw) != len(inputs):
        raise InvalidRequest(f"There are {len(inputs)} inputs and {len(raw)} raw_input_contents.")
    check_tensors("input", inputs)
    check_tensors("output", request.outputs)
    given = [_given(tensor, raw[at] if raw else None) for at, tensor in enumerate(inputs)]
    wanted = [Wanted(name=o.name, parameters=_parameters(o.parameters)) for o in request.outputs]
    return Inference(request.id or None, _parameters(request.parameters), given, wanted)


def response_of(inference: Inference, told: list[Told], manifest: Manifest) -> Any:
    """All as raw contents, which every client reads."""
    response = message(
        "ModelInferResponse",
        model_name=manifest.name,
        model_version=str(manifest.version),
        id=inference.id or "",
        raw_output_contents=[tensor.as_bytes() for tensor in told],
    )
    for tensor in told:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    return response


def _given(tensor: Any, raw: bytes | None) -> Given:
    name, datatype, shape = tensor.name, tensor.datatype, tuple(tensor.shape)
    check_datatype(name, datatype)
    if not 1 <= len(shape) <= MAX_DIMENSIONS or min(shape) < 0:
        raise wrong(name, f"its shape has 1 to {MAX_DIMENSIONS} dimensions of at least 0")
    if raw is None:
        return Given(name, datatype, shape, _typed(tensor))
    if tensor.HasField("contents"):
        raise wrong(name, "has both contents and raw_input_contents")
    return Given(name, datatype, shape, memoryview(raw))


def _typed(tensor: Any) -> Any:
    """Raises InvalidRequest."""
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        raise wrong(tensor.name, f"{tensor.datatype} has no contents; send raw_input_contents")
    elements = getattr(tensor.contents, field)
    others = [other.name for other, _ in tensor.contents.ListFields() if other.name != field]
    if others:
        raise wrong(tensor.name, f"has {others[0]}; {tensor.datatype} is in {field}")
    if len(elements) > MAX_VALUES:
        raise wrong(tensor.name, f"has more than {MAX_VALUES:,} contents; send raw_input_contents")
    if tensor.datatype == BYTES:
        return memoryview(strings_as_bytes(elements))
    return list(elements)


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    choices = {name: value.WhichOneof("parameter_choice") for name, value in parameters.items()}
    return {name: getattr(parameters[name], choice) for name, choice in choices.items() if choice}
