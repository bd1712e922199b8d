"""Every row on the gRPC service passes against a server that is right, and fails where it is not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from conformance.__main__ import cli
from conformance.client import Client
from conformance.row import Result
from conformance.rpc.channel import Channel
from conformance.rpc.subject import RpcSubject
from conformance.rpc.suite import GROUPS
from conformance.subject import meet
from conformance.suite import GROUPS as REST_GROUPS
from conformance.suite import run
from tests.conformance.rpc_server import RpcFaults, SmallRpc, serving
from tests.conformance.server import Small, serving_rest
from tests.conftest import ROOT

# Faults that change what other rows go by, and so are planted alone.
ALONE = (
    *("rpc-valid-request", "rpc-raw-contents", "rpc-typed-contents", "rpc-all-outputs"),
    *("rpc-outputs-by-name", "rpc-output-shapes"),
)
GROUPS_OF_FAULTS = 8


@dataclass
class Both:
    """The small server, without a fault over REST."""

    url: str
    small: SmallRpc
    address: str

    def results(self, *faults: str) -> list[Result]:
        self.small.faults = RpcFaults(faults)
        with Client(self.url, 60.0) as client, Channel(self.address, 60.0) as channel:
            rest = meet(client, "three")
            assert rest.find_sample() is None
            return list(run(RpcSubject(channel, rest), GROUPS))

    def failed(self, *faults: str) -> set[str]:
        return {each.row.name for each in self.results(*faults) if each.result == "fail"}


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    small = SmallRpc()
    with serving_rest(Small()) as url, serving(small) as address:
        yield Both(url, small, address)


def names() -> list[str]:
    return [row.name for _, rows in GROUPS for row in rows]


def test_rows_have_names_of_their_own() -> None:
    every = [*names(), *(row.name for _, rows in REST_GROUPS for row in rows)]
    assert len(set(every)) == len(every)


def test_a_server_that_is_right_fails_no_row_and_every_row_is_looked_at(both: Both) -> None:
    assert {each.row.name: (each.result, each.reason) for each in both.results()} == dict.fromkeys(
        names(), ("pass", "")
    )


@pytest.mark.parametrize("fault", ALONE)
def test_a_fault_fails_its_row_and_no_other(both: Both, fault: str) -> None:
    assert both.failed(fault) == {fault}


@pytest.mark.parametrize("group", range(GROUPS_OF_FAULTS))
def test_every_fault_fails_its_row_and_no_other(both: Both, group: int) -> None:
    """Eight runs with some faults each, whose rows have nothing to do with one another."""
    faults = [name for name in names() if name not in ALONE][group::GROUPS_OF_FAULTS]
    assert both.failed(*faults) == set(faults)


def test_the_command_checks_both(both: Both) -> None:
    both.small.faults = RpcFaults({"rpc-unknown-model"})
    command = [both.url, "--model", "three", "--grpc", both.address, "--json"]
    found = CliRunner().invoke(cli, command)
    assert found.exit_code == 1, found.output
    rows = json.loads(found.output)["rows"]
    assert {each["group"] for each in rows} >= {"health", "gRPC: health"}
    wrong = [each for each in rows if each["result"] == "fail"]
    assert [(each["row"], each["reason"]) for each in wrong] == [("rpc-unknown-model", "answered OK")]


def test_a_service_that_is_not_there_ends_with_2_and_one_line(both: Both) -> None:
    found = CliRunner().invoke(cli, [both.url, "--grpc", "127.0.0.1:9"])
    assert found.exit_code == 2, found.output
    assert "127.0.0.1:9: UNAVAILABLE" in found.output
    assert "Traceback" not in found.output


def test_rows_on_rest_do_without_grpc(both: Both) -> None:
    """And those on gRPC say what they need."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('grpc', 'grpc_tools')));"
        "from conformance.__main__ import cli; cli()"
    )
    asked = [sys.executable, "-c", code, both.url, "--grpc", both.address]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("--grpc needs grpcio-tools")
