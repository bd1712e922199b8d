#!/usr/bin/env bash
# grpcio 1.85.3, grpcio-health-checking 1.85.1: a server with the health service, asyncio's, that stops while a client watches it.
#
# Guess: once `enter_graceful_shutdown` has told those who watch that nothing is served any more, their calls end, and `stop(grace)` is
# over as soon as what is under way is answered.
# Seen: a call of `Watch` does not end with it. `stop` waits for all of its grace and then cuts the call off; without a watcher it is over
# at once.
# Why it matters: clients of gRPC that check health, as load balancers of service meshes do, watch for as long as they are connected. A
# server with a grace of 30 s then takes 30 s to stop, at every rollout, with nothing left to do.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check grpcio==1.85.3 grpcio-health-checking==1.85.1 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
import time

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

GRACE_S = 4.0
STATUS = health_pb2.HealthCheckResponse


async def stopped(watched):
    """Whether `stop` took all of its grace, and what a watcher heard."""
    server = grpc.aio.server()
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    heard = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        await stub.Check(health_pb2.HealthCheckRequest())
        if watched:
            watch = stub.Watch(health_pb2.HealthCheckRequest())
            heard.append(STATUS.ServingStatus.Name((await watch.read()).status))
        await healthy.enter_graceful_shutdown()
        if watched:
            heard.append(STATUS.ServingStatus.Name((await watch.read()).status))
        began = time.monotonic()
        await server.stop(GRACE_S)
        took_all = time.monotonic() - began > GRACE_S / 2
    return took_all, heard


seen = {watched: asyncio.run(stopped(watched)) for watched in (False, True)}
for watched, (took_all, heard) in seen.items():
    print(f"{'watched' if watched else 'not watched'}: {'all of the grace' if took_all else 'at once'}", *heard)
expected = {False: (False, []), True: (True, ["SERVING", "NOT_SERVING"])}
print("grpcio-health-checking 1.85.1:", "as stated" if seen == expected else f"otherwise: {seen}")
sys.exit(0 if seen == expected else 1)
PYTHON
