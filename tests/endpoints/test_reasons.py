"""`reason`: why a picture is called no digit, over HTTP."""

import base64
import json

import httpx
import numpy as np
from PIL import Image, ImageDraw

from tests.conftest import Digits, png
from tests.pictures.digits.test_side_by_side import in_a_row

PATH = "/predict/digit"


def test_a_digit_has_no_reason(committed_server: httpx.Client, digits: Digits) -> None:
    """As MNIST has it, one or many at once, and drawn."""
    files = [("file", png(image_u8)) for image_u8 in digits.images_u8[:64]]
    drawn = [("file", png(in_a_row(image_u8[None], 0))) for image_u8 in digits.images_u8[:64]]
    for sent in (files[:1], files, drawn[:1], drawn):
        answer = committed_server.post(PATH, files=sent).json()
        for one in answer.get("predictions", [answer]):
            assert (one["reason"] is None) == (one["out_of_distribution"] is False)


def test_a_number_is_several_digits(committed_server: httpx.Client, digits: Digits) -> None:
    """In its place among others, too, and where `explain` says where they are."""
    one, number = png(in_a_row(digits.images_u8[:1], 0)), png(in_a_row(digits.images_u8[:3], 4))
    alone = committed_server.post(PATH, files={"file": number}).json()
    assert (alone["out_of_distribution"], alone["reason"]) == (True, "several_digits")
    among = committed_server.post(PATH, files=[("file", one), ("file", number), ("file", one)]).json()
    assert [each["reason"] for each in among["predictions"]] == [None, "several_digits", None]
    document = {"image": base64.b64encode(number).decode()}
    assert committed_server.post(PATH, json=document).json()["reason"] == "several_digits"

    explained = committed_server.post(f"{PATH}?explain=true", files={"file": number}).json()
    boxes = explained["explanation"]["boxes"]
    assert explained["reason"] == "several_digits"
    assert len(boxes) == 3
    assert boxes == sorted(boxes)
    whole = explained["explanation"]["box"]
    assert np.abs(np.subtract((boxes[0][0], boxes[-1][2]), (whole[0], whole[2]))).max() <= 2


def test_what_is_cut_off_is_outside(committed_server: httpx.Client) -> None:
    picture = Image.new("L", (200, 200), 255)
    drawing = ImageDraw.Draw(picture)
    for at in (30, 80, 130):
        drawing.line([(at, 40), (at, 160)], fill=0, width=10)
        drawing.line([(0, at + 20), (150, at + 20)], fill=0, width=10)
    answer = committed_server.post(PATH, files={"file": png(picture)}).json()
    assert (answer["out_of_distribution"], answer["reason"]) == (True, "mostly_outside")


def test_anything_else_is_no_digit(committed_server: httpx.Client) -> None:
    """A drawing, and rows of pixels: noise, and nothing at all."""
    picture = Image.new("L", (200, 200), 255)
    drawing = ImageDraw.Draw(picture)
    for at in (40, 100, 160):
        drawing.line([(at, 30), (at, 170)], fill=0, width=8)
        drawing.line([(30, at), (170, at)], fill=0, width=8)
    answer = committed_server.post(PATH, files={"file": png(picture)}).json()
    assert (answer["out_of_distribution"], answer["reason"]) == (True, "no_digit")
    noise = np.random.default_rng(0).integers(0, 256, (28, 28)).tolist()
    answers = committed_server.post(PATH, json={"pixels": [noise, [[0] * 28] * 28]}).json()["predictions"]
    assert answers[0]["reason"] == "no_digit"
    assert (answers[1]["reason"] is None) == (answers[1]["out_of_distribution"] is False)


async def test_of_a_model_without_a_score_several_are_told_alone(
    client: httpx.AsyncClient, digits: Digits
) -> None:
    files = [("file", png(digits.images_u8[0])), ("file", png(in_a_row(digits.images_u8[:2], 4)))]
    answers = (await client.post(PATH, files=files)).json()["predictions"]
    assert [one["out_of_distribution"] for one in answers] == [None, True]
    assert [one["reason"] for one in answers] == [None, "several_digits"]


def test_csv_has_a_column_for_it(committed_server: httpx.Client, digits: Digits) -> None:
    files = [("file", png(digits.images_u8[0])), ("file", png(in_a_row(digits.images_u8[:2], 4)))]
    answer = committed_server.post(PATH, files=files, headers={"Accept": "text/csv"})
    names, *rows = (line.split(",") for line in answer.text.splitlines())
    assert [row[names.index("reason")] for row in rows] == ["", "several_digits"]


def test_the_protocol_answers_as_it_did(committed_server: httpx.Client, digits: Digits) -> None:
    """What the model says, whatever stands beside it."""
    number = base64.b64encode(png(in_a_row(digits.images_u8[:2], 4))).decode()
    inputs = [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [number]}]
    answer = committed_server.post("/v2/models/digit/infer", content=json.dumps({"inputs": inputs})).json()
    assert [output["name"] for output in answer["outputs"]] == ["probabilities", "out_of_distribution"]
