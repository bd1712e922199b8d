"""What the small server says of itself and of its models."""

import json
from typing import Any

from tests.conformance.faults import Faults

VERSIONS = ["1", "2"]
INPUTS = {
    "three": {"x": ("FP32", [-1, 3]), "n": ("INT32", [-1, 1]), "t": ("BYTES", [-1, 1])},
    "one": {"x": ("FP32", [-1, 3])},
}
OUTPUTS = {
    "three": {"y": ("FP32", [-1, 3]), "s": ("INT64", [-1, 1]), "u": ("BYTES", [-1, 1])},
    "one": {"y": ("FP32", [-1, 3])},
}
EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "statistics",
    "model_repository",
    "model_configuration",
]


def describe(method: str, parts: list[str], body: bytes, count: int, faults: Faults) -> tuple[Any, int]:
    """A document and its status."""
    found = _found(method, parts, body, count, faults)
    if found is None:
        faults.refuse("unknown-path")
    return found


def _found(
    method: str, parts: list[str], body: bytes, count: int, faults: Faults
) -> tuple[Any, int] | None:
    match method, parts:
        case "GET", ["v2"]:
            return _server(faults), 200
        case "GET", ["v2", "health", "live"]:
            return ({} if "live-body" in faults else {"live": True}), (503 if "live" in faults else 200)
        case "GET", ["v2", "health", "ready"]:
            found = {"live": True} if "ready-body" in faults else {"live": True, "ready": True}
            return found, (503 if "ready" in faults else 200)
        case "POST", ["v2", "repository", "index"]:
            return _index(body, faults), 200
        case "POST", ["v2", "repository", "models", _, "load"]:
            faults.refuse("load-of-unknown-model")
        case "GET", ["v2", "models", "stats"]:
            names = ["one"] if "all-statistics" in faults else list(INPUTS)
            return {"model_stats": [_statistics(name, "2", count, faults) for name in names]}, 200
        case _, ["v2", "models", model, *rest]:
            return _of_model(method, model, rest, count, faults)
    return None


def _server(faults: Faults) -> dict[str, Any]:
    found: dict[str, Any] = {"name": "small", "version": "1", "extensions": EXTENSIONS}
    if "server-extensions" in faults:
        found["extensions"] = [*EXTENSIONS, 7]
    for name in ("name", "version"):
        if f"server-{name}" in faults:
            found[name] = None
    return found


def _of_model(method: str, model: str, rest: list[str], count: int, faults: Faults) -> tuple[Any, int]:
    what = rest[-1] if rest and rest[-1] in ("ready", "stats", "config", "infer") else "metadata"
    version = rest[1] if rest[:1] == ["versions"] else None
    if method != "GET":
        faults.refuse("wrong-method-of-metadata")
    if what == "infer":
        faults.refuse("wrong-method")
    if model not in INPUTS:
        faults.refuse(
            {
                "ready": "unknown-model-not-ready",
                "stats": "unknown-model-statistics",
                "metadata": "unknown-model-metadata",
            }[what]
        )
    if version is not None and version not in VERSIONS:
        faults.refuse(
            {
                "ready": "unknown-version-not-ready",
                "config": "unknown-version-configuration",
                "metadata": "unknown-version-metadata",
            }[what]
        )
    if what == "ready":
        return _ready(model, version, faults)
    if what == "stats":
        return _model_statistics(model, version, count, faults), 200
    if version is not None:
        faults.wants("version-configuration" if what == "config" else "version-metadata")
    if what == "config":
        return _configuration(model, faults), 200
    named = "another" if "model-name" in faults and version is None else model
    return {**_metadata(model, faults), "name": named}, 200


def _ready(model: str, version: str | None, faults: Faults) -> tuple[Any, int]:
    if version is not None:
        faults.wants("version-ready")
    found = {"name": model, "ready": "model-ready-body" not in faults}
    return found, 503 if version is None and "model-ready" in faults else 200


def _metadata(model: str, faults: Faults) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": model,
        "versions": [1, 2] if "model-versions" in faults else VERSIONS,
        "platform": None if "model-platform" in faults else "small_python",
    }
    for which, tensors in (("inputs", INPUTS[model]), ("outputs", OUTPUTS[model])):
        found[which] = [
            {"name": name, "datatype": datatype, "shape": shape}
            for name, (datatype, shape) in tensors.items()
        ]
        if f"model-{which}" in faults:
            found[which].append({"name": "z", "datatype": "float32", "shape": [1]})
    return found


def _model_statistics(model: str, version: str | None, count: int, faults: Faults) -> dict[str, Any]:
    wrong = "version-statistics" in faults and version is not None
    stats = [_statistics(model, "1" if wrong else version or "2", count, faults)]
    if "model-statistics" in faults:
        stats.append(_statistics("another", "1", 0, faults))
    return {"model_stats": stats}


def _statistics(model: str, version: str, count: int, faults: Faults) -> dict[str, Any]:
    duration = {"count": count, "ns": 1.5 if "statistics-form" in faults else 15}
    parts = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
    return {
        "name": model,
        "version": version,
        "last_inference": None if "last-inference" in faults else 1,
        "inference_count": count,
        "execution_count": count,
        "inference_stats": dict.fromkeys(parts, duration),
        "batch_stats": [{"batch_size": "1" if "batch-statistics" in faults else 1}],
    }


def _index(body: bytes, faults: Faults) -> list[dict[str, Any]]:
    asked = json.loads(body) if body else None
    wrong = "index-without-body" if asked is None else "index-of-ready" if asked else "index"
    names = ["one"] if wrong in faults else list(INPUTS)
    return [{"name": name, "version": "2", "state": "READY", "reason": ""} for name in names]


def _configuration(model: str, faults: Faults) -> dict[str, Any]:
    found: dict[str, Any] = {"name": model, "max_batch_size": "8" if "configuration" in faults else 8}
    for which, tensors in (("input", INPUTS[model]), ("output", OUTPUTS[model])):
        kind = "" if "configuration-tensors" in faults else "TYPE_"
        found[which] = [
            {"name": name, "data_type": f"{kind}{datatype}", "dims": shape[1:]}
            for name, (datatype, shape) in tensors.items()
        ]
    return found
