"""What OpenAPI says of a model, compared with what the service does."""

import json
from typing import Any

import httpx
import jsonschema_rs

Document = dict[str, Any]


def operation(document: Document, model: str) -> Document:
    found: Document = document["paths"][f"/predict/{model}"]["post"]
    return found


def resolved(document: Document, schema: Any) -> Any:
    """A schema of the document that stands for itself."""
    return {"components": document["components"], **schema}


def is_valid(document: Document, schema: Any, value: Any) -> bool:
    return bool(jsonschema_rs.Draft202012Validator(resolved(document, schema)).is_valid(value))


def examples_of(document: Document, model: str) -> list[tuple[str, Any]]:
    """Media type and value of every example of a request."""
    content = operation(document, model)["requestBody"]["content"]
    return [
        (media_type, example)
        for media_type, body in content.items()
        for example in [
            *([body["example"]] if "example" in body else []),
            *(named["value"] for named in body.get("examples", {}).values()),
        ]
    ]


def answer_schema(document: Document, model: str) -> Any:
    return operation(document, model)["responses"]["200"]["content"]["application/json"]["schema"]


def posted(client: httpx.Client, model: str, media_type: str, value: Any) -> httpx.Response:
    body = value if isinstance(value, str) else json.dumps(value)
    headers = {"Content-Type": media_type}
    return client.post(f"/predict/{model}", content=body.encode(), headers=headers)
