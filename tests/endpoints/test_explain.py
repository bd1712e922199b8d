"""`?explain=true`: the picture that the model saw, where it was found, and which ink mattered."""

import base64
from io import BytesIO

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.pictures.digits.preparation import prepare
from tests.conftest import Digits, png


def picture(data_url: str) -> NDArray[np.uint8]:
    head, _, data = data_url.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(BytesIO(base64.b64decode(data))))


def sheet(image_u8: NDArray[np.uint8]) -> Image.Image:
    """Dark ink at (100, 40) of a white sheet of 400×300."""
    paper = Image.new("L", (400, 300), 255)
    paper.paste(Image.fromarray(255 - image_u8).resize((140, 140), Image.Resampling.BICUBIC), (100, 40))
    return paper


def test_what_the_model_saw_comes_back(committed_server: httpx.Client, digits: Digits) -> None:
    upload = sheet(digits.images_u8[0])
    files = {"file": png(upload)}
    plain = committed_server.post("/predict/digit", files=files).json()
    answer = committed_server.post("/predict/digit?explain=true", files=files).json()
    explanation = answer.pop("explanation")
    assert "explanation" not in plain
    assert answer["digit"] == plain["digit"]
    assert answer["probabilities"] == pytest.approx(plain["probabilities"], abs=1e-4)
    assert picture(explanation["image"]).tobytes() == prepare(upload).pixels
    assert explanation["polarity"] == "dark-on-light"
    left, top, right, bottom = explanation["box"]
    ink = Image.fromarray(255 - np.asarray(upload)).point([255 * (v > 100) for v in range(256)]).getbbox()
    assert np.abs(np.subtract((left, top, right, bottom), ink or ())).max() <= 6


def test_ink_matters_and_empty_ground_does_not(committed_server: httpx.Client, digits: Digits) -> None:
    for image_u8 in digits.images_u8[:10]:
        answer = committed_server.post("/predict/digit?explain=1", files={"file": png(image_u8)}).json()
        saliency = picture(answer["explanation"]["saliency"]).astype(float)
        assert saliency.shape == (28, 28)
        near = np.asarray(Image.fromarray(image_u8).resize((7, 7), Image.Resampling.BOX)) > 0
        ground = ~np.kron(near, np.ones((4, 4), dtype=bool))
        assert saliency[~ground].sum() > saliency[ground].sum()
        assert answer["explanation"]["polarity"] == "light-on-dark"


@pytest.mark.parametrize("query", ["", "?explain=false", "?explain=0", "?other=1"])
def test_nothing_is_explained_unless_asked(
    committed_server: httpx.Client, digits: Digits, query: str
) -> None:
    response = committed_server.post(f"/predict/digit{query}", files={"file": png(digits.images_u8[0])})
    assert "explanation" not in response.json()


def test_what_cannot_be_explained_is_422(committed_server: httpx.Client, digits: Digits) -> None:
    file = ("file", png(digits.images_u8[0]))
    assert committed_server.post("/predict/digit?explain=maybe", files=[file]).status_code == 422
    several = committed_server.post("/predict/digit?explain=true", files=[file, file])
    assert several.status_code == 422
    assert "one picture" in several.json()["detail"]
    broken = committed_server.post("/predict/digit?explain=true", files={"file": b"\x89PNG\r\n\x1a\n"})
    assert broken.status_code == 422
