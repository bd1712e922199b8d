"""Every way to send a picture, to digits and to another classifier: one answer, and errors that name it."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from service.artifacts.interface import Output, PictureInput
from service.artifacts.store import ArtifactStore
from tests.conftest import Digits, png, served
from training.publishing.publish import Candidate, publish

HEIGHT, WIDTH = 12, 16
JSON = {"Content-Type": "application/json"}


class Colours(torch.nn.Module):
    """Which of red, green and blue there is most of."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(images.float().mean(dim=(2, 3)) / 40, dim=1)


@pytest.fixture(scope="module")
def store(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("colours")
    shutil.copytree(published / "digit", root / "digit")
    levels = np.random.default_rng(0).integers(0, 256, (4, 3, HEIGHT, WIDTH), dtype=np.uint8)
    rows = torch.from_numpy(levels)
    colours = Candidate(
        name="colour",
        kind="picture",
        net=Colours(),
        input=PictureInput(height=HEIGHT, width=WIDTH, channels=3, resize="crop"),
        output=Output(kind="classes", labels=("red", "green", "blue")),
        metrics=(),
        training=None,
        check_rows=rows,
        proof_rows=rows,
        files={},
    )
    publish(colours, ArtifactStore(root))
    return root


@pytest.fixture(scope="module")
def client(store: Path) -> Iterator[httpx.Client]:
    with served("--artifacts", str(store)) as service:
        yield service.client


def painted(red: int, green: int, blue: int) -> Image.Image:
    levels = np.random.default_rng(red).integers(0, 30, (HEIGHT, WIDTH, 3))
    levels += np.array([red, green, blue])
    return Image.fromarray(levels.astype(np.uint8))


RED, BLUE = painted(200, 20, 90), painted(10, 60, 180)


def base64_of(picture: Image.Image) -> str:
    return base64.b64encode(png(picture)).decode()


def lists(picture: Image.Image, *, channels_last: bool = True) -> Any:
    levels = np.asarray(picture)
    return (levels if channels_last else levels.transpose(2, 0, 1)).tolist()


def asked(client: httpx.Client, model: str, document: Any) -> Any:
    response = client.post(f"/predict/{model}", json=document)
    assert response.status_code == 200, response.text
    return response.json()


ONE: dict[str, dict[str, Any]] = {
    "the body": {"content": png(RED), "headers": {"Content-Type": "image/png"}},
    "bytes": {"content": png(RED), "headers": {"Content-Type": "application/octet-stream"}},
    "no type": {"content": png(RED)},
    "no type, another format": {"content": png(RED, "BMP")},
    "a form": {"files": {"file": png(RED)}},
    "a form of PHP": {"files": {"file[]": png(RED)}},
    "Base64": {"json": {"image": base64_of(RED)}},
    "a data URL": {"json": {"image": f"data:image/png;base64,{base64_of(RED)}"}},
    "pixels": {"json": {"pixels": lists(RED)}},
    "pixels, channels first": {"json": {"pixels": lists(RED, channels_last=False)}},
    "an image of pixels": {"json": {"image": lists(RED)}},
}


@pytest.mark.parametrize("form", ONE)
def test_one_picture_has_one_answer_in_every_form(client: httpx.Client, form: str) -> None:
    response = client.post("/predict/colour", **ONE[form])
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer == (client.post("/predict/colour", **ONE["the body"])).json()
    assert answer["label"] == "red"
    assert [entry["label"] for entry in answer["top"]] == ["red", "blue", "green"]


SEVERAL: dict[str, dict[str, Any]] = {
    "a form": {"files": [("file", png(RED)), ("file", png(BLUE))]},
    "a form of axios": {"files": [("file[0]", png(RED)), ("file[1]", png(BLUE))]},
    "Base64": {"json": {"images": [base64_of(RED), base64_of(BLUE)]}},
    "pixels": {"json": {"pixels": [lists(RED), lists(BLUE)]}},
    "images of pixels": {
        "json": {"images": [lists(picture, channels_last=False) for picture in (RED, BLUE)]}
    },
}


@pytest.mark.parametrize("form", SEVERAL)
def test_several_pictures_have_one_answer_in_every_form(client: httpx.Client, form: str) -> None:
    response = client.post("/predict/colour", **SEVERAL[form])
    assert response.status_code == 200, response.text
    assert response.json() == (client.post("/predict/colour", **SEVERAL["a form"])).json()
    assert [prediction["label"] for prediction in response.json()["predictions"]] == ["red", "blue"]


@pytest.mark.parametrize(
    "document", [{"images": [base64_of(RED)]}, {"images": [lists(RED)]}], ids=["", "pixels"]
)
def test_a_list_of_one_is_answered_by_a_list(client: httpx.Client, document: Any) -> None:
    assert len((asked(client, "colour", document))["predictions"]) == 1


def test_large_documents_are_read_as_small_ones_are(client: httpx.Client) -> None:
    """In steps: a picture of a megabyte in lines, and sixty-four of pixels."""
    large = painted(200, 20, 90).resize((800, 700))
    text = base64.encodebytes(png(large, compress_level=0)).decode()
    whole = client.post("/predict/colour", content=png(large), headers={"Content-Type": "image/png"})
    assert asked(client, "colour", {"image": text}) == whole.json()
    many = asked(client, "colour", {"pixels": [lists(RED)] * 64})
    one = asked(client, "colour", {"pixels": lists(RED)})
    assert many["predictions"] == [{k: v for k, v in one.items() if k not in ("model", "version")}] * 64


def test_a_digit_as_base64_and_as_pixels(client: httpx.Client, digits: Digits) -> None:
    for image in digits.images_u8[:5]:
        usual = (client.post("/predict/digit", files={"file": png(image)})).json()
        assert asked(client, "digit", {"image": base64.b64encode(png(image)).decode()}) == usual
        for pixels in (image, image[None], image[..., None]):
            assert asked(client, "digit", {"pixels": pixels.tolist()}) == usual
    several = asked(client, "digit", {"pixels": digits.images_u8[:3].tolist()})
    assert len(several["predictions"]) == 3


def test_pixels_are_not_prepared(client: httpx.Client, digits: Digits) -> None:
    """A drawing in dark ink is turned when it comes as a file; its pixels are taken as they are."""
    dark = 255 - digits.images_u8[0]
    as_file = asked(client, "digit", {"image": base64.b64encode(png(dark)).decode()})
    assert asked(client, "digit", {"pixels": dark.tolist()}) != as_file


@pytest.mark.parametrize("field", ["image", "pixels"])
def test_a_digit_in_a_document_is_explained(client: httpx.Client, digits: Digits, field: str) -> None:
    image = digits.images_u8[1]
    value = image.tolist() if field == "pixels" else base64.b64encode(png(image)).decode()
    response = client.post("/predict/digit?explain=true", json={field: value})
    usual = client.post("/predict/digit?explain=true", files={"file": png(image)})
    assert response.json() == usual.json()
    two = client.post("/predict/digit?explain=true", json={"images": [value, value]})
    assert (two.status_code, two.json()["detail"]) == (422, "Only one picture a request can be explained.")


BAD = base64.b64encode(png(RED)[:40]).decode()


@pytest.mark.parametrize(
    ("document", "status", "field", "told"),
    [
        ({"image": "A?AA"}, 422, "image", "is no Base64"),
        ({"image": BAD}, 422, "image", "damaged"),
        ({"images": [base64_of(RED), BAD]}, 422, "images.1", "damaged"),
        ({"images": [BAD]}, 422, "images.0", "damaged"),
        ({"image": ""}, 422, "image", "empty"),
        ({"image": base64.b64encode(b"no picture").decode()}, 415, "image", "is not read"),
        ({"images": [base64_of(RED)] * 65}, 422, None, "more than 64 pictures"),
        ({"pixels": [lists(RED)] * 65}, 422, None, "more than 64 pictures"),
        ({"pixels": [[0.5]]}, 422, "pixels.0.0", "multiply"),
        ({"pixels": [[1, 2], [3, 4]]}, 422, "pixels", "the shape 2×2; the model takes 3×12×16 or 12×16×3"),
        ({"images": [lists(RED), [[0]]]}, 422, "images", "no regular list"),
        ({"photo": base64_of(RED)}, 422, "photo", "unknown field"),
        ([], 422, "", "must be an object"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_wrong_with_a_document_names_its_field(
    client: httpx.Client, document: Any, status: int, field: str | None, told: str
) -> None:
    response = client.post("/predict/colour", json=document)
    problem = response.json()
    assert (response.status_code, problem["status"]) == (status, status)
    assert [error["field"] for error in problem.get("errors", [])] == ([] if field is None else [field])
    assert told in problem["detail"]


@pytest.mark.parametrize(
    ("content_type", "content", "status"),
    [
        ("application/octet-stream", b"no picture", 415),
        ("application/octet-stream", b"", 422),
        ("application/octet-stream; charset=binary", png(RED), 200),
        (None, b"no picture", 415),
        (None, b"", 415),
        (None, b'{"image": "AAAA"}', 415),
        ("text/plain", png(RED), 415),
        ("application/x-www-form-urlencoded", png(RED), 415),
        ("application/json", png(RED), 422),
        ("application/json; charset=utf-8", json.dumps({"image": base64_of(RED)}).encode(), 200),
    ],
    ids=range(10),
)
def test_what_a_body_is_said_to_be(
    client: httpx.Client, content_type: str | None, content: bytes, status: int
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    for model in ("colour", "digit"):
        response = client.post(f"/predict/{model}", content=content, headers=headers)
        assert response.status_code == status, response.text


@pytest.mark.parametrize(("model", "shape"), [("colour", [3, HEIGHT, WIDTH]), ("digit", [1, 28, 28])])
def test_openapi_says_what_is_read(client: httpx.Client, model: str, shape: list[int]) -> None:
    """And its example is answered."""
    paths = client.get("/openapi.json").json()["paths"]
    content = paths[f"/predict/{model}"]["post"]["requestBody"]["content"]
    assert set(content) == {
        "multipart/form-data",
        "image/*",
        "application/octet-stream",
        "application/json",
    }
    of_json = content["application/json"]
    assert client.post(f"/predict/{model}", json=of_json["example"]).status_code == 200
    forms = {form["required"][0]: form["properties"] for form in of_json["schema"]["oneOf"]}
    assert list(forms) == ["image", "images", "pixels"]
    text, own, *_ = forms["image"]["image"]["anyOf"]
    assert text["type"] == "string"
    for length in shape:
        assert (own["minItems"], own["maxItems"]) == (length, length)
        own = own["items"]
    assert own == {"type": "integer", "minimum": 0, "maximum": 255}
    (files,) = content["multipart/form-data"]["schema"]["patternProperties"]
    assert [
        bool(re.search(files, name)) for name in ("file", "file[]", "file[12]", "files", "file[a]")
    ] == [
        True,
        True,
        True,
        False,
        False,
    ]
