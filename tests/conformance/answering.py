"""The answer to an inference by the small server."""

from typing import Any

import numpy as np
from starlette.responses import Response

from tests.conformance.faults import Faults
from tests.conformance.tensors import Array, data_of, datatype_of, dump, octets_of


def answer(
    document: dict[str, Any],
    inputs: dict[str, Array],
    model: str,
    version: str | None,
    binary_in: bool,
    faults: Faults,
) -> Response:
    outputs = computed(inputs)
    if "batch" in faults and not binary_in and len(outputs["y"]) > 1:
        outputs["y"][-1] += 1
    asked = _asked(document, outputs, faults)
    as_octets = _as_octets(document, asked, binary_in, faults)
    entries, tails = [], {}
    for each in asked:
        values, parameters = outputs[each["name"]], each.get("parameters") or {}
        if (count := parameters.get("classification")) is not None:
            values = _classes(values, count, faults)
        octets = as_octets[each["name"]]
        if count is not None and "classes-as-octets" in faults:
            octets = False
        entry = {"name": each["name"], "datatype": datatype_of(values), "shape": list(values.shape)}
        if octets:
            tails[each["name"]] = octets_of(values)
            more = 4 if "sizes-of-octets" in faults else 0
            entry["parameters"] = {"binary_data_size": len(tails[each["name"]]) + more}
        else:
            entry["data"] = data_of(values)
        entries.append(entry)
    found = {"model_name": model, "model_version": version or "2", "outputs": entries}
    if "id" in document:
        found["id"] = document["id"]
    _spoil(found, document, version, tails, faults)
    return _response(found, _in_order(tails, "outputs" in document, faults), bool(tails), faults)


def computed(inputs: dict[str, Array]) -> dict[str, Array]:
    if "n" not in inputs:
        return {"y": inputs["x"] * np.float32(2)}
    texts = np.array([each.upper() for each in inputs["t"].reshape(-1)] + [None], object)[:-1]
    return {
        "y": (inputs["x"] + inputs["n"]).astype("<f4"),
        "s": inputs["n"].astype("<i8") * 2,
        "u": texts.reshape(inputs["t"].shape),
    }


def _asked(document: dict[str, Any], outputs: dict[str, Array], faults: Faults) -> list[dict[str, Any]]:
    every = [{"name": name} for name in outputs]
    asked = document.get("outputs")
    if asked is None:
        return every[:-1] if "all-outputs" in faults and not document.get("parameters") else every
    for each in asked:
        if "name" not in each:
            faults.refuse("output-without-name")
        if each["name"] not in outputs:
            faults.refuse("unknown-output")
        if not isinstance((each.get("parameters") or {}).get("classification", 1), int):
            faults.refuse("classification-no-number")
    return every if "outputs-by-name" in faults and len(asked) == 1 and len(asked[0]) == 1 else list(asked)


def _as_octets(
    document: dict[str, Any], asked: list[dict[str, Any]], binary_in: bool, faults: Faults
) -> dict[str, bool]:
    default = (document.get("parameters") or {}).get("binary_data_output", False)
    named = "outputs" in document
    if not named and (
        ("all-outputs-binary" in faults and binary_in)
        or ("binary-outputs-of-json" in faults and not binary_in)
    ):
        default = False
    if "json-outputs" in faults and binary_in and not named:
        default = True
    said = {each["name"]: (each.get("parameters") or {}).get("binary_data", default) for each in asked}
    if "binary-overridden" in faults and default:
        return dict.fromkeys(said, True)
    if "one-output-binary" in faults and any(said.values()) and not default:
        return dict.fromkeys(said, True)
    return said


def _classes(values: Array, count: int, faults: Faults) -> Array:
    order = np.argsort(-values, axis=1)[:, :count]
    if "classes-in-order" in faults:
        order = order[:, ::-1]
    rows = [
        [f"{row[at]}:{at}:class{at}".encode() for at in places]
        for row, places in zip(values, order, strict=True)
    ]
    found = np.array(rows, object)
    return found.reshape(-1) if "classes" in faults else found


def _spoil(
    found: dict[str, Any],
    document: dict[str, Any],
    version: str | None,
    tails: dict[str, bytes],
    faults: Faults,
) -> None:
    """Faults of the document itself."""
    entries = found["outputs"]
    if "answers-name-the-model" in faults:
        del found["model_name"]
    if "answer-model-name" in faults:
        found["model_name"] = "another"
    if "answer-model-version" in faults and version is None:
        found["model_version"] = 2
    if "no-identifier" in faults and "id" not in document:
        found["id"] = 7
    if ("identifier-with-octets" if tails else "identifier") in faults:
        found.pop("id", None)
    if "answers-are-json" in faults:
        found["parameters"] = {"x": float("nan")}
    if document.get("id") == "42":
        if "answers-have-datatypes" in faults:
            entries[0]["datatype"] = "fp32"
        if "answers-are-of-their-shape" in faults:
            entries[0]["shape"][0] += 1
    if "output-datatypes" in faults and not tails:
        for each in entries:
            each["datatype"] = "FP64" if each["datatype"] == "INT64" else each["datatype"]
    if "output-shapes" in faults and not tails:
        entries[0]["shape"].append(1)
    names = [each["name"] for each in entries]
    if "outputs-in-another-order" in faults and names == ["u", "s", "y"] and not tails:
        entries[0]["name"], entries[2]["name"] = "y", "u"


def _in_order(tails: dict[str, bytes], named: bool, faults: Faults) -> bytes:
    if "order-of-octets" in faults and named and "y" in tails and "s" in tails:
        tails["y"], tails["s"] = tails["s"], tails["y"]
    return b"".join(tails.values())


def _response(found: dict[str, Any], tail: bytes, binary: bool, faults: Faults) -> Response:
    body = dump(found)
    if not binary:
        text = "text/plain" if "answer-content-type" in faults else "application/json"
        return Response(body, headers={"Content-Type": text})
    length = len(body) - ("lengths-of-json" in faults)
    octets = "application/json" if "content-type-of-octets" in faults else "application/octet-stream"
    more = b"\1\1\1\1" if "octets-of-tensors" in faults else b""
    headers = {"Content-Type": octets, "Inference-Header-Content-Length": str(length)}
    return Response(body + tail + more, headers=headers)
