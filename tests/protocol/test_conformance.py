"""The conformance suite, a black box, against the service: no row fails."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from conformance.client import Client
from conformance.rpc.channel import Channel
from conformance.rpc.subject import RpcSubject
from conformance.rpc.suite import GROUPS as RPC_GROUPS
from conformance.samples import from_file
from conformance.subject import meet
from conformance.suite import run

LOAN = {"age": ("FP32", 30.5), "job": ("BYTES", "smith"), "income": ("FP32", 2.0), "town": ("BYTES", "Ulm")}


@pytest.mark.parametrize("model", ["digit", "object", "pass", "house", "plot"])
def test_every_row_passes(service: httpx.Client, rpc_address: str, model: str) -> None:
    """Requests are made from the metadata alone."""
    assert failures(service, rpc_address, model) == {}


def test_every_row_passes_of_a_table_with_categories(
    service: httpx.Client, rpc_address: str, tmp_path: Path
) -> None:
    """Whose names the metadata do not say."""
    columns = [
        {"name": name, "datatype": datatype, "shape": [1, 1], "data": [value]}
        for name, (datatype, value) in LOAN.items()
    ]
    assert failures(service, rpc_address, "loan", sample(tmp_path, columns)) == {}


def sample(folder: Path, inputs: list[dict[str, Any]]) -> Path:
    path = folder / "request.json"
    path.write_text(json.dumps({"inputs": inputs}))
    return path


def failures(
    service: httpx.Client, rpc_address: str, model: str, given: Path | None = None
) -> dict[str, str]:
    with Client(str(service.base_url), 30.0) as client, Channel(rpc_address, 30.0) as channel:
        subject = meet(client, model, from_file(given) if given else ())
        results = [*run(subject), *run(RpcSubject(channel, subject), RPC_GROUPS)]
    passed = {each.row.name for each in results if each.result == "pass"}
    assert passed >= {"valid-request", "default-call", "rpc-raw-contents", "rpc-typed-contents"}
    return {each.row.name: each.reason for each in results if each.result == "fail"}
