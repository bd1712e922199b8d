"""What the server says of itself and of the model."""

from typing import Any

from conformance.row import Failed, Row, row, rows_in
from conformance.rpc.channel import Code
from conformance.rpc.subject import RpcSubject, refused_with
from conformance.subject import NO_VERSION, NOBODY
from conformance.tensors import tensor_problem

MODEL = "gRPC: Model Metadata"


def _metadata(subject: RpcSubject, version: str = "") -> Any:
    return subject.channel.call("ModelMetadata", name=subject.model, version=version).ok()


@row("gRPC: Server Metadata", "ServerMetadata has a `name` and a `version`")
def rpc_server_metadata(subject: RpcSubject) -> None:
    found = subject.channel.call("ServerMetadata").ok()
    for name in ("name", "version"):
        if not getattr(found, name):
            raise Failed(f"`{name}` is empty")


@row(MODEL, "`name` is the model's")
def rpc_model_name(subject: RpcSubject) -> None:
    found = _metadata(subject).name
    if found != subject.model:
        raise Failed(f"`name` is {found!r}")


@row(MODEL, "`versions` are those that REST lists")
def rpc_model_versions(subject: RpcSubject) -> None:
    subject.rest.needs_version()
    found = list(_metadata(subject).versions)
    if sorted(found) != sorted(subject.rest.versions):
        raise Failed(f"`versions` is {found}; REST lists {subject.rest.versions}")


def _entries(found: Any) -> list[dict[str, Any]]:
    return [{"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in found]


def _tensors(subject: RpcSubject, which: str) -> None:
    found = _entries(getattr(_metadata(subject), which))
    if not found:
        raise Failed(f"`{which}` is empty")
    for entry in found:
        if problem := tensor_problem(entry):
            raise Failed(problem)
    said = {each.name: (each.datatype, each.shape) for each in getattr(subject.rest, which)}
    if said and said != {each["name"]: (each["datatype"], tuple(each["shape"])) for each in found}:
        raise Failed(f"`{which}` are others than over REST")


@row(MODEL, "`inputs` lists tensors with a known datatype and sizes or -1, those of REST")
def rpc_model_inputs(subject: RpcSubject) -> None:
    _tensors(subject, "inputs")


@row(MODEL, "`outputs` lists tensors likewise")
def rpc_model_outputs(subject: RpcSubject) -> None:
    _tensors(subject, "outputs")


@row(MODEL, "every version listed has metadata")
def rpc_version_metadata(subject: RpcSubject) -> None:
    subject.rest.needs_version()
    for version in subject.rest.versions:
        if _metadata(subject, version).name != subject.model:
            raise Failed(f"`name` of version {version} is another")


@row("gRPC status codes: NOT_FOUND", "an unknown model has no metadata")
def rpc_unknown_model_metadata(subject: RpcSubject) -> None:
    refused_with(subject.channel.call("ModelMetadata", name=NOBODY), Code.NOT_FOUND)


@row("gRPC status codes: NOT_FOUND", "an unknown version has no metadata")
def rpc_unknown_version_metadata(subject: RpcSubject) -> None:
    subject.rest.needs_version()
    asked = subject.channel.call("ModelMetadata", name=subject.model, version=NO_VERSION)
    refused_with(asked, Code.NOT_FOUND)


ROWS: tuple[Row, ...] = rows_in(globals())
