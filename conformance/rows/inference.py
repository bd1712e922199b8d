"""Valid requests in JSON, and what has to be in the answer."""

from typing import Any

from conformance.client import HEADER, OCTETS, Answer, encode, model_path
from conformance.replies import Reply
from conformance.row import Failed, Row, Skipped, row, rows_in
from conformance.subject import Subject, request
from conformance.tensors import Tensor, elements

REQUEST, INPUT, RESPONSE = "REST: Inference Request", "REST: Request Input", "REST: Inference Response"
DATA = "REST: Tensor Data"

TOO_LARGE = 413  # RFC 9110, 15.5.14; the protocol sets no size that has to be taken


def _ask(subject: Subject, **keys: Any) -> Reply:
    return subject.reply(subject.post(request(subject.json_sample, **keys)))


def _same(subject: Subject, answer: Answer) -> None:
    subject.same(subject.reply(answer))


@row("REST: Inference", "a valid request, made from the metadata, is 200")
def valid_request(subject: Subject) -> None:
    if subject.inputs or subject.given:
        refused = subject.find_sample()
        if refused is not None:
            raise Failed(f"answered {refused.in_short}")
    else:
        raise Failed("the metadata describes no inputs")


@row(RESPONSE, "`model_name` is the model's")
def answer_model_name(subject: Subject) -> None:
    found = subject.reference.document.get("model_name", subject.model)
    if found != subject.model:
        raise Failed(f"`model_name` is {found!r}")


@row(RESPONSE, "`model_version`, if there, is one that the metadata lists")
def answer_model_version(subject: Subject) -> None:
    found = subject.reference.document.get("model_version")
    if found is None:
        raise Skipped("the answer has no `model_version`")
    if not isinstance(found, str) or (subject.versions and found not in subject.versions):
        raise Failed(f"`model_version` is {found!r}")


@row(REQUEST, "without `outputs` all of them are returned")
def all_outputs(subject: Subject) -> None:
    missing = {each.name for each in subject.outputs} - subject.reference.outputs.keys()
    if missing:
        raise Failed(f"not returned: {', '.join(sorted(missing))}")


@row("REST: Response Output", "every output has the datatype that the metadata says")
def output_datatypes(subject: Subject) -> None:
    for said in subject.outputs:
        found = subject.reference.outputs.get(said.name)
        if found and found.datatype != said.datatype:
            raise Failed(f"{said.name} is {found.datatype} instead of {said.datatype}")


@row("REST: Response Output", "every output has a shape that fits the metadata")
def output_shapes(subject: Subject) -> None:
    for said in subject.outputs:
        found = subject.reference.outputs.get(said.name)
        if found and not said.fits(found.shape):
            raise Failed(f"{said.name} has the shape {list(found.shape)} instead of {list(said.shape)}")


@row("REST: Inference Response", "an answer in JSON has Content-Type application/json")
def answer_content_type(subject: Subject) -> None:
    found = subject.reference.answer.headers.get("content-type", "")
    if found.partition(";")[0].strip() != "application/json":
        raise Failed(f"Content-Type is {found!r}")


@row(REQUEST, "`id` comes back as it was")
def identifier(subject: Subject) -> None:
    for sent in ("42", "größer/than ASCII"):
        found = _ask(subject, id=sent).document.get("id")
        if found != sent:
            raise Failed(f"sent {sent!r}, returned {found!r}")


@row("perf_analyzer 2.60", "an empty `id` is accepted")
def empty_identifier(subject: Subject) -> None:
    _ask(subject, id="")


@row(REQUEST, "a request without `id` is answered; an `id` in the answer is a string")
def no_identifier(subject: Subject) -> None:
    if not isinstance(subject.reference.document.get("id", ""), str | None):
        raise Failed(f"`id` is {subject.reference.document['id']!r}")


@row(DATA, "nested `data` is as good as flat")
def nested_data(subject: Subject) -> None:
    inputs = [{**each.entry(), "data": each.nested} for each in subject.json_sample]
    _same(subject, subject.post({"inputs": inputs}))


@row("RFC 8259: objects are unordered", "members come in any order")
def any_order_of_members(subject: Subject) -> None:
    document = request(subject.json_sample, id="1")
    inputs = [dict(reversed(each.items())) for each in document["inputs"]]
    _same(subject, subject.post({"inputs": inputs, "id": "1"}))
    _same(subject, subject.post({"parameters": {}, "id": "1", "inputs": inputs}))


@row(INPUT, "inputs go by name, in any order")
def any_order_of_inputs(subject: Subject) -> None:
    inputs = subject.json_sample
    if len(inputs) < 2:
        raise Skipped("the model has one input")
    _same(subject, subject.post(request(inputs[::-1])))


@row("kserve 0.21.0", "members that are not known are tolerated (it sends `model_name`)")
def unknown_members(subject: Subject) -> None:
    subject.same(_ask(subject, model_name=subject.model, id="5a9d0c1e-0000-4000-8000-000000000000"))


@row("REST: Parameters", "parameters that are not known are tolerated: string, number, bool")
def unknown_parameters(subject: Subject) -> None:
    subject.same(_ask(subject, parameters={"x_text": "a", "x_number": 1.5, "x_bool": True}))


@row("REST: Request Output", "an output is asked for by name, and only that is returned")
def outputs_by_name(subject: Subject) -> None:
    for name in subject.reference.outputs:
        reply = _ask(subject, outputs=[{"name": name}])
        if list(reply.outputs) != [name]:
            raise Failed(f"asked for {name}, returned {', '.join(reply.outputs)}")
        subject.same(reply, [name])


@row("REST: Response Output", "outputs named in another order keep their values")
def outputs_in_another_order(subject: Subject) -> None:
    names = list(subject.reference.outputs)[::-1]
    if len(names) < 2:
        raise Skipped("the model has one output")
    subject.same(_ask(subject, outputs=[{"name": name} for name in names]))


@row(INPUT, "a batch is answered row by row")
def batch(subject: Subject) -> None:
    subject.needs_batches()
    answer = subject.post(request([each.twice() for each in subject.json_sample]))
    if answer.status == TOO_LARGE:
        raise Skipped(f"two rows are larger than it takes in JSON: {answer.in_short}")
    reply = subject.reply(answer)
    for name, one in subject.reference.outputs.items():
        two = reply.outputs.get(name)
        if two is None or two.shape[:1] != (2 * one.shape[0],):
            raise Failed(f"{name} has the shape {list(two.shape) if two else None} for two rows")
        half = Tensor(name, two.datatype, one.shape, two.values[elements(one.shape) :])
        subject.same(Reply(reply.answer, outputs={name: half}), [name])


@row("tritonclient 2.73.0 http", "JSON without a Content-Type is JSON")
def json_without_content_type(subject: Subject) -> None:
    _same(subject, subject.post(request(subject.json_sample), headers={"Content-Type": None}))


@row("tritonclient 2.73.0 http.aio", "JSON under application/octet-stream is JSON")
def json_as_octets(subject: Subject) -> None:
    _same(subject, subject.post(request(subject.json_sample), headers={"Content-Type": OCTETS}))


@row("perf_analyzer 2.60", f"JSON whose {HEADER} is that of the whole body is JSON")
def json_with_length(subject: Subject) -> None:
    document = request(subject.json_sample)
    length = str(len(encode(document, None)[1]))
    _same(subject, subject.post(document, headers={HEADER: length}))


@row("REST: Inference", "every version listed is asked by its path, and says so")
def version_in_path(subject: Subject) -> None:
    subject.needs_version()
    for version in subject.versions:
        path = model_path(subject.model, version)
        document = subject.reply(subject.post(request(subject.json_sample), path=path)).document
        if document.get("model_version", version) != version:
            raise Failed(f"asked version {version}, `model_version` is {document['model_version']!r}")


ROWS: tuple[Row, ...] = rows_in(globals())
