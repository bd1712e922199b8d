"""deploy/ray without Ray: its example names settings that there are, and its HAProxy answers problems."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import httpx
import pytest
import yaml

from service.settings import Settings
from tests.conftest import ROOT, free_ports, wait_for

RAY = ROOT / "deploy" / "ray"

# What matters of what Ray Serve 2.60 writes.
WRITTEN = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    errorfile 502 {folder}/500.http
    errorfile 503 {folder}/500.http
    errorfile 504 {folder}/500.http
frontend prometheus
    bind :{metrics}
    http-request use-service prometheus-exporter if {{ path /metrics }}
frontend http_frontend
    bind 127.0.0.1:{front}
    default_backend http-abacus
backend http-abacus
    server SERVE_REPLICA_abacus 127.0.0.1:{replica} check
listen stats
    bind *:{stats}
    stats enable
"""
SERVES_500 = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 21\r\n\r\nInternal Server Error"


def test_the_example_names_settings() -> None:
    config = yaml.safe_load((RAY / "serve.yaml").read_text())
    (application,) = config["applications"]
    assert application["import_path"] == "deploy.ray.application:build"
    Settings(**application["args"])


def test_the_extra_is_the_version_that_was_tried() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert "ray[serve]>=2.60" in extras["ray"]


@pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is not installed")
def test_haproxy_answers_problems_and_shows_its_figures_to_this_machine_alone(tmp_path: Path) -> None:
    front, metrics, stats, replica = free_ports(4)
    (tmp_path / "500.http").write_text(SERVES_500)
    file = tmp_path / "haproxy.cfg"
    file.write_text(
        WRITTEN.format(folder=tmp_path, front=front, metrics=metrics, stats=stats, replica=replica)
    )
    process = subprocess.Popen(
        [RAY / "haproxy", "-db", "-f", file],
        env={**os.environ, "ABACUS_HAPROXY": shutil.which("haproxy") or ""},
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{front}", timeout=60) as client:
            response = wait_for(lambda: _answer(client, "mine"))
            assert response.status_code == 503
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["retry-after"] == "1"
            assert response.headers.get_list("x-request-id") == ["mine"]
            assert response.json()["request_id"] == "mine"
            made = wait_for(lambda: _answer(client, "not well formed")).json()["request_id"]
            assert len(made) == 36
    finally:
        process.terminate()
        process.wait(timeout=30)
    text = file.read_text()
    assert f"bind 127.0.0.1:{metrics}" in text
    assert f"bind 127.0.0.1:{stats}" in text
    assert "errorfile" not in text


def _answer(client: httpx.Client, request_id: str) -> httpx.Response | None:
    try:
        return client.post("/predict/pass", json={"hours": 4}, headers={"X-Request-ID": request_id})
    except httpx.ConnectError:
        return None
