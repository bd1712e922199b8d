"""The file of keys cannot be read for a while: a revoked key goes once it can."""

import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from service.http.keys import add_key
from tests.conftest import metric_sum, served, wait_for
from tests.reliability.test_store import mounted

Report = Callable[[str, str, str], None]
FAILURES = "abacus_api_keys_read_failures_total"


def test_a_key_is_revoked_while_descriptors_are_used_up(
    published: Path, tmp_path: Path, figure: Report
) -> None:
    """The control: while none is free, the file cannot be read and the key still works."""
    file = tmp_path / "keys"
    old, new = add_key(file, "old"), add_key(file, "new")
    options = ("--artifacts", str(published), "--api-keys-file", str(file), "--open-paths", "/metrics")
    with served(*options) as service, ExitStack() as idle:

        def status(key: str) -> int:
            headers = {"X-API-Key": key}
            return service.client.post("/predict/pass", json={"hours": 4}, headers=headers).status_code

        def failures() -> float:
            return metric_sum(service.client.get("/metrics").text, FAILURES)

        assert (status(old), status(new), failures()) == (200, 200, 0)
        process = psutil.Process(service.process.pid)
        room = process.num_fds() + 8
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (room, room))
        url = urlsplit(str(service.client.base_url))
        for _ in range(20):
            idle.enter_context(socket.create_connection((url.hostname, url.port or 80)))
        wait_for(lambda: process.num_fds() >= room)
        staged = file.with_name("staged")
        staged.write_text(file.read_text().splitlines()[1] + "\n")
        staged.replace(file)
        wait_for(lambda: failures() > 2)
        meanwhile = status(old)
        idle.close()
        wait_for(lambda: status(old) == 401)
        log = service.log.read_text()
        assert status(new) == 200
    said = log.count("API keys stay as they were")
    figure(
        "a key is revoked while descriptors are used up",
        "revoked once they are free; counted; said once",
        f"{meanwhile} meanwhile, then 401; said {said} time(s)",
    )
    assert (meanwhile, said) == (200, 1)
    assert "Too many open files" in log


@pytest.mark.skipif(
    not (shutil.which("bindfs") and os.access("/dev/fuse", os.R_OK | os.W_OK)),
    reason="needs bindfs, and may mount",
)
def test_the_keys_are_on_a_mount_that_hangs(published: Path, tmp_path: Path, figure: Report) -> None:
    """The control: the mount does hang, for whoever looks at it."""
    (tmp_path / "source").mkdir()
    file = tmp_path / "source" / "keys"
    headers = {"X-API-Key": add_key(file, "a")}
    options = ("--api-keys-file", str(tmp_path / "mount" / "keys"), "--open-paths", "/metrics")
    with (
        mounted(file.parent, tmp_path / "mount") as mount,
        served("--artifacts", str(published), *options) as service,
    ):

        def status() -> int:
            return service.client.post("/predict/pass", json={"hours": 4}, headers=headers).status_code

        mount.suspend()
        # Not waited for: what the mount's daemon has begun to read of it no signal ends.
        looking = subprocess.Popen(["ls", str(tmp_path / "mount")], stdout=subprocess.DEVNULL)
        time.sleep(1)
        assert looking.poll() is None
        answers = {status() for _ in range(20)}
        wait_for(lambda: metric_sum(service.client.get("/metrics").text, FAILURES) > 0)
        answers.add(status())
        said = service.log.read_text().count("does not answer")
        file.write_text("")
        mount.resume()
        assert looking.wait(timeout=60) == 0
        wait_for(lambda: status() == 401)
    figure(
        "the file of keys on a mount that hangs",
        "answered; counted; said once; revoked once it answers",
        f"{answers} meanwhile, then 401; said {said} time(s)",
    )
    assert (answers, said) == ({200}, 1)
