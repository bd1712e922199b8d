"""POST /predict/digit, in all its forms."""

import threading
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from service.app import create_app
from service.engine.loading import load
from service.settings import Settings
from tests.conftest import COMMITTED, CPU, Digits, png, running

Files = list[tuple[str, tuple[str | None, bytes, str]]]


def upload(*pictures: bytes, name: str = "digit.png", content_type: str = "image/png") -> Files:
    return [("file", (name, picture, content_type)) for picture in pictures]


async def test_one_as_a_form(client: httpx.AsyncClient, digits: Digits) -> None:
    response = await client.post("/predict/digit", files=upload(png(digits.images_u8[0])))
    assert response.status_code == 200
    body = response.json()
    assert list(body) == [
        "digit",
        "confidence",
        "probabilities",
        "out_of_distribution",
        "reason",
        "model",
        "version",
    ]
    assert body["out_of_distribution"] is None  # this model gives no score
    assert len(body["probabilities"]) == 10
    assert sum(body["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert body["confidence"] == max(body["probabilities"]) == body["probabilities"][body["digit"]]
    assert (body["model"], body["version"]) == ("digit", 1)


async def test_the_image_itself_as_the_body(client: httpx.AsyncClient, digits: Digits) -> None:
    data = png(digits.images_u8[1])
    as_form = (await client.post("/predict/digit", files=upload(data))).json()
    as_body = await client.post("/predict/digit", content=data, headers={"Content-Type": "image/png"})
    assert as_body.json() == as_form


async def test_many_are_answered_in_order(client: httpx.AsyncClient, digits: Digits) -> None:
    pictures = [png(image) for image in digits.images_u8[:64]]
    response = await client.post("/predict/digit", files=upload(*pictures))
    predictions = response.json()["predictions"]
    assert len(predictions) == 64
    for i in (0, 17, 63):
        alone = (await client.post("/predict/digit", files=upload(pictures[i]))).json()
        assert predictions[i]["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-6)


@pytest.mark.parametrize(
    "name", ["", "七.png", "d\u00eegit \u2014 7.PNG", 'a;b="c".png', "../../x", "no extension"]
)
async def test_what_a_file_is_called_does_not_matter(
    client: httpx.AsyncClient, digits: Digits, name: str
) -> None:
    response = await client.post("/predict/digit", files=upload(png(digits.images_u8[0]), name=name))
    assert response.status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "image/jpeg", "application/octet-stream"])
async def test_what_a_part_says_it_is_does_not_matter(
    client: httpx.AsyncClient, digits: Digits, content_type: str
) -> None:
    files = upload(png(digits.images_u8[0]), content_type=content_type)
    assert (await client.post("/predict/digit", files=files)).status_code == 200


async def test_a_mislabelled_body_is_read_as_what_it_is(client: httpx.AsyncClient, digits: Digits) -> None:
    headers = {"Content-Type": "image/jpeg"}
    response = await client.post("/predict/digit", content=png(digits.images_u8[0]), headers=headers)
    assert response.status_code == 200


async def test_a_chunked_body_is_read(client: httpx.AsyncClient, digits: Digits) -> None:
    data = png(digits.images_u8[0])

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 10):
            yield data[start : start + 10]

    headers = {"Content-Type": "image/png"}
    response = await client.post("/predict/digit", content=in_pieces(), headers=headers)
    assert response.status_code == 200


async def test_timings_are_told(client: httpx.AsyncClient, digits: Digits) -> None:
    response = await client.post("/predict/digit", files=upload(png(digits.images_u8[0])))
    timings = dict(part.split(";dur=") for part in response.headers["server-timing"].split(", "))
    assert list(timings) == ["decode", "queue", "infer"]
    assert all(0 <= float(ms) < 60_000 for ms in timings.values())


BOUNDARY = {"Content-Type": "multipart/form-data; boundary=x"}
DISPOSITION = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "cut short"),
        (b"--x--\r\n", "no file"),
        (b"nonsense", "cannot be read"),
        (DISPOSITION + b"half a file", "cut short"),
        (DISPOSITION + b"\r\n--x--\r\n", "empty"),
        (b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nq\r\n--x--\r\n', "'image'"),
        (b"--x\r\nContent-Type: image/png\r\n\r\nq\r\n--x--\r\n", "''"),
        ((DISPOSITION + b"q\r\n") * 65 + b"--x--\r\n", "more than 64"),
        (b"--x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n--x--\r\n", "cannot be read"),
        (b"--x\r\nA: " + b"b" * 1_000_000 + b"\r\n\r\n--x--\r\n", "cannot be read"),
    ],
)
async def test_a_form_that_cannot_be_understood(
    client: httpx.AsyncClient, body: bytes, complaint: str
) -> None:
    response = await client.post("/predict/digit", content=body, headers=BOUNDARY)
    assert response.status_code == 422
    assert complaint in response.json()["detail"]


async def test_a_form_without_a_boundary(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    response = await client.post("/predict/digit", content=b"--x--", headers=headers)
    assert response.status_code == 422
    assert "boundary" in response.json()["detail"]


async def test_text_around_the_parts_is_ignored(client: httpx.AsyncClient, digits: Digits) -> None:
    body = DISPOSITION + png(digits.images_u8[0]) + b"\r\n--x--\r\nepilogue"
    assert (await client.post("/predict/digit", content=body, headers=BOUNDARY)).status_code == 200


@pytest.mark.parametrize(
    ("pictures", "of_mnist"), [(1, True), (64, True), (1, False), (64, False)], ids=str
)
async def test_only_a_few_of_mnists_own_pictures_are_read_on_the_event_loop(
    client: httpx.AsyncClient,
    digits: Digits,
    monkeypatch: pytest.MonkeyPatch,
    pictures: int,
    of_mnist: bool,
) -> None:
    """What has not MNIST's form is prepared, which takes 40 times as long, in another process."""
    loops_own, threads = threading.get_ident(), set()
    for module, name in (("decoding.decoder", "find"), ("pictures.digits.mnist", "in_mnist_form")):
        honest = getattr(import_module(f"service.{module}"), name)

        def seen(*arguments: Any, honest: Any = honest, name: str = name) -> Any:
            if name == "find" or len(arguments[0]) > 1:
                threads.add(threading.get_ident())
            return honest(*arguments)

        monkeypatch.setattr(f"service.{module}.{name}", seen)
    images = digits.images_u8[:pictures] if of_mnist else 255 - digits.images_u8[:pictures]
    response = await client.post("/predict/digit", files=upload(*map(png, images)))
    assert response.status_code == 200
    assert loops_own not in threads
    assert bool(threads) == (pictures > 1)


async def test_one_bad_picture_is_named(client: httpx.AsyncClient, digits: Digits) -> None:
    good = png(digits.images_u8[0])
    response = await client.post("/predict/digit", files=upload(good, good, good[:40], good))
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"field": "file.2", "message": response.json()["detail"]},
    ]


async def test_the_path_from_upload_to_answer_is_the_model_on_the_raw_tensor(digits: Digits) -> None:
    """What the archive answers to the raw tensor is what the service answers to the PNG."""
    images = digits.images_u8[:64]
    async with running(create_app(Settings(artifacts=COMMITTED, precision="float32"))) as committed:
        response = await committed.post("/predict/digit", files=upload(*map(png, images)))
    served = [p["probabilities"] for p in response.json()["predictions"]]
    version = response.json()["version"]
    raw = load(COMMITTED / "digit" / str(version), CPU).predict(torch.from_numpy(images).unsqueeze(1))
    assert np.allclose(served, raw[:, :10].numpy(), atol=1e-6)  # behind the probabilities stands the score
