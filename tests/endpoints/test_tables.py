"""Tables of several columns, which no file of the service knows: what is read, and what is answered."""

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.connections.watched import Watched, watched
from tests.endpoints import described
from tests.endpoints.tiny_models import (
    INTERVAL,
    LONG,
    SIGNS,
    publish_house,
    publish_iris,
    publish_level,
    publish_loan,
    publish_member,
    publish_petal,
    publish_sign,
    publish_sum,
    publish_wish,
)

JSON, CSV, LINES = "application/json", "text/csv", "application/x-ndjson"
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [5.9, 3.0, 4.2, 1.5]]
APPLICANT = {"age": 30, "job": "smith", "income": 2.5, "town": "Ulm"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    root: Path = tmp_path_factory.mktemp("tables")
    for publish in (
        publish_iris,
        publish_loan,
        publish_house,
        publish_member,
        publish_petal,
        publish_level,
        publish_sign,
        publish_sum,
        publish_wish,
    ):
        publish(root)
    with watched(root) as service:
        yield service


@pytest.fixture
def client(service: Watched) -> httpx.Client:
    return service.client


@pytest.fixture(scope="module")
def document(service: Watched) -> dict[str, Any]:
    found: dict[str, Any] = service.client.get("/openapi.json").json()
    return found


def flower(values: list[float]) -> dict[str, float]:
    return dict(zip(NAMES, values, strict=True))


def post(
    client: httpx.Client, model: str, body: Any, media_type: str = JSON, **fields: str
) -> httpx.Response:
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    headers = {"Content-Type": media_type, **fields}
    return client.post(f"/predict/{model}", content=content, headers=headers)


def answered(client: httpx.Client, model: str, body: Any, media_type: str = JSON) -> Any:
    response = post(client, model, body, media_type)
    assert response.status_code == 200, response.text
    return response.json()


def close_to(value: Any) -> Any:
    """Numbers of another batch differ in their last bits."""
    if isinstance(value, dict):
        return {key: close_to(item) for key, item in value.items()}
    if isinstance(value, list):
        return [close_to(item) for item in value]
    return pytest.approx(value, rel=1e-5) if isinstance(value, float) else value


def test_a_row_is_answered_by_a_class(client: httpx.Client) -> None:
    answer = answered(client, "iris", flower(FLOWERS[0]))
    assert list(answer) == ["label", "confidence", "probabilities", "extrapolating", "model", "version"]
    assert (answer["model"], answer["version"], answer["extrapolating"]) == ("iris", 1, False)
    probabilities = answer["probabilities"]
    assert list(probabilities) == ["setosa", "versicolor", "virginica"]
    assert sum(probabilities.values()) == pytest.approx(1)
    assert answer["confidence"] == probabilities[answer["label"]] == max(probabilities.values())


def test_a_row_is_answered_by_a_probability(client: httpx.Client) -> None:
    answer = answered(client, "loan", APPLICANT)
    assert list(answer) == ["probability", "repaid", "extrapolating", "model", "version"]
    assert answer["repaid"] is (answer["probability"] >= 0.6)


def test_a_row_is_answered_by_numbers(client: httpx.Client) -> None:
    answer = answered(client, "house", {"floor area (m²)": 80, "class": 1, "items": 2})
    assert list(answer) == ["price", "rent", "extrapolating", "model", "version"]
    assert answer["price"] != answer["rent"]


FORMS = {
    "rows": ([flower(values) for values in FLOWERS], JSON),
    "columns": (flower(list(zip(*FLOWERS, strict=True))), JSON),  # type: ignore[arg-type]
    "csv": (",".join(NAMES) + "\n" + "\n".join(",".join(map(str, f)) for f in FLOWERS), CSV),
    "csv, other order": (
        "petal_width,petal_length,sepal_width,sepal_length\r\n"
        + "".join(",".join(map(str, f[::-1])) + "\r\n" for f in FLOWERS),
        CSV,
    ),
    "csv, quoted, with a mark": (
        "\ufeff" + "\n".join(",".join(f'"{cell}"' for cell in row) for row in (NAMES, *FLOWERS)),
        "text/csv; charset=utf-8; header=present",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_several_rows_is_answered_alike(client: httpx.Client, form: str) -> None:
    one_by_one = [answered(client, "iris", flower(values)) for values in FLOWERS]
    expected = [{k: v for k, v in one.items() if k not in ("model", "version")} for one in one_by_one]
    answer = answered(client, "iris", *FORMS[form])
    assert list(answer) == ["predictions", "model", "version"]
    assert answer["predictions"] == close_to(expected)
    assert len({one["confidence"] for one in expected}) == 3  # they differ


@pytest.mark.parametrize(
    "body",
    [
        [flower(FLOWERS[0])],
        flower([[v] for v in FLOWERS[0]]),  # type: ignore[misc]
    ],
)
def test_a_list_of_one_is_answered_by_a_list(client: httpx.Client, body: Any) -> None:
    assert len(answered(client, "iris", body)["predictions"]) == 1


def test_what_is_missing_may_be_left_out_null_or_empty(client: httpx.Client) -> None:
    alone = answered(client, "loan", {"age": 30, "job": "smith"})
    null = answered(client, "loan", APPLICANT | {"income": None, "town": None})
    rows = answered(client, "loan", [{"age": 30, "job": "smith"}, APPLICANT])["predictions"]
    lists = {"age": [30, 30], "job": ["smith", "smith"], "income": [None, 2.5], "town": [None, "Ulm"]}
    columns = answered(client, "loan", lists)["predictions"]
    table = answered(client, "loan", "age,job,income,town\n30,smith,,\n30,smith,2.5,Ulm\n", CSV)[
        "predictions"
    ]
    whole = answered(client, "loan", APPLICANT)
    for answer in (null, rows[0], columns[0], table[0]):
        assert answer["probability"] == pytest.approx(alone["probability"], rel=1e-5)
    for answer in (rows[1], columns[1], table[1]):
        assert answer["probability"] == pytest.approx(whole["probability"], rel=1e-5)
    assert abs(whole["probability"] - alone["probability"]) > 1e-4
    assert answered(client, "loan", "job,age\nsmith,30\n", CSV)["predictions"] == close_to([rows[0]])


def test_a_category_may_have_any_characters(client: httpx.Client) -> None:
    found = {
        answered(client, "loan", APPLICANT | {"job": job})["probability"]
        for job in ("clerk", "smith", "none, yet", "3")
    }
    assert len(found) == 4
    (of_table,) = answered(client, "loan", 'age,job,town\n30,"none, yet",Zürich\n', CSV)["predictions"]
    of_row = answered(client, "loan", {"age": 30, "job": "none, yet", "town": "Zürich"})
    assert of_table["probability"] == pytest.approx(of_row["probability"], rel=1e-5)


def test_booleans_are_the_categories_of_their_name(client: httpx.Client) -> None:
    by_name = {"pandas": "True", "r": "FALSE", "both": "false"}
    expected = answered(client, "member", by_name)
    booleans = {"pandas": True, "r": False, "both": False}
    assert answered(client, "member", booleans) == expected
    several = answered(client, "member", {name: [value, value] for name, value in booleans.items()})
    assert several["predictions"] == close_to(2 * [{k: expected[k] for k in several["predictions"][0]}])
    tensors = [
        {"name": name, "shape": [1], "datatype": "BOOL", "data": [value]}
        for name, value in booleans.items()
    ]
    inferred = client.post("/v2/models/member/infer", json={"inputs": tensors}).json()
    assert {o["name"]: o["data"] for o in inferred["outputs"]} == {
        name: [expected[name]] for name in ("price", "rent")
    }
    refused = post(client, "member", {"both": True})
    assert (refused.status_code, "one of 'true', 'True'" in refused.text) == (422, True)
    assert post(client, "loan", APPLICANT | {"town": True}).status_code == 422


def test_beyond_the_training_it_extrapolates(client: httpx.Client) -> None:
    assert answered(client, "iris", flower([9.0, 3.5, 1.4, 0.2]))["extrapolating"] is True
    assert answered(client, "loan", APPLICANT | {"age": 17.9})["extrapolating"] is True
    assert answered(client, "loan", APPLICANT | {"age": 18})["extrapolating"] is False
    assert (
        answered(client, "house", {"floor area (m²)": 1e6, "class": 1, "items": 2})["extrapolating"]
        is False
    )


def test_the_ends_of_the_training_are_within_it(client: httpx.Client) -> None:
    """They are values in float32, as the archive reads them: what rounds to them is no other value."""
    widths = [0.2, 0.20000000298023224, 0.9, 0.19999998, 0.90000004]
    beyond = [False, False, False, True, True]
    one_by_one = [answered(client, "petal", {"width": width}) for width in widths]
    columns = answered(client, "petal", {"width": widths})["predictions"]
    table = answered(client, "petal", "\n".join(["width", *map(str, widths)]), CSV)["predictions"]
    for rows in (one_by_one, columns, table):
        assert [row["extrapolating"] for row in rows] == beyond
        assert [row["width"] for row in rows] == widths  # as it was sent
    # A range that was written by hand is no float32.
    assert answered(client, "iris", flower([4.3, 4.4, 6.9, 0.1]))["extrapolating"] is False
    assert answered(client, "iris", flower([4.3, 4.4, 6.9, 0.09999999]))["extrapolating"] is True


def test_what_a_model_does_to_its_rows_is_its_own_affair(client: httpx.Client) -> None:
    for values in ([-4.0], [0.5], [-4.0, 0.5, 9.0]):
        table = answered(client, "level", {"level": values})["predictions"]
        assert [row["price"] for row in table] == [1 + min(max(value, 0), 1) for value in values]
        assert [row["extrapolating"] for row in table] == [not 0 <= value <= 1 for value in values]
    assert answered(client, "level", {"level": -4.0})["extrapolating"] is True


WRONG_ROWS: list[tuple[str, Any, str]] = [
    ("iris", {"sepal_length": 5.1}, "sepal_width"),
    ("iris", {}, "sepal_length"),
    ("iris", flower(FLOWERS[0]) | {"colour": 1}, "colour"),
    ("iris", flower(FLOWERS[0]) | {"petal_width": "0.2"}, "petal_width"),
    ("iris", flower(FLOWERS[0]) | {"petal_width": True}, "petal_width"),
    ("iris", flower(FLOWERS[0]) | {"petal_width": None}, "petal_width"),
    ("iris", flower(FLOWERS[0]) | {"petal_width": -0.1}, "petal_width"),
    ("iris", flower(FLOWERS[0]) | {"petal_width": 100.5}, "petal_width"),
    ("iris", flower(FLOWERS[0]) | {"petal_width": math.nan}, "petal_width"),
    ("iris", flower(FLOWERS[0]) | {"petal_width": math.inf}, "petal_width"),
    ("iris", flower(FLOWERS[0]) | {"petal_width": {}}, "petal_width"),
    ("iris", flower(FLOWERS[0]) | {"petal_width": [1]}, "sepal_length"),
    ("house", {"floor area (m²)": 1e39, "class": 1, "items": 2}, "floor area (m²)"),
    ("house", {"floor area (m²)": 1, "items": 2}, "class"),
    ("loan", APPLICANT | {"job": "pilot"}, "job"),
    ("loan", APPLICANT | {"job": ""}, "job"),
    ("loan", APPLICANT | {"job": None}, "job"),
    ("loan", APPLICANT | {"job": 1.5}, "job"),
    ("loan", APPLICANT | {"job": True}, "job"),
    ("loan", APPLICANT | {"job": {"a": 1}}, "job"),
    ("loan", APPLICANT | {"town": "ulm"}, "town"),
    ("loan", APPLICANT | {"income": math.nan}, "income"),
    ("loan", APPLICANT | {"": 1}, '""'),
    ("loan", [APPLICANT | {"": 1}], '0.""'),
    ("iris", [], ""),
    ("iris", [1], "0"),
    ("iris", [[1, 2, 3, 4]], "0"),
    ("iris", [flower(FLOWERS[0]), {}], "1.sepal_length"),
    ("iris", [flower(FLOWERS[0]), flower(FLOWERS[0]) | {"x": 1}], "1.x"),
    ("iris", [flower(FLOWERS[0])] * 200 + [flower(FLOWERS[0]) | {"petal_width": -1}], "200.petal_width"),
    ("iris", flower([[1, 2], [1, 2], [1, 2], [1]]), "petal_width"),  # type: ignore[list-item]
    ("iris", flower([[], [], [], []]), "sepal_length"),  # type: ignore[list-item]
    ("iris", flower([[1], [1], [1], 1]), "petal_width"),  # type: ignore[list-item]
    ("iris", flower([[1], [1], [1], ["a"]]), "petal_width.0"),  # type: ignore[list-item]
    ("iris", {"sepal_length": [1, 2]}, "sepal_width"),
    ("iris", flower([[1] * 300, [1] * 300, [1] * 300, [1] * 299]), "petal_width"),  # type: ignore[list-item]
    ("iris", flower([[1] * 300, [1] * 300, [1] * 300, [1] * 299 + [-1]]), "petal_width.299"),  # type: ignore[list-item]
    ("loan", {"age": [30, 31], "job": ["smith"]}, "job"),
    ("loan", {"age": [30, 31], "job": ["smith", "pilot"]}, "job.1"),
    ("loan", {"age": [30], "job": ["smith"], "income": [1, 2]}, "age"),
    ("iris", "3", ""),
    ("iris", "null", ""),
    ("iris", '"sepal_length"', ""),
    ("iris", "", ""),
    ("iris", "[", ""),
    ("iris", '{"sepal_length": [', ""),
]


@pytest.mark.parametrize(("model", "body", "field"), WRONG_ROWS)
def test_an_error_names_what_is_wrong(client: httpx.Client, model: str, body: Any, field: str) -> None:
    response = post(client, model, body)
    assert response.status_code == 422, response.text
    problem = response.json()
    assert problem["type"] == "urn:problem-type:abacus:invalid-input"
    assert field in [error["field"] for error in problem["errors"]]
    assert len(problem["errors"]) <= 20
    assert len(response.content) < 4_000


def test_unequal_columns_are_all_named(client: httpx.Client) -> None:
    lists = flower([[1, 2, 3], [1, 2], [1], [1, 2, 3]])  # type: ignore[list-item]
    fields = {error["field"] for error in post(client, "iris", lists).json()["errors"]}
    assert {"sepal_width", "petal_length"} <= fields


HEADER = ",".join(NAMES) + "\n"

WRONG_TABLES: list[tuple[str, str | bytes, str]] = [
    ("iris", HEADER + "5.1,3.5,1.4,0.2\n5.1,3.5,x,0.2\n", "line 3: petal_length"),
    ("iris", HEADER + "5.1,3.5,1.4,-1\n", "line 2: petal_width"),
    ("iris", HEADER + "5.1,3.5,nan,1\n", "line 2: petal_length"),
    ("iris", HEADER + "5.1,3.5,inf,1\n", "line 2: petal_length"),
    ("iris", HEADER + "5.1,3.5,1_0,1\n", "line 2: petal_length"),
    ("iris", HEADER + "5.1,3.5,٣,1\n", "line 2: petal_length"),
    ("iris", HEADER + "5.1,3.5,,1\n", "line 2: petal_length"),
    ("iris", HEADER + "\n\n5.1,3.5,x,1\n", "line 4: petal_length"),
    ("loan", 'age,job,town\n30,"none, yet",Ulm\n30,"smi\nth",Ulm\n30,smith,Bonn\n', "line 5: town"),
    ("iris", HEADER + "5.1,3.5,1.4\n", "line 2"),
    ("iris", f",{HEADER}0,5.1,3.5,1.4,0.2\n", "a column has no name"),  # as pandas writes its index
    ("iris", f"{HEADER[:-1]}, ,\n5.1,3.5,1.4,0.2,,\n", "a column has no name"),
    ("iris", HEADER + "5.1,3.5,1.4,0.2\n5.1,3.5,1.4,0.2,9\n", "line 3"),
    ("iris", HEADER + '5.1,3.5,1.4,"0.2\n', "line 2"),
    ("iris", HEADER + '5.1,3.5,1.4,"0.2"x\n', "line 2"),
    ("iris", HEADER, "no row"),
    ("iris", "", "missing"),
    ("iris", "sepal_length,sepal_width,petal_length\n1,2,3\n", "petal_width"),
    ("iris", HEADER.strip() + ",colour\n1,2,3,4,5\n", "colour"),
    ("iris", HEADER.strip() + ",petal_width\n1,2,3,4,5\n", "petal_width"),
    ("iris", "5.1,3.5,1.4,0.2\n", "sepal_length"),
    ("iris", HEADER.replace(",", ";") + "5.1;3.5;1.4;0.2\n", "sepal_length"),
    ("iris", HEADER.encode() + b"\xff,1,1,1\n", "UTF-8"),
    ("iris", (HEADER + "1,1,1,1\n").encode("utf-16"), "UTF-8"),
    ("iris", HEADER + "1,1,1,\x00\n", "line 2"),
    ("iris", HEADER + "1,1,1," + "9" * 200_000 + "\n", "line 2"),
    ("iris", HEADER + 300_000 * '"\n",', "line 2"),
    ("iris", 1_000_000 * ",", "line 1"),
    ("iris", HEADER + 1_000_000 * "\n", "no row"),
    ("iris", HEADER + 1_000_000 * "\r" + "x", "line 1000002"),
]


@pytest.mark.parametrize(("model", "table", "told"), WRONG_TABLES)
def test_an_error_names_line_and_column(
    client: httpx.Client, model: str, table: str | bytes, told: str
) -> None:
    response = post(client, model, table, CSV)
    assert response.status_code == 422, response.text
    assert told in response.text
    assert len(response.content) < 4_000


def test_of_many_wrong_rows_twenty_are_told(client: httpx.Client) -> None:
    for body, media_type in (
        ([{"a": 1}] * 5_000, JSON),
        (HEADER + 5_000 * "a,b,c,d\n", CSV),
        (flower([["x"] * 5_000] * 4), JSON),  # type: ignore[list-item]
    ):
        problem = post(client, "iris", body, media_type).json()
        assert problem["status"] == 422
        assert len(problem["errors"]) == 20
        assert problem["more_errors"] > 10_000


def test_ten_thousand_rows_and_not_one_more(client: httpx.Client) -> None:
    row = "5.1,3.5,1.4,0.2\n"
    for count in (10_000, 10_001):
        bodies = [
            (flower([[1.5] * count] * 4), JSON),  # type: ignore[list-item]
            (json.dumps([flower([1, 2, 3, 4])] * count), JSON),
            (HEADER + count * row, CSV),
        ]
        for body, media_type in bodies:
            response = post(client, "iris", body, media_type)
            if count == 10_000:
                assert len(response.json()["predictions"]) == count
            else:
                assert response.status_code == 422
                assert "10,000" in response.text or "10000" in response.text


@pytest.mark.parametrize("job", [INTERVAL, LONG])
def test_what_a_category_is_made_of_counts_for_no_limit(client: httpx.Client, job: str) -> None:
    """Commas, brackets, colons and escapes within it are not those between values."""
    for count in (200, 10_000):
        lists = {"age": [30] * count, "job": [job] * count, "town": ["Zürich"] * count}
        table = "age,job,town\n" + f'30,"{job}",Zürich\n' * count
        bodies = [(lists, JSON), (table, CSV)]
        rows = [{"age": 30, "job": job, "town": "Zürich"}] * count
        bodies += [(json.dumps(rows, ensure_ascii=count > 200), JSON)]  # 10,000 escaped are over 2 MiB
        for body, media_type in bodies:
            response = post(client, "loan", body, media_type)
            assert response.status_code == 200, response.text
            assert len(response.json()["predictions"]) == count


@pytest.mark.parametrize("media_type", [JSON, CSV])
def test_a_document_has_a_limit(client: httpx.Client, media_type: str) -> None:
    response = post(client, "iris", b" " * (2 * 1024 * 1024 + 1), media_type)
    assert response.status_code == 413


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data; boundary=b", "image/png", ""])
def test_another_media_type_is_told_which_are_read(client: httpx.Client, media_type: str) -> None:
    response = post(client, "iris", "{}", media_type)
    assert response.status_code == 415
    assert "application/json" in response.text
    assert "text/csv" in response.text


ACCEPTED = {
    CSV: CSV,
    LINES: LINES,
    JSON: JSON,
    "*/*": JSON,
    "text/*": JSON,
    "text/html": JSON,
    f"{JSON}, {CSV}": JSON,
    f"{CSV}, {JSON}": CSV,
    f"{CSV};q=0.2, {JSON};q=0.9": JSON,
    f"{CSV};q=0.9, {LINES};q=1.0": LINES,
    f"{CSV};q=0.5, */*": JSON,
    f"{CSV}, */*;q=0.1": CSV,
    f"*/*, {CSV}": CSV,
    f"application/*, {LINES};q=0.5": JSON,
    f"{JSON};q=0.1, */*, {CSV};q=0.5": CSV,
    f"{CSV};q=0": JSON,
    f"{CSV};q=x": JSON,
    "Text/CSV ; q=1": CSV,
}


@pytest.mark.parametrize("accept", ACCEPTED)
@pytest.mark.parametrize("count", [3, 300])
def test_many_are_answered_in_the_format_that_is_asked_for(
    client: httpx.Client, accept: str, count: int
) -> None:
    rows = [flower(FLOWERS[i % 3]) for i in range(count)]
    response = post(client, "iris", rows, Accept=accept)
    assert response.status_code == 200
    media_type = ACCEPTED[accept]
    assert response.headers["content-type"].startswith(media_type)
    assert "infer;dur=" in response.headers["server-timing"]
    expected = answered(client, "iris", rows)["predictions"]
    if media_type == CSV:
        table = list(csv.DictReader(io.StringIO(response.text)))
        assert [row["label"] for row in table] == [one["label"] for one in expected]
        found = [float(row["probabilities.virginica"]) for row in table]
        assert found == pytest.approx([one["probabilities"]["virginica"] for one in expected], rel=1e-5)
        assert {(row["extrapolating"], row["model"], row["version"]) for row in table} == {
            ("false", "iris", "1")
        }
    elif media_type == LINES:
        lines = [json.loads(line) for line in response.text.splitlines()]
        assert lines == close_to([one | {"model": "iris", "version": 1} for one in expected])
    else:
        assert response.json()["predictions"] == close_to(expected)


@pytest.mark.parametrize(("first", "second"), [(f"{CSV};q=0.1", LINES), (LINES, f"{CSV};q=0.1")])
def test_what_is_accepted_may_stand_in_several_lines(client: httpx.Client, first: str, second: str) -> None:
    fields = [("Accept", first), ("Content-Type", JSON), ("Accept", second)]
    content = json.dumps(flower(FLOWERS[0]))
    response = client.post("/predict/iris", content=content, headers=httpx.Headers(fields))
    assert response.headers["content-type"] == LINES


def test_one_row_is_answered_in_the_format_too(client: httpx.Client) -> None:
    (row,) = csv.DictReader(io.StringIO(post(client, "iris", flower(FLOWERS[0]), Accept=CSV).text))
    assert row["label"] == answered(client, "iris", flower(FLOWERS[0]))["label"]


def test_a_formula_of_a_spreadsheet_is_text_in_a_table_and_a_number_is_one(client: httpx.Client) -> None:
    rows = [{f"of, {label}": float(label == most) for label in SIGNS.labels} for most in SIGNS.labels]
    table = list(csv.DictReader(io.StringIO(post(client, "sign", rows, Accept=CSV).text)))
    assert [row["label"] for row in table] == ["-1", "+1.5e3", "'-1-1", "'@x"]
    assert [one["label"] for one in answered(client, "sign", rows)["predictions"]] == list(SIGNS.labels)
    names, _ = csv.reader(io.StringIO(post(client, "sum", {"@in": 1}, Accept=CSV).text))
    assert names == ["'@in", "'=SUM(A1)", "-1", "'+x", "plain", "extrapolating", "model", "version"]


@pytest.mark.usefixtures("patient")
def test_what_was_read_is_answered_by_the_direct_way(service: Watched) -> None:
    service.by_asgi.clear()
    for values in FLOWERS:
        answered(service.client, "iris", flower(values))
    answered(service.client, "loan", [APPLICANT] * 5)
    assert service.by_asgi == []
    assert post(service.client, "iris", [flower(FLOWERS[0])], Accept=CSV).status_code == 200
    assert service.by_asgi == ["/predict/iris"]


def test_a_model_that_there_is_not(client: httpx.Client) -> None:
    response = post(client, "flowers", {})
    assert response.status_code == 404
    assert response.json()["type"] == "urn:problem-type:abacus:unknown-model"
    assert all(name in response.json()["detail"] for name in ("iris", "loan", "house"))


def test_methods(client: httpx.Client) -> None:
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        response = client.request(method, "/predict/iris")
        assert (response.status_code, response.headers["allow"]) == (405, "OPTIONS, POST")
    options = client.options("/predict/iris")
    assert options.headers["allow"].replace(" ", "").split(",") == ["OPTIONS", "POST"]
    assert client.get("/predict/flowers").status_code == 404


def test_the_live_version_by_its_number(client: httpx.Client) -> None:
    response = client.post("/predict/iris/versions/1", json=flower(FLOWERS[0]))
    assert response.json() == answered(client, "iris", flower(FLOWERS[0]))
    for version in ("2", "0", "x", "-1", "1.0", "9" * 5_000, "%31%00"):
        response = client.post(f"/predict/iris/versions/{version}", json=flower(FLOWERS[0]))
        assert response.status_code == 404


@pytest.mark.parametrize("body", [{}, {"x": None}, {"x": [1, None]}, [{}, {"x": 1}]], ids=str)
def test_a_column_that_is_left_out_is_echoed_as_null(
    client: httpx.Client, document: dict[str, Any], body: Any
) -> None:
    answer = answered(client, "wish", body)
    rows = answer.get("predictions", [answer])
    assert None in [row["x"] for row in rows]
    assert described.is_valid(document, described.answer_schema(document, "wish"), answer)


@pytest.mark.parametrize("model", ["iris", "loan", "house", "sign"])
def test_every_example_is_answered_as_it_is_described(
    client: httpx.Client, document: dict[str, Any], model: str
) -> None:
    examples = described.examples_of(document, model)
    assert {media_type for media_type, _ in examples} == {JSON, CSV}
    assert len(examples) >= 4
    requests = described.operation(document, model)["requestBody"]["content"]
    for media_type, value in examples:
        assert described.is_valid(document, requests[media_type]["schema"], value)
        response = described.posted(client, model, media_type, value)
        assert response.status_code == 200, response.text
        assert described.is_valid(document, described.answer_schema(document, model), response.json())


@pytest.mark.parametrize("model", ["iris", "loan", "house"])
def test_every_example_of_an_answer_is_what_is_answered(client: httpx.Client, model: str) -> None:
    described.check_examples(client, model)


def test_the_schema_refuses_what_the_service_refuses(document: dict[str, Any]) -> None:
    for model, body, _ in WRONG_ROWS:
        if isinstance(body, str) or "nan" in json.dumps(body).lower() or "inf" in json.dumps(body).lower():
            continue
        lists = [v for v in body.values() if isinstance(v, list)] if isinstance(body, dict) else []
        if len({len(items) for items in lists}) > 1:
            continue  # of lengths a schema cannot tell
        schema = described.operation(document, model)["requestBody"]["content"][JSON]["schema"]
        assert not described.is_valid(document, schema, body), body


def test_the_table_is_one_document_while_nothing_changes(client: httpx.Client) -> None:
    assert client.get("/openapi.json").content == client.get("/openapi.json").content
    paths = client.get("/openapi.json").json()["paths"]
    assert {f"/predict/{name}" for name in ("iris", "loan", "house")} <= paths.keys()
    assert not {"/predict/pass", "/predict/digit", "/predict/{name}"} & paths.keys()
