"""What a cell of a table says is the same to the service, which reads CSV, and to the command."""

import csv
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.asking import predict, rows_in
from tests.conftest import Served, served
from tests.endpoints.tiny_models import publish_loan, publish_member

CSV = {"Content-Type": "text/csv"}
# Of age, job, income and town, of which the last two may be missing.
ROWS = (
    "30,clerk,2,Ulm",
    "30,clerk,NA,NA",
    "30,smith,,null",
    "30,3, n/a ,None",
    " 30 , clerk ,2, Zürich ",
    "1_0,clerk,2,Ulm",
    "٣,clerk,2,Ulm",
    "1e1,clerk,1e400,Ulm",
    "NA,clerk,2,Ulm",
    "30,NA,2,Ulm",
    "inf,clerk,2,Ulm",
    "many,clerk,2,Ulm",
    "30,3.0,2,Ulm",
    f"{1001 * '1'},clerk,2,Ulm",
    "30,clerk,2,Ulm,more",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("artifacts")
    publish_loan(root)
    publish_member(root)
    with served("--artifacts", str(root)) as service:
        yield service


@pytest.mark.parametrize("header", ["age,job,income,town", " age, job ,income,town"])
def test_the_command_reads_a_table_as_the_service_does(
    service: Served, tmp_path: Path, header: str
) -> None:
    asked = [
        service.client.post("/predict/loan", content=f"{header}\n{row}\n".encode(), headers=CSV)
        for row in ROWS
    ]
    assert {one.status_code for one in asked} == {200, 422}
    table = "\n".join([f"\ufeff{header}", *ROWS])  # as a spreadsheet begins one
    result = predict(tmp_path, "loan", "--url", str(service.client.base_url), given=table)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    for row, one, answer in zip(ROWS, asked, rows, strict=True):
        assert ("error" in answer) == (one.status_code == 422), row
        if one.status_code == 200:
            (expected,) = one.json()["predictions"]
            assert answer["probability"] == pytest.approx(expected["probability"], abs=1e-6), row


def test_a_column_that_may_be_missing_may_be_missing(service: Served, tmp_path: Path) -> None:
    result = predict(tmp_path, "loan", "--url", str(service.client.base_url), given="job,age\nclerk,30\n")
    assert (result.returncode, result.stderr) == (0, "1 answered, 0 failed, 0 skipped\n")
    result = predict(tmp_path, "loan", "--url", str(service.client.base_url), given="job\nclerk\n")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "Error: - has no column age, which loan takes\n"


def test_a_cell_is_written_as_the_service_writes_it(service: Served, tmp_path: Path) -> None:
    table = "age,job,income,town\n30,clerk,2,Ulm\n"
    url = "--url", str(service.client.base_url)
    assert predict(tmp_path, "loan", *url, "--out", "answers.csv", given=table).returncode == 0
    asked = service.client.post("/predict/loan", content=table, headers=CSV | {"Accept": "text/csv"})
    (theirs,) = csv.DictReader(asked.text.splitlines())
    (ours,) = rows_in(tmp_path / "answers.csv")
    assert theirs["extrapolating"] in ("true", "false")
    assert {name: ours[name] for name in theirs} == theirs


def test_booleans_of_parquet_are_the_categories_of_their_name(service: Served, tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"pandas": True, "r": False}, {"pandas": False, "r": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "members.parquet")
    result = predict(tmp_path, "member", "members.parquet", "--url", str(service.client.base_url))
    assert result.returncode == 0, result.stderr
    expected = service.client.post("/predict/member", json=rows).json()["predictions"]
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["price"] for one in answers] == [one["price"] for one in expected]
    assert [one["pandas"] for one in answers] == [True, False]


def test_cells_of_parquet_that_python_has_no_value_for(service: Served, tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    beside = {
        "nanoseconds": pa.array([1_704_067_200_000_000_001], pa.timestamp("ns")),
        "there": pa.array([1_704_067_200_000_000_001], pa.timestamp("ns", "Europe/Berlin")),
        "utc": pa.array([1_704_067_200], pa.timestamp("s", "UTC")),
        "day": pa.array([19_723], pa.date32()),
        "clock": pa.array([1], pa.time64("ns")),
        "far": pa.array([253_402_300_800], pa.timestamp("s")),
        "took": pa.array([1], pa.duration("ns")),
        "infinite": pa.array([-math.inf]),
    }
    given = {"age": pa.array([Decimal("30.5")]), "job": pa.array(["clerk"]).dictionary_encode()}
    url = "--url", str(service.client.base_url)
    parquet.write_table(pa.table(given | beside), tmp_path / "loans.parquet")
    result = predict(tmp_path, "loan", "loans.parquet", *url)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout, parse_constant=pytest.fail)
    assert {name: answer[name] for name in beside if name != "took"} == {
        "nanoseconds": "2024-01-01T00:00:00.000000001",
        "there": "2024-01-01T01:00:00.000000001+01:00",
        "utc": "2024-01-01T00:00:00+00:00",
        "day": "2024-01-01",
        "clock": "00:00:00.000000001",
        "far": "10000-01-01T00:00:00",
        "infinite": "-inf",
    }
    for name, cell in (("photo", b"PNG"), ("scores", [1, 2])):
        parquet.write_table(pa.table(given | {name: [cell]}), tmp_path / "loans.parquet")
        result = predict(tmp_path, "loan", "loans.parquet", *url)
        held = f"column {name} holds {type(cell).__name__}, and one value a cell is read"
        told = 2, "", f"Error: loans.parquet, {held}\n"
        assert (result.returncode, result.stdout, result.stderr) == told
