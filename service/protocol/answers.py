"""What a model answered → the protocol's answer: tensors in JSON, or as bytes behind it."""

import heapq
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic_core import to_json

from service.artifacts.manifest import Manifest
from service.errors import InvalidRequest
from service.problems import shortened
from service.protocol.interface import ODD, TensorSpec, outputs_of
from service.protocol.requests import Inference, Wanted
from service.protocol.tensors import BYTES, Array, strings_as_bytes
from service.serving.job import Answer, Outputs
from service.serving.steps import Steps

STEP_ROWS = 512


class Chosen(NamedTuple):
    """An output that goes into the answer; `classes`: so many of the likeliest are told instead of it."""

    spec: TensorSpec
    binary: bool
    classes: int = 0


class Told(NamedTuple):
    """A tensor of the answer."""

    name: str
    datatype: str
    shape: list[int]
    elements: Array | list[str]
    binary: bool

    def as_bytes(self) -> bytes:
        if isinstance(self.elements, list):
            return strings_as_bytes([text.encode() for text in self.elements])
        return np.ascontiguousarray(self.elements).tobytes()


class Written(NamedTuple):
    """The body of an answer; `header`: the length of its JSON, where bytes are behind it."""

    body: bytes
    header: int | None


def chosen(inference: Inference, manifest: Manifest) -> list[Chosen]:
    """Raises InvalidRequest."""
    specs = outputs_of(manifest)
    if not inference.outputs:
        return [Chosen(spec, inference.binary) for spec in specs]
    named = {spec.name: spec for spec in specs}
    return [_chosen(wanted, named, inference.binary) for wanted in inference.outputs]


def _chosen(wanted: Wanted, named: dict[str, TensorSpec], otherwise: bool) -> Chosen:
    name, spec = shortened(wanted.name), named.get(wanted.name)
    if spec is None:
        there = ", ".join(repr(shortened(known)) for known in list(named)[:20])
        raise InvalidRequest(f"There is no output {name!r}; the model gives {there}.")
    binary, classes = wanted.binary, wanted.classification
    if classes and not spec.labels:
        raise InvalidRequest(f"Output {name!r}: there are no classes to be told of it.")
    return Chosen(spec, otherwise if binary is None else binary, min(classes, len(spec.labels)))


def telling(outputs: Sequence[Chosen], answer: Answer) -> Steps[list[Told]]:
    """The outputs that are asked for."""
    columns = _columns(answer.outputs, answer.manifest)
    told = []
    for output in outputs:
        spec, values = output.spec, columns[output.spec.name]
        shape = [len(values), *spec.row_shape]
        if output.classes:
            texts = yield from _classes(values, output)
            told.append(Told(spec.name, BYTES, [len(values), output.classes], texts, output.binary))
        else:
            told.append(Told(spec.name, spec.datatype, shape, values, output.binary))
        yield
    return told


def writing(inference: Inference, told: Sequence[Told], manifest: Manifest) -> Steps[Written]:
    """The body that tells them."""
    described, tails = [], []
    for tensor in told:
        named = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if tensor.binary:
            tails.append(tensor.as_bytes())
            described.append(to_json({**named, "parameters": {"binary_data_size": len(tails[-1])}}))
        else:
            described.append((yield from _with_data(named, tensor.elements)))
        yield
    head = _head(inference, manifest, described)
    if not tails:
        return Written(head, None)
    return Written(b"".join([head, *tails]), len(head))


def _head(inference: Inference, manifest: Manifest, outputs: Sequence[bytes]) -> bytes:
    """The JSON, around outputs that are JSON already."""
    head: dict[str, Any] = {"model_name": manifest.name, "model_version": str(manifest.version)}
    if inference.id is not None:
        head["id"] = inference.id
    return b'%b,"outputs":[%b]}' % (to_json(head)[:-1], b",".join(outputs))


def _columns(outputs: Outputs, manifest: Manifest) -> dict[str, Array]:
    """The values of every output, `[rows, elements of a row]`."""
    columns: dict[str, Array] = {}
    at, score = 0, manifest.output.score
    for spec in outputs_of(manifest):
        width = spec.row_shape[0]
        values = outputs[:, at : at + width]
        columns[spec.name] = values > score.threshold if score and spec.name == ODD else values
        at += width
    return columns


def _with_data(tensor: dict[str, Any], elements: Array | list[str]) -> Steps[bytes]:
    """In JSON, its elements in one list."""
    flat = elements if isinstance(elements, list) else elements.reshape(-1)
    pieces = []
    for at in range(0, len(flat), STEP_ROWS):
        piece = flat[at : at + STEP_ROWS]
        pieces.append(to_json(piece if isinstance(piece, list) else piece.tolist())[1:-1])
        yield
    return b'%b,"data":[%b]}' % (to_json(tensor)[:-1], b",".join(pieces))


def _classes(values: Array, output: Chosen) -> Steps[list[str]]:
    """The likeliest of each row, as Triton tells them: value, place and label."""
    labels, told = output.spec.labels, []
    for number, row in enumerate(values):
        likeliest = heapq.nlargest(output.classes, range(len(labels)), key=row.tolist().__getitem__)
        told += [f"{row[at]:f}:{at}:{labels[at]}" for at in likeliest]
        if number % STEP_ROWS == 0:
            yield
    return told
