"""Requests that are wrong as a whole: path, method, body, outputs."""

from conformance.client import JSON, Answer, model_path
from conformance.refusal import refused
from conformance.row import Row, rows_in
from conformance.subject import NO_VERSION, NOBODY, Subject, request

ERROR, REQUEST = "REST: Inference Error", "REST: Inference Request"


@refused("REST: paths", "a path that the protocol does not have")
def unknown_path(subject: Subject) -> Answer:
    return subject.client.get("/v2/no-such-path-7f3a")


@refused("REST: verbs", "GET where POST is meant")
def wrong_method(subject: Subject) -> Answer:
    return subject.client.get(f"{subject.path}/infer")


@refused("REST: verbs", "POST where GET is meant")
def wrong_method_of_metadata(subject: Subject) -> Answer:
    return subject.client.ask("POST", subject.path, {"Content-Type": JSON}, b"{}")


@refused(ERROR, "an inference by an unknown model")
def unknown_model(subject: Subject) -> Answer:
    return subject.post(request(subject.json_sample), path=model_path(NOBODY))


@refused(ERROR, "an inference by an unknown version")
def unknown_version(subject: Subject) -> Answer:
    subject.needs_version()
    return subject.post(request(subject.json_sample), path=model_path(subject.model, NO_VERSION))


@refused(REQUEST, "an empty body")
def empty_body(subject: Subject) -> Answer:
    return subject.post_octets(b"", {"Content-Type": JSON})


@refused(REQUEST, "a body that is no JSON")
def no_json(subject: Subject) -> Answer:
    return subject.post_octets(b'{"inputs": [', {"Content-Type": JSON})


@refused("RFC 8259, 8.1", "a body that is no UTF-8")
def no_utf8(subject: Subject) -> Answer:
    return subject.post_octets(b'{"id": "\xff\xfe", "inputs": []}', {"Content-Type": JSON})


@refused(REQUEST, "JSON that is no object")
def no_object(subject: Subject) -> Answer:
    return subject.post([1, 2, 3])


@refused(REQUEST, "an object without `inputs`")
def no_inputs(subject: Subject) -> Answer:
    return subject.post({"id": "1"})


@refused(REQUEST, "`inputs` that is no array")
def inputs_no_array(subject: Subject) -> Answer:
    return subject.post({"inputs": {"name": "x"}})


@refused(REQUEST, "`inputs` that holds no objects")
def inputs_no_objects(subject: Subject) -> Answer:
    return subject.post({"inputs": ["x"]})


@refused("REST: Model Metadata: the inputs required", "a request that lacks an input of the model")
def missing_input(subject: Subject) -> Answer:
    """Some may be optional, which the metadata do not say, and Triton's configuration does."""
    sample = subject.json_sample
    for at in subject.needs_required(sample):
        answer = subject.post(request([*sample[:at], *sample[at + 1 :]]))
        if answer.status != 200:
            break
    return answer


@refused("REST: Request Input", "an input that the model does not have")
def unknown_input(subject: Subject) -> Answer:
    document = request(subject.json_sample)
    document["inputs"].append({**document["inputs"][0], "name": "no-such-input-7f3a"})
    return subject.post(document)


@refused("REST: Request Input", "an input that is given twice")
def input_twice(subject: Subject) -> Answer:
    return subject.post(request([*subject.json_sample, subject.json_sample[0]]))


@refused("REST: Request Output", "an output that the model does not have")
def unknown_output(subject: Subject) -> Answer:
    return subject.post(request(subject.json_sample, outputs=[{"name": "no-such-output-7f3a"}]))


@refused("REST: Request Output", "an output without a name")
def output_without_name(subject: Subject) -> Answer:
    return subject.post(request(subject.json_sample, outputs=[{}]))


@refused("REST: Parameters", "`parameters` that is no object")
def parameters_no_object(subject: Subject) -> Answer:
    return subject.post(request(subject.json_sample, parameters=["x"]))


ROWS: tuple[Row, ...] = rows_in(globals())
