"""A classifier of pictures in colour, which no file of the service knows."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import png
from tests.connections.watched import Watched, watched
from tests.endpoints import described
from tests.endpoints.tiny_models import publish_colours

COLOURS = {"red": (250, 5, 10), "green": (5, 250, 10), "blue": (5, 10, 250)}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    root = tmp_path_factory.mktemp("pictures")
    publish_colours(root)
    with watched(root) as service:
        yield service


@pytest.fixture
def client(service: Watched) -> httpx.Client:
    return service.client


def painted(colour: str, size: tuple[int, int] = (60, 40), image_format: str = "PNG") -> bytes:
    return png(Image.new("RGB", size, COLOURS[colour]), image_format)


def post(client: httpx.Client, picture: bytes, query: str = "", **fields: str) -> httpx.Response:
    headers = {"Content-Type": "image/png", **fields}
    return client.post(f"/predict/colour{query}", content=picture, headers=headers)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("size", [(6, 4), (4, 6), (1, 1), (600, 30), (320, 240)])
def test_a_picture_of_any_size_is_answered_by_a_class(
    client: httpx.Client, colour: str, size: tuple[int, int]
) -> None:
    answer = post(client, painted(colour, size)).json()
    assert list(answer) == ["label", "confidence", "top", "out_of_distribution", "model", "version"]
    assert (answer["label"], answer["model"], answer["version"]) == (colour, "colour", 1)
    assert answer["out_of_distribution"] is None  # it cannot tell
    assert answer["top"][0]["label"] == colour
    probabilities = [one["probability"] for one in answer["top"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1)
    assert answer["confidence"] == probabilities[0] > 0.99


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_picture_of_any_format(client: httpx.Client, image_format: str) -> None:
    assert post(client, painted("green", image_format=image_format)).json()["label"] == "green"


def test_several_are_answered_in_their_order(client: httpx.Client) -> None:
    wanted = ["blue", "red", "green", "red", "blue"] * 3
    files = [("file", (f"{i}.png", painted(colour))) for i, colour in enumerate(wanted)]
    answer = client.post("/predict/colour", files=files).json()
    assert list(answer) == ["predictions", "model", "version"]
    assert [one["label"] for one in answer["predictions"]] == wanted


def test_the_middle_is_cut_out(client: httpx.Client) -> None:
    picture = np.zeros((40, 200, 3), np.uint8)
    picture[:, :] = COLOURS["red"]
    picture[:, 70:130] = COLOURS["blue"]  # what 6 × 4 leaves of the middle
    assert post(client, png(picture)).json()["label"] == "blue"


@pytest.mark.parametrize(("top", "count"), [("1", 1), ("2", 2), ("3", 3), ("100", 3), ("007", 3)])
def test_so_many_of_the_likeliest_are_answered(client: httpx.Client, top: str, count: int) -> None:
    answer = post(client, painted("red"), f"?top={top}").json()
    assert len(answer["top"]) == count
    assert answer["top"][0] == {"label": "red", "probability": answer["confidence"]}


@pytest.mark.parametrize(
    "top",
    ["0", "101", "-1", "x", "", "1.5", "9" * 5_000, "0001" + "0" * 4_400, "0100000", "%D9%A3", "1e1", "+1"],
)
def test_another_number_of_them_is_refused(client: httpx.Client, top: str) -> None:
    response = post(client, painted("red"), f"?top={top}")
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["top"]


def test_what_is_no_picture_is_told(client: httpx.Client) -> None:
    for body in (b"", b"hello", painted("red")[:60]):
        assert post(client, body).status_code in (415, 422)
    files = [("file", painted("red")), ("file", b"hello")]
    response = client.post("/predict/colour", files=files)
    assert response.status_code in (415, 422)
    assert response.json()["errors"][0]["field"] == "file.1"
    response = client.post("/predict/colour", content=b"x", headers={"Content-Type": "text/plain"})
    assert response.status_code == 415
    response = client.post("/predict/colour", files=[("file", painted("red"))] * 65)
    assert response.status_code in (413, 422)


def test_grey_and_transparent_pictures(client: httpx.Client) -> None:
    grey = post(client, png(Image.new("L", (30, 20), 90))).json()
    assert grey["confidence"] == pytest.approx(1 / 3, abs=1e-3)
    palette = png(Image.new("RGB", (30, 20), COLOURS["red"]).convert("P"))
    assert post(client, palette).json()["label"] == "red"
    assert post(client, png(Image.new("RGBA", (30, 20), (*COLOURS["blue"], 255)))).json()["label"] == "blue"


def test_a_table_of_answers(client: httpx.Client) -> None:
    files = [("file", painted("blue")), ("file", painted("red"))]
    response = client.post("/predict/colour?top=2", files=files, headers={"Accept": "text/csv"})
    table = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["label"] for row in table] == ["blue", "red"]
    assert [row["top.0.label"] for row in table] == ["blue", "red"]
    assert [row["out_of_distribution"] for row in table] == ["", ""]


def test_answers_are_as_described(client: httpx.Client) -> None:
    document: dict[str, Any] = client.get("/openapi.json").json()
    schema = described.answer_schema(document, "colour")
    one = post(client, painted("red")).json()
    many = client.post("/predict/colour", files=[("file", painted("red"))] * 2).json()
    assert described.is_valid(document, schema, one)
    assert described.is_valid(document, schema, many)
    assert not described.is_valid(document, schema, one | {"label": "yellow"})
    operation = described.operation(document, "colour")
    assert [p["name"] for p in operation["parameters"] if p["in"] == "query"] == ["top"]
    assert {"multipart/form-data", "image/*"} <= operation["requestBody"]["content"].keys()
