"""gRPC through nginx with TLS, as docs/protocol.md gives it."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import pytest

from service.rpc.messages import protocol
from tests.conftest import COMMITTED, DIGIT_VERSION, ROOT, Digits, free_ports, rpc_address_of, served
from tests.reliability.balanced import running_nginx
from tests.rpc.test_rpc import images, inference, refused

PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
MAX_BYTES = 100_000
NEW_KEY = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost")


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if not (shutil.which("nginx") and shutil.which("openssl")):
        pytest.skip("nginx or openssl is not installed")
    folder, (port,) = tmp_path_factory.mktemp("nginx"), free_ports(1)
    (block,) = re.findall(r"^```nginx\n(.+?)^```", PAGE, re.M | re.S)
    certificate, key = folder / "tls.crt", folder / "tls.key"
    named = ("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate))
    subprocess.run([*NEW_KEY, *named], check=True, capture_output=True)
    options = ("--models", "digit", "--grpc-port", "0", "--max-body-bytes", str(MAX_BYTES))
    with served("--artifacts", str(COMMITTED), *options) as service:
        server = block.replace("/etc/abacus/", f"{folder}/")
        server = server.replace("listen 443", f"listen 127.0.0.1:{port}")
        server = server.replace("127.0.0.1:8001", rpc_address_of(service))
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        with (
            running_nginx(server, port, folder),
            grpc.secure_channel(f"localhost:{port}", credentials) as channel,
        ):
            yield protocol()[1].GRPCInferenceServiceStub(channel)


def test_calls(stub: Any, digits: Digits) -> None:
    answer = stub.ModelInfer(inference("digit", images(digits, 5)), timeout=60)
    assert (answer.model_version, list(answer.outputs[0].shape)) == (DIGIT_VERSION, [5, 10])
    large = inference("digit", ("image", "BYTES", [1], b"x" * MAX_BYTES))
    for request, code in (
        (inference("cat"), grpc.StatusCode.NOT_FOUND),
        (large, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ):
        assert refused(partial(stub.ModelInfer, request, timeout=60)).code() == code


def test_a_stream_of_more_than_a_body_may_have(stub: Any, digits: Digits) -> None:
    """By default nginx ends it after 1 MB."""
    one = inference("digit", images(digits, 64))
    count = 2_000_000 // one.ByteSize()
    answers = list(stub.ModelStreamInfer(iter([one] * count), timeout=120))
    assert len(answers) == count
    assert not any(answer.error_message for answer in answers)
