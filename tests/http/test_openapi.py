"""The OpenAPI document says what the service does, errors included."""

import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import errors
from service.app import create_app
from service.artifacts.store import ArtifactStore
from service.settings import Settings
from tests.conftest import ROOT, publish_copy, running, until

VERSION, WHAT = ("", "/versions/{version}"), ("", "/ready", "/config", "/stats")


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and what is said of it."""
    return [(path, method, said) for path, of in document["paths"].items() for method, said in of.items()]


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get("/openapi.json")).json()
    return answer


async def test_every_route_is_there(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {
        "/predict/pass",
        "/predict/pass/versions/{version}",
        "/predict/digit",
        "/predict/digit/versions/{version}",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/models",
        "/models/{name}",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        *(f"/v2/models/{{name}}{version}{what}" for version in VERSION for what in WHAT),
        *(f"/v2/models/{name}{version}/infer" for name in ("pass", "digit") for version in VERSION),
        "/v2/models/stats",
        "/v2/repository/index",
        "/v2/repository/models/{name}/load",
        "/v2/repository/models/{name}/unload",
    }


@pytest.mark.parametrize("path", ["/predict/pass", "/predict/digit"])
async def test_every_error_of_a_prediction_is_listed(document: dict[str, Any], path: str) -> None:
    responses = document["paths"][path]["post"]["responses"]
    assert set(responses) == {"200", "404", "408", "411", "413", "415", "422", "429", "500", "503", "504"}
    for status in set(responses) - {"200"}:
        assert responses[status]["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
    for status in ("429", "503"):
        assert "Retry-After" in responses[status]["headers"]


@pytest.mark.parametrize("path", ["/v2/models/pass/infer", "/v2/models/digit/versions/{version}/infer"])
async def test_every_error_of_an_inference_is_listed(document: dict[str, Any], path: str) -> None:
    responses = document["paths"][path]["post"]["responses"]
    assert set(responses) == {"200", "400", "404", "408", "411", "413", "415", "429", "500", "503", "504"}
    for status in set(responses) - {"200"}:
        assert responses[status]["content"] == {
            "application/json": {"schema": {"$ref": "#/components/schemas/ProtocolProblem"}}
        }
    for status in ("429", "503"):
        assert "Retry-After" in responses[status]["headers"]


ODD: tuple[dict[str, str], ...] = (
    {},
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/json"},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "br"},
    {"X-Request-Timeout-Ms": "0"},
    {"X-Request-Timeout-Ms": "soon"},
    {"Inference-Header-Content-Length": "9"},
    {"Accept": "text/csv;q=x"},
)


async def test_whatever_is_answered_is_listed(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        url = path.format(name="digit", version=1)
        for odd in ODD:
            for content in (b"", b"no document", b" " * 3_000_000)[: None if method == "post" else 1]:
                answer = await client.request(method, url, headers=odd, content=content)
                case = (method, url, odd, len(content), answer.status_code)
                assert str(answer.status_code) in operation["responses"], case
                listed = operation["responses"][str(answer.status_code)].get("content", {"": {}})
                assert answer.headers.get("content-type", "").partition(";")[0] in listed, case


async def test_what_is_read_is_listed(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        assert ("requestBody" in operation) is (method == "post"), path
    body = document["paths"]["/v2/repository/index"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"]["properties"]["ready"]["type"] == "boolean"
    assert not body.get("required", False)


async def test_no_error_is_left_in_the_framework_s_own_shape(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path in ("/models/{name}", "/v2/models/{name}", "/v2/repository/models/{name}/load"):
        for operation in document["paths"][path].values():
            assert "422" not in operation["responses"]


async def test_every_operation_is_called_by_a_name_of_its_own(document: dict[str, Any]) -> None:
    """One that a program can have, without what it says twice."""
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) and "__" not in name for name in ids)
    assert {"predict_pass", "predict_version_of_digit", "get_models", "get_models_by_name"} <= set(ids)


async def test_parameters_are_those_of_the_path_and_of_the_request(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        parameters = operation["parameters"]
        in_path = [each["name"] for each in parameters if each["in"] == "path"]
        assert sorted(in_path) == sorted(re.findall(r"{(\w+)}", path))
        assert all(each["required"] for each in parameters if each["in"] == "path")
        if not path.endswith("/infer"):
            assert "X-Request-ID" in [each["name"] for each in parameters if each["in"] == "header"]
        if path.startswith("/predict/"):
            assert "X-Request-Timeout-Ms" in [each["name"] for each in parameters]
            assert set(operation["responses"]["200"]["headers"]) == {"X-Request-ID", "Server-Timing"}


async def test_every_reference_resolves(document: dict[str, Any]) -> None:
    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if "$ref" in node else set()
            return own.union(*map(references, node.values()))
        return set().union(*map(references, node)) if isinstance(node, list) else set()

    for reference in references(document):
        assert reference.startswith("#/components/schemas/")
        assert reference.rsplit("/", 1)[1] in document["components"]["schemas"]


async def test_the_pass_body_is_one_number_or_a_list(document: dict[str, Any]) -> None:
    body = document["paths"]["/predict/pass"]["post"]["requestBody"]
    row, lists, rows = body["content"]["application/json"]["schema"]["anyOf"]
    one, many = (form["properties"]["hours"] for form in (row, lists))
    assert (one["type"], one["minimum"], one["description"]) == ("number", 0, "hours studied")
    assert (many["type"], many["minItems"], many["maxItems"]) == ("array", 1, 10_000)
    assert (rows["type"], rows["items"]) == ("array", row)


async def test_the_digit_body_is_a_form_an_image_or_a_document(document: dict[str, Any]) -> None:
    content = document["paths"]["/predict/digit"]["post"]["requestBody"]["content"]
    assert set(content) == {
        "multipart/form-data",
        "image/*",
        "application/octet-stream",
        "application/json",
    }


async def test_problems_have_the_documented_fields(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    for path, schema in (("/models/cat", "Problem"), ("/v2/models/cat", "ProtocolProblem")):
        problem = (await client.get(path)).json()
        assert set(problem) <= set(document["components"]["schemas"][schema]["properties"])


def test_the_drawn_error_tree_is_the_real_one() -> None:
    drawing = errors.__doc__ or ""
    for name, error in vars(errors).items():
        if isinstance(error, type) and issubclass(error, errors.ServiceError) and name != "ServiceError":
            (line,) = [
                line
                for line in drawing.splitlines()
                if line.split()[:-1][-1:] == [name] or f" {name} " in line
            ]
            assert str(error.status) in line
            assert ("Retry-After" in line) == (error.retry_after_s is not None)


def test_the_documented_error_types_are_the_real_ones() -> None:
    page = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", page, re.M))
    real = {
        (str(error.status), error.slug)
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.ServiceError)
    }
    assert documented == real


async def test_it_is_of_what_is_live_whatever_is_beside_it(published: Path, tmp_path: Path) -> None:
    store = ArtifactStore(shutil.copytree(published, tmp_path / "artifacts"))
    newer = publish_copy(store)
    store.activate("digit", 1)
    app = create_app(Settings(artifacts=store.root, models=("digit",), keep=2, reload_s=0.05))
    async with running(app) as client:

        async def versions() -> set[int]:
            document = (await client.get("/openapi.json")).json()
            answers = document["paths"]["/predict/digit"]["post"]["responses"]["200"]["content"]
            examples = answers["application/json"]["examples"].values()
            return {example["value"]["version"] for example in examples}

        async def both() -> bool:
            return [*(await client.get("/v2/models/digit")).json()["versions"]] == ["1", str(newer)]

        await until(both)
        assert await versions() == {1}
        store.activate("digit", newer)

        async def told() -> bool:
            return await versions() == {newer}

        await until(told)
