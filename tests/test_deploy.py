"""deploy/: rules and dashboard speak of metrics that there are."""

import json
import re
import shutil
import subprocess
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
NAME = re.compile(r"\babacus_[a-z_]+")


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_accepts_the_rules() -> None:
    command = ["promtool", "check", "rules", str(DEPLOY / "alerts.yml")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_accepts_the_metrics(committed_server: httpx.Client) -> None:
    text = committed_server.get("/metrics").text
    command = ["promtool", "check", "metrics"]
    result = subprocess.run(command, input=text, capture_output=True, text=True)
    ours = [line for line in (result.stdout + result.stderr).splitlines() if "abacus" in line]
    assert ours == []


@pytest.mark.parametrize("file", ["alerts.yml", "dashboard.json"])
def test_every_metric_it_names_is_there(committed_server: httpx.Client, file: str) -> None:
    committed_server.post("/predict/pass", json={"hours": 4})
    families = set(re.findall(r"^# TYPE (\S+)", committed_server.get("/metrics").text, re.M))
    for name in set(NAME.findall((DEPLOY / file).read_text())):
        assert name in families or re.sub(r"_(bucket|sum|count|total)$", "", name) in families, name


def test_the_dashboard_has_a_query_in_every_panel() -> None:
    dashboard: dict[str, Any] = json.loads((DEPLOY / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        assert all(target["expr"] for target in panel["targets"]), panel["title"]
