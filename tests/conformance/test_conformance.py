"""Every row of the conformance suite passes against a server that is right, and fails where it is not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conformance.__main__ import cli
from conformance.client import Client
from conformance.row import Result, Skipped
from conformance.rows.inference import batch
from conformance.samples import from_file
from conformance.subject import meet, request
from conformance.suite import GROUPS, run
from tests.conformance.faults import Faults
from tests.conformance.server import Small, serving_rest
from tests.conftest import ROOT

ONE = {"raw-request"}  # rows on models with one input
# Faults that change what other rows go by, and so are planted alone.
ALONE = ("valid-request", "default-call", "model-versions", "outputs-by-name", "output-shapes", "errors")
# All others are planted in so many groups: no two of a group are neighbours in the suite.
GROUPS_OF_FAULTS = 12


@dataclass
class Served:
    """The small server, and its address."""

    small: Small
    url: str

    def results(self, model: str = "three", faults: tuple[str, ...] = ()) -> list[Result]:
        self.small.faults = Faults(faults)
        with Client(self.url, 10.0) as client:
            return list(run(meet(client, model)))

    def failed(self, faults: tuple[str, ...]) -> set[str]:
        one = bool(ONE & set(faults))
        found = self.results("one" if one else "three", faults)
        return {each.row.name for each in found if each.result == "fail"}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    small = Small()
    with serving_rest(small) as url:
        yield Served(small, url)


def names() -> list[str]:
    return [row.name for _, rows in GROUPS for row in rows]


def in_company() -> list[str]:
    return [name for name in names() if name not in ALONE and name not in ONE]


def test_rows_have_names_of_their_own() -> None:
    assert len(set(names())) == len(names())


def test_a_server_that_is_right_fails_no_row_and_every_row_is_looked_at(served: Served) -> None:
    results = [*served.results("three"), *served.results("one")]
    assert {each.row.name: each.reason for each in results if each.result == "fail"} == {}
    assert {each.row.name for each in results if each.result == "pass"} == set(names())


@pytest.mark.parametrize("fault", [*ALONE, *ONE])
def test_a_fault_fails_its_row_and_no_other(served: Served, fault: str) -> None:
    assert served.failed((fault,)) == {fault}


@pytest.mark.parametrize("group", range(GROUPS_OF_FAULTS))
def test_every_fault_fails_its_row_and_no_other(served: Served, group: int) -> None:
    """Twelve runs with a dozen faults each, whose rows have nothing to do with one another."""
    faults = tuple(in_company()[group::GROUPS_OF_FAULTS])
    assert served.failed(faults) == set(faults)


def test_the_command_prints_a_table_and_ends_with_0(served: Served) -> None:
    served.small.faults = Faults()
    found = CliRunner().invoke(cli, [served.url, "--model", "three"])
    assert found.exit_code == 0, found.output
    assert "Binary tensor data" in found.output
    assert " 0 fail" in found.output


def test_the_command_ends_with_1_where_a_row_fails(served: Served) -> None:
    served.small.faults = Faults({"unknown-model"})
    found = CliRunner().invoke(cli, [served.url, "--json"])  # the first model of the index
    assert found.exit_code == 1, found.output
    said = json.loads(found.output)
    assert said["model"] == "three"
    wrong = [each for each in said["rows"] if each["result"] == "fail"]
    assert [(each["group"], each["row"]) for each in wrong] == [("refusals", "unknown-model")]
    assert wrong[0]["clause"]
    assert wrong[0]["reason"].startswith("answered 200")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["http://127.0.0.1:9"], "127.0.0.1:9"),
        (["nowhere"], "nowhere: "),
        (["{url}", "--model", "nobody"], "nobody"),
        (["{url}", "--sample", "pyproject.toml"], "pyproject.toml is no inference request"),
        (["{url}", "--timeout", "0"], "--timeout"),
        ([], "Missing argument"),
    ],
)
def test_a_wrong_call_ends_with_2_and_one_line(served: Served, arguments: list[str], says: str) -> None:
    served.small.faults = Faults()
    found = CliRunner().invoke(cli, [each.format(url=served.url) for each in arguments])
    assert found.exit_code == 2, found.output
    assert says in found.output
    assert "Traceback" not in found.output


def test_a_sample_is_asked_instead_of_what_metadata_tell(served: Served, tmp_path: Path) -> None:
    served.small.faults = Faults()
    path = tmp_path / "request.json"
    rows = {"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [[1, 2, 3], [4, 5, 6.5]]}
    path.write_text(json.dumps({"inputs": [rows]}))
    with Client(served.url, 10.0) as client:
        subject = meet(client, "one", from_file(path))
        assert subject.find_sample() is None
        assert subject.reference.outputs["y"].values == (2, 4, 6, 8, 10, 13)


def test_a_batch_that_is_too_large_is_no_fault(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.small.faults = Faults()
    with Client(served.url, 10.0) as client:
        subject = meet(client, "one")
        subject.find_sample()
        size = len(json.dumps(request(subject.json_sample)))
        monkeypatch.setattr(served.small, "most_bytes", size + 4)
        with pytest.raises(Skipped, match="413"):
            batch.check(subject)


def test_the_suite_is_light() -> None:
    """It is run where neither the service nor torch is."""
    code = "import sys, conformance.__main__; print({'torch', 'numpy', 'service'} & sys.modules.keys())"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "set()"
