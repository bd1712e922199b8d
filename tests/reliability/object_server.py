"""Real servers of objects: SeaweedFS (`weed`) or else moto's, Azurite, and fake-gcs-server."""

import os
import shutil
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import free_ports

BUCKET = "models"
SCHEMES = ("s3", "az", "gs")
IDENTITY = (
    '{"identities": [{"name": "tests", "credentials": [{"accessKey": "key", "secretKey": "secret"}],'
    ' "actions": ["Admin"]}]}'
)
AZURE_KEY = b64encode(b"secret").decode()


class ObjectServer(NamedTuple):
    """`environment` has what a client needs: the service is told no credentials otherwise."""

    kind: str
    scheme: str
    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)


class Startable(NamedTuple):
    kind: str
    command: list[str]
    environment: dict[str, str]
    own: Mapping[str, str] = {}  # the server's


@contextmanager
def object_server(folder: Path, scheme: str = "s3") -> Iterator[ObjectServer]:
    """Skips where there is none."""
    found = {"s3": _s3, "az": _azurite, "gs": _fake_gcs}[scheme](folder)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            found.command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **found.own}
        )
    try:
        server = ObjectServer(found.kind, scheme, process, found.environment)
        with pytest.MonkeyPatch.context() as patched:
            server.use(patched)
            _make_bucket(server)
        yield server
    finally:
        process.kill()
        process.wait()


def _s3(folder: Path) -> Startable:
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
    return Startable(kind, command, environment)


def _azurite(folder: Path) -> Startable:  # noqa: ARG001
    azurite = shutil.which("azurite-blob")
    if not azurite or not find_spec("adlfs"):
        pytest.skip("Azurite or adlfs is not installed")
    (port,) = free_ports(1)
    options = ["--inMemoryPersistence", "--disableTelemetry", "--silent", "--skipApiVersionCheck"]
    connection = {
        "DefaultEndpointsProtocol": "http",
        "AccountName": "tests",
        "AccountKey": AZURE_KEY,
        "BlobEndpoint": f"http://127.0.0.1:{port}/tests",
    }
    written = ";".join(f"{name}={value}" for name, value in connection.items())
    return Startable(
        "Azurite",
        [azurite, "--blobPort", str(port), *options],
        {"AZURE_STORAGE_CONNECTION_STRING": written},
        {"AZURITE_ACCOUNTS": f"tests:{AZURE_KEY}"},
    )


def _fake_gcs(folder: Path) -> Startable:  # noqa: ARG001
    fake = shutil.which("fake-gcs-server")
    if not fake or not find_spec("gcsfs"):
        pytest.skip("fake-gcs-server or gcsfs is not installed")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    where = [
        "-scheme",
        "http",
        "-host",
        "127.0.0.1",
        "-port",
        str(port),
        "-public-host",
        f"127.0.0.1:{port}",
    ]
    command = [fake, "-backend", "memory", *where, "-external-url", url, "-log-level", "error"]
    return Startable(
        "fake-gcs-server",
        command,
        {
            "STORAGE_EMULATOR_HOST": url,
            "FSSPEC_GS_TOKEN": "anon",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        },
    )


def _seaweed(weed: str, folder: Path) -> tuple[str, str, list[str]]:
    # Its ports for gRPC lie 10,000 above the others.
    s3, master, volume, filer = (port % 20_000 + 20_000 for port in free_ports(4))
    (folder / "s3.json").write_text(IDENTITY)
    (folder / "data").mkdir()
    local = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=data", "-s3", "-s3.config=s3.json"]
    ports = [f"-s3.port={s3}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
    return "SeaweedFS", f"http://127.0.0.1:{s3}", [weed, "server", *local, *ports]


def _make_bucket(server: ObjectServer) -> None:
    from fsspec import filesystem

    options = {"skip_instance_cache": True, "use_listings_cache": False}
    bucket = filesystem(server.scheme, **options)
    deadline = time.monotonic() + 60
    while not _made(bucket):
        assert server.process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _made(filesystem: Any) -> bool:
    """SeaweedFS listens before it can write."""
    try:
        if not filesystem.exists(BUCKET):
            filesystem.mkdir(BUCKET)
        filesystem.pipe_file(f"{BUCKET}/begun", b"1")
    except Exception:  # each backend has errors of its own
        return False
    return True
