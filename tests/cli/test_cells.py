"""What a cell of a table says is the same to the service, which reads CSV, and to the command."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.asking import predict
from tests.conftest import Served, served
from tests.endpoints.tiny_models import publish_loan

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
