"""Valid requests, and what has to be in the answer."""

from conformance.row import Failed, Row, Skipped, row, rows_in
from conformance.rpc.channel import Code
from conformance.rpc.messages import message
from conformance.rpc.subject import RpcSubject
from conformance.rpc.tensors import RpcReply
from conformance.subject import same_values
from conformance.tensors import Tensor, elements

INFERENCE, REQUEST, RESPONSE = "gRPC: Inference", "gRPC: ModelInferRequest", "gRPC: ModelInferResponse"
DATA = "gRPC: Tensor Data"
DEADLINES_S = (0.001, 0.01, 0.1, 1.0)


@row(INFERENCE, "a valid request, made from the metadata, is OK")
def rpc_valid_request(subject: RpcSubject) -> None:
    if not (subject.rest.inputs or subject.rest.given):
        raise Failed("the metadata describes no inputs")
    refused = subject.find_sample()
    if refused is not None:
        raise Failed(f"answered {refused.in_short}")


@row(DATA, "elements may be octets in `raw_input_contents`")
def rpc_raw_contents(subject: RpcSubject) -> None:
    subject.same(subject.reply(subject.infer(subject.sample, raw=True)))


@row(DATA, "elements may be in the `contents` of their datatype")
def rpc_typed_contents(subject: RpcSubject) -> None:
    subject.same(subject.reply(subject.infer(subject.typed_sample, raw=False)))


@row("gRPC: closely follows REST", "the values are those that REST answers")
def rpc_values_of_rest(subject: RpcSubject) -> None:
    for name, expected in subject.rest.reference.outputs.items():
        if name in subject.reference.outputs:
            same_values(subject.reference, expected)


@row(RESPONSE, "`model_name` is the model's")
def rpc_answer_model_name(subject: RpcSubject) -> None:
    found = subject.reference.message.model_name
    if found != subject.model:
        raise Failed(f"`model_name` is {found!r}")


@row(RESPONSE, "`model_version`, if there, is one that the metadata lists")
def rpc_answer_model_version(subject: RpcSubject) -> None:
    found = subject.reference.message.model_version
    if not found:
        raise Skipped("the answer has no `model_version`")
    if subject.rest.versions and found not in subject.rest.versions:
        raise Failed(f"`model_version` is {found!r}")


@row(REQUEST, "without `outputs` all of them are returned")
def rpc_all_outputs(subject: RpcSubject) -> None:
    missing = {each.name for each in subject.rest.outputs} - subject.reference.outputs.keys()
    if missing:
        raise Failed(f"not returned: {', '.join(sorted(missing))}")


@row(RESPONSE, "every output has the datatype that the metadata says")
def rpc_output_datatypes(subject: RpcSubject) -> None:
    for said in subject.rest.outputs:
        found = subject.reference.outputs.get(said.name)
        if found and found.datatype != said.datatype:
            raise Failed(f"{said.name} is {found.datatype} instead of {said.datatype}")


@row(RESPONSE, "every output has a shape that fits the metadata")
def rpc_output_shapes(subject: RpcSubject) -> None:
    for said in subject.rest.outputs:
        found = subject.reference.outputs.get(said.name)
        if found and not said.fits(found.shape):
            raise Failed(f"{said.name} has the shape {list(found.shape)} instead of {list(said.shape)}")


@row(REQUEST, "`id` comes back as it was")
def rpc_identifier(subject: RpcSubject) -> None:
    for sent in ("42", "größer/than ASCII"):
        found = subject.ask_sample(id=sent).message.id
        if found != sent:
            raise Failed(f"sent {sent!r}, returned {found!r}")


@row(INFERENCE, "inputs go by name, in any order")
def rpc_any_order_of_inputs(subject: RpcSubject) -> None:
    if len(subject.sample) < 2:
        raise Skipped("the model has one input")
    subject.same(subject.reply(subject.ask(subject.request(subject.sample[::-1]))))


@row("gRPC: Parameters", "parameters that are not known are tolerated: string, int64, bool")
def rpc_unknown_parameters(subject: RpcSubject) -> None:
    parameters = {
        "x_text": message("InferParameter", string_param="a"),
        "x_int": message("InferParameter", int64_param=7),
        "x_bool": message("InferParameter", bool_param=True),
    }
    subject.same(subject.ask_sample(parameters=parameters))


@row(REQUEST, "an output is asked for by name, and only that is returned")
def rpc_outputs_by_name(subject: RpcSubject) -> None:
    for name in subject.reference.outputs:
        reply = subject.ask_sample(outputs=[{"name": name}])
        if list(reply.outputs) != [name]:
            raise Failed(f"asked for {name}, returned {', '.join(reply.outputs)}")
        subject.same(reply, [name])


@row(REQUEST, "outputs named in another order keep their values")
def rpc_outputs_in_another_order(subject: RpcSubject) -> None:
    names = list(subject.reference.outputs)[::-1]
    if len(names) < 2:
        raise Skipped("the model has one output")
    subject.same(subject.ask_sample(outputs=[{"name": name} for name in names]))


@row(INFERENCE, "a batch is answered row by row")
def rpc_batch(subject: RpcSubject) -> None:
    subject.rest.needs_batches()
    reply = subject.reply(subject.ask(subject.request([each.twice() for each in subject.sample])))
    for name, one in subject.reference.outputs.items():
        two = reply.outputs.get(name)
        if two is None or two.shape[:1] != (2 * one.shape[0],):
            raise Failed(f"{name} has the shape {list(two.shape) if two else None} for two rows")
        half = Tensor(name, two.datatype, one.shape, two.values[elements(one.shape) :])
        subject.same(RpcReply(None, {name: half}), [name])


@row(REQUEST, "every version listed is asked by `model_version`, and says so")
def rpc_version_asked(subject: RpcSubject) -> None:
    subject.rest.needs_version()
    for version in subject.rest.versions:
        found = subject.ask_sample(model_version=version).message.model_version
        if found not in ("", version):
            raise Failed(f"asked version {version}, `model_version` is {found!r}")


@row("gRPC deadlines", "with little time a call is answered, or DEADLINE_EXCEEDED; the next is answered")
def rpc_deadline(subject: RpcSubject) -> None:
    for seconds in DEADLINES_S:
        outcome = subject.ask(subject.request(), seconds)
        if outcome.code not in (Code.OK, Code.DEADLINE_EXCEEDED):
            raise Failed(f"with {seconds} s answered {outcome.in_short}")
    subject.same(subject.ask_sample())


def _no_problem(subject: RpcSubject, kind: str) -> None:
    if not subject.replies:
        raise Skipped("no inference was answered")
    for reply in subject.replies:
        for found, problem in reply.problems:
            if found == kind:
                raise Failed(problem)


@row(RESPONSE, "outputs have `contents`, or there are `raw_output_contents` for each: not both")
def rpc_form_of_answers(subject: RpcSubject) -> None:
    _no_problem(subject, "form")


@row(RESPONSE, "the contents of an output are as many as its shape and datatype say")
def rpc_size_of_answers(subject: RpcSubject) -> None:
    _no_problem(subject, "size")


ROWS: tuple[Row, ...] = rows_in(globals())
