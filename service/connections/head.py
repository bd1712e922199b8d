"""The head of a request, held to the rules of HTTP that its parser leaves to us (RFC 9110, RFC 9112)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

Fields = Sequence[tuple[bytes, bytes]]  # names in lower case, values without blanks around them

MAX_TARGET_BYTES, MAX_FIELDS = 8 * 1024, 128

_CARRY_CONTENT = (b"POST", b"PUT", b"PATCH")
# Of the Open Inference Protocol: the content is laid out as it says, whatever its type is.
_LAYOUT = b"inference-header-content-length"
# Two of these contradict each other, whatever they say (RFC 9110, section 5.3).
_SINGLE = frozenset(
    (
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"x-api-key",
        b"x-request-timeout-ms",
    )
)
# Where messages end, and connections.
OF_CONNECTIONS = frozenset((b"connection", b"content-length", b"proxy-connection", b"transfer-encoding"))

_IPV6 = rb"\[[0-9A-Fa-f:.]+(?:%25[\w.~%-]+)?\]"
_NAME = rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
_AUTHORITY = re.compile(rb"(?:%b|%b)(?::[0-9]*)?" % (_IPV6, _NAME))  # RFC 3986, section 3.2
_ABSOLUTE = re.compile(rb"[hH][tT][tT][pP][sS]?://([^/?#]+)(.*)", re.DOTALL)


class Fault(NamedTuple):
    """Why a request is not taken: what it is answered."""

    status: int
    detail: str


class Target(NamedTuple):
    """What a request is about (RFC 9112, section 3.2); `authority`: where it names that itself."""

    path: bytes
    authority: bytes | None = None


def fault_of(method: bytes, version: str, url: bytes, fields: Fields) -> Fault | None:
    """What is wrong with a head that could be parsed."""
    if version not in ("1.0", "1.1"):
        return Fault(505, f"HTTP/{version} is not spoken here: HTTP/1.1 is.")
    if method == b"CONNECT":
        return Fault(501, "This is no proxy: it does not CONNECT.")
    if len(url) > MAX_TARGET_BYTES:
        return Fault(414, f"The target of the request is over {MAX_TARGET_BYTES:,} bytes.")
    repeated = _repeated(url, [name for name, _ in fields])
    if repeated:
        return Fault(400, f"The field {min(repeated).decode().title()} is there more than once.")
    values = dict(fields)
    host = values.get(b"host")
    if host is None and version == "1.1":
        return Fault(400, "The field Host is missing (RFC 9112, section 3.2).")
    if host is not None and not is_authority(host):
        return Fault(400, "The field Host names no host.")
    if target_of(method, url) is None:
        return Fault(400, "The target of the request is neither a path nor the URL of one.")
    return _unmet(version, values, fields)


def _repeated(url: bytes, names: Sequence[bytes]) -> set[bytes]:
    """The fields that contradict each other.

    KServe's transformers send tensors of octets with two types, which says nothing where `_LAYOUT` does.
    """
    repeated = {name for name in _SINGLE.intersection(names) if names.count(name) > 1}
    if repeated and _LAYOUT in names and url.partition(b"?")[0].endswith(b"/infer"):
        repeated.discard(b"content-type")
    return repeated


def _unmet(version: str, values: dict[bytes, bytes], fields: Fields) -> Fault | None:
    """What is asked for and not done here."""
    if b"transfer-encoding" in values and _all(fields, b"transfer-encoding").lower() != b"chunked":
        return Fault(501, "Of transfer codings only chunked is read.")
    if b"expect" in values and version == "1.1" and _expectations(fields) - {b"100-continue"}:
        return Fault(417, "Of expectations only 100-continue is met.")
    return None


def is_authority(value: bytes) -> bool:
    """Whether it is a host, perhaps with a port; or empty, as it is for a target that has none."""
    return _AUTHORITY.fullmatch(value) is not None


def target_of(method: bytes, url: bytes) -> Target | None:
    """None where it is neither a path, nor the URL of one, nor the `*` of OPTIONS."""
    if url.startswith(b"/"):
        return Target(url)
    if url == b"*" and method == b"OPTIONS":
        return Target(url)
    absolute = _ABSOLUTE.fullmatch(url)
    if not absolute or not is_authority(absolute[1]):
        return None
    path = absolute[2]
    return Target(path if path.startswith(b"/") else b"/" + path, absolute[1])


def expects_continue(fields: Fields) -> bool:
    """Whether a client waits to be asked for its content."""
    return b"100-continue" in _expectations(fields)


def lacks_length(method: bytes, fields: Fields) -> bool:
    """Whether there may be content that nothing tells the end of: what follows is then no request."""
    return method in _CARRY_CONTENT and not any(
        name in (b"content-length", b"transfer-encoding") for name, _ in fields
    )


def size_of(url: bytes, fields: Fields) -> int:
    """The bytes of a head, without blanks around values."""
    lines = sum(len(name) + len(value) + len(b": \r\n") for name, value in fields)
    return len(url) + len(b"POST  HTTP/1.1\r\n\r\n") + lines


def without_offer(method: bytes, url: bytes, version: str, fields: Fields) -> bytes:
    """The same head without its offer of another protocol (RFC 9110, section 7.8)."""
    lines = [method + b" " + url + b" HTTP/" + version.encode()]
    for name, value in fields:
        if name == b"connection":
            options = [option.strip() for option in value.split(b",")]
            value = b", ".join(option for option in options if option.lower() != b"upgrade")
        if name != b"upgrade" and (value or name != b"connection"):
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])


def _expectations(fields: Fields) -> set[bytes]:
    return {member.strip().lower() for member in _all(fields, b"expect").split(b",")} - {b""}


def _all(fields: Fields, name: bytes) -> bytes:
    """The members of a list that may stand in several fields (RFC 9110, section 5.3)."""
    return b", ".join(value for key, value in fields if key == name)
