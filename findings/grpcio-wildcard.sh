#!/usr/bin/env bash
# grpcio 1.85.3: a server whose port is added at 0.0.0.0.
#
# Guess: it listens on the interfaces of IPv4, as any other server that binds 0.0.0.0 does.
# Seen: it listens on [::], and so on every interface of IPv6 as well.
# Why it matters: a firewall, a security group or a network policy that was written for the IPv4 addresses alone does not stand before
# the IPv6 ones, though the server was told an IPv4 address.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check grpcio==1.85.3 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc


@contextmanager
def of_grpc(host):
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port(f"{host}:0")
    server.start()
    yield port
    server.stop(0)


@contextmanager
def of_sockets(host):
    with socket.create_server((host, 0)) as listener:
        yield listener.getsockname()[1]


def families(port):
    """Those by which the port is reached on this machine."""
    found = []
    for family, host in (("IPv4", "127.0.0.1"), ("IPv6", "::1")):
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError:
            continue
        found.append(family)
    return found


if not socket.has_dualstack_ipv6():
    print("this machine has no IPv6")
    sys.exit(2)
seen = {}
for name, server in {"socket.create_server": of_sockets, "grpc.server": of_grpc}.items():
    for host in ("0.0.0.0", "127.0.0.1"):
        with server(host) as port:
            seen[name, host] = families(port)
        print(f"{name} at {host}: reached by {' and '.join(seen[name, host])}")
expected = [["IPv4"], ["IPv4"], ["IPv4", "IPv6"], ["IPv4"]]
sys.exit(0 if list(seen.values()) == expected else 1)
PYTHON
