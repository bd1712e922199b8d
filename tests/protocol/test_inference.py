"""Inference over `/v2`: tensors, in JSON and as bytes, are the rows that every other request has."""

import base64
import gzip
import json
import zlib
from typing import Any

import httpx
import numpy as np
import pytest

from tests.conftest import DIGIT_VERSION, OLDER_DIGIT_VERSION, Digits, png
from tests.protocol.wire import LENGTH, asked, binary, binary_of, body_of, inferred, packed, read, tensor

HOUSE_NAMES = ("floor area (m²)", "class", "items")
HOUSES = np.array([[80.1, 1.0, 2.0], [120.0, 2.3, 0.5], [-1.5, 2.0, 1e9]])


def probabilities(client: httpx.Client, digits: Digits, count: int) -> Any:
    """Of pictures, as `/predict/digit` has them."""
    files = [("file", png(image)) for image in digits.images_u8[:count]]
    predictions = client.post("/predict/digit", files=files).json()["predictions"]
    return [prediction["probabilities"] for prediction in predictions]


@pytest.mark.parametrize("shape", [(5, 28, 28), (5, 1, 28, 28), (5, 28, 28, 1)], ids=str)
@pytest.mark.parametrize("dtype", ["u1", "i8"])
def test_pixels_are_taken_as_they_are(
    service: httpx.Client, digits: Digits, shape: tuple[int, ...], dtype: str
) -> None:
    images = digits.images_u8[:5].reshape(shape).astype(dtype)
    expected = probabilities(service, digits, 5)
    body, length = body_of(binary_of("image", images), parameters={"binary_data_output": True})
    in_bytes = read(inferred(service, "digit", body, **length))
    assert np.array_equal(in_bytes.outputs["probabilities"], np.array(expected, np.float32))
    flat = read(asked(service, "digit", tensor("image", images)))
    nested = read(asked(service, "digit", {**tensor("image", images), "data": images.tolist()}))
    assert flat.document == nested.document
    assert flat.outputs["probabilities"].tolist() == expected


def test_encoded_files_are_prepared_as_uploads_are(service: httpx.Client, digits: Digits) -> None:
    """One of MNIST's own, a large one that is dark on light, and a JPEG; Base64 where it is JSON."""
    large = 255 - np.kron(digits.images_u8[1], np.ones((9, 9), np.uint8))
    files = [png(digits.images_u8[0]), png(large), png(large, "JPEG", quality=95)]
    uploads = service.post("/predict/digit", files=[("file", file) for file in files]).json()["predictions"]
    expected = [prediction["probabilities"] for prediction in uploads]
    body, length = body_of(binary("image", packed(files), [3, 1], "BYTES"))
    assert read(inferred(service, "digit", body, **length)).outputs["probabilities"].tolist() == expected
    texts = [base64.b64encode(file).decode() for file in files]
    said = {"name": "image", "shape": [3], "datatype": "BYTES", "data": texts}
    assert read(asked(service, "digit", said)).outputs["probabilities"].tolist() == expected


def test_colour(service: httpx.Client) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), np.uint8)
    predictions = service.post("/predict/object", json={"pixels": pictures.tolist()}).json()["predictions"]
    expected = [prediction["confidence"] for prediction in predictions]
    for values in (pictures, pictures.transpose(0, 2, 3, 1)):
        answer = read(asked(service, "object", tensor("image", values)))
        assert answer.outputs["probabilities"].max(1).tolist() == expected


def columns(rows: Any, dtype: str = "f4") -> list[dict[str, Any]]:
    return [tensor(n, rows[:, at].astype(dtype)) for at, n in enumerate(HOUSE_NAMES)]


def test_a_table_by_columns_or_as_a_matrix(service: httpx.Client) -> None:
    rows = [dict(zip(HOUSE_NAMES, row, strict=True)) for row in HOUSES.tolist()]
    expected = [p["price"] for p in service.post("/predict/house", json=rows).json()["predictions"]]
    shaped = [{**column, "shape": [3, 1]} for column in columns(HOUSES)]
    in_bytes = [binary_of(n, HOUSES[:, at]) for at, n in enumerate(HOUSE_NAMES)]
    body, length = body_of(*in_bytes[::-1])
    answers = [
        asked(service, "house", *columns(HOUSES)),
        asked(service, "house", *columns(HOUSES, "f8")[::-1]),
        asked(service, "house", *shaped),
        asked(service, "house", tensor("predict", HOUSES)),
        asked(service, "house", {**tensor("predict", HOUSES, "FP32"), "data": HOUSES.tolist()}),
        inferred(service, "house", body, **length),
    ]
    for answer in answers:
        assert read(answer).outputs["price"].ravel().tolist() == expected


def test_categories_and_what_is_missing(service: httpx.Client) -> None:
    rows = [{"age": 30, "job": "none, yet", "income": 2.5, "town": "Zürich"}, {"age": 40, "job": "3"}]
    expected = [p["probability"] for p in service.post("/predict/loan", json=rows).json()["predictions"]]
    jobs = {"name": "job", "shape": [2], "datatype": "BYTES", "data": ["none, yet", "3"]}
    towns = {"name": "town", "shape": [2], "datatype": "BYTES", "data": ["Zürich", None]}
    income = {"name": "income", "shape": [2], "datatype": "FP64", "data": [2.5, None]}
    age = tensor("age", np.array([30, 40]))
    in_json = asked(service, "loan", towns, age, jobs, income)
    body, length = body_of(
        binary_of("age", np.array([30, 40], "i2")),
        binary("job", packed([b"none, yet", b"3"]), [2, 1], "BYTES"),
        binary_of("income", np.array([2.5, np.nan], "f2")),
        binary("town", packed(["Zürich".encode(), b""]), [2, 1], "BYTES"),
    )
    by_place = np.array([[30, 2, 2.5, 1], [40, 3, np.nan, np.nan]], "f4")
    matrix, of_matrix = body_of(binary_of("all", by_place))
    for answer in (
        in_json,
        inferred(service, "loan", body, **length),
        inferred(service, "loan", matrix, **of_matrix),
    ):
        assert read(answer).outputs["probability"].ravel().tolist() == expected
    integers = {**jobs, "datatype": "INT64", "data": [3, 3]}
    assert read(asked(service, "loan", age, integers)).outputs["probability"].shape == (2, 1)


def test_numbers_are_an_output_each_of_which_some_are_chosen(service: httpx.Client) -> None:
    row = tensor("x", np.array([[80.0, 1.0, 2.0]]))
    assert list(read(asked(service, "house", row)).outputs) == ["price", "rent"]
    wanted = [{"name": "rent", "parameters": {"binary_data": True}}, {"name": "price"}]
    answer = read(asked(service, "house", row, outputs=wanted))
    predicted = service.post("/predict/house", json={"floor area (m²)": 80, "class": 1, "items": 2}).json()
    assert list(answer.outputs) == ["rent", "price"]
    assert answer.outputs["rent"] == np.float32(predicted["rent"])
    assert answer.outputs["price"] == predicted["price"]
    assert "data" not in answer.document["outputs"][0]


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("object", [["image", "UINT8", [-1, 3, 32, 32]]], [["probabilities", "FP32", [-1, 10]]]),
        (
            "loan",
            [
                ["age", "FP32", [-1, 1]],
                ["job", "BYTES", [-1, 1]],
                ["income", "FP32", [-1, 1]],
                ["town", "BYTES", [-1, 1]],
            ],
            [["probability", "FP32", [-1, 1]]],
        ),
        (
            "house",
            [[name, "FP32", [-1, 1]] for name in HOUSE_NAMES],
            [["price", "FP32", [-1, 1]], ["rent", "FP32", [-1, 1]]],
        ),
    ],
)
def test_a_model_says_what_it_takes_and_gives(
    service: httpx.Client, name: str, inputs: list[Any], outputs: list[Any]
) -> None:
    metadata = service.get(f"/v2/models/{name}").json()
    assert [list(told.values()) for told in metadata["inputs"]] == inputs
    assert [list(told.values()) for told in metadata["outputs"]] == outputs
    config = service.get(f"/v2/models/{name}/config").json()
    assert config["max_batch_size"] == (64 if name == "object" else 10_000)
    described = [
        (told["name"], told["data_type"].removeprefix("TYPE_"), told["dims"]) for told in config["input"]
    ]
    assert described == [(n, kind.replace("BYTES", "STRING"), shape[1:]) for n, kind, shape in inputs]
    optional = [told["name"] for told in config["input"] if told.get("optional")]
    assert optional == (["income", "town"] if name == "loan" else [])


def test_the_answer_says_who_gave_it(service: httpx.Client, digits: Digits) -> None:
    image = tensor("image", digits.images_u8[:1])
    unnamed = read(asked(service, "digit", image)).document
    assert list(unnamed) == ["model_name", "model_version", "outputs"]
    answer = asked(service, "digit", image, id="Ünique", model_name="other", sequence_id=7)
    assert {k: v for k, v in read(answer).document.items() if k != "outputs"} == {
        "model_name": "digit",
        "model_version": DIGIT_VERSION,
        "id": "Ünique",
    }
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["server-timing"].startswith("decode;dur=")
    content = json.dumps({"outputs": [], "inputs": [image]})
    older = service.post(f"/v2/models/digit/versions/{OLDER_DIGIT_VERSION}/infer", content=content)
    assert read(older).document["model_version"] == OLDER_DIGIT_VERSION


@pytest.mark.parametrize("binary_data", [True, False])
def test_the_likeliest_classes_as_triton_tells_them(
    service: httpx.Client, digits: Digits, binary_data: bool
) -> None:
    parameters = {"classification": 3, "binary_data": binary_data}
    image = tensor("image", digits.images_u8[:2])
    answer = read(
        asked(service, "digit", image, outputs=[{"name": "probabilities", "parameters": parameters}])
    )
    (output,) = answer.document["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 3])
    for row, texts in zip(probabilities(service, digits, 2), answer.outputs["probabilities"], strict=True):
        likeliest = sorted(range(10), key=row.__getitem__, reverse=True)[:3]
        assert texts.tolist() == [f"{row[at]:f}:{at}:{at}" for at in likeliest]


@pytest.mark.parametrize("content_type", ["", "application/json", "application/octet-stream", "text/plain"])
def test_the_content_type_says_nothing(service: httpx.Client, digits: Digits, content_type: str) -> None:
    fields = {"Content-Type": content_type} if content_type else {}
    body, length = body_of(binary_of("image", digits.images_u8[:1]))
    assert inferred(service, "digit", body, **length, **fields).status_code == 200
    whole = json.dumps({"inputs": [tensor("image", digits.images_u8[:1])]}).encode()
    for said in ({}, {LENGTH: str(len(whole))}):  # perf_analyzer states the length of a JSON, too
        assert inferred(service, "digit", whole, **said, **fields).status_code == 200


def test_two_content_types_say_nothing_either(service: httpx.Client, digits: Digits) -> None:
    """As transformers of KServe 0.21 send them, but where it is the type that tells what the content is."""
    two = [("Content-Type", "application/json"), ("content-type", "application/octet-stream")]
    body, length = body_of(binary_of("image", digits.images_u8[:1]))
    binary = [*two, *length.items()]
    for path, fields, status in (
        ("/v2/models/digit/infer", binary, 200),
        ("/v2/models/digit/infer?a=b", binary, 200),
        ("/v2/models/digit/infer", two, 400),
        ("/v2/models/digit/infer", [*binary, ("Authorization", "a"), ("Authorization", "b")], 400),
        ("/predict/digit", binary, 400),
    ):
        assert service.post(path, content=body, headers=fields).status_code == status, (path, fields)


def test_a_body_without_json_is_the_one_input(service: httpx.Client, digits: Digits) -> None:
    answer = inferred(service, "digit", digits.images_u8[:3].tobytes(), **{LENGTH: "0"})
    assert answer.headers["content-type"] == "application/octet-stream"
    assert np.array_equal(
        read(answer).outputs["probabilities"], np.array(probabilities(service, digits, 3), np.float32)
    )
    for model, body in (("digit", b"x" * 785), ("house", b"x" * 16), ("digit", b"")):
        assert inferred(service, model, body, **{LENGTH: "0"}).status_code == 400


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate"])
def test_requests_that_are_compressed(service: httpx.Client, digits: Digits, coding: str) -> None:
    """The length is that of the JSON before it was compressed."""
    encode = zlib.compress if coding == "deflate" else gzip.compress
    body, length = body_of(binary_of("image", digits.images_u8[:20]))
    assert int(length[LENGTH]) < len(body)
    answer = inferred(service, "digit", encode(body), **length, **{"Content-Encoding": coding})
    assert read(answer).outputs["probabilities"].tolist() == probabilities(service, digits, 20)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_answers_are_compressed_where_that_is_asked_for(
    service: httpx.Client, digits: Digits, coding: str
) -> None:
    body, length = body_of(
        binary_of("image", digits.images_u8[:64]), parameters={"binary_data_output": True}
    )
    fields = {"Accept-Encoding": coding, **length}
    with service.stream("POST", "/v2/models/digit/infer", content=body, headers=fields) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == coding
    plain = inferred(service, "digit", body, **length, **{"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert (gzip.decompress if coding == "gzip" else zlib.decompress)(raw) == plain.content
    assert answer.headers[LENGTH] == plain.headers[LENGTH]
    for path in ("/v2", "/v2/models/digit/config", "/v2/models/nothing"):
        assert "content-encoding" not in service.get(path, headers={"Accept-Encoding": coding}).headers


def test_inflated_bodies_are_held_to_the_limit(service: httpx.Client) -> None:
    for size, status in ((900_000, 400), (1_100_000, 413)):
        answer = inferred(service, "digit", gzip.compress(b" " * size), **{"Content-Encoding": "gzip"})
        assert answer.status_code == status
        assert answer.json()["error"]
    for coding in ("br", "gzip, gzip", "gzip, deflate"):
        answer = inferred(service, "digit", b"{}", **{"Content-Encoding": coding})
        assert answer.status_code == 415
        assert (
            answer.json()["error"]
            == f"The content is encoded ({coding}); one coding is read: gzip or deflate."
        )
        assert answer.headers["accept-encoding"] == "gzip, deflate"


IMAGE = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8", "data": [0] * 784}
HOURS = {"name": "hours", "shape": [1], "datatype": "FP32", "data": [1]}
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("digit", {}, "inputs: field required"),
    ("digit", {"inputs": []}, "inputs: "),
    ("digit", {"inputs": [{"shape": [1]}]}, "inputs.0.name: field required"),
    ("digit", {"inputs": [{**IMAGE, "name": "img"}]}, "no input 'img'; the model takes 'image'"),
    ("digit", {"inputs": [IMAGE, {**IMAGE, "name": "b"}]}, "no input 'b'; the model takes 'image' alone"),
    ("digit", {"inputs": [IMAGE, IMAGE]}, "'image' is there more than once"),
    (
        "digit",
        {"inputs": [IMAGE, IMAGE | {"name": "mask"}]},
        "no input 'mask'; the model takes 'image' alone",
    ),
    ("digit", {"inputs": [{**IMAGE, "datatype": "float32"}]}, "'float32' is no datatype"),
    ("digit", {"inputs": [{**IMAGE, "datatype": "FP32"}]}, "send UINT8"),
    ("digit", {"inputs": [{**IMAGE, "shape": [1, 27, 28]}]}, "has the shape [1, 27, 28]; the model takes"),
    ("digit", {"inputs": [{**IMAGE, "shape": [28, 28]}]}, "the model takes [N, 1, 28, 28]"),
    ("digit", {"inputs": [{**IMAGE, "shape": [-1, 28, 28]}]}, "inputs.0.shape.0"),
    ("digit", {"inputs": [{**IMAGE, "shape": [1.0, 28, 28]}]}, "inputs.0.shape.0"),
    ("digit", {"inputs": [{**IMAGE, "shape": [2**63, 2**63, 4]}]}, "inputs.0.shape.0"),
    ("digit", {"inputs": [{**IMAGE, "shape": [0, 28, 28], "data": []}]}, "0 rows"),
    ("digit", {"inputs": [{**IMAGE, "shape": [65, 28, 28]}]}, "65 rows; a request has 1 to 64"),
    ("digit", {"inputs": [{**IMAGE, "data": [1] * 783}]}, "784 elements, its data 783"),
    ("digit", {"inputs": [{**IMAGE, "data": None}]}, "its data is null, no list"),
    ("digit", {"inputs": [{**IMAGE, "datatype": "INT16", "data": [256] * 784}]}, "a pixel of 256"),
    (
        "digit",
        {"inputs": [{**IMAGE, "parameters": {"binary_data_size": 784}}]},
        "both data and binary_data_size",
    ),
    (
        "digit",
        {"inputs": [{**IMAGE, "parameters": {"shared_memory_region": "x"}}]},
        "input 'image' is to be in shared",
    ),
    (
        "pass",
        {
            "inputs": [HOURS],
            "outputs": [{"name": "probability", "parameters": {"shared_memory_region": "x"}}],
        },
        "output 'probability' is to be in shared memory",
    ),
    (
        "pass",
        {"inputs": [{**HOURS, "parameters": {"shared_memory_offset": 0}}]},
        "input 'hours' is to be in shared memory",
    ),
    ("digit", {"inputs": [{**IMAGE, "datatype": "BYTES", "shape": [1], "data": ["!"]}]}, "no Base64"),
    (
        "digit",
        {"inputs": [{**IMAGE, "datatype": "BYTES", "shape": [1], "data": ["iVBORw0KGgo="]}]},
        "image.0: The PNG file is damaged",
    ),
    ("digit", {"inputs": [IMAGE], "id": 7}, "id: "),
    ("digit", {"inputs": [IMAGE], "parameters": {"timeout": -1}}, "timeout"),
    ("digit", {"inputs": [IMAGE], "parameters": {"binary_data_output": "yes"}}, "binary_data_output"),
    ("digit", {"inputs": [IMAGE], "outputs": [{"name": "label"}]}, "no output 'label'; the model gives"),
    ("digit", {"inputs": [IMAGE], "outputs": 2 * [{"name": "probabilities"}]}, "more than once"),
    (
        "house",
        {
            "inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}],
            "outputs": [{"name": "rent", "parameters": {"classification": 1}}],
        },
        "no classes",
    ),
    ("pass", {"inputs": [{**HOURS, "data": [-1]}]}, "hours.0: input should be greater than or equal to 0"),
    ("pass", {"inputs": [{**HOURS, "data": [None]}]}, "hours.0: input should be a finite number"),
    ("pass", {"inputs": [{**HOURS, "datatype": "BYTES", "data": ["4"]}]}, "hours.0: "),
    ("pass", {"inputs": [{**HOURS, "datatype": "BOOL", "data": [True]}]}, "send FP32"),
    ("pass", {"inputs": [{**HOURS, "name": "days"}]}, "no input 'days'"),
    ("pass", {"inputs": [{**HOURS, "shape": [1, 1, 1]}]}, "[N] or [N, 1]"),
    ("house", {"inputs": columns(HOUSES)[:2]}, "items: field required"),
    ("house", {"inputs": [*columns(HOUSES)[:2], *columns(HOUSES[:2])[2:]]}, "have 3 and 2 rows"),
    (
        "loan",
        {"inputs": [{"name": "all", "shape": [1, 4], "datatype": "FP32", "data": [30, 9, 1, 0]}]},
        "job.0: ",
    ),
]


@pytest.mark.parametrize(("model", "document", "why"), WRONG, ids=[why for *_, why in WRONG])
def test_what_is_wrong_is_told(service: httpx.Client, model: str, document: Any, why: str) -> None:
    answer = inferred(service, model, json.dumps(document).encode())
    assert answer.status_code == 400
    assert why in answer.json()["error"]


def test_every_error_has_the_shape_that_clients_read(service: httpx.Client, digits: Digits) -> None:
    large = json.dumps(
        {"inputs": [{"name": "hours", "shape": [1], "datatype": "FP32", "data": [0] * 200_000}]}
    )
    errors = {
        404: service.post("/v2/models/nothing/infer", content=b"{}"),
        405: service.get("/v2/models/digit/infer"),
        413: inferred(service, "pass", large.encode()),
        415: inferred(service, "digit", b"{}", **{"Content-Encoding": "br"}),
        504: asked(service, "digit", tensor("image", digits.images_u8[:64]), parameters={"timeout": 1}),
    }
    for status, answer in errors.items():
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert isinstance(answer.json()["error"], str)
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
    for path in (
        "/v2/made/up",
        "/v2/models/nothing",
        "/v2/models/digit/versions/9",
        "/v2/models/digit/made/up",
    ):
        answer = service.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
        assert answer.json()["error"]
    assert service.get("/v2x").headers["content-type"] == "application/problem+json"
