"""What OpenAPI says of a model, compared with what the service does."""

import json
import re
from typing import Any

import httpx
import jsonschema_rs
import pytest

Document = dict[str, Any]

JSON, CSV, LINES = "application/json", "text/csv", "application/x-ndjson"


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


def answers_of(document: Document, model: str, media_type: str) -> dict[str, Any]:
    """The examples of answers, which are named as those of the requests are."""
    content = operation(document, model)["responses"]["200"]["content"][media_type]
    return {name: example["value"] for name, example in content["examples"].items()}


def answer_schema(document: Document, model: str) -> Any:
    return operation(document, model)["responses"]["200"]["content"]["application/json"]["schema"]


def posted(client: httpx.Client, model: str, media_type: str, value: Any) -> httpx.Response:
    body = value if isinstance(value, str) else json.dumps(value)
    headers = {"Content-Type": media_type}
    return client.post(f"/predict/{model}", content=body.encode(), headers=headers)


def _words(shown: Any) -> list[Any]:
    """Names and values in their order, whichever the form; of another batch their last bits differ."""
    text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
    return [_number(word) for word in re.findall(r'"[^"]*"|[^\s,:{}\[\]"]+', text)]


def _number(word: str) -> Any:
    try:
        return pytest.approx(float(word), rel=1e-4, abs=1e-5)
    except ValueError:
        return word


def _named_requests(document: Document, model: str) -> dict[str, Any]:
    """What is posted as JSON, by the name of the example."""
    body = operation(document, model)["requestBody"]["content"][JSON]
    if "example" in body:
        return {"one": body["example"]}
    return {name: example["value"] for name, example in body["examples"].items()}


def check_examples(client: httpx.Client, model: str) -> None:
    """What is shown as the answer to a request is what is answered, in each form."""
    document = client.get("/openapi.json").json()
    requests = _named_requests(document, model)
    schema = answer_schema(document, model)
    for accept in (JSON, LINES, CSV):
        answers = answers_of(document, model, accept)
        assert answers.keys() == requests.keys()
        for name, shown in answers.items():
            headers = {"Accept": accept}
            answer = client.post(f"/predict/{model}", json=requests[name], headers=headers)
            assert answer.status_code == 200
            assert _words(answer.text) == _words(shown)
            assert accept != JSON or is_valid(document, schema, shown)
