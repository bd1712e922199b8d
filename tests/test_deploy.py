"""deploy/: rules and dashboard speak of metrics that there are."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from service.serving.exposition import ROUTES
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
INCREASE = re.compile(r"increase\((?P<counter>\w+)(?:{(?P<labels>[^}]*)})?\[")
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


def expressions() -> dict[str, str]:
    """Of the alerts, by their names."""
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def test_what_an_alert_takes_the_increase_of_is_there_from_the_start(
    committed_server: httpx.Client,
) -> None:
    """Of a counter that begins with 1 Prometheus sees no increase: the first time would go unseen."""
    samples = committed_server.get("/metrics").text
    selected = [match for text in expressions().values() for match in INCREASE.finditer(text)]
    assert {match["counter"] for match in selected} >= {
        "abacus_reloads_total",
        "abacus_worker_restarts_total",
    }
    for match in selected:
        labels = match["labels"] or ""
        found = [
            line for line in samples.splitlines() if line.startswith(match["counter"]) and labels in line
        ]
        assert len(found) == (3 if labels else 1), match[0]  # one for each model


INFO = 'abacus_model_info{{model="digit",version="{0}",sha256="{0}",instance="{1}"}}'
REFUSED = 'abacus_reloads_total{model="digit",outcome="refused",instance="x"}'
UP = 'up{{job="abacus",instance="{0}"}}'
DIGIT = '{model="digit"}'


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
@pytest.mark.parametrize(
    ("alert", "fires_of", "series"),
    [
        ("AbacusVersionsDiffer", None, {INFO.format(1, "x"): "1x5 0x40", INFO.format(2, "x"): "_x5 1x40"}),
        ("AbacusVersionsDiffer", DIGIT, {INFO.format(1, "x"): "1x40", INFO.format(2, "y"): "1x40"}),
        ("AbacusReloadRefused", None, {REFUSED: "0x40"}),
        ("AbacusReloadRefused", None, {REFUSED: "1x40"}),
        ("AbacusReloadRefused", DIGIT, {REFUSED: "0x25 1x20"}),
        ("AbacusReloadRefused", DIGIT, {REFUSED: "_x25 1x20"}),
        ("AbacusServesNothing", None, {UP.format("x"): "1x40", INFO.format(1, "x"): "1x40"}),
        (
            "AbacusServesNothing",
            '{instance="y"}',
            {UP.format("x"): "1x40", UP.format("y"): "1x40", INFO.format(1, "x"): "1x40"},
        ),
        ("AbacusServesNothing", "{}", {INFO.format(1, "x"): "1x5 0x40"}),
    ],
)
def test_an_alert_fires_when_it_should(
    alert: str, fires_of: str | None, series: dict[str, str], tmp_path: Path
) -> None:
    """At half an hour. Under Ray what is live no longer is 0, and a counter begins with its first count."""
    by = "instance" if alert == "AbacusServesNothing" else "model"
    firing = f'count by ({by}) (ALERTS{{alertname="{alert}",alertstate="firing"}})'
    expected = [{"labels": fires_of, "value": 1}] if fires_of else []
    group = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": "30m", "exp_samples": expected}],
    }
    rules = {"rule_files": [str(DEPLOY / "alerts.yml")], "evaluation_interval": "1m", "tests": [group]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    command = ["promtool", "test", "rules", str(tmp_path / "rules.yml")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_alerts_look_at_every_way_to_predict_and_at_no_probe() -> None:
    slow = re.findall('route=~"(.*?)"', expressions()["AbacusSlow"])
    passed_over = re.findall('route!~"(.*?)"', expressions()["AbacusErrors"])
    assert (len(slow), len(passed_over)) == (1, 2)
    for route in ROUTES:
        assert re.fullmatch(slow[0], route.format("digit"))
        assert not any(re.fullmatch(pattern, route.format("digit")) for pattern in passed_over)
    for probe in (
        "/health/ready",
        "/health/live",
        "/v2/health/ready",
        "/v2/models/{name}/ready",
        "/metrics",
    ):
        assert all(re.fullmatch(pattern, probe) for pattern in passed_over)
        assert not re.fullmatch(slow[0], probe)
