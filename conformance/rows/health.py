"""Live and ready: the server, a model, a version."""

import json

from conformance.client import model_path
from conformance.row import Failed, row, rows_in
from conformance.subject import NO_VERSION, NOBODY, Subject


def _ok(subject: Subject, path: str) -> None:
    answer = subject.client.get(path)
    if answer.status != 200:
        raise Failed(f"answered {answer.in_short}")


def _says(subject: Subject, path: str, **members: object) -> None:
    answer = subject.client.get(path)
    try:
        document = json.loads(answer.content)
    except ValueError:
        raise Failed(f"answered no JSON: {answer.in_short}") from None
    if not isinstance(document, dict):
        raise Failed("answered JSON that is no object")
    for name, value in members.items():
        if document.get(name) != value:
            raise Failed(f"`{name}` is {document.get(name)!r}")


def _not_ready(subject: Subject, path: str) -> None:
    answer = subject.client.get(path)
    if not 400 <= answer.status < 600:
        raise Failed(f"answered {answer.in_short}")


@row("REST: Server Live", "GET /v2/health/live is 200")
def live(subject: Subject) -> None:
    _ok(subject, "/v2/health/live")


@row("REST: Server Live Response; kserve 0.21.0", 'its body is {"live": true}')
def live_body(subject: Subject) -> None:
    _says(subject, "/v2/health/live", live=True)


@row("REST: Server Ready", "GET /v2/health/ready is 200 (the models are loaded)")
def ready(subject: Subject) -> None:
    _ok(subject, "/v2/health/ready")


@row("REST: Server Ready Response; kserve 0.21.0", "its body has `ready` (the text says `live`)")
def ready_body(subject: Subject) -> None:
    _says(subject, "/v2/health/ready", ready=True)


@row("REST: Model Ready", "GET /v2/models/{m}/ready is 200")
def model_ready(subject: Subject) -> None:
    _ok(subject, f"{subject.path}/ready")


@row("REST: Model Ready Response", 'its body is {"name": m, "ready": true}')
def model_ready_body(subject: Subject) -> None:
    _says(subject, f"{subject.path}/ready", name=subject.model, ready=True)


@row("REST: Model Ready", "every version that the metadata lists is ready")
def version_ready(subject: Subject) -> None:
    subject.needs_version()
    for version in subject.versions:
        _ok(subject, f"{model_path(subject.model, version)}/ready")


@row("REST: Model Ready", "an unknown model is not ready: no 2xx")
def unknown_model_not_ready(subject: Subject) -> None:
    _not_ready(subject, f"{model_path(NOBODY)}/ready")


@row("REST: Model Ready", "an unknown version is not ready: no 2xx")
def unknown_version_not_ready(subject: Subject) -> None:
    subject.needs_version()
    _not_ready(subject, f"{model_path(subject.model, NO_VERSION)}/ready")


ROWS = rows_in(globals())
