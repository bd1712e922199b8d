"""Workers and the process that watches over them: one dies, is slow or is stopped, and the others go on."""

import os
import re
import shutil
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from service.artifacts.signatures import SigningKey, make_keys, sign_published
from service.artifacts.store import ArtifactStore
from service.http.keys import add_key
from tests.conftest import Served, loads, metric_sum, png, sent, served, wait_for, workers_of
from tests.reliability.conftest import white_square
from tests.workers.slow_import import slow_import

Report = Callable[[str, str, str], None]


def ask(service: Served) -> int:
    """One picture that blocks the device for seconds; 0 where the connection breaks."""
    url = f"{service.client.base_url}/predict/digit"
    try:
        files = {"file": png(white_square().numpy())}
        return httpx.post(url, files=files, timeout=120, verify=False).status_code
    except httpx.HTTPError:
        return 0


def workers(service: Served) -> list[psutil.Process]:
    return workers_of(psutil.Process(service.process.pid))


def metrics_files(service: Served) -> list[Path]:
    environment = workers(service)[0].environ()
    return sorted(Path(environment["PROMETHEUS_MULTIPROC_DIR"]).glob("*.db"))


def under_way(service: Served) -> float:
    return metric_sum(service.client.get("/metrics").text, "abacus_queue_rows")


def test_a_worker_that_is_killed_leaves_its_counts_alone(blockable: Path, figure: Report) -> None:
    """The control: with its files put back, its rows are under way for ever."""
    with (
        served("--artifacts", str(blockable), "--workers", "2") as service,
        ThreadPoolExecutor(8) as pool,
    ):
        wait_for(lambda: loads(service.log) == 2)
        with httpx.Client(base_url=service.client.base_url, timeout=60) as client:
            for _ in range(20):
                client.post("/predict/pass", json={"hours": 4})
        answers = [pool.submit(ask, service) for _ in range(8)]
        wait_for(lambda: sent(service.client) >= 28)
        files, counted = metrics_files(service), sent(service.client) - under_way(service)
        kept = {}
        for victim in workers(service):  # one after the other: whoever held rows
            own = next(file for file in files if file.name == f"gauge_livesum_{victim.pid}.db")
            kept[own] = own.read_bytes()
            before = loads(service.log)
            service.client.close()
            victim.kill()
            wait_for(lambda before=before: loads(service.log) > before)  # type: ignore[misc]
        failed = sum(answer.result() == 0 for answer in answers)
        with httpx.Client(base_url=service.client.base_url, timeout=60) as client:
            again = service._replace(client=client)
            wait_for(lambda: under_way(again) == 0)  # who was answered is let go a moment later
            left, files_after = under_way(again), metrics_files(again)
            counted_after = sent(client)
            restarts = metric_sum(client.get("/metrics").text, "abacus_worker_restarts_total")
            for file, content in kept.items():
                file.write_bytes(content)
            control = under_way(again)
        log = service.log.read_text()
    figure(
        "kill -9 of a worker with rows under way",
        "its rows leave the metrics, its counts stay, no file more",
        f"{failed} failed, {left:.0f} rows left (control {control:.0f}), {len(files_after)} files "
        f"(before: {len(files)})",
    )
    assert failed > 0
    assert (left, control > 0) == (0, True)
    assert counted_after >= counted >= 20
    assert len(files_after) <= len(files) + 1  # the watching process begins one of its own
    assert not {file.name for file in kept} & {file.name for file in files_after}
    assert restarts == 2
    assert len(re.findall(r"worker \d+ was ended by SIGKILL", log)) == 2


def signed(store: Path, trusted: Path) -> Path:
    """A copy of a store whose live versions are signed; the public key is written to `trusted`."""
    copy = trusted.parent / "signed"
    shutil.copytree(store, copy)
    private, public = make_keys()
    (trusted.parent / "private.pem").write_bytes(private)
    trusted.write_bytes(public)
    for name in ("pass", "digit"):
        artifacts = ArtifactStore(copy)
        sign_published(artifacts, name, artifacts.current(name), SigningKey(trusted.parent / "private.pem"))
    return copy


def test_a_worker_is_replaced_while_the_keys_are_malformed_and_both_end_with_the_parent(
    blockable: Path, tmp_path: Path, figure: Report
) -> None:
    file, trusted = tmp_path / "keys", tmp_path / "trusted.pem"
    key = add_key(file, "a")
    options = ("--artifacts", str(signed(blockable, trusted)), "--trusted-keys", str(trusted))
    keys = ("--api-keys-file", str(file), "--open-paths", "/metrics,/predict/digit")
    with served(*options, *keys, "--workers", "2") as service, ThreadPoolExecutor(8) as pool:
        wait_for(lambda: loads(service.log) == 2)
        for malformed in (file, trusted):
            malformed.write_text("broken\n")
        wait_for(lambda: service.log.read_text().count("line 1 is not name:sha256") >= 2)
        victim, other = workers(service)
        victim.kill()
        wait_for(lambda: service.log.read_text().count("is ready after") == 3)
        other.kill()  # so that the new one is asked
        service.client.close()
        with httpx.Client(base_url=service.client.base_url, timeout=60) as client:
            headers = {"X-API-Key": key}
            assert client.post("/predict/pass", json={"hours": 4}, headers=headers).status_code == 200
            assert client.post("/predict/pass", json={"hours": 4}).status_code == 401
            wait_for(lambda: service.log.read_text().count("is ready after") == 4)
            answers = [pool.submit(ask, service) for _ in range(8)]
            wait_for(lambda: metric_sum(client.get("/metrics").text, "abacus_queue_rows") >= 8)
        left = psutil.Process(service.process.pid).children(recursive=True)
        folder = metrics_files(service)[0].parent
        service.process.kill()
        service.process.wait()
        alive_then = sum(process.is_running() for process in left)
        answered = sum(answer.result() == 200 for answer in answers)
        psutil.wait_procs(left, timeout=60)
        alive = sum(process.is_running() for process in left)
        url = urlsplit(str(service.client.base_url))
        socket.create_server((url.hostname or "", url.port or 0)).close()
        shutil.rmtree(folder, ignore_errors=True)  # whichever service starts next removes it
    figure(
        "kill -9 of the process that watches over two workers, 8 in flight",
        "8 answered, both end, the port is free",
        f"{answered} answered, {alive} of {alive_then} left",
    )
    assert (answered, alive) == (8, 0)
    assert alive_then >= 2  # and what they have started themselves


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "control: SIGINT"])
def test_the_whole_group_is_told_to_stop(published: Path, figure: Report, number: signal.Signals) -> None:
    options = ("--artifacts", str(published), "--workers", "2", "--drain-s", "600")
    with served(*options) as service:
        wait_for(lambda: loads(service.log) == 2)
        os.killpg(service.process.pid, number)
        drained = number == signal.SIGTERM
        if drained:
            wait_for(lambda: service.client.get("/health/ready").status_code == 503)
            for _ in range(10):  # the other one may not have heard of it yet
                assert service.client.post("/predict/pass", json={"hours": 4}).status_code == 200
            os.killpg(service.process.pid, number)
        service.client.close()
        code = service.process.wait(timeout=120)
        log = service.log.read_text()
    if drained:
        figure("SIGTERM to the process group, twice, two workers", "drained, then exit 0", f"exit {code}")
    assert code == 0
    assert "Traceback" not in log
    assert ("stopping (drain)" in log) == drained


@pytest.mark.alone  # a busy machine is silent, too
def test_a_start_that_takes_longer_than_a_silence_may(
    published: Path, tmp_path: Path, long: bool, figure: Report
) -> None:
    seconds, silence = (12, 5) if long else (4, 3)
    environment, _ = slow_import(tmp_path, "torch", seconds)
    options = ("--artifacts", str(published), "--workers", "2", "--worker-silence-s", str(silence))
    with served(*options, **environment) as service:
        wait_for(lambda: service.log.read_text().count("is ready after") == 2)
        log = service.log.read_text()
    figure(
        f"two workers that take {seconds} s to import torch, and may be silent for {silence} s",
        "ready, none replaced",
        f"{log.count('it is killed')} replaced",
    )
    assert "it is killed" not in log
