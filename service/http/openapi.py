"""The OpenAPI document, made true about keys and errors."""

from typing import Any

from fastapi import FastAPI

from service.errors import Unauthorized
from service.problems import Problem, error_responses


def describe_problems(app: FastAPI, needs_key: bool) -> None:
    """Our errors are Problems; FastAPI's own never occur."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        components = document.setdefault("components", {}).setdefault("schemas", {})
        components.update(schema.pop("$defs", {}), Problem=schema)
        if needs_key:
            document["components"]["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            }
            document["security"] = [{"bearer": []}, {"key": []}]
            for path in document["paths"].values():
                for operation in path.values():
                    operation["responses"] |= {str(k): v for k, v in error_responses(Unauthorized).items()}
        if components.pop("HTTPValidationError", None):
            # FastAPI adds it to every route with a parameter; ours is a path segment, which any text fits.
            del components["ValidationError"]
            del document["paths"]["/models/{name}"]["get"]["responses"]["422"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
