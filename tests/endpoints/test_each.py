"""`?each=true`: every digit of a number, over HTTP."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.app import create_app
from service.settings import Settings
from tests.conftest import Digits, metric_sum, png, running
from tests.pictures.numbers.drawn import in_boxes, ink_of, on_paper, stacked

PATH = "/predict/digit?each=true"


@pytest.fixture(scope="module")
def number(digits: Digits) -> Image.Image:
    """Of the first six digits."""
    return on_paper(ink_of(list(digits.images_u8[:6]), 1, np.random.default_rng(0)))


def read(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [one["digit"] for one in answer.json()["predictions"]]


def test_every_digit_is_answered_in_order(
    committed_server: httpx.Client, digits: Digits, number: Image.Image
) -> None:
    answer = committed_server.post(PATH, files={"file": png(number)})
    assert read(answer) == digits.labels[:6].tolist()
    document = answer.json()
    assert list(document) == ["predictions", "model", "version"]
    for one in document["predictions"]:
        assert list(one)[-3:] == ["reason", "line", "box"]
        assert one["confidence"] == max(one["probabilities"]) == one["probabilities"][one["digit"]]
        assert (one["out_of_distribution"], one["reason"], one["line"]) == (False, None, 0)
    boxes = [one["box"] for one in document["predictions"]]
    assert [box[0] for box in boxes] == sorted(box[0] for box in boxes)
    ink = Image.fromarray(np.where(np.asarray(number) < 128, 255, 0).astype(np.uint8)).getbbox()
    edges = [min(box[at] for box in boxes) for at in (0, 1)] + [
        max(box[at] for box in boxes) for at in (2, 3)
    ]
    assert edges == pytest.approx(ink, abs=4)


def test_whatever_the_form(committed_server: httpx.Client, digits: Digits, number: Image.Image) -> None:
    data = png(number)
    expected = committed_server.post(PATH, files={"file": data}).json()
    text = base64.b64encode(data).decode()
    for how in (
        {"content": data, "headers": {"Content-Type": "image/png"}},
        {"content": data},
        {"files": {"file[]": data}},
        {"json": {"image": text}},
        {"json": {"images": [f"data:image/png;base64,{text}"]}},
    ):
        assert committed_server.post(PATH, **how).json() == expected
    live = expected["version"]
    of_version = committed_server.post(f"/predict/digit/versions/{live}?each=1", files={"file": data})
    assert of_version.json() == expected
    pixels = digits.images_u8[0].tolist()
    assert read(committed_server.post(PATH, json={"pixels": pixels})) == [digits.labels[0]]


def test_lines_and_forms(committed_server: httpx.Client, digits: Digits) -> None:
    random = np.random.default_rng(0)
    lines = stacked([ink_of(list(digits.images_u8[at : at + 4]), 4, random) for at in (0, 4)])
    answer = committed_server.post(PATH, files={"file": png(on_paper(lines))})
    assert read(answer) == digits.labels[:8].tolist()
    assert [one["line"] for one in answer.json()["predictions"]] == [0] * 4 + [1] * 4
    form = in_boxes(list(digits.images_u8[:8]), 0, 4, random).convert("RGB")
    turned = form.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x112] = 6  # shown turned to the right
    answer = committed_server.post(PATH, files={"file": png(turned, "JPEG", quality=95, exif=exif)})
    assert read(answer) == digits.labels[:8].tolist()
    assert answer.json()["predictions"][-1]["box"][2] > form.height  # of the upright picture


def test_one_digit_is_answered_as_without_it(committed_server: httpx.Client, digits: Digits) -> None:
    for image_u8 in digits.images_u8[:5]:
        alone = committed_server.post("/predict/digit", files={"file": png(image_u8)}).json()
        (one,) = committed_server.post(PATH, files={"file": png(image_u8)}).json()["predictions"]
        assert one["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-6)


def test_as_lines_and_as_a_table(
    committed_server: httpx.Client, digits: Digits, number: Image.Image
) -> None:
    def sent(accept: str) -> str:
        return committed_server.post(PATH, files={"file": png(number)}, headers={"Accept": accept}).text

    lines = [json.loads(line) for line in sent("application/x-ndjson").splitlines()]
    assert [line["digit"] for line in lines] == digits.labels[:6].tolist()
    names, *rows = (row.split(",") for row in sent("text/csv").splitlines())
    boxes = [[int(row[names.index(f"box.{edge}")]) for edge in range(4)] for row in rows]
    assert boxes == [line["box"] for line in lines]


@pytest.mark.parametrize(
    ("query", "pictures", "slug", "says"),
    [
        ("each=maybe", 1, "invalid-input", "each must be true or false"),
        ("each=true", 2, "invalid-input", "Only one picture"),
        ("each=true&explain=true", 1, "invalid-input", "leave one of both out"),
    ],
)
def test_what_cannot_be_is_422(
    committed_server: httpx.Client, number: Image.Image, query: str, pictures: int, slug: str, says: str
) -> None:
    files = [("file", png(number))] * pictures
    answer = committed_server.post(f"/predict/digit?{query}", files=files)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith(slug)
    assert says in answer.json()["detail"]


def many() -> Image.Image:
    """70 upright strokes."""
    sheet = np.full((600, 900), 255, np.uint8)
    for number in range(70):
        y, x = 30 + number // 14 * 110, 40 + number % 14 * 60
        sheet[y : y + 70, x : x + 9] = 0
    return Image.fromarray(sheet)


@pytest.mark.parametrize(
    ("picture", "slug", "says"),
    [
        (Image.new("L", (5000, 5000), 255), "blank-image", "blank"),
        (Image.new("L", (1, 1), 255), "blank-image", "blank"),
        (many(), "invalid-input", "has 70 digits"),
    ],
)
def test_none_and_too_many_are_422(
    committed_server: httpx.Client, picture: Image.Image, slug: str, says: str
) -> None:
    answer = committed_server.post(PATH, files={"file": png(picture)})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["type"].endswith(slug)
    assert says in problem["detail"]
    assert problem["errors"][0]["field"] == "file"


def test_specks_and_noise_fail_nobody(committed_server: httpx.Client) -> None:
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:900, 0:900]
    specks = np.full((900, 900), 255, np.uint8)
    for top, left in random.integers(0, 896, (10_000, 2)):
        specks[top : top + 3, left : left + 3] = 0
    for levels in (
        specks,
        random.integers(0, 256, (900, 900)),
        (x // 5 + y // 5) % 2 * 255,
        (x % 9 < 3) * 255,
    ):
        picture = png(Image.fromarray(levels.astype(np.uint8)))
        assert committed_server.post(PATH, files={"file": picture}).status_code in (200, 422)
    assert metric_sum(committed_server.get("/metrics").text, "abacus_queue_rows") == 0


async def test_its_rows_take_permits_like_any(published: Path, number: Image.Image) -> None:
    """Where there are fewer than it has candidates it is answered alone, beside others perhaps not."""
    settings = Settings(artifacts=published, max_queued_batches=1)
    async with running(create_app(settings)) as client:
        answers = await asyncio.gather(*[client.post(PATH, files={"file": png(number)}) for _ in range(6)])
        assert {200} <= {answer.status_code for answer in answers} <= {200, 429}
        assert all(answer.status_code == 200 or int(answer.headers["retry-after"]) for answer in answers)
        assert (await client.post(PATH, files={"file": png(number)})).status_code == 200
        assert metric_sum((await client.get("/metrics")).text, "abacus_queue_rows") == 0


async def test_its_time_may_be_over(client: httpx.AsyncClient, number: Image.Image) -> None:
    headers = {"X-Request-Timeout-Ms": "1"}
    answer = await client.post(PATH, files={"file": png(number)}, headers=headers)
    assert answer.status_code in (408, 504)


def test_openapi_says_so(committed_server: httpx.Client, number: Image.Image) -> None:
    document: Any = committed_server.get("/openapi.json").json()
    operation = document["paths"]["/predict/digit"]["post"]
    assert "each" in [parameter.get("name") for parameter in operation["parameters"]]
    one, _ = operation["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"]
    answered = committed_server.post(PATH, files={"file": png(number)}).json()["predictions"][0]
    assert set(answered) <= set(one["properties"])
    assert {"line", "box"} & set(one["required"]) == set()
