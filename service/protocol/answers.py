"""What a model answered → the protocol's answer: tensors in JSON, or as bytes behind it."""

import heapq
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from pydantic_core import to_json

from service.artifacts.manifest import Manifest
from service.errors import InvalidRequest
from service.problems import shortened
from service.protocol.documents import Wanted
from service.protocol.interface import ODD, TensorSpec, outputs_of
from service.protocol.requests import MOST_REPEATED, Inference
from service.protocol.tensors import BYTES, Array, Shape, strings_as_bytes
from service.serving.job import Answer
from service.serving.steps import Steps

STEP_ROWS = 512


class Chosen(NamedTuple):
    """An output that goes into the answer; `at`: the column where it begins in what the model answers.

    `classes`: so many of the likeliest are told instead of it.
    """

    spec: TensorSpec
    at: int
    binary: bool
    classes: int = 0


class Told(NamedTuple):
    """A tensor of the answer."""

    name: str
    datatype: str
    shape: Shape
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
    kept = inference.kept
    if kept and kept[0][0] is manifest:
        return kept[0][1]
    outputs = _all_chosen(inference, manifest)
    if kept is not None:
        kept[:] = [(manifest, outputs)]
    return outputs


def _all_chosen(inference: Inference, manifest: Manifest) -> list[Chosen]:
    placed = list(_placed(manifest))
    if not inference.outputs:
        return [Chosen(spec, at, inference.binary) for spec, at in placed]
    named = {spec.name: (spec, at) for spec, at in placed}
    return [_chosen(wanted, named, inference.binary) for wanted in inference.outputs]


def _placed(manifest: Manifest) -> Iterator[tuple[TensorSpec, int]]:
    at = 0
    for spec in outputs_of(manifest):
        yield spec, at
        at += spec.row_shape[0]


def _chosen(wanted: Wanted, named: dict[str, tuple[TensorSpec, int]], otherwise: bool) -> Chosen:
    if wanted.name not in named:
        there = ", ".join(repr(shortened(known)) for known in list(named)[:20])
        raise InvalidRequest(f"There is no output {shortened(wanted.name)!r}; the model gives {there}.")
    spec, at = named[wanted.name]
    binary, classes = wanted.binary, wanted.classification
    if classes and not spec.labels:
        name = shortened(wanted.name)
        raise InvalidRequest(f"Output {name!r}: there are no classes to be told of it.")
    return Chosen(spec, at, otherwise if binary is None else binary, min(classes, len(spec.labels)))


def telling(outputs: Sequence[Chosen], answer: Answer) -> Steps[list[Told]]:
    """The outputs that are asked for."""
    told = []
    for output in outputs:
        spec, values = output.spec, _values(output, answer)
        if output.classes:
            texts = yield from _classes(values, output)
            told.append(Told(spec.name, BYTES, (len(values), output.classes), texts, output.binary))
        else:
            shape = (len(values), *spec.row_shape)
            told.append(Told(spec.name, spec.datatype, shape, values, output.binary))
    return told


def writing(inference: Inference, told: Sequence[Told], manifest: Manifest) -> Steps[Written]:
    """The body that tells them."""
    described, tails = [], []
    for tensor in told:
        if tensor.binary:
            tails.append(tensor.as_bytes())
            described.append(_of_bytes(tensor.name, tensor.datatype, tensor.shape, len(tails[-1])))
        else:
            described.append((yield from _with_data(tensor)))
    named = _named(manifest.name, manifest.version)
    if inference.id is not None:
        named = b'%b,"id":%b' % (named, to_json(inference.id))
    head = b'%b,"outputs":[%b]}' % (named, b",".join(described))
    if not tails:
        return Written(head, None)
    return Written(b"".join([head, *tails]), len(head))


@lru_cache(MOST_REPEATED)
def _named(model: str, version: int) -> bytes:
    """How the JSON begins."""
    return to_json({"model_name": model, "model_version": str(version)})[:-1]


@lru_cache(MOST_REPEATED)
def _of_bytes(name: str, datatype: str, shape: Shape, size: int) -> bytes:
    """What the JSON says of a tensor that is behind it."""
    named = {"name": name, "datatype": datatype, "shape": shape}
    return to_json({**named, "parameters": {"binary_data_size": size}})


def _values(output: Chosen, answer: Answer) -> Array:
    """`[rows, elements of a row]`."""
    spec, score = output.spec, answer.manifest.output.score
    values = answer.outputs[:, output.at : output.at + spec.row_shape[0]]
    return values > score.threshold if score and spec.name == ODD else values


def _with_data(tensor: Told) -> Steps[bytes]:
    """In JSON, its elements in one list."""
    elements = tensor.elements
    named = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    flat = elements if isinstance(elements, list) else elements.reshape(-1)
    pieces = []
    for at in range(0, len(flat), STEP_ROWS):
        piece = flat[at : at + STEP_ROWS]
        pieces.append(to_json(piece if isinstance(piece, list) else piece.tolist())[1:-1])
        yield
    return b'%b,"data":[%b]}' % (to_json(named)[:-1], b",".join(pieces))


def _classes(values: Array, output: Chosen) -> Steps[list[str]]:
    """The likeliest of each row, as Triton tells them: value, place and label."""
    labels, told = output.spec.labels, []
    for number, row in enumerate(values):
        likeliest = heapq.nlargest(output.classes, range(len(labels)), key=row.tolist().__getitem__)
        told += [f"{row[at]:f}:{at}:{labels[at]}" for at in likeliest]
        if number % STEP_ROWS == 0:
            yield
    return told
