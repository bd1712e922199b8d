"""The services beside the protocol's, where the server has them, and methods that nobody has."""

from typing import Any

from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from conformance.row import Failed, Row, Skipped, row, rows_in
from conformance.rpc.channel import SERVICE, Code
from conformance.rpc.subject import RpcSubject, refused_with
from conformance.subject import NOBODY

HEALTH, REFLECTION = "grpc.health.v1", "grpc.reflection.v1alpha"
METHODS = {"ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer"}


@row("gRPC status codes: UNIMPLEMENTED", "a method that the service does not have")
def rpc_unknown_method(subject: RpcSubject) -> None:
    ask = subject.channel.channel.unary_unary(f"/{SERVICE}/NoSuchMethod")
    refused_with(subject.channel.outcome("NoSuchMethod", ask, b""), Code.UNIMPLEMENTED)


def _health(subject: RpcSubject, service: str) -> Any:
    check = health_pb2_grpc.HealthStub(subject.channel.channel).Check
    outcome = subject.channel.outcome("Check", check, health_pb2.HealthCheckRequest(service=service))
    if outcome.code is Code.UNIMPLEMENTED:
        raise Skipped(f"there is no {HEALTH}")
    return outcome


@row(HEALTH, "Check of the server is SERVING")
def rpc_health_of_server(subject: RpcSubject) -> None:
    _serving(_health(subject, "").ok())


@row(HEALTH, f"Check of {SERVICE} is SERVING")
def rpc_health_of_service(subject: RpcSubject) -> None:
    _serving(_health(subject, SERVICE).ok())


@row(HEALTH, "Check of an unknown service is NOT_FOUND")
def rpc_health_of_unknown_service(subject: RpcSubject) -> None:
    refused_with(_health(subject, NOBODY), Code.NOT_FOUND)


def _serving(found: Any) -> None:
    if found.status != health_pb2.HealthCheckResponse.SERVING:
        raise Failed(f"`status` is {found.status}")


def _reflected(subject: RpcSubject, **asked: str) -> Any:
    info = reflection_pb2_grpc.ServerReflectionStub(subject.channel.channel).ServerReflectionInfo
    request = reflection_pb2.ServerReflectionRequest(**asked)
    outcome = subject.channel.outcome(
        "ServerReflectionInfo", lambda one, timeout: next(info(iter([one]), timeout=timeout)), request
    )
    if outcome.code is Code.UNIMPLEMENTED:
        raise Skipped(f"there is no {REFLECTION}")
    return outcome.ok()


@row(REFLECTION, f"it lists {SERVICE}")
def rpc_reflected_service(subject: RpcSubject) -> None:
    found = _reflected(subject, list_services="").list_services_response.service
    if SERVICE not in {each.name for each in found}:
        raise Failed(f"it lists {', '.join(each.name for each in found)}")


@row(REFLECTION, "it has the file of the service, with the methods of the protocol")
def rpc_reflected_file(subject: RpcSubject) -> None:
    found = _reflected(subject, file_containing_symbol=SERVICE).file_descriptor_response
    methods: set[str] = set()
    for octets in found.file_descriptor_proto:
        file = descriptor_pb2.FileDescriptorProto.FromString(octets)
        methods |= {method.name for service in file.service for method in service.method}
    if not methods >= METHODS:
        raise Failed(f"missing: {', '.join(sorted(METHODS - methods))}")


ROWS: tuple[Row, ...] = rows_in(globals())
