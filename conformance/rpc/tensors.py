"""Tensors → the inputs of a request, and the outputs of an answer → tensors, read leniently."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.datatypes import BYTES, DATATYPES, EndsEarly, unpack
from conformance.row import Failed
from conformance.rpc.messages import message
from conformance.tensors import Tensor, elements

# Where the elements of each datatype are, if they are not octets.
CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


@dataclass
class RpcReply:
    """The answer to an inference; `problems` are pairs of the kind and what is wrong."""

    message: Any
    outputs: dict[str, Tensor] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)


def raw_request(model: str, inputs: Sequence[Tensor], **fields: Any) -> Any:
    """A ModelInferRequest whose elements are octets."""
    request = _request(model, inputs, fields)
    request.raw_input_contents.extend(each.octets for each in inputs)
    return request


def typed_request(model: str, inputs: Sequence[Tensor], **fields: Any) -> Any:
    """A ModelInferRequest whose elements are in the contents of each input."""
    request = _request(model, inputs, fields)
    for given, each in zip(request.inputs, inputs, strict=True):
        getattr(given.contents, CONTENTS[each.datatype]).extend(each.values)
    return request


def read(response: Any) -> RpcReply:
    """Raises Failed where an output cannot be read at all."""
    reply = RpcReply(response)
    raw = list(response.raw_output_contents)
    if raw and len(raw) != len(response.outputs):
        problem = f"{len(response.outputs)} outputs, {len(raw)} raw_output_contents"
        if len(raw) < len(response.outputs):
            raise Failed(problem)
        reply.problems.append(("form", problem))
    for at, output in enumerate(response.outputs):
        if output.datatype not in DATATYPES:
            raise Failed(f"{output.name} has the datatype {output.datatype!r}")
        if raw and output.contents.ListFields():
            reply.problems.append(("form", f"{output.name} has both contents and raw_output_contents"))
        values = _values(reply, output, raw[at] if raw else None)
        reply.outputs[output.name] = Tensor(
            output.name, output.datatype, tuple(output.shape), tuple(values)
        )
    return reply


def _request(model: str, inputs: Sequence[Tensor], fields: dict[str, Any]) -> Any:
    request = message("ModelInferRequest", model_name=model, **fields)
    for each in inputs:
        request.inputs.add(name=each.name, datatype=each.datatype, shape=each.shape)
    return request


def _values(reply: RpcReply, output: Any, raw: bytes | None) -> list[Any]:
    count = elements(output.shape)
    if raw is None:
        contents = CONTENTS.get(output.datatype)
        values = list(getattr(output.contents, contents)) if contents else []
        if len(values) != count:
            reply.problems.append(
                ("size", f"{output.name} has {len(values)} elements in shape {list(output.shape)}")
            )
        return values
    try:
        values, size = unpack(output.datatype, raw, count)
    except EndsEarly:
        values, size = [], -1
    if size != len(raw):
        reply.problems.append(
            ("size", f"{output.name} of shape {list(output.shape)} has {len(raw)} octets")
        )
    return values
