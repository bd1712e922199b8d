"""What OpenAPI says of inference: a path for each model, with the tensors that it takes and gives."""

from collections.abc import Iterator
from typing import Any

from service import errors
from service.artifacts.manifest import Manifest
from service.endpoints import dispatch
from service.problems import PROTOCOL, error_responses, some_of
from service.protocol.infer import PREFIX
from service.protocol.interface import TensorSpec, inputs_of, outputs_of
from service.protocol.tensors import DATATYPES
from service.serving.exposition import PROTOCOL_ROUTE

_PARAMETERS = {"type": "object", "additionalProperties": True}
_DATA: dict[str, Any] = {"type": "array", "items": {}, "description": "Nested as `shape` says, or flat."}
_HEADER = {
    "Inference-Header-Content-Length": {
        "description": "Bytes of JSON before those of tensors; where it is not there, all is JSON.",
        "schema": {"type": "integer", "minimum": 0},
    }
}


def inference_paths(manifest: Manifest, version_parameter: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Of one model."""
    name = manifest.name
    operation = {
        "tags": ["protocol"],
        "summary": f"{name}: tensors in, tensors out (Open Inference Protocol)",
        "description": _description(manifest),
        "parameters": [{"name": header, "in": "header", **said} for header, said in _HEADER.items()],
        "requestBody": {"required": True, "content": _content(_request(inputs_of(manifest)))},
        "responses": {
            "200": {
                "description": "The outputs.",
                "headers": _HEADER,
                "content": _content(_answer(outputs_of(manifest))),
            },
            **error_responses(errors.InvalidRequest, *dispatch.ERRORS, path=PROTOCOL),
        },
    }
    yield PROTOCOL_ROUTE.format(name), {"post": {"operationId": f"infer_{name}", **operation}}
    yield (
        f"{PREFIX}{name}/versions/{{version}}/infer",
        {
            "post": {
                "operationId": f"infer_version_of_{name}",
                **operation,
                "summary": f"{operation['summary']}, by a given version",
                "parameters": [version_parameter, *operation["parameters"]],
            }
        },
    )


def _description(manifest: Manifest) -> str:
    taken, given = inputs_of(manifest), outputs_of(manifest)
    return f"Takes {_told(taken)}. Gives {_told(given)}."


def _told(specs: list[TensorSpec]) -> str:
    return some_of(specs, 20, lambda spec: f"`{spec.name}` {spec.datatype} {spec.shape}")


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    octets = {
        "type": "string",
        "format": "binary",
        "description": "The JSON, and then the bytes of tensors.",
    }
    return {"application/json": {"schema": schema}, "application/octet-stream": {"schema": octets}}


def _tensor(required: list[str], names: list[str] | None = None) -> dict[str, Any]:
    """`names`: none for inputs, because a matrix of all columns has any name."""
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", **({"enum": names} if names else {})},
            "shape": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0},
                "minItems": 1,
                "maxItems": 8,
            },
            "datatype": {"type": "string", "enum": list(DATATYPES)},
            "parameters": _PARAMETERS,
            "data": _DATA,
        },
        "required": required,
    }


def _request(specs: list[TensorSpec]) -> dict[str, Any]:
    wanted = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "parameters": _PARAMETERS},
        "required": ["name"],
    }
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "parameters": _PARAMETERS,
            "inputs": {
                "type": "array",
                "items": _tensor(["name", "shape", "datatype", "data"]),
                "minItems": 1,
                "maxItems": max(1, len(specs)),
            },
            "outputs": {"type": "array", "items": wanted},
        },
        "required": ["inputs"],
    }


def _answer(specs: list[TensorSpec]) -> dict[str, Any]:
    tensor = _tensor(["name", "shape", "datatype"], [spec.name for spec in specs])
    return {
        "type": "object",
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": tensor},
        },
        "required": ["model_name", "model_version", "outputs"],
    }
