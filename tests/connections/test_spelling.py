"""However a request is spelled: what HTTP says of it, over raw sockets, whole and in two segments."""

import gzip
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from service.connections.connection import MAX_HEAD_BYTES
from service.connections.head import MAX_FIELDS
from service.http.keys import add_key
from tests.conftest import Digits, png
from tests.connections.watched import Watched, connect, watched

JSON = b"Content-Type: application/json\r\n"
HOURS = b'{"hours": 4}'
LENGTH = b"Content-Length: %d\r\n" % len(HOURS)
HOST = b"Host: x\r\n"
NEXT = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
OFFER = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
)


class Reply(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Watched]:
    with watched(published) as service:
        yield service


def replies(connection: socket.socket, methods: tuple[str, ...] = ("POST", "GET")) -> list[Reply]:
    """The answers to requests of these methods, or those that come before the connection is closed."""
    stream = connection.makefile("rb")
    found = []
    for method in methods:
        while (line := stream.readline()) and line.split()[1] == b"100":
            stream.readline()
        if not line:
            break
        fields = {}
        while (field := stream.readline().strip()) != b"":
            name, _, value = field.decode().partition(": ")
            fields[name.lower()] = value
        length = 0 if method == "HEAD" else int(fields.get("content-length", 0))
        found.append(Reply(int(line.split()[1]), fields, stream.read(length)))
    return found


def ask(service: Watched, *pieces: bytes, methods: tuple[str, ...] = ("POST", "GET")) -> list[Reply]:
    """The answers to what is sent in these segments."""
    with closing(connect(service)) as connection:
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(0.03)
            connection.sendall(piece)
        return replies(connection, methods)


def post(*fields: bytes, body: bytes = HOURS, path: bytes = b"/predict/pass") -> bytes:
    return b"POST %b HTTP/1.1\r\n" % path + b"".join(fields) + b"\r\n" + body


@pytest.mark.parametrize(
    "offer", [OFFER, b"Connection: upgrade\r\nUpgrade: any/1\r\n", OFFER + b"Expect:\r\n"]
)
@pytest.mark.parametrize("chunked", [False, True])
def test_an_offer_of_another_protocol_is_ignored(service: Watched, offer: bytes, chunked: bool) -> None:
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else LENGTH
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HOURS), HOURS) if chunked else HOURS
    head = post(HOST, JSON, offer, framing, body=b"")
    for pieces in (
        [head + body + NEXT],
        [head, body + NEXT],
        [head[:40], head[40:] + body[:3], body[3:] + NEXT],
    ):
        answer, following = ask(service, *pieces)
        assert (answer.status, following.status) == (200, 200)
        assert b'"passed":true' in answer.body
        assert "upgrade" not in answer.fields


def test_many_offers_at_once_are_answered_one_by_one(service: Watched) -> None:
    count = 500
    get = b"GET /health/live HTTP/1.1\r\n" + HOST + OFFER + b"\r\n"
    found = ask(service, count * get + NEXT, methods=(count + 1) * ("GET",))
    assert [reply.status for reply in found] == (count + 1) * [200]


def test_a_proxy_is_not_what_this_is(service: Watched) -> None:
    found = ask(service, b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n" + NEXT)
    assert [reply.status for reply in found] == [501]


@pytest.mark.parametrize("kind", ["multipart/mixed; boundary=b", "text/plain; boundary=b", None])
def test_a_form_is_one_only_where_it_says_so(service: Watched, digits: Digits, kind: str | None) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n%b\r\n--b--\r\n'
    body = part % png(digits.images_u8[0])
    field = f"Content-Type: {kind}\r\n".encode() if kind else b""
    length = b"Content-Length: %d\r\n" % len(body)
    head = post(HOST, field, length, body=b"", path=b"/predict/digit")
    for pieces in ([head + body + NEXT], [head, body + NEXT]):
        assert [reply.status for reply in ask(service, *pieces)] == [415, 200]


TRAILERS = [
    b"Content-Type: text/plain",
    b"X-Request-Timeout-Ms: 1",
    b"X-Request-Timeout-Ms: never",
    b"X-Request-ID: theirs",
    b"Content-Encoding: gzip",
    b"Host: two",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
]


@pytest.mark.parametrize("trailer", TRAILERS)
def test_what_comes_behind_the_content_is_no_field(service: Watched, trailer: bytes) -> None:
    head = post(HOST, JSON, b"Transfer-Encoding: chunked\r\n", body=b"")
    body = b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(HOURS), HOURS, trailer)
    for pieces in ([head + body + NEXT], [head, body + NEXT]):
        answer, following = ask(service, *pieces)
        assert (answer.status, following.status) == (200, 200)
        assert answer.fields["x-request-id"] != "theirs"


@pytest.mark.parametrize(
    "trailer",
    [
        b"Content-Length: 9",
        b"Content-Length: %d" % len(HOURS),
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"connection: keep-alive",
        b"Connection: upgrade\r\nUpgrade: h2c",
        b"Proxy-Connection: close",
    ],
)
def test_what_frames_messages_is_refused_behind_the_content(service: Watched, trailer: bytes) -> None:
    """It is the last answer on its connection, and the only one: what follows is no request."""
    head = post(HOST, JSON, b"X-Request-ID: mine\r\n", b"Transfer-Encoding: chunked\r\n", body=b"")
    body = b"%x\r\n%b\r\n" % (len(HOURS), HOURS)
    end = b"0\r\n%b\r\n\r\n" % trailer
    for pieces in ([head + body + end + NEXT], [head + body, end + NEXT], [head, body + end, NEXT]):
        (answer,) = ask(service, *pieces)
        assert answer.status == 400
        assert answer.fields["content-type"] == "application/problem+json"
        assert (answer.fields["x-request-id"], answer.fields["connection"]) == ("mine", "close")


def test_a_key_behind_the_content_opens_nothing(published: Path, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.txt", "laboratory").encode()
    chunks = b"%x\r\n%b\r\n0\r\n" % (len(HOURS), HOURS)
    framing = b"Transfer-Encoding: chunked\r\n"
    with watched(published, api_keys_file=tmp_path / "keys.txt") as service:
        for name in (b"X-API-Key: ", b"Authorization: Bearer "):
            late = chunks + name + key + b"\r\n\r\n"
            for pieces in (
                [post(HOST, JSON, framing, body=late)],
                [post(HOST, JSON, framing, body=b""), late],
            ):
                assert ask(service, *pieces, NEXT)[0].status == 401
        early = post(HOST, JSON, framing, b"X-API-Key: \t" + key + b" \r\n", body=chunks + b"\r\n")
        assert ask(service, early + NEXT)[0].status == 200


def test_blanks_around_a_value_are_no_part_of_it(service: Watched) -> None:
    blank = b"Content-Length: \t %d \t \r\n" % len(HOURS)
    ours = b"X-Request-Timeout-Ms:  60000 \t\r\nX-Request-ID:  mine \r\nHost: \t x \r\n"
    head = post(ours, b"Content-Type: application/json \t\r\n", blank, body=b"")
    for pieces in ([head + HOURS + NEXT], [head, HOURS + NEXT]):
        answer, following = ask(service, *pieces)
        assert (answer.status, following.status) == (200, 200)
        assert answer.fields["x-request-id"] == "mine"


@pytest.mark.parametrize(
    "coding", [b"gzip", b"GZIP ", b"identity, br", b"x-gzip\r\nContent-Encoding: identity"]
)
def test_what_is_encoded_is_refused_by_name(service: Watched, coding: bytes) -> None:
    body = gzip.compress(HOURS)
    field = b"Content-Encoding: " + coding + b"\r\n"
    head = post(HOST, JSON, field, b"Content-Length: %d\r\n" % len(body), body=b"")
    for pieces in ([head + body + NEXT], [head, body + NEXT]):
        answer, following = ask(service, *pieces)
        assert (answer.status, following.status) == (415, 200)
        assert answer.fields["accept-encoding"] == "identity"
        assert b"only identity is read" in answer.body


def test_what_is_not_encoded_may_say_so(service: Watched) -> None:
    answer, _ = ask(service, post(HOST, JSON, LENGTH, b"Content-Encoding: Identity\r\n") + NEXT)
    assert answer.status == 200


def test_content_of_no_stated_length_is_411_and_no_request(service: Watched) -> None:
    for body in (HOURS, NEXT, b""):
        head = post(HOST, JSON, body=b"")
        for pieces in ([head + body], [head, body]):
            assert [reply.status for reply in ask(service, *filter(None, pieces))] == [411]


HEADS = [
    (b"GET /health/live HTTP/1.1\r\n\r\n", 400),
    (b"GET /health/live HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    (b"GET /health/live HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    (b"GET /health/live HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    (b"GET /health/live HTTP/1.1\r\nHost: \xe4\r\n\r\n", 400),
    (b"GET /health/live HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /health/live HTTP/1.0\r\n\r\n", 200),
    (b"GET /health/live HTTP/1.1\r\nHost:\r\n\r\n", 200),
    (b"GET /health/live HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200),
    (b"GET http://a:80/health/live HTTP/1.1\r\nHost: b\r\n\r\n", 200),
    (b"GET http://a?x HTTP/1.1\r\nHost: b\r\n\r\n", 200),
    (b"GET http://u@a/health/live HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    (b"GET ftp://a/health/live HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    (b"GET * HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    (b"GET /health/live HTTP/2.0\r\nHost: b\r\n\r\n", 505),
    (b"GET /health/live\r\n\r\n", 505),
    (b"get /health/live HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    (b"\r\n\r\nGET /health/live HTTP/1.1\r\nHost: b\r\n\r\n", 200),
    (b"GET /health/live HTTP/1.1\r\nHost: b\r\nX: 1\r\n 2\r\n\r\n", 400),
    (b"GET /health/live HTTP/1.1\r\nHost : b\r\n\r\n", 400),
    (b"GET /health/live HTTP/1.1\r\nHost: b\r\nX-API-Key: 1\r\nX-API-Key: 1\r\n\r\n", 400),
    (b"GET /health/live HTTP/1.1\r\nHost: b\r\nExpect: a-miracle\r\n\r\n", 417),
    (b"GET /health/live HTTP/1.0\r\nExpect: a-miracle\r\n\r\n", 200),
    (b"GET /health/%6Cive HTTP/1.1\r\nHost: b\r\n\r\n", 200),
    (b"POST /predict/pass HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (post(HOST, JSON, LENGTH, b"Content-Type: text/plain\r\n"), 400),
    (post(HOST, JSON, LENGTH, b"X-Request-Timeout-Ms: 1\r\nX-Request-Timeout-Ms: 9\r\n"), 400),
    (post(HOST, JSON, LENGTH, LENGTH), 400),
    (post(HOST, JSON, LENGTH, path=b"/predict/%70ass?x=1"), 200),
    (post(HOST, JSON, LENGTH, path=b"http://y/predict/pass"), 200),
    (post(HOST, JSON, LENGTH, b"X-Request-ID:\r\nX-API-Key:\r\n"), 200),
    (post(HOST, JSON, LENGTH, b"X-Request-Timeout-Ms:\r\n"), 422),
]


@pytest.mark.parametrize(("request_", "status"), HEADS)
def test_a_head_is_held_to_http(service: Watched, request_: bytes, status: int) -> None:
    for pieces in ([request_], [request_[:20], request_[20:]]):
        assert [reply.status for reply in ask(service, *pieces, methods=("GET",))] == [status]


def test_a_refusal_comes_in_its_turn(service: Watched) -> None:
    """Behind the answers to what came before it, in the same segment, and is the last."""
    first = post(HOST, JSON, LENGTH)
    for wrong in (b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"G / HTTP/1.1\r\n"):
        found = ask(service, first + first + wrong + NEXT, methods=4 * ("POST",))
        assert [reply.status for reply in found] == [200, 200, 400]
        assert found[-1].fields["connection"] == "close"


def test_content_that_breaks_off_into_nonsense_is_400(service: Watched) -> None:
    head = post(HOST, JSON, b"Transfer-Encoding: chunked\r\n", body=b"3\r\n{")
    for pieces in ([head + b'"hours: nonsense'], [head, b'"hours: nonsense'], [NEXT + head, b"hours"]):
        assert [reply.status for reply in ask(service, *pieces)][-1] == 400


@pytest.mark.parametrize("size", [MAX_HEAD_BYTES - 200, MAX_HEAD_BYTES + 200, 3 * MAX_HEAD_BYTES])
def test_a_head_is_bounded_however_it_comes(service: Watched, size: int) -> None:
    head = post(HOST, JSON, LENGTH, b"X-Filler: " + size * b"x" + b"\r\n", body=b"")
    expected = [200, 200] if size < MAX_HEAD_BYTES else [431]
    halves = [head[: len(head) // 2], head[len(head) // 2 :] + HOURS + NEXT]
    for pieces in ([head + HOURS + NEXT], halves):
        assert [reply.status for reply in ask(service, *pieces)] == expected


@pytest.mark.parametrize("whole", [True, False])
def test_the_fields_of_a_head_are_counted(service: Watched, whole: bool) -> None:
    """Who has sent too many is not waited for."""

    def head(count: int) -> bytes:
        begin = b"POST /predict/pass HTTP/1.1\r\n" + HOST + JSON + LENGTH
        return begin + b"".join([b"X-%d: x\r\n" % number for number in range(count - 3)])

    end = b"\r\n" + HOURS if whole else b""
    many = head(MAX_FIELDS + 2) + end
    for pieces in ([many], [many[:500], many[500:]], [NEXT + many[:500], many[500:]]):
        assert [reply.status for reply in ask(service, *pieces)][-1] == 431
    as_many = head(MAX_FIELDS) + b"\r\n" + HOURS + NEXT
    assert [reply.status for reply in ask(service, as_many)] == [200, 200]


def test_fields_behind_the_content_are_bounded(service: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.connections.lifetime.LINGER_S", 60)
    head = post(HOST, JSON, b"Transfer-Encoding: chunked\r\n", body=b"0\r\n")
    pieces = [head, *(40 * [b"X: " + 4000 * b"x" + b"\r\n"])]
    assert [reply.status for reply in ask(service, *pieces)] == [431]


def test_a_head_behind_a_large_body_is_its_own(service: Watched) -> None:
    """No head of more than 64 KiB is seen where a body is followed by the beginning of a head."""
    body = b'{"hours": [' + 60_000 * b"1, " + b"1]}"
    large = post(HOST, JSON, b"Content-Length: %d\r\n" % len(body), body=body)
    first, second = ask(service, large + NEXT[:20], NEXT[20:])
    assert (first.status, second.status) == (422, 200)


def test_who_is_refused_before_being_asked_for_content_is_told_that_it_ends(service: Watched) -> None:
    """It may send the content or the next request: one cannot be told from the other."""
    head = post(HOST, b"Content-Type: text/plain\r\n", LENGTH, b"Expect: 100-continue\r\n", body=b"")
    (answer,) = ask(service, head)
    assert (answer.status, answer.fields["connection"]) == (415, "close")
    old = head.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"text/plain", b"application/json")
    with closing(connect(service)) as connection:  # which knows of no interim answers
        connection.sendall(old)
        time.sleep(0.05)
        connection.sendall(HOURS)
        assert connection.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


def test_who_closes_one_direction_is_answered(service: Watched) -> None:
    for request in (post(HOST, JSON, LENGTH), NEXT, NEXT + post(HOST, JSON, LENGTH)):
        with closing(connect(service)) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            found = replies(connection)
        assert {reply.status for reply in found} == {200}
        assert len(found) == request.count(b"Host")


@pytest.mark.parametrize(
    "path",
    ["/health/live", "/health/ready", "/models", "/models/pass", "/metrics", "/docs", "/", "/web/page.js"],
)
def test_head_is_answered_wherever_get_is(service: Watched, path: str) -> None:
    got = service.client.get(path)
    head = f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    answer, following = ask(service, head + NEXT, methods=("HEAD", "GET"))
    assert (answer.status, following.status) == (200, 200)
    assert {*answer.fields} == {*got.headers}
    assert answer.fields["content-type"] == got.headers["content-type"]
    if path != "/metrics":  # which has counted meanwhile
        assert answer.fields["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/health/live", "GET, HEAD, OPTIONS"),
        ("/models/pass", "GET, HEAD, OPTIONS"),
        ("/predict/digit", "OPTIONS, POST"),
        ("*", "GET, HEAD, OPTIONS, POST"),
    ],
)
def test_what_is_allowed_is_told(service: Watched, path: str, allowed: str) -> None:
    request = f"OPTIONS {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    answer, _ = ask(service, request + NEXT)
    assert (answer.status, answer.fields["allow"], answer.body) == (204, allowed, b"")
    if path != "*":
        refused = service.client.request("DELETE", path)
        assert (refused.status_code, refused.headers["allow"]) == (405, allowed)


def test_what_is_not_there_allows_nothing(service: Watched) -> None:
    assert service.client.options("/nowhere").status_code == 404
    assert service.client.head("/nowhere").status_code == 404
