"""The fast path: the answers that ASGI gives, in the same order, over real connections; what leaves it."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from service.app import create_app
from service.engine.predictor import Predictor
from service.fast_path.paths import paths_of
from service.serving.job import Outputs
from service.serving.metrics import BurstGauge, BurstHistogram
from service.settings import Settings
from tests.conftest import Digits, metric_sum, png, wait_for
from tests.connections.watched import JSON, Watched, answers, asked, connect, head, watched
from tests.protocol.wire import LENGTH, binary, binary_of, body_of, inferred, packed, read, tensor


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Watched]:
    with watched(published) as service:
        yield service


@pytest.mark.usefixtures("patient")
def test_what_is_there_whole_goes_directly(service: Watched, digits: Digits) -> None:
    service.by_asgi.clear()
    picture = png(digits.images_u8[0])
    whole = service.client.post("/predict/pass", json={"hours": 4}, headers={"X-Request-ID": "mine"})
    many = service.client.post("/predict/digit", files=[("file", picture)] * 3)
    raw = service.client.post("/predict/digit", content=picture, headers={"Content-Type": "image/png"})
    assert [r.status_code for r in (whole, many, raw)] == [200, 200, 200]
    assert service.by_asgi == []
    assert whole.headers["X-Request-ID"] == "mine"
    assert raw.headers["X-Request-ID"] != many.headers["X-Request-ID"]
    assert "infer;dur=" in whole.headers["Server-Timing"]
    assert "Date" in whole.headers
    assert [p["digit"] for p in many.json()["predictions"]] == 3 * [raw.json()["digit"]]


@pytest.mark.usefixtures("patient")
def test_inferences_go_directly(service: Watched, digits: Digits) -> None:
    rows = digits.images_u8[:64].reshape(-1, 28, 28)
    expected = [
        p["probabilities"]
        for first in range(0, 64, 8)
        for p in service.client.post(
            "/predict/digit", files=[("file", png(row)) for row in digits.images_u8[first : first + 8]]
        ).json()["predictions"]
    ]
    whole, length = body_of(binary_of("image", rows), parameters={"binary_data_output": True})
    flat = {"inputs": [tensor("image", rows[:1])]}
    files, files_length = body_of(binary("image", packed([png(rows[0])]), [1], "BYTES"))
    hours = {"inputs": [tensor("hours", np.array([4], np.float32))]}
    service.by_asgi.clear()
    answers = [
        inferred(service.client, "digit", whole, **length),
        inferred(service.client, "digit/versions/1", whole, **length),
        inferred(service.client, "digit", rows.tobytes(), **{LENGTH: "0"}),
        inferred(service.client, "digit", json.dumps(flat).encode()),
        inferred(service.client, "digit", files, **files_length),
    ]
    assert inferred(service.client, "pass", json.dumps(hours).encode()).status_code == 200
    assert service.by_asgi == []
    for answer in answers:
        found = read(answer).outputs["probabilities"]
        assert np.allclose(found, expected[: len(found)], atol=1e-6)
    assert [len(read(a).outputs["probabilities"]) for a in answers] == [64, 64, 64, 1, 1]


def test_an_inference_that_takes_long_is_left_to_asgi(service: Watched) -> None:
    many = {"inputs": [tensor("hours", np.zeros(1025, np.float32))]}
    service.by_asgi.clear()
    answer = inferred(service.client, "pass", json.dumps(many).encode())
    assert answer.status_code == 200
    assert service.by_asgi == ["/v2/models/pass/infer"]


def test_paths_that_are_made_up_are_not_kept(service: Watched) -> None:
    paths = paths_of(service.app)
    assert paths is not None
    service.client.post("/predict/pass", json={"hours": 4})
    before = len(paths)
    for path in ("/predict/pass/versions/01", "/predict/nothing", "/v2/models/pass/versions/9/infer"):
        assert service.client.post(path, json={"hours": 4}).status_code == 404
    assert len(paths) == before


SPELLINGS = {
    "a length in the part": (
        "b",
        b'Content-Disposition: form-data; name="file"; filename="7.png"\r\nContent-Length: %d',
    ),
    "lower case, type first": (
        "b",
        b'content-type: image/png\r\ncontent-disposition: form-data; name="file"',
    ),
    "quoted boundary, bare name": (
        '"b"',
        b"Content-Disposition: form-data; name=file; filename*=utf-8''7.png",
    ),
}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_form_goes_directly_however_it_is_spelled(
    spelling: str, service: Watched, digits: Digits
) -> None:
    boundary, part = SPELLINGS[spelling]
    picture = png(digits.images_u8[0])
    fields = part.replace(b"%d", b"%d" % len(picture))
    form = b"--b\r\n" + fields + b"\r\n\r\n" + picture + b"\r\n--b--\r\n"
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    service.by_asgi.clear()
    answer = service.client.post("/predict/digit", content=form, headers=headers)
    raw = service.client.post("/predict/digit", content=picture, headers={"Content-Type": "image/png"})
    assert answer.status_code == 200
    assert answer.json() == raw.json()
    assert service.by_asgi == []


REQUESTS = [
    ("/predict/pass", JSON, b'{"hours": 4}', 200),
    ("/predict/pass", JSON + "; charset=utf-8", b'{"hours": [1, 2]}', 200),
    ("/predict/pass", JSON, b'{"hours": -1}', 422),
    ("/predict/pass", JSON, b"", 422),
    ("/predict/pass", "text/plain", b'{"hours": 4}', 415),
    ("/predict/digit", "image/png", b"no picture", 415),
    ("/predict/digit", "image/png", b"", 422),
    ("/predict/digit", "multipart/form-data; boundary=x", b"--x--\r\n", 422),
    ("/predict/digit", 'multipart/form-data; boundary="x"', b"no form", 422),
    ("/predict/digit", JSON, b"{}", 422),
    ("/predict/digit", "text/plain", b"{}", 415),
    ("/predict/digit?explain=no", "image/png", b"", 422),
    ("/predict/nothing", "image/png", b"", 404),
]


@pytest.mark.parametrize(("path", "content_type", "body", "status"), REQUESTS)
def test_a_piece_at_a_time_gets_the_same_answer(
    service: Watched, path: str, content_type: str, body: bytes, status: int
) -> None:
    """Whole, the request may go directly; where its body keeps us waiting, it does not."""
    found = []
    for pieces in ([head(body, content_type, path) + body], [head(body, content_type, path), body]):
        with closing(connect(service)) as connection:
            for piece in filter(None, pieces):
                connection.sendall(piece)
                time.sleep(0.05)
            answer_status, document = answers(connection, 1)[0]
            document.pop("request_id", None)
            found.append((answer_status, document))
    assert found[0] == found[1]
    assert found[0][0] == status


def test_a_body_right_behind_its_head_goes_directly(service: Watched) -> None:
    def few_are_left_to_asgi() -> bool:
        """On a busy machine some may come late, and now and then many."""
        service.by_asgi.clear()
        for _ in range(50):
            request = asked(4)
            connection.sendall(request[:-5])
            connection.sendall(request[-5:])
            answers(connection, 1)
        return len(service.by_asgi) < 10

    with closing(connect(service)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wait_for(few_are_left_to_asgi)


def test_a_body_that_keeps_us_waiting_is_left_to_asgi(service: Watched) -> None:
    service.by_asgi.clear()
    with closing(connect(service)) as connection:
        request = asked(4)
        connection.sendall(request[:-5])
        wait_for(lambda: service.by_asgi)
        connection.sendall(request[-5:])
        assert answers(connection, 1)[0][1]["hours"] == 4
    assert service.by_asgi == ["/predict/pass"]


@pytest.mark.parametrize("field", ["Connection: close", "Expect: 100-continue"])
def test_what_needs_more_than_an_answer_is_left_to_asgi(service: Watched, field: str) -> None:
    service.by_asgi.clear()
    with closing(connect(service)) as connection:
        connection.sendall(asked(4, field))
        read = b""
        while b"probability" not in read:
            read += connection.recv(65536)
    assert b"HTTP/1.1 200" in read
    assert service.by_asgi == ["/predict/pass"]


def test_requests_sent_at_once_are_answered_in_their_order(service: Watched) -> None:
    refused = asked(-1)
    other = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with closing(connect(service)) as connection:
        connection.sendall(asked(1) + asked(2) + refused + other + asked(3))
        found = answers(connection, 5)
    assert [status for status, _ in found] == [200, 200, 422, 200, 200]
    assert [document.get("hours") for _, document in found] == [1, 2, None, None, 3]


def test_a_client_that_goes_amid_its_body_is_noted(service: Watched) -> None:
    def noted() -> float:
        return metric_sum(service.client.get("/metrics").text, 'abacus_rejections_total{reason="abandoned"')

    before = noted()
    with closing(connect(service)) as connection:
        connection.sendall(asked(4)[:-5])
    wait_for(lambda: noted() == before + 1)


def test_many_connections_get_their_own_answers(service: Watched) -> None:
    connections = [connect(service) for _ in range(50)]
    for _ in range(5):
        for number, connection in enumerate(connections):
            connection.sendall(asked(number))
        for number, connection in enumerate(connections):
            assert answers(connection, 1)[0][1]["hours"] == number
    for connection in connections:
        connection.close()


def only_the_idle_one_is_closed(service: Watched) -> bool:
    """Not where a busy machine has kept the other one idle, too."""
    with closing(connect(service)) as idle, closing(connect(service)) as busy:
        idle.sendall(asked(1))
        answers(idle, 1)
        for _ in range(8):
            before = time.monotonic()
            time.sleep(0.3)
            try:
                busy.sendall(asked(2))
                answers(busy, 1)
            except (AssertionError, ConnectionError):
                assert time.monotonic() - before > 1
                return False
        return idle.recv(1) == b""


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(published: Path) -> None:
    with watched(published, keep_alive_s=1) as service:
        wait_for(lambda: only_the_idle_one_is_closed(service))


def test_where_every_request_needs_more_none_goes_directly(published: Path) -> None:
    with watched(published, cors_origins=("*",)) as service:
        answer = service.client.post("/predict/pass", json={"hours": 4}, headers={"Origin": "http://x"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert service.by_asgi == ["/predict/pass"]
    assert paths_of(create_app(Settings(artifacts=published, traces="console"))) is None


def test_more_than_fits_in_places_and_bytes_is_refused(published: Path) -> None:
    with watched(published, max_body_bytes=100) as service:
        hours = {"hours": [1.0] * 50}
        assert service.client.post("/predict/pass", json=hours).status_code == 413
        assert service.client.post("/predict/pass", json={"hours": 1}).status_code == 200
    with watched(published, max_pending_bytes=5) as service:
        assert service.client.post("/predict/pass", json={"hours": 1}).status_code == 413  # never


class Device:
    """Predictions wait while it is not `free`, and fail on hours of 666; `rows` has what was computed."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.rows: list[float] = []


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    device = Device()
    answer = Predictor.answer

    def held(predictor: Predictor, rows: Tensor) -> Outputs:
        assert device.free.wait(120)
        if rows.shape[1:] == (1,):
            device.rows += rows.squeeze(1).tolist()
            if (rows == 666).any():
                raise ValueError("the number of the beast")
        return answer(predictor, rows)

    monkeypatch.setattr("service.engine.predictor.QUICK_S", 0.0)  # on a thread: the loop goes on
    monkeypatch.setattr(Predictor, "answer", held)
    yield device
    device.free.set()


def queued(service: Watched) -> float:
    return metric_sum(service.client.get("/metrics").text, 'abacus_queue_rows{model="pass"}')


@pytest.mark.alone  # of 100 ms a busy machine may need all before it reads
def test_what_is_late_is_504_and_not_computed(published: Path, device: Device) -> None:
    with (
        watched(published) as service,
        closing(connect(service)) as first,
        closing(connect(service)) as late,
    ):
        device.rows.clear()
        device.free.clear()
        first.sendall(asked(1))
        wait_for(lambda: queued(service) == 1)
        late.sendall(asked(2, "X-Request-Timeout-Ms: 100"))
        status, problem = answers(late, 1)[0]
        assert (status, problem["type"]) == (504, "urn:problem-type:abacus:deadline-exceeded")
        device.free.set()
        assert answers(first, 1)[0][0] == 200
        assert queued(service) == 0
        assert device.rows == [1]


def test_what_nobody_waits_for_is_not_computed(published: Path, device: Device) -> None:
    with watched(published) as service, closing(connect(service)) as first:
        device.rows.clear()
        device.free.clear()
        first.sendall(asked(1))
        wait_for(lambda: queued(service) == 1)
        with closing(connect(service)) as gone:
            gone.sendall(asked(2))
            wait_for(lambda: queued(service) == 2)
        wait_for(lambda: queued(service) == 1)
        device.free.set()
        assert answers(first, 1)[0][0] == 200
        assert device.rows == [1]
        text = service.client.get("/metrics").text
        assert metric_sum(text, 'abacus_rejections_total{reason="abandoned"') == 1
        assert (
            metric_sum(text, 'abacus_requests_total{method="POST",route="/predict/pass",status="499"') == 1
        )


def test_only_the_guilty_of_a_batch_fails(published: Path, device: Device) -> None:
    with watched(published) as service:
        connections = [connect(service) for _ in range(4)]
        device.free.clear()
        for hours, connection in zip((1, 2, 666, 3), connections, strict=True):
            connection.sendall(asked(hours))
        wait_for(lambda: queued(service) == 4)
        device.free.set()
        statuses = [answers(connection, 1)[0][0] for connection in connections]
        assert statuses == [200, 200, 500, 200]
        assert queued(service) == 0
        for connection in connections:
            connection.close()


def test_what_fails_behind_others_is_answered_in_its_turn(published: Path, device: Device) -> None:
    """A request on a connection fails after the next one has come: ASGI takes it over, and order stays."""
    with watched(published) as service, closing(connect(service)) as connection:
        device.free.clear()
        connection.sendall(asked(666) + asked(5))
        wait_for(lambda: queued(service) == 1)
        device.free.set()
        assert [status for status, _ in answers(connection, 2)] == [500, 200]


def test_an_unforeseen_failure_is_a_500_with_nothing_internal(
    service: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise TypeError("a secret")

    monkeypatch.setattr("service.endpoints.table.TableEndpoint._results", broken)
    response = service.client.post("/predict/pass", json={"hours": 4})
    assert response.status_code == 500
    assert "secret" not in response.text
    monkeypatch.undo()
    assert service.client.post("/predict/pass", json={"hours": 4}).status_code == 200


async def test_bursts_count_every_observation() -> None:
    histogram = BurstHistogram("seconds", "", ("route",), buckets=(1, 2), registry=None)
    gauge = BurstGauge("rows", "", registry=None)
    child = histogram.labels("x")
    for burst in ([0.5, 1.0, 1.5, 9.0], [0.1]):
        for value in burst:
            child.observe(value)
            gauge.set(value)
        if len(burst) > 1:  # the last is asked for before the loop has turned
            await asyncio.sleep(0)
    samples = {(s.name, s.labels.get("le")): s.value for m in histogram.collect() for s in m.samples}
    assert samples["seconds_bucket", "1.0"] == 3
    assert samples["seconds_bucket", "2.0"] == 4
    assert samples["seconds_count", None] == 5
    assert samples["seconds_sum", None] == pytest.approx(np.sum([0.5, 1, 1.5, 9, 0.1]))
    assert gauge.collect()[0].samples[0].value == 0.1  # type: ignore[index]
