#!/usr/bin/env bash
# onnx 1.23.2, its ReferenceEvaluator: LSTM, GRU and RNN with sequence_lens, clip, activations of their own or input_forget.
#
# Guess: the standard's own evaluator computes what the standard says, or refuses what it cannot do.
# Seen: each of these is passed over in silence. A row of length 2 of 4 is read on through its padding, and its last state changes
# with what the padding holds; clip bounds nothing; LSTM and GRU take sigmoid and tanh whatever `activations` names; input_forget
# couples no gates. onnxruntime agrees to six digits with the equations of the standard, written out here in NumPy, in every case.
# Without the four, all three agree. The checker of the same package takes all the models. The evaluator's page says that mismatches
# with the standard may remain, and names none.
# Why it matters: who converts or rewrites a model compares it with this evaluator. A right conversion looks wrong, and one that has
# lost the lengths of the rows looks right.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

STEPS, ROWS, WIDTH, HIDDEN = 4, 2, 3, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
USUAL = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
FUNCTIONS = {"Tanh": np.tanh, "Sigmoid": lambda x: 1 / (1 + np.exp(-x)), "Relu": lambda x: np.maximum(x, 0)}
random = np.random.default_rng(0)
x = random.normal(size=(STEPS, ROWS, WIDTH)).astype("float32")
other_padding = x.copy()
other_padding[2:, 1] = 9  # what is behind the end of the second row, whose length is 2


def equations(operator, w, r, lengths, attributes):
    """The last state of each row, as the standard defines it (no biases, no peepholes)."""
    clip = attributes.get("clip", np.inf)
    f, *others = (FUNCTIONS[name] for name in attributes.get("activations", USUAL[operator]))
    coupled = attributes.get("input_forget", 0)
    states = []
    for row in range(ROWS):
        state, cell = np.zeros(HIDDEN), np.zeros(HIDDEN)
        for step in range(lengths[row]):
            given = np.split(w[0] @ x[step, row], GATES[operator])
            back = np.split(r[0], GATES[operator])
            if operator == "GRU":
                update, reset = (f(np.clip(given[gate] + back[gate] @ state, -clip, clip)) for gate in (0, 1))
                new = others[0](np.clip(given[2] + back[2] @ (reset * state), -clip, clip))
                state = (1 - update) * new + update * state
            else:
                sums = [np.clip(given[gate] + back[gate] @ state, -clip, clip) for gate in range(GATES[operator])]
                if operator == "RNN":
                    state = f(sums[0])
                else:
                    take = f(sums[0])
                    cell = (1 - take if coupled else f(sums[2])) * cell + take * others[0](sums[3])
                    state = f(sums[1]) * others[1](np.clip(cell, -clip, clip))
        states.append(state)
    return np.array(states)


def compare(operator, lengths=(STEPS, STEPS), **attributes):
    """Whether onnxruntime and the evaluator give the last states of the equations; whether padding counts for the evaluator."""
    w = random.normal(size=(1, GATES[operator] * HIDDEN, WIDTH)).astype("float32")
    r = random.normal(size=(1, GATES[operator] * HIDDEN, HIDDEN)).astype("float32")
    weights = [numpy_helper.from_array(w, "w"), numpy_helper.from_array(r, "r")]
    weights.append(numpy_helper.from_array(np.array(lengths, "int32"), "lengths"))
    node = helper.make_node(operator, ["x", "w", "r", "", "lengths"], ["", "last"], hidden_size=HIDDEN, **attributes)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)
    last = helper.make_tensor_value_info("last", TensorProto.FLOAT, [1, ROWS, HIDDEN])
    graph = helper.make_graph([node], operator, [given], [last], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    right = equations(operator, w, r, lengths, attributes)
    evaluator = ReferenceEvaluator(model)
    found = [run(["last"], {"x": x})[0][0] for run in (session.run, evaluator.run)]
    far = [float(np.abs(states - right).max()) for states in found]
    padding = not np.array_equal(found[1], evaluator.run(["last"], {"x": other_padding})[0][0])
    what = {"lengths": lengths, **attributes}
    print(f"{operator:5} {what}: off by {far[0]:.1e} in onnxruntime, {far[1]:.1e} in the evaluator")
    return far[0] < 1e-4, far[1] < 1e-4, padding


plain = [compare(operator) for operator in GATES]
changed = [compare(operator, clip=0.3) for operator in GATES]
changed += [compare("GRU", activations=["Sigmoid", "Relu"]), compare("LSTM", activations=["Sigmoid", "Relu", "Tanh"])]
changed += [compare("LSTM", input_forget=1)]
shorter = [compare(operator, lengths=(STEPS, 2)) for operator in GATES]
print("what is behind the end of a row changes its last state in the evaluator:", [padding for *_, padding in shorter])
as_stated = all(seen[:2] == (True, True) for seen in plain) and all(seen[:2] == (True, False) for seen in changed)
sys.exit(0 if as_stated and shorter == [(True, False, True)] * 3 else 1)
PYTHON
