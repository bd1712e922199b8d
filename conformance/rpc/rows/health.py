"""Live and ready: the server, a model, a version."""

from conformance.row import Failed, Row, row, rows_in
from conformance.rpc.channel import Code, Outcome
from conformance.rpc.subject import RpcSubject
from conformance.subject import NO_VERSION, NOBODY


@row("gRPC: Server Live", "ServerLive is OK and `live`")
def rpc_live(subject: RpcSubject) -> None:
    if not subject.channel.call("ServerLive").ok().live:
        raise Failed("`live` is false")


@row("gRPC: Server Ready", "ServerReady is OK and `ready`")
def rpc_ready(subject: RpcSubject) -> None:
    _ready(subject.channel.call("ServerReady"))


@row("gRPC: Model Ready", "ModelReady is OK and `ready`")
def rpc_model_ready(subject: RpcSubject) -> None:
    _ready(subject.channel.call("ModelReady", name=subject.model))


@row("gRPC: Model Ready", "every version that the metadata lists is ready")
def rpc_version_ready(subject: RpcSubject) -> None:
    subject.rest.needs_version()
    for version in subject.rest.versions:
        _ready(subject.channel.call("ModelReady", name=subject.model, version=version))


@row("gRPC: Model Ready", "an unknown model is not ready: `ready` is false, or NOT_FOUND")
def rpc_unknown_model_not_ready(subject: RpcSubject) -> None:
    _not_ready(subject.channel.call("ModelReady", name=NOBODY))


@row("gRPC: Model Ready", "an unknown version is not ready, likewise")
def rpc_unknown_version_not_ready(subject: RpcSubject) -> None:
    subject.rest.needs_version()
    _not_ready(subject.channel.call("ModelReady", name=subject.model, version=NO_VERSION))


def _ready(outcome: Outcome) -> None:
    if not outcome.ok().ready:
        raise Failed("`ready` is false")


def _not_ready(outcome: Outcome) -> None:
    if outcome.code is Code.OK and outcome.message.ready:
        raise Failed("`ready` is true")
    if outcome.code not in (Code.OK, Code.NOT_FOUND):
        raise Failed(f"answered {outcome.in_short}")


ROWS: tuple[Row, ...] = rows_in(globals())
