"""What a model answered → the protocol's answer: tensors in JSON, or as bytes behind it."""

import heapq
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from pydantic_core import to_json

from service.artifacts.manifest import Manifest
from service.errors import InvalidRequest
from service.problems import quoted, some_of
from service.protocol.documents import Wanted
from service.protocol.interface import ODD, TensorSpec, outputs_of
from service.protocol.requests import MOST_REPEATED, Inference
from service.protocol.tensors import BYTES, Array, Shape, strings_as_bytes
from service.serving.job import Answer
from service.serving.steps import OnMore, Steps

STEP_VALUES = 512


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
        there = some_of(list(named), 20, quoted)
        raise InvalidRequest(f"There is no output {quoted(wanted.name)}; the model gives {there}.")
    spec, at = named[wanted.name]
    binary, classes = wanted.binary, wanted.classification
    if classes and not spec.labels:
        raise InvalidRequest(f"Output {quoted(wanted.name)}: there are no classes to be told of it.")
    return Chosen(spec, at, otherwise if binary is None else binary, min(classes, len(spec.labels)))


def telling(
    outputs: Sequence[Chosen], answer: Answer, on_more: OnMore = lambda _: None
) -> Steps[list[Told]]:
    """The outputs that are asked for. `on_more` is told of bytes of text, and may refuse them."""
    told = []
    for output in outputs:
        spec, values = output.spec, _values(output, answer)
        if output.classes:
            texts = yield from _classes(values, output, on_more)
            told.append(Told(spec.name, BYTES, (len(values), output.classes), texts, output.binary))
        else:
            shape = (len(values), *spec.row_shape)
            told.append(Told(spec.name, spec.datatype, shape, values, output.binary))
    return told


def writing(
    inference: Inference,
    told: Sequence[Told],
    manifest: Manifest,
    on_more: OnMore = lambda _: None,
) -> Steps[Written]:
    """The body that tells them. `on_more` is told of every so many bytes more, and may refuse them."""
    named = _named(manifest.name, manifest.version)
    if inference.id is not None:
        named = b'%b,"id":%b' % (named, to_json(inference.id))
    parts, tails = [named], list[bytes]()
    before = b',"outputs":['
    for tensor in told:
        parts.append(before)
        if tensor.binary:
            tails.append(tensor.as_bytes())
            on_more(len(tails[-1]))
            parts.append(_of_bytes(tensor.name, tensor.datatype, tensor.shape, len(tails[-1])))
        else:
            parts += yield from _with_data(tensor, on_more)
        before = b","
    parts.append(b"]}")
    head = b"".join(parts)
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


def _with_data(tensor: Told, on_more: OnMore) -> Steps[list[bytes]]:
    """In JSON, its elements in one list; in parts, to be joined once."""
    elements = tensor.elements
    named = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    flat = elements if isinstance(elements, list) else elements.reshape(-1)
    parts, before = [to_json(named)[:-1]], b',"data":['
    for at in range(0, len(flat), STEP_VALUES):
        piece = flat[at : at + STEP_VALUES]
        parts += before, to_json(piece if isinstance(piece, list) else piece.tolist())[1:-1]
        on_more(len(parts[-1]))
        before = b","
        yield
    parts.append(b"]}")
    return parts


def _classes(values: Array, output: Chosen, on_more: OnMore) -> Steps[list[str]]:
    """The likeliest of each row, as Triton tells them: value, place and label."""
    labels, told = output.spec.labels, []
    step_rows = max(1, STEP_VALUES // len(labels))
    for number, row in enumerate(values):
        likeliest = heapq.nlargest(output.classes, range(len(labels)), key=row.tolist().__getitem__)
        texts = [f"{row[at]:f}:{at}:{labels[at]}" for at in likeliest]
        on_more(sum(map(len, texts)))
        told += texts
        if number % step_rows == 0:
            yield
    return told
