#!/usr/bin/env bash
# uvloop 0.23.0: create_server(sock=...) of a bound socket on whose address another socket listens. Linux.
#
# Guess: OSError (EADDRINUSE), as with asyncio's own loop.
# Seen: nothing is raised. The server says is_serving() and listens to nothing: its socket is closed. Two sockets with
# SO_REUSEADDR may both be bound to an address on Linux; only listen() of the second one fails.
# Why it matters: servers bind early and listen when the model is loaded; started twice by mistake, the second process
# says that it is up, and every request goes to the first, with the old model.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check uvloop==0.23.0 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import socket
import sys

import uvloop


def bound(address):
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(address)
    return taken


def serve(new_loop):
    first = bound(("127.0.0.1", 0))
    second = bound(first.getsockname())
    first.listen()
    loop = new_loop()
    try:
        server = loop.run_until_complete(loop.create_server(asyncio.Protocol, sock=second))
    except OSError as error:
        return f"raises {error}"
    finally:
        first.close()
    return f"is_serving() is {server.is_serving()}, and its socket is {'closed' if second.fileno() < 0 else 'open'}"


with_asyncio, with_uvloop = serve(asyncio.new_event_loop), serve(uvloop.new_event_loop)
print("asyncio:", with_asyncio)
print("uvloop: ", with_uvloop)
as_stated = with_asyncio.startswith("raises") and with_uvloop == "is_serving() is True, and its socket is closed"
sys.exit(0 if as_stated else 1)
PYTHON
