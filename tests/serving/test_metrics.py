"""What Prometheus sees is what clients saw, with one worker and with two."""

import json
import struct
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_as_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parsed_as_text

from service.http.middleware import Entry, Ledger
from service.serving.metrics import Metrics
from tests.conftest import Digits, png, served, wait_for


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parsed_as_text(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float | None:
    return samples(text).get((name, tuple(sorted(labels.items()))))


@pytest.mark.parametrize("workers", [1, 2])
def test_counts_equal_the_client_s_own(published: Path, digits: Digits, workers: int) -> None:
    picture = png(digits.images_u8[0])
    with served("--artifacts", str(published), "--workers", str(workers)) as service:
        for _ in range(40):  # a connection each, so that every worker gets some
            with httpx.Client(base_url=service.client.base_url, timeout=60) as client:
                assert client.post("/predict/digit", files={"file": picture}).status_code == 200
                assert client.post("/predict/pass", json={"hours": -1}).status_code == 422
        service.client.get("/made/up/by/a/client")
        version = {"model": "digit", "version": "1"}
        forty: list[tuple[str, dict[str, str]]] = [
            ("requests_total", {"method": "POST", "route": "/predict/digit", "status": "200"}),
            ("requests_total", {"method": "POST", "route": "/predict/pass", "status": "422"}),
            ("request_duration_seconds_count", {"route": "/predict/digit"}),
            ("rejections_total", {"route": "/predict/pass", "reason": "invalid-input"}),
            *[
                ("stage_duration_seconds_count", {**version, "stage": s})
                for s in ("decode", "queue", "infer")
            ],
            ("predictions_total", version),
            ("batch_rows_sum", version),
        ]

        def counted() -> dict[str, float | None]:
            text = service.client.get("/metrics").text
            found = {f"{name} {labels}": value(text, f"abacus_{name}", **labels) for name, labels in forty}
            return {**found, "queue_rows": value(text, "abacus_queue_rows", model="digit")}

        expected = {**dict.fromkeys((f"{name} {labels}" for name, labels in forty), 40), "queue_rows": 0}
        wait_for(lambda: counted() == expected)  # an answer is counted just after it was sent
        text = service.client.get("/metrics").text
        manifest = service.client.get("/models/digit").json()["manifest"]
        live = {"model": "digit", "version": "1", "sha256": manifest["sha256"]}
        assert value(text, "abacus_model_info", **live) == 1
        assert "made" not in text
        assert 'route="unmatched"' in text


OPENMETRICS = "application/openmetrics-text"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PROMETHEUS, OPENMETRICS),
        (f"{OPENMETRICS}; version=1.0.0", OPENMETRICS),
        ('Application/OpenMetrics-Text; version="1.0.0"', OPENMETRICS),
        (f"{OPENMETRICS}, */*", OPENMETRICS),
        (f"{OPENMETRICS};q=0.1, text/plain", "text/plain"),
        (f"{OPENMETRICS};q=0, text/plain;q=0.5", "text/plain"),
        (f"{OPENMETRICS};version=9.9.9", "text/plain"),  # which is not there to be answered
        (f"{OPENMETRICS};version=newest", "text/plain"),
        ("text/plain;version=newest", "text/plain"),
        ("text/plain;version=1.0.0", "text/plain"),
        ("*/*", "text/plain"),
        ("text/html, ;;, =", "text/plain"),
    ],
)
def test_the_exposition_is_the_one_that_is_asked_for(
    committed_server: httpx.Client, accept: str, expected: str
) -> None:
    response = committed_server.get("/metrics", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Type"].partition(";")[0] == expected
    assert response.text.endswith("# EOF\n") is (expected == OPENMETRICS)
    read = parsed_as_openmetrics if expected == OPENMETRICS else parsed_as_text
    families = [family.name for family in read(response.text)]
    assert "abacus_model" in families or "abacus_model_info" in families
    document = committed_server.get("/openapi.json").json()
    assert expected in document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]


def test_the_log_is_json_where_wanted_with_one_line_a_request(published: Path) -> None:
    options = ("--artifacts", str(published), "--log-format", "json", "--access-log")
    with served(*options) as service:
        service.client.post("/predict/pass", json={"hours": 4}, headers={"X-Request-ID": "mine"})
        wait_for(lambda: '"mine"' in service.log.read_text())  # it is written just after the answer
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "mine"]
    assert {line["logger"], line["event"]} == {"service.access", "request"}
    assert (line["status"], line["model"], line["version"]) == (200, "pass", 1)
    assert line["total_ms"] >= line["decode_ms"] + line["queue_ms"] + line["infer_ms"]


def test_a_file_that_nobody_can_read_does_not_hang_who_looks(tmp_path: Path) -> None:
    (tmp_path / "counter_1.db").touch()
    with pytest.raises(struct.error):
        Metrics(str(tmp_path)).samples()


async def test_methods_that_clients_make_up_are_one_series() -> None:
    """Uvicorn's own parser refuses them; other servers pass them on."""
    metrics = Metrics(None)
    ledger = Ledger(metrics, access_log=False)
    for method in ("GET", "MADE", "UP", "BY", "CLIENTS"):
        ledger.record(Entry({"type": "http", "method": method, "path": "/", "state": {}}, 404, None, 0.1))
    counted = {
        sample.labels["method"]: sample.value
        for sample in metrics.samples()
        if sample.name == "abacus_requests_total"
    }
    assert counted == {"GET": 1, "other": 4}
