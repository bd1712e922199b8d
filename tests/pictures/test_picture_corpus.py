"""Every picture that Pillow's source distribution brings, some damaged on purpose: none fails us."""

import warnings
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from service.pictures.formats.recognition import sniff
from tests.conftest import ROOT

PICTURES = ROOT / ".pictures"
MOST_PIXELS = 25_000_000

pytestmark = pytest.mark.pictures


def corpus() -> list[Path]:
    return sorted(path for path in PICTURES.glob("*/Tests/images/**/*") if path.is_file())


def pillow_reads(data: bytes) -> bool:
    """Whether Pillow shows it, of a format that is read here."""
    image_format = sniff(data)
    if image_format is None:
        return False
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(BytesIO(data), formats=[image_format]) as picture,
        ):
            picture.load()
            return picture.width * picture.height <= MOST_PIXELS
    except Exception:
        return False


def test_the_corpus_is_there() -> None:
    assert len(corpus()) > 1000


@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.name)
def test_a_picture_is_read_or_refused_with_a_reason(committed_server: httpx.Client, path: Path) -> None:
    data = path.read_bytes()
    answer = committed_server.post("/predict/digit", content=data, headers={"Content-Type": "image/png"})
    if answer.status_code == 200:
        assert answer.json()["digit"] in range(10)
        return
    problem = answer.json()
    assert answer.status_code in (413, 415, 422), problem
    assert len(problem["detail"]) > 20
    if pillow_reads(data):
        assert problem["type"].rpartition(":")[2] == "blank-image", problem
