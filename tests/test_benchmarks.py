"""The benchmark's own arithmetic, its bodies and its page; nothing here depends on speed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.load import Load, LoadFailed, parse, run_wrk
from benchmarks.process import NotStarted, Running, free_port
from benchmarks.report import write
from benchmarks.results import BareLoop, Measurement, Results, Start
from benchmarks.rpc import probabilities, run_rpc
from benchmarks.scenarios import HEADLINE, PATHS, PHOTO_SIZE, RPC, Bodies, fields
from benchmarks.servers import DEF, EMPTY, ON_A_GPU, OURSELVES, QUICK, SERVERS, WITH_RPC
from benchmarks.targets import targets
from tests.conftest import BASELINE, ROOT, rpc_address_of, served
from tests.protocol.wire import read

LINE = (
    '{"requests": 900, "seconds": 3.0, "p50_ms": 2.0, "p99_ms": 4.0, "max_ms": 9.0,'
    ' "status": 0, "connect": 0, "read": 0, "write": 0, "timeout": 0}'
)


def measured(
    server: str, per_second: float, number: int = 0, scenario: str = HEADLINE.name, **load: float
) -> Measurement:
    figures = Load.model_validate_json(LINE).model_dump() | {"requests": per_second * 3, **load}
    return Measurement(
        server=server,
        scenario=scenario,
        round=number,
        load=Load(**figures),
        rows=1,
        cpu_seconds=0.3,
    )


def results(*measurements: Measurement) -> Results:
    return Results(
        machine={"processors": "2"},
        versions={"Python": "3"},
        settings={OURSELVES: "as installed"},
        rounds=3,
        seconds=3,
        not_measured={"TorchServe (best)": "no\njava"},
        measurements=list(measurements),
        starts=[
            Start(
                server=OURSELVES,
                round=0,
                seconds_to_ready=2,
                peak_memory_bytes=120,
                proportional_memory_bytes=100,
            )
        ],
        loops=[BareLoop(what="load", digits_per_s=0, seconds_to_load=1, peak_memory_bytes=100)],
    )


def test_the_line_of_figures_is_found_among_what_wrk_prints() -> None:
    load = parse(f"Running 3s test @ http://x\n{LINE}\n")
    assert (load.per_second, load.errors) == (300, 0)
    with pytest.raises(LoadFailed, match="unable to connect"):
        parse("unable to connect to x\n")


def test_a_refusal_is_no_answer() -> None:
    load = Load.model_validate_json(LINE.replace('"status": 0', '"status": 600'))
    assert (load.per_second, load.errors) == (100, 600)


def test_medians_ratios_and_verdicts() -> None:
    r = results(
        *(measured(OURSELVES, speed, i) for i, speed in enumerate((900, 100, 700))),
        measured(DEF, 200),
        measured(EMPTY, 700),
    )
    assert r.per_second(OURSELVES, HEADLINE.name) == 700
    found = {t.what: t for t in targets(r)}
    over_peer = found["requests/s: digit, 16 clients, over the best peer"]
    assert (over_peer.measured, over_peer.verdict, over_peer.against) == (3.5, "yes", DEF)
    over_empty = found["the same over FastAPI's empty upload endpoint"]
    assert (over_empty.measured, over_empty.verdict) == (1.0, "**no**")
    assert found["16 clients, from the first request: p99 over p50"].measured == 2
    assert found["peak memory over a bare process"].verdict == "yes"
    assert found["seconds to ready over a bare process"].verdict == "**no**"
    assert found["raw PNG body over multipart"].verdict == "not measured"


def test_calls_over_grpc_are_compared_with_each_peer_s(tmp_path: Path) -> None:
    speeds = {WITH_RPC: 600, "MLServer (best)": 150, "KServe (best)": 300}
    r = results(
        measured(OURSELVES, 700),
        *(measured(title, speed, scenario=RPC.name) for title, speed in speeds.items()),
    )
    found = {t.what: (t.measured, t.verdict) for t in targets(r)}
    assert found["gRPC: digit, 16 clients, over MLServer (best)"] == (4, "yes")
    assert found["gRPC: digit, 16 clients, over KServe (best)"] == (2, "**no**")
    page = tmp_path / "page.md"
    write(r, page, tmp_path / "chart.png")
    assert f"| KServe (best): {RPC.name} | 300 | 0.50 |" in page.read_text(encoding="utf-8")


def test_the_page_and_the_chart(tmp_path: Path) -> None:
    page, chart = tmp_path / "docs" / "page.md", tmp_path / "docs" / "images" / "chart.png"
    write(results(measured(OURSELVES, 700), measured(DEF, 200)), page, chart)
    text = page.read_text(encoding="utf-8")
    assert "| **Abacus** | 700 | 1.00 |" in text
    assert "TorchServe (best) was not measured: no java" in text
    with Image.open(chart) as picture:
        assert picture.format == "PNG"


def test_results_survive_their_file() -> None:
    r = results(measured(OURSELVES, 700))
    assert Results.model_validate_json(r.model_dump_json()) == r


def test_the_service_accepts_every_body(committed_server: httpx.Client, tmp_path: Path) -> None:
    bodies = Bodies(tmp_path)
    bodies.write([(BASELINE / "samples" / "7.png").read_bytes()])
    for body, count in (("tensor", 1), ("tensor of 64", 64)):
        content = bodies.path(body).read_bytes()
        answered = read(committed_server.post(PATHS[body], content=content, headers=fields(body)))
        assert answered.outputs["probabilities"].argmax(1).tolist() == count * [7]
    for body, answers in (("form", 1), ("form of 64", 64), ("png", 1), ("photo", 1), ("hours", 10_000)):
        path = PATHS.get(body, "/predict/digit")
        content = bodies.path(body).read_bytes()
        answer = committed_server.post(path, content=content, headers=fields(body)).json()
        predictions = answer.get("predictions", [answer])
        assert len(predictions) == answers
        if path.endswith("digit"):
            assert {p["digit"] for p in predictions} == {7}
    with Image.open(bodies.path("photo")) as photo:
        assert photo.size == PHOTO_SIZE


def test_the_service_answers_every_message_of_grpc(tmp_path: Path) -> None:
    bodies = Bodies(tmp_path)
    bodies.write([(BASELINE / "samples" / "7.png").read_bytes()])
    with served("--grpc-port", "0", "--models", "digit") as service:
        address = rpc_address_of(service)
        for body in ("rpc", "rpc of 64"):
            row = probabilities(address, bodies.path(body).read_bytes())
            assert row.index(max(row)) == 7
        load = run_rpc(address, bodies.path("rpc"), 2, 1)
        assert (load.requests > 0, load.errors) == (True, 0)
        (tmp_path / "damaged").write_bytes(b"")
        refused = run_rpc(address, tmp_path / "damaged", 2, 1)
        assert (refused.per_second, refused.status) == (0, refused.requests)
    assert not probabilities(address, b"")


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_a_short_load_on_the_real_service(committed_server: httpx.Client, tmp_path: Path) -> None:
    Bodies(tmp_path).write([(BASELINE / "samples" / "7.png").read_bytes()])
    url = str(committed_server.base_url) + "/predict/digit"
    load = run_wrk(url, tmp_path / "form", fields("form"), 16, 1)
    assert load.requests > 0
    assert load.errors == 0


def test_a_server_that_ends_says_why(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with (
        pytest.raises(NotStarted, match="no such model"),
        Running(command, dict(os.environ), url, tmp_path / "log"),
    ):
        pass


def test_every_named_server_exists_and_its_files_too() -> None:
    names = {server.name for server in SERVERS}
    assert {*QUICK, *ON_A_GPU} <= names
    for server in SERVERS:
        if server.peer:
            assert (ROOT / "benchmarks" / "requirements" / f"{server.peer}.txt").exists()
    assert len({server.title for server in SERVERS}) == len(SERVERS)


def test_help() -> None:
    command = [sys.executable, "-m", "benchmarks", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Usage" in result.stdout


@pytest.mark.parametrize("command", ["run", "quick", "gpu", "report"])
def test_each_command_has_help(command: str) -> None:
    """In this process, as torch is here already."""
    result = CliRunner().invoke(cli, [command, "--help"])
    assert (result.exit_code, "Usage" in result.output) == (0, True)
