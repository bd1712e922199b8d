"""A real server of objects: SeaweedFS where it is installed (`weed`), else moto's."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import free_ports

BUCKET = "models"
IDENTITY = (
    '{"identities": [{"name": "tests", "credentials": [{"accessKey": "key", "secretKey": "secret"}],'
    ' "actions": ["Admin"]}]}'
)


class ObjectServer(NamedTuple):
    """`environment` has what a client needs: the service is told no credentials otherwise."""

    kind: str
    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)


@contextmanager
def object_server(folder: Path) -> Iterator[ObjectServer]:
    """Skips where there is none."""
    pytest.importorskip("s3fs")
    weed, moto = shutil.which("weed"), Path(sys.executable).parent / "moto_server"
    if weed:
        kind, url, command = _seaweed(weed, folder)
    elif moto.exists():
        (port,) = free_ports(1)
        kind, url = "moto", f"http://127.0.0.1:{port}"
        command = [str(moto), "-H", "127.0.0.1", "-p", str(port)]
    else:
        pytest.skip("neither SeaweedFS nor moto is installed")
    environment = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        server = ObjectServer(kind, process, environment)
        _make_bucket(server, url)
        yield server
    finally:
        process.kill()
        process.wait()


def _seaweed(weed: str, folder: Path) -> tuple[str, str, list[str]]:
    # Its ports for gRPC lie 10,000 above the others.
    s3, master, volume, filer = (port % 20_000 + 20_000 for port in free_ports(4))
    (folder / "s3.json").write_text(IDENTITY)
    (folder / "data").mkdir()
    local = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=data", "-s3", "-s3.config=s3.json"]
    ports = [f"-s3.port={s3}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
    return "SeaweedFS", f"http://127.0.0.1:{s3}", [weed, "server", *local, *ports]


def _make_bucket(server: ObjectServer, url: str) -> None:
    from s3fs import S3FileSystem

    filesystem = S3FileSystem(key="key", secret="secret", endpoint_url=url, skip_instance_cache=True)
    deadline = time.monotonic() + 60
    while not _made(filesystem):
        assert server.process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _made(filesystem: Any) -> bool:
    """SeaweedFS listens before it can write."""
    from botocore.exceptions import BotoCoreError

    try:
        if not filesystem.exists(BUCKET):
            filesystem.mkdir(BUCKET)
        filesystem.pipe_file(f"{BUCKET}/begun", b"1")
    except (OSError, BotoCoreError):
        return False
    return True
