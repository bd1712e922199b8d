"""Pictures in JSON: how clients write Base64, and what is told of anything else."""

import base64
import json
import textwrap
from typing import Any

import numpy as np
import pytest

from service.errors import InvalidInput
from service.serving.steps import taken
from service.uploads import documents
from service.uploads.documents import Said, decoded, files_of, said_in

FILE = np.random.default_rng(4).integers(0, 256, 1000, dtype=np.uint8).tobytes()
USUAL = base64.b64encode(FILE).decode()
URL_SAFE = base64.urlsafe_b64encode(FILE).decode()


def files(document: str) -> list[tuple[str, bytes]]:
    return [(name, data) for name, data in taken(files_of(said_in(document.encode())))]


def refusal(document: str) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        files(document)
    (error,) = caught.value.errors
    return error


SPELLINGS = {
    "as it is": USUAL,
    "for URLs": URL_SAFE,
    "without padding": USUAL.rstrip("="),
    "for URLs, without padding": URL_SAFE.rstrip("="),
    "a data URL": f"data:image/png;base64,{USUAL}",
    "a data URL with parameters": f"DATA:image/svg+xml;charset=utf-8;BASE64,{USUAL}",
    "in lines": "\n".join(textwrap.wrap(USUAL, 76)) + "\n",
    "in lines of MIME": "\r\n".join(textwrap.wrap(USUAL, 76)),
    "between blanks": f"  {USUAL}\t",
}
ESCAPES = {
    "Python": lambda text: json.dumps(text),
    "PHP": lambda text: json.dumps(text).replace("/", "\\/"),
    ".NET": lambda text: json.dumps(text).replace("+", "\\u002B"),
    "all of Unicode": lambda text: json.dumps(text).replace("+", "\\u002b").replace("=", "\\u003d"),
}


@pytest.mark.parametrize("writer", ESCAPES)
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("piece", [4, 8, 32 * 1024])
def test_base64_in_every_spelling(
    monkeypatch: pytest.MonkeyPatch, spelling: str, writer: str, piece: int
) -> None:
    monkeypatch.setattr(documents, "PIECE", max(8, piece))
    text = ESCAPES[writer](SPELLINGS[spelling])
    assert files(f'{{"image": {text}}}') == [("image", FILE)]
    several = [("images.0", FILE), ("images.1", FILE)]
    assert files(f'{{\n  "images" : [\n {text} ,\n {text}\n ]\n}}\n') == several


@pytest.mark.parametrize("size", range(12))
def test_files_of_every_length(size: int) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(FILE[:size])
        assert taken(decoded("image", text)) == FILE[:size]
        assert taken(decoded("image", text.rstrip(b"="))) == FILE[:size]


def test_a_list_of_one_is_a_list() -> None:
    said = said_in(json.dumps({"images": [USUAL]}).encode())
    assert said.is_list
    assert files(json.dumps({"images": [USUAL]})) == [("images.0", FILE)]


def test_large_files_are_decoded_in_many_steps() -> None:
    large = FILE * 1000
    text = base64.b64encode(large)
    assert taken(decoded("image", text)) == large
    assert len(list(decoded("image", text))) > len(text) // documents.PIECE


@pytest.mark.parametrize("field", ["pixels", "image", "images"])
def test_numbers_are_left_to_be_read(field: str) -> None:
    said = said_in(f' {{ "{field}" : [ [1, 2],\n[3, 4] ] }} '.encode())
    assert said == Said(field, [], b"[ [1, 2],\n[3, 4] ]")
    assert said.is_list == {"pixels": None, "image": False, "images": True}[field]


ONE_OF = "send one of image, images or pixels"


@pytest.mark.parametrize(
    ("document", "field", "told"),
    [
        ({}, "", f"must have a field: {ONE_OF}"),
        ([], "", f"must be an object; {ONE_OF}"),
        ("", "", "invalid JSON"),
        ('{"image": "AAAA"', "", "invalid JSON"),
        ('{"image": "AAAA"}}', "", "invalid JSON"),
        ('{"image": "AAAA', "image", "has no end"),
        ({"photo": "AAAA"}, "photo", f"unknown field; {ONE_OF}"),
        ({"image": "AAAA", "size": 28}, "size", f"unknown field; {ONE_OF}"),
        ({"image": "AAAA", "pixels": [[1]]}, "pixels", f"is one too many; {ONE_OF}"),
        ({"pixels": [[1]], "image": "AAAA"}, "image", f"is one too many; {ONE_OF}"),
        ({"image": None}, "image", "must be a picture in Base64, or its pixels as nested lists"),
        ({"image": 7}, "image", "must be a picture in Base64"),
        ({"image": ["AAAA"]}, "image", "must be a picture in Base64"),
        ({"image": {"data": "AAAA"}}, "image", "must be a picture in Base64"),
        ({"images": "AAAA"}, "images", "must be a list of 1 to 64 pictures in Base64"),
        ({"images": []}, "images", "at least one picture is required"),
        ({"images": ["AAAA", [1]]}, "images.1", "must be a picture in Base64"),
        ({"images": ["AAAA", None]}, "images.1", "must be a picture in Base64"),
        ({"pixels": "AAAA"}, "pixels", "must be nested lists of numbers"),
        ({"pixels": []}, "pixels", "must be nested lists of numbers"),
        ({"image": "A?AA"}, "image", "is no Base64: '?' is none of its characters"),
        ({"image": "é"}, "image", "is no Base64"),
        ({"image": "AA=A"}, "image", "is no Base64: '=' is none of its characters"),
        ({"images": ["AAAA", "AAAAA"]}, "images.1", "is cut short"),
        ({"image": "A"}, "image", "is cut short"),
        ({"image": "A==="}, "image", "is cut short"),
        ({"image": "http://x/7.png"}, "image", "is an address, which is not fetched"),
        ({"image": "data:image/svg+xml,%3Csvg"}, "image", "is a data URL without Base64"),
        ({"image": "data:;base64"}, "image", "is no Base64: ':'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_wrong_is_told_with_its_name(document: Any, field: str, told: str) -> None:
    name, message = refusal(document if isinstance(document, str) else json.dumps(document))
    assert name == field
    assert message.startswith(told)


def test_many_pictures() -> None:
    assert len(files(json.dumps({"images": ["AAAA"] * 64}))) == 64
    with pytest.raises(InvalidInput, match="more than 64 pictures"):
        files(json.dumps({"images": ["AAAA"] * 65}))


def test_a_large_document_without_sense_is_not_parsed() -> None:
    for document in (
        "[" * 1_000_000,
        '{"image": "' + "A" * 1_000_000,
        " " * 1_000_000,
        '{"' + "a" * 1_000_000,
    ):
        with pytest.raises(InvalidInput):
            files(document)
