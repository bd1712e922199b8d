"""The OpenAPI document, true to the models that are live, about keys, and about errors."""

import json
import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from service import errors
from service.endpoints import dispatch
from service.endpoints.answer import Format, written
from service.endpoints.endpoint import Endpoint, Operation
from service.http.auth import OpenPaths
from service.problems import Problem, ProtocolProblem, error_responses
from service.protocol.description import inference_paths
from service.serving.call import Backend
from service.serving.exposition import ROUTE

# Of every request.
REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "description": "What the request is called in the log and in errors; without one it is given one.",
    "schema": {"type": "string", "example": "scan-0042"},
}
TIMEOUT = {
    "name": "X-Request-Timeout-Ms",
    "in": "header",
    "description": "Milliseconds after which no answer is wanted, up to the service's own limit.",
    "schema": {"type": "integer", "minimum": 1, "example": 2000},
}

# Of an answer that is shown: one of thousands of classes is as long as a book, in each of three formats.
MOST_EXAMPLE_BYTES = 16 * 1024

_IN_PATH = re.compile(r"{(\w+)}")
_NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "Of the model.",
    "schema": {"type": "string"},
}
_VERSION = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": "Of those that are loaded: `GET /models` lists them.",
    "schema": {"type": "integer", "minimum": 1},
}


_ANSWERED = {
    "X-Request-ID": {"schema": {"type": "string"}, "description": "Yours, or the one that was given."},
    "Server-Timing": {
        "schema": {"type": "string"},
        "description": "Milliseconds in `decode`, `queue` and `infer`.",
    },
}


class Description:
    """Made anew when what is live has changed. Our errors are Problems; FastAPI's own never occur."""

    def __init__(self, app: FastAPI, open_paths: OpenPaths | None) -> None:
        """`open_paths`: where all others need a key; None: no path does."""
        self._app = app
        self._open_paths = open_paths
        self._generate = app.openapi
        self._live: list[Endpoint] | None = None
        self._document: dict[str, Any] = {}

    def __call__(self) -> dict[str, Any]:
        backend: Backend | None = getattr(self._app.state, "backend", None)
        live = [served.endpoint for served in backend.registry.all_live()] if backend else []
        if live != self._live:
            self._document = self._described(live)
            self._live = live
        return self._document

    def _described(self, live: list[Endpoint]) -> dict[str, Any]:
        general = self._generate()
        document = {**general, "paths": {**dict(_paths(live)), **_paths_of(general)}}
        components = dict(general.get("components", {}))
        schemas = dict(components.get("schemas", {}))
        for problem in (Problem, ProtocolProblem):
            schema = problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= {**schema.pop("$defs", {}), problem.__name__: schema}
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        components["schemas"] = schemas
        document["components"] = components
        return document if self._open_paths is None else _with_keys(document, self._open_paths)


def _with_keys(document: dict[str, Any], open_paths: OpenPaths) -> dict[str, Any]:
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    document["security"] = [{"bearer": []}, {"key": []}]
    for path, operations in document["paths"].items():
        refused = error_responses(errors.Unauthorized, path=path)
        document["paths"][path] = {
            method: {**operation, "security": []}
            if path in open_paths
            else {**operation, "responses": {**operation["responses"], **refused}}
            for method, operation in operations.items()
        }
    return document


def _paths_of(general: dict[str, Any]) -> dict[str, Any]:
    """The paths without the 422 that FastAPI adds to every parameter: any text fits a path segment."""
    return {
        path: {
            method: {
                **operation,
                "operationId": _operation_id(method, path),
                "parameters": [*_path_parameters(path), REQUEST_ID],
                "responses": {
                    status: said for status, said in operation["responses"].items() if status != "422"
                },
            }
            for method, operation in operations.items()
        }
        for path, operations in general["paths"].items()
    }


def _operation_id(method: str, path: str) -> str:
    """`get_models_by_name`: what generated clients call a function."""
    words = (
        f"by_{word[1:-1]}" if word.startswith("{") else word for word in path.strip("/").split("/") if word
    )
    return "_".join((method, *words))


def _path_parameters(path: str) -> list[dict[str, Any]]:
    """A segment is always there, whatever the function under it does without."""
    return [_VERSION if name == "version" else _NAME for name in _IN_PATH.findall(path)]


def _paths(live: list[Endpoint]) -> Iterator[tuple[str, Any]]:
    for endpoint in live:
        yield from inference_paths(endpoint.manifest, _VERSION)
        name, operation = endpoint.manifest.name, endpoint.operation()
        described = _described(operation)
        path = ROUTE.format(name)
        parameters = [*operation.query, REQUEST_ID, TIMEOUT]
        unknown = error_responses(errors.UnknownModel, errors.UnknownVersion)["404"]
        yield (
            path,
            {"post": {"operationId": f"predict_{name}", **described, "parameters": parameters}},
        )
        yield (
            f"{path}/versions/{{version}}",
            {
                "post": {
                    "operationId": f"predict_version_of_{name}",
                    **described,
                    "summary": f"{operation.summary}, by a given version",
                    "parameters": [_VERSION, *parameters],
                    "responses": described["responses"] | {"404": unknown},
                }
            },
        )


def _described(operation: Operation) -> dict[str, Any]:
    result = operation.result
    served_by = {
        "model": {"type": "string", "description": "Name of the model that answered."},
        "version": {"type": "integer", "description": "Version of the model that answered."},
    }
    one = {
        **result,
        "properties": {**result["properties"], **served_by},
        "required": [*result["required"], *served_by],
    }
    many = {
        "type": "object",
        "properties": {"predictions": {"type": "array", "items": result}, **served_by},
        "required": ["predictions", *served_by],
    }
    lines = {"type": "string", "description": "A prediction a line."}
    table = {"type": "string", "description": "A prediction a row, under their names."}
    content = {
        "application/json": {"schema": {"oneOf": [one, many]}, **_answers(operation, "json")},
        "application/x-ndjson": {"schema": lines, **_answers(operation, "ndjson")},
        "text/csv": {"schema": table, **_answers(operation, "csv")},
    }
    return {
        "tags": ["predict"],
        "summary": operation.summary,
        "description": operation.description,
        "requestBody": {"required": True, "content": operation.requests},
        "responses": {
            "200": {"description": "Successful Response", "headers": _ANSWERED, "content": content},
            **error_responses(errors.InvalidInput, *dispatch.ERRORS),
        },
    }


def _answers(operation: Operation, written_as: Format) -> dict[str, Any]:
    """The known answers as examples, in the format that they are written in, unless they are too long."""
    examples = {}
    for name, summary, decoded, answer in operation.known:
        text = written(decoded, answer, written_as)
        if len(text) > MOST_EXAMPLE_BYTES:
            continue
        value = json.loads(text) if written_as == "json" else text.decode()
        examples[name] = {"summary": summary, "value": value}
    return {"examples": examples} if examples else {}
