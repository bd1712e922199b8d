"""JSON documents: what is wrong is told in few words and small steps, however much there is of it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from service.artifacts.interface import Column
from service.endpoints import documents
from service.endpoints.columns import Columns
from service.endpoints.documents import BYTES_A_VALUE, HEAD_BYTES, SMALL_BYTES
from service.errors import SHOWN_ERRORS, InvalidInput, PayloadTooLarge, ServiceError
from service.problems import LONGEST_DETAIL, found_in, problem_response

MOST = 10_000
COLUMNS = Columns([Column(name="hours", minimum=0)])


def refused(document: bytes) -> ServiceError:
    with pytest.raises((InvalidInput, PayloadTooLarge)) as refusal:
        COLUMNS.values_in(document)
    error = refusal.value
    assert len(error.errors) <= SHOWN_ERRORS
    assert len(problem_response(error, "id").body) < 8_000
    return error


def listed(item: str, times: int) -> bytes:
    return b'{"hours": [%s]}' % ",".join([item] * times).encode()


def unknown(keys: int) -> bytes:
    return json.dumps({f"a{i}": 1 for i in range(keys)}).encode()


@pytest.mark.parametrize(
    ("document", "errors", "more"),
    [
        (unknown(30), 20, 11),  # and hours are missing
        (unknown(100_000), 20, 99_980),
        (listed("-1", 15), 15, 0),
        (listed("-1", 100), 20, 80),
        (listed("-1", 10_000), 20, 9_980),
        (listed("1, -1", 5_000), 20, 4_980),
        (listed("-1", 300_000), 20, 299_980),
        (listed("1e999", 10_000), 20, 9_980),
        (listed("9" * 4_000, 60), 20, 40),
        (listed('"x"', 10_000), 20, 9_980),
        (b'{"%s": 1, "hours": 1}' % (60_000 * b"k"), 1, 0),
        (b'{"hours": "%s"}' % (60_000 * b"\\n"), 1, 0),
        (b'{"hours": %s}' % (300_000 * b"9"), 1, 0),
        (b'{"hours": ' + 50_000 * b"[" + 50_000 * b"]" + b"}", 1, 0),
        (b"{" + 1_000_000 * b"," + b"}", 1, 0),
        (1_500_000 * b"[", 1, 0),
    ],
    ids=lambda value: str(value)[:20],
)
def test_twenty_faults_and_a_count(document: bytes, errors: int, more: int) -> None:
    error = refused(document)
    assert (len(error.errors), error.more) == (errors, more)
    if more:
        assert f"and {errors + more - 3:,} more." in error.detail


@pytest.mark.parametrize(
    ("document", "status", "told"),
    [
        (listed("1", 10_001), 422, "at most 10000 items"),
        (listed("1", 50_000), 422, "has 50,000 values; at most 10,000 are read"),
        (b'{"hours": 1}' + BYTES_A_VALUE * MOST * b" ", 413, "over the limit of 400,000 bytes"),
        (listed("1, [[]]", 100)[:-2] + HEAD_BYTES * b" " + b"]}", 422, "hours.1: input should be a valid"),
        (b'{"hours": [' + HEAD_BYTES * b" " + 3_000 * b"[" + 3_000 * b"]" + b"]}", 422, "more keys, lists"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_larger_than_any_right_one_is_told_so(document: bytes, status: int, told: str) -> None:
    error = refused(document)
    assert error.status == status
    assert told in error.detail


@pytest.mark.parametrize(
    "hours",
    [4, 0.5, [], [1], [-1], [1, "2"], [None], [True], [10**38], [10**39], {}, "x", [[1]], [{}]],
    ids=str,
)
def test_small_and_large_documents_are_told_the_same(hours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what pydantic says itself, of all that is wrong at once."""
    document = json.dumps({"hours": hours}).encode()

    def outcome(document: bytes) -> Any:
        try:
            return COLUMNS.values_in(document)[0].ravel().tolist()
        except ServiceError as error:
            return error.errors, error.detail

    small, large = outcome(document), outcome(document + SMALL_BYTES * b" ")
    monkeypatch.setattr(documents, "PIECE", 1)
    assert small == large == outcome(document)
    if isinstance(small, tuple) and hours != []:
        with pytest.raises(ValidationError) as refusal:
            COLUMNS._form_of(document).adapter.validate_json(document)
        assert tuple(found_in(refusal.value)) == small[0]


@pytest.mark.parametrize("length", [127, 128, 129, 256, 1_000, 10_000])
def test_long_lists_are_whole(length: int) -> None:
    hours = [i / 7 for i in range(length)]
    assert COLUMNS.values_in(json.dumps({"hours": hours}).encode())[0].ravel().tolist() == hours
    assert (
        refused(json.dumps({"hours": [*hours[:-1], -1]}).encode()).errors[0].field == f"hours.{length - 1}"
    )


def test_names_are_shortened_and_escaped() -> None:
    error = refused(json.dumps({"hours": 1, "\x1b\r\n" + 500 * "é": 1}).encode())
    body = bytes(problem_response(error, "id").body)
    assert error.errors[0].field == "\x1b\r\n" + 77 * "é" + "…"
    assert b"\x1b" not in body
    assert b"\n" not in body


def test_no_error_is_longer_than_it_helps() -> None:
    document = json.loads(bytes(problem_response(InvalidInput(100_000 * "x"), "id").body))
    assert len(document["detail"]) == LONGEST_DETAIL + 1


def test_the_control_pydantic_lists_all_of_it() -> None:
    with pytest.raises(ValidationError) as refusal:
        COLUMNS._row.adapter.validate_json(unknown(100_000))
    assert len(refusal.value.errors()) == 100_001
