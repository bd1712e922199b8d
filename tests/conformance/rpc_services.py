"""Health and reflection of the small server."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service.rpc.messages import SERVICE, protocol

Has = Callable[[str], bool]  # whether a fault is planted


class SmallHealth(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """`grpc.health.v1`."""

    def __init__(self, has: Has) -> None:
        self._has = has

    def Check(self, request: Any, context: Any) -> Any:
        status = health_pb2.HealthCheckResponse
        known = {"": "health-of-server", SERVICE: "health-of-service"}
        if request.service not in known:
            if not self._has("health-of-unknown-service"):
                context.abort(grpc.StatusCode.NOT_FOUND, "unknown")
            return status(status=status.SERVICE_UNKNOWN)
        wrong = self._has(known[request.service])
        return status(status=status.NOT_SERVING if wrong else status.SERVING)


class SmallReflection(reflection_pb2_grpc.ServerReflectionServicer):  # type: ignore[misc]
    """`grpc.reflection.v1alpha`."""

    def __init__(self, has: Has) -> None:
        self._has = has

    def ServerReflectionInfo(self, requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        for request in requests:
            found = reflection_pb2.ServerReflectionResponse(original_request=request)
            if request.HasField("list_services"):
                name = "another.Service" if self._has("reflected-service") else SERVICE
                found.list_services_response.service.add(name=name)
            else:
                file = descriptor_pb2.FileDescriptorProto()
                protocol()[0].DESCRIPTOR.CopyToProto(file)
                if self._has("reflected-file"):
                    del file.service[0].method[0]
                found.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())
            yield found
