"""The gRPC server, beside the HTTP one in the same process: its port, its limits, health and reflection."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from service.connections.listening import written
from service.rpc.calls import Calls
from service.rpc.events import CoreServer
from service.rpc.messages import SERVICE, protocol
from service.rpc.receiving import Receiving
from service.rpc.room import Room
from service.rpc.servicer import InferenceServicer
from service.serving.call import Backend
from service.settings import Settings

logger = logging.getLogger(__name__)

MOST_CALLS = 256  # under way at a time
HEALTH_S = 0.25  # between looks at whether all is ready


@asynccontextmanager
async def rpc_served(
    settings: Settings, backend: Backend, calls: Calls, leaving: asyncio.Event
) -> AsyncIterator[None]:
    """Serve until `leaving` or the end of the block; finish what is under way then within `--stop-s`."""
    room = Room(backend.pending_bytes, settings.max_body_bytes)
    receiving = Receiving(room, calls, backend.deadlines, settings.request_timeout_s)
    options = (
        ("grpc.max_receive_message_length", room.message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.http2.bdp_probe", 0),  # nothing beyond the window of a call comes before it is asked for
        ("grpc.so_reuseport", 1),  # of all workers, and of the socket that keeps the port for them
    )
    server = CoreServer(receiving.method, options, MOST_CALLS)
    _, services = protocol()
    services.add_GRPCInferenceServiceServicer_to_server(InferenceServicer(backend, calls), server)
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflected = reflection.aio.ReflectionServicer(names)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflected, server)
    address = written(settings.host, settings.grpc_port or 0)
    server.add_insecure_port(address)
    server.start()
    logger.info("gRPC running on %s", address)
    looking = asyncio.create_task(_keep_looking(backend, healthy))

    async def stop() -> None:
        await leaving.wait()
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        await healthy.enter_graceful_shutdown()
        await receiving.leave()
        await server.stop(settings.stop_s)

    stopping = asyncio.create_task(stop())
    try:
        yield
    finally:
        leaving.set()
        await stopping


async def _keep_looking(backend: Backend, healthy: health.aio.HealthServicer) -> None:
    status = health_pb2.HealthCheckResponse
    while True:
        ready = status.NOT_SERVING if backend.registry.unready() else status.SERVING
        for service in ("", SERVICE):
            await healthy.set(service, ready)
        await asyncio.sleep(HEALTH_S)
