"""Reading the answer to an inference leniently, and noting where it is not well formed.

A row reads the values it asks about; what is wrong with the form of an answer is another row's matter, so
that one mistake of a server fails one row.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from conformance.client import HEADER, Answer
from conformance.datatypes import BYTES, DATATYPES, EndsEarly, unpack
from conformance.row import Failed
from conformance.tensors import Tensor, elements, flatten


@dataclass
class Reply:
    """The answer to an inference; `problems` are pairs of the kind and what is wrong."""

    answer: Answer
    document: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    binary: set[str] = field(default_factory=set)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def note(self, kind: str, problem: str) -> None:
        self.problems.append((kind, problem))


def read(answer: Answer) -> Reply:
    """Raises Failed where the answer is not a 200, or cannot be read at all."""
    if answer.status != 200:
        raise Failed(f"answered {answer.in_short}")
    reply = Reply(answer)
    end = _read_document(reply)
    tail = answer.content[end:]
    entries = reply.document.get("outputs")
    if not isinstance(entries, list):
        raise Failed("the answer has no array `outputs`")
    for entry in entries:
        tail = _read_output(reply, entry, tail)
    if tail.strip():
        reply.note("tail", f"{len(tail)} octets are left behind the last tensor")
    _check_header(reply, end)
    if not isinstance(reply.document.get("model_name"), str):
        reply.note("model_name", "no string `model_name`")
    return reply


def _read_document(reply: Reply) -> int:
    """The JSON at the beginning, wherever the header says it ends; its end."""
    content = reply.answer.content

    def token(name: str) -> float:
        reply.note("token", f"the token {name} is no JSON")
        return float(name.replace("Infinity", "inf"))

    try:
        # Latin-1 keeps one character an octet; where the object ends is the same in UTF-8.
        _, end = json.JSONDecoder().raw_decode(content.decode("latin-1"))
        document = json.loads(content[:end].decode(), parse_constant=token)
    except ValueError:
        raise Failed(f"the answer does not begin with JSON: {reply.answer.in_short}") from None
    if not isinstance(document, dict):
        raise Failed("the answer is no JSON object")
    reply.document = document
    return end


def _read_output(reply: Reply, entry: Any, tail: bytes) -> bytes:
    """Take one output; what is left of the tail."""
    name, datatype, shape = _form(reply, entry)
    parameters = entry.get("parameters")
    if not isinstance(parameters, dict):
        parameters = {}
    if "binary_data_size" not in parameters:
        values = [_value(datatype, item) for item in flatten(entry.get("data"))] if "data" in entry else []
        if len(values) != elements(shape):
            reply.note("count", f"{name} has {len(values)} elements in shape {list(shape)}")
        reply.outputs[name] = Tensor(name, datatype, shape, tuple(values))
        return tail
    try:
        taken, size = unpack(datatype, tail, elements(shape))
    except EndsEarly:
        reply.note("tail", f"the octets end within {name}")
        taken, size = [], len(tail)
    if parameters["binary_data_size"] != size:
        said = parameters["binary_data_size"]
        reply.note("size", f"`binary_data_size` of {name} is {said!r}; its shape takes {size}")
    reply.binary.add(name)
    reply.outputs[name] = Tensor(name, datatype, shape, tuple(taken))
    return tail[size:]


def _form(reply: Reply, entry: Any) -> tuple[str, str, tuple[int, ...]]:
    if not isinstance(entry, dict) or not {"name", "datatype", "shape"} <= entry.keys():
        raise Failed("an output lacks name, datatype or shape")
    name, datatype, shape = str(entry["name"]), str(entry["datatype"]), entry["shape"]
    if datatype not in DATATYPES:
        reply.note("form", f"the datatype of {name} is {datatype!r}")
        datatype = datatype.upper()
    if datatype not in DATATYPES:
        raise Failed(f"{name} has the datatype {datatype!r}")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise Failed(f"the shape of {name} is {shape!r}")
    return name, datatype, tuple(shape)


def _value(datatype: str, item: Any) -> Any:
    if datatype == BYTES and isinstance(item, str):
        return item.encode()
    return float("nan") if item is None else item


def _check_header(reply: Reply, end: int) -> None:
    said = reply.answer.headers.get(HEADER)
    if said is None:
        if reply.binary:
            reply.note("header", f"there are octets behind the JSON and no {HEADER}")
        return
    if not said.isdigit() or int(said) < end or reply.answer.content[end : int(said)].strip():
        reply.note("header", f"{HEADER} is {said!r}; the JSON takes {end} octets")
