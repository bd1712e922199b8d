"""What the server says of itself and of the model."""

from typing import Any

from conformance.client import model_path
from conformance.row import Failed, Row, Skipped, row, rows_in
from conformance.subject import NO_VERSION, NOBODY, Subject
from conformance.tensors import tensor_problem

SERVER, MODEL = "REST: Server Metadata Response", "REST: Model Metadata Response"


def _string(document: dict[str, Any], name: str) -> None:
    if not isinstance(document.get(name), str):
        raise Failed(f"`{name}` is {document.get(name)!r}")


@row(SERVER, "GET /v2 has a string `name`")
def server_name(subject: Subject) -> None:
    _string(subject.client.get("/v2").document(), "name")


@row(SERVER, "GET /v2 has a string `version`")
def server_version(subject: Subject) -> None:
    _string(subject.client.get("/v2").document(), "version")


@row(SERVER, "`extensions` is an array of strings")
def server_extensions(subject: Subject) -> None:
    found = subject.client.get("/v2").document().get("extensions")
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise Failed(f"`extensions` is {found!r}")


@row(MODEL, "`name` is the model's")
def model_name(subject: Subject) -> None:
    if subject.metadata.get("name") != subject.model:
        raise Failed(f"`name` is {subject.metadata.get('name')!r}")


@row(MODEL, "`platform` is a string")
def model_platform(subject: Subject) -> None:
    _string(subject.metadata, "platform")


@row(MODEL, "`versions`, if there, is an array of strings")
def model_versions(subject: Subject) -> None:
    found = subject.metadata.get("versions")
    if found is None:
        raise Skipped("the metadata has no `versions`")
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise Failed(f"`versions` is {found!r}")


def _tensors(subject: Subject, which: str) -> None:
    found = subject.metadata.get(which)
    if not isinstance(found, list) or not found:
        raise Failed(f"`{which}` is {found!r}")
    for entry in found:
        if problem := tensor_problem(entry):
            raise Failed(problem)
    if len({entry["name"] for entry in found}) < len(found):
        raise Failed("two tensors have one name")


@row(MODEL, "`inputs` lists tensors: name, a known datatype, sizes or -1")
def model_inputs(subject: Subject) -> None:
    _tensors(subject, "inputs")


@row(MODEL, "`outputs` lists tensors likewise")
def model_outputs(subject: Subject) -> None:
    _tensors(subject, "outputs")


@row("REST: Model Metadata", "every version listed has metadata of its own path")
def version_metadata(subject: Subject) -> None:
    subject.needs_version()
    for version in subject.versions:
        document = subject.client.get(model_path(subject.model, version)).document()
        if document.get("name") != subject.model:
            raise Failed(f"`name` of version {version} is {document.get('name')!r}")


def _refused(subject: Subject, path: str) -> None:
    answer = subject.client.get(path)
    if not 400 <= answer.status < 500:
        raise Failed(f"answered {answer.in_short}")


@row("REST: Model Metadata Error", "an unknown model has none: 4xx")
def unknown_model_metadata(subject: Subject) -> None:
    _refused(subject, model_path(NOBODY))


@row("REST: Model Metadata Error", "an unknown version has none: 4xx")
def unknown_version_metadata(subject: Subject) -> None:
    subject.needs_version()
    _refused(subject, model_path(subject.model, NO_VERSION))


ROWS: tuple[Row, ...] = rows_in(globals())
