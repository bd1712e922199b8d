"""Requests that are wrong as a whole."""

from conformance.row import Row, Skipped, rows_in
from conformance.rpc.channel import Code, Outcome
from conformance.rpc.refusal import refused
from conformance.rpc.subject import RpcSubject
from conformance.rpc.tensors import raw_request
from conformance.subject import NO_VERSION, NOBODY


@refused("an unknown model", Code.NOT_FOUND)
def rpc_unknown_model(subject: RpcSubject) -> Outcome:
    request = subject.request()
    request.model_name = NOBODY
    return subject.ask(request)


@refused("an unknown version", Code.NOT_FOUND)
def rpc_unknown_version(subject: RpcSubject) -> Outcome:
    subject.rest.needs_version()
    return subject.ask(subject.request(model_version=NO_VERSION))


@refused("no inputs")
def rpc_no_inputs(subject: RpcSubject) -> Outcome:
    return subject.ask(subject.request([]))


@refused("an input that the model does not have, beside those that it has")
def rpc_unknown_input(subject: RpcSubject) -> Outcome:
    request = subject.request()
    request.inputs.add().CopyFrom(request.inputs[0])
    request.inputs[-1].name = NOBODY
    request.raw_input_contents.extend(request.raw_input_contents[:1])
    return subject.ask(request)


@refused("an input is missing")
def rpc_missing_input(subject: RpcSubject) -> Outcome:
    if len(subject.sample) < 2:
        raise Skipped("the model has one input")
    for at in subject.rest.needs_required(subject.sample):  # some may be optional all the same
        outcome = subject.ask(subject.request([*subject.sample[:at], *subject.sample[at + 1 :]]))
        if outcome.code is not Code.OK:
            break
    return outcome


@refused("an input is there twice")
def rpc_input_twice(subject: RpcSubject) -> Outcome:
    return subject.ask(subject.request([*subject.sample, subject.sample[0]]))


@refused("an output that the model does not have")
def rpc_unknown_output(subject: RpcSubject) -> Outcome:
    return subject.ask(subject.request(outputs=[{"name": NOBODY}]))


@refused("fewer `raw_input_contents` than inputs")
def rpc_fewer_raw_contents(subject: RpcSubject) -> Outcome:
    subject.needs_form(raw=True)
    if len(subject.sample) < 2:
        raise Skipped("the model has one input")
    request = raw_request(subject.model, subject.sample)
    del request.raw_input_contents[-1]
    return subject.ask(request)


@refused("more `raw_input_contents` than inputs")
def rpc_more_raw_contents(subject: RpcSubject) -> Outcome:
    subject.needs_form(raw=True)
    request = raw_request(subject.model, subject.sample)
    request.raw_input_contents.append(request.raw_input_contents[-1])
    return subject.ask(request)


ROWS: tuple[Row, ...] = rows_in(globals())
