"""Statistics, repository index and configuration, where the server says that it has them."""

from typing import Any

from conformance.client import Answer, model_path
from conformance.refusal import refused
from conformance.row import Failed, Row, row, rows_in
from conformance.subject import NO_VERSION, NOBODY, Subject

STATISTICS, REPOSITORY, CONFIGURATION = "Statistics", "Model repository", "Model configuration"
DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")


def _statistics(subject: Subject, path: str) -> list[dict[str, Any]]:
    subject.needs("statistics")
    found = subject.client.get(f"{path}/stats").document().get("model_stats")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Failed(f"`model_stats` is {found!r}")
    return found


def _own(subject: Subject, stats: list[dict[str, Any]]) -> list[dict[str, Any]]:
    own = [each for each in stats if each.get("name") == subject.model]
    if not own:
        raise Failed("the model is not among them")
    return own


@row(STATISTICS, "GET /v2/models/stats lists the model")
def all_statistics(subject: Subject) -> None:
    _own(subject, _statistics(subject, "/v2/models"))


@row(STATISTICS, "GET /v2/models/{m}/stats is about the model alone")
def model_statistics(subject: Subject) -> None:
    stats = _statistics(subject, subject.path)
    if len(_own(subject, stats)) != len(stats):
        raise Failed("other models are among them")


@row(STATISTICS, "a version listed has statistics of its own path")
def version_statistics(subject: Subject) -> None:
    subject.needs("statistics")
    version = subject.needs_version()
    for each in _own(subject, _statistics(subject, model_path(subject.model, version))):
        if each.get("version") != version:
            raise Failed(f"`version` is {each.get('version')!r}")


@row(STATISTICS, "counts are integers, durations are {count, ns}")
def statistics_form(subject: Subject) -> None:
    for each in _own(subject, _statistics(subject, subject.path)):
        for name in ("inference_count", "execution_count"):
            if type(each.get(name)) is not int:
                raise Failed(f"`{name}` is {each.get(name)!r}")
        durations = each.get("inference_stats")
        for name in DURATIONS:
            found = durations.get(name) if isinstance(durations, dict) else None
            if not isinstance(found, dict) or not all(
                type(found.get(part)) is int for part in ("count", "ns")
            ):
                raise Failed(f"`{name}` is {found!r}")


@row(STATISTICS, "`last_inference` is a time in milliseconds since the epoch")
def last_inference(subject: Subject) -> None:
    subject.needs("statistics")
    subject.ask_sample()
    for each in _own(subject, _statistics(subject, subject.path)):
        if type(each.get("last_inference")) is not int:
            raise Failed(f"`last_inference` is {each.get('last_inference')!r}")


@row(STATISTICS, "`batch_stats` is an array, of batch_size and durations each")
def batch_statistics(subject: Subject) -> None:
    for each in _own(subject, _statistics(subject, subject.path)):
        found = each.get("batch_stats")
        if not isinstance(found, list):
            raise Failed(f"`batch_stats` is {found!r}")
        for batch in found:
            if not isinstance(batch, dict) or type(batch.get("batch_size")) is not int:
                raise Failed(f"one of `batch_stats` is {batch!r}")


@row(STATISTICS, "an inference counts")
def statistics_count(subject: Subject) -> None:
    def count() -> int:
        own = _own(subject, _statistics(subject, subject.path))
        return sum(int(each.get("inference_count", 0)) for each in own)

    before = count()
    subject.ask_sample()
    if count() <= before:
        raise Failed(f"`inference_count` stays {before}")


@refused(STATISTICS, "statistics of an unknown model")
def unknown_model_statistics(subject: Subject) -> Answer:
    subject.needs("statistics")
    return subject.client.get(f"{model_path(NOBODY)}/stats")


def _index(subject: Subject, content: bytes | None) -> None:
    subject.needs("model_repository")
    found = subject.client.ask("POST", "/v2/repository/index", content=content).any_json()
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Failed("the answer is no array of objects")
    own = [each for each in found if each.get("name") == subject.model]
    if not own:
        raise Failed("the model is not in it")
    for name in ("version", "state", "reason"):
        for each in own:
            if not isinstance(each.get(name, ""), str):
                raise Failed(f"`{name}` is {each[name]!r}")


@row(REPOSITORY, "POST /v2/repository/index with {} lists the model: name, version, state, reason")
def index(subject: Subject) -> None:
    _index(subject, b"{}")


@row("tritonclient 2.73.0 http", "the index with an empty body, likewise")
def index_without_body(subject: Subject) -> None:
    _index(subject, None)


@row(REPOSITORY, "the index with ready: true lists the model, as it is ready")
def index_of_ready(subject: Subject) -> None:
    _index(subject, b'{"ready": true}')


@refused(REPOSITORY, "loading an unknown model")
def load_of_unknown_model(subject: Subject) -> Answer:
    subject.needs("model_repository")
    return subject.client.ask("POST", f"/v2/repository/models/{NOBODY}/load", content=b"{}")


def _configuration(subject: Subject, path: str) -> dict[str, Any]:
    subject.needs("model_configuration")
    return subject.client.get(f"{path}/config").document()


@row(CONFIGURATION, "GET …/config has the model's name and an integer max_batch_size")
def configuration(subject: Subject) -> None:
    found = _configuration(subject, subject.path)
    if found.get("name") != subject.model or type(found.get("max_batch_size", 0)) is not int:
        raise Failed(f"`name` {found.get('name')!r}, `max_batch_size` {found.get('max_batch_size')!r}")


@row(CONFIGURATION, "its input and output are named as in the metadata, with data_type TYPE_… and dims")
def configuration_tensors(subject: Subject) -> None:
    found = _configuration(subject, subject.path)
    for which, said in (("input", subject.inputs), ("output", subject.outputs)):
        entries = found.get(which) or []
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise Failed(f"`{which}` is no array of objects")
        if {each.get("name") for each in entries} != {each.name for each in said}:
            raise Failed(f"`{which}` names others than the metadata")
        for each in entries:
            if not str(each.get("data_type")).startswith("TYPE_") or not isinstance(each.get("dims"), list):
                raise Failed(f"{each.get('name')} has {each.get('data_type')!r}, dims {each.get('dims')!r}")


@row(CONFIGURATION, "a version listed has a configuration of its own path")
def version_configuration(subject: Subject) -> None:
    subject.needs("model_configuration")
    version = subject.needs_version()
    found = _configuration(subject, model_path(subject.model, version)).get("name")
    if found != subject.model:
        raise Failed(f"`name` is {found!r}")


@refused(CONFIGURATION, "the configuration of an unknown version")
def unknown_version_configuration(subject: Subject) -> Answer:
    subject.needs("model_configuration")
    subject.needs_version()
    return subject.client.get(f"{model_path(subject.model, NO_VERSION)}/config")


ROWS: tuple[Row, ...] = rows_in(globals())
