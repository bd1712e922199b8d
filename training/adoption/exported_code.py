"""The graph of torch.export as TorchScript: each call a line, of PyTorch's own operators alone.

What stands in a graph is given: no name in it becomes one in the code, which has `v1`, `w1` and `x`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.adoption.exported_file import Exported, ExportUnusable, Graph, Node
from training.adoption.exported_input import Row, row_read
from training.adoption.exported_literals import LISTS, LITERALS

_OPERATOR = re.compile(r"torch\.ops\.aten\.([A-Za-z_]\w*)\.(\w+)", re.ASCII)
_ARGUMENT = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_FILES = frozenset({"from_file", "save"})  # the operators that read or write them
_NO_GRAD = "torch.ops.higher_order.wrap_with_set_grad_enabled"

# Checks of what was known when it was exported. They compute nothing.
_CHECKS = frozenset(
    {
        "_assert_async",
        "_assert_scalar",
        "_assert_tensor_metadata",
        "sym_constrain_range",
        "sym_constrain_range_for_size",
    }
)

# Of sizes, which are computed in Python.
_OF_SIZES = {
    "_operator.add": "({} + {})",
    "_operator.sub": "({} - {})",
    "_operator.mul": "({} * {})",
    "_operator.floordiv": "({} // {})",
    "_operator.mod": "({} % {})",
    "_operator.truediv": "({} / {})",
    "_operator.neg": "(-{})",
    "_operator.eq": "({} == {})",
    "_operator.ne": "({} != {})",
    "_operator.le": "({} <= {})",
    "_operator.ge": "({} >= {})",
    "_operator.lt": "({} < {})",
    "_operator.gt": "({} > {})",
    "math.trunc": "int({})",
    "torch.sym_int": "int({})",
    "torch.sym_float": "float({})",
    "torch.sym_max": "max({}, {})",
    "torch.sym_min": "min({}, {})",
    "torch.sym_not": "(not {})",
}


class Code(NamedTuple):
    """TorchScript, `forward(self, x)`, and the tensors that it reads as `self.NAME`."""

    source: str
    tensors: Mapping[str, Tensor]
    row: Row


def code_of(exported: Exported) -> Code:
    """A program of torch.export that reads one tensor f32 [N, …], of any N, and answers one.

    Raises ExportUnusable.
    """
    try:
        return _Writer(exported).code()
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise ExportUnusable(f"is damaged: its graph: {type(error).__name__}: {error}") from error


class _Writer:
    def __init__(self, exported: Exported) -> None:
        self.module = exported.program.graph_module
        asked, self.row = row_read(exported.program)
        self.said = {asked: "x"}  # a name in the graph → in the code
        self.tensors = dict[str, Tensor]()
        self.lines = list[str]()
        self.made = 0
        for spec in self.module.signature.input_specs:
            self.take(spec, exported)

    def take(self, spec: Mapping[str, Any], exported: Exported) -> None:
        """One of the tensors that the graph holds."""
        ((kind, given),) = spec.items()
        if kind == "user_input":
            return
        if kind == "parameter":
            tensor = exported.weights[given["parameter_name"]]
        elif kind == "buffer":
            of = exported.weights if given.get("persistent", True) else exported.constants
            tensor = of[given["buffer_name"]]
        elif kind == "tensor_constant":
            tensor = exported.constants[given["tensor_constant_name"]]
        else:
            raise ExportUnusable(f"holds a {kind!r:.40}, which is no tensor")
        name = f"w{len(self.tensors)}"
        self.tensors[name] = tensor
        self.said[given["arg"]["name"]] = f"self.{name}"

    def code(self) -> Code:
        for node in self.module.graph.nodes:
            self.call(node)
        answers = self.module.signature.output_specs
        kinds = [kind for spec in answers for kind in spec]
        if changes := sorted(set(kinds) - {"user_output"}):
            raise ExportUnusable(f"does more than to answer ({changes[0]!r:.40}): export it after eval()")
        if len(kinds) != 1:
            raise ExportUnusable(f"answers {len(kinds)} values; wrap it so that it answers one tensor")
        answer = self.argument(answers[0]["user_output"]["arg"])
        lines = ["def forward(self, x: Tensor) -> Tensor:", *self.lines, f"return {answer}"]
        return Code("\n    ".join(lines) + "\n", self.tensors, self.row)

    def call(self, node: Node) -> None:
        found = _OPERATOR.fullmatch(node.target)
        if found and found[1] in _CHECKS:
            return
        if node.target == _NO_GRAD:
            self.inline(node)
        elif pattern := _OF_SIZES.get(node.target):
            self.answer(node.outputs, pattern.format(*(self.argument(one.arg) for one in node.inputs)))
        elif found and _is_pytorchs(*found.groups()):
            self.answer(node.outputs, self.operator(found[1], node))
        else:
            raise ExportUnusable(
                f"calls {node.target!r:.80}, which is none of PyTorch's operators on tensors; leave it"
                " out of the module"
            )

    def operator(self, name: str, node: Node) -> str:
        if name == "sym_size":
            of, at = (self.argument(one.arg) for one in node.inputs)
            return f"{of}.size({at})"
        if strange := [one.name for one in node.inputs if not _ARGUMENT.fullmatch(one.name)]:
            raise ValueError(f"an argument is called {strange[0]!r:.40}")
        given = (f"{one.name}={self.argument(one.arg)}" for one in node.inputs)
        return f"torch.ops.aten.{name}({', '.join(given)})"

    def inline(self, node: Node) -> None:
        """What is computed with torch.no_grad(), as all is here."""
        graph = Graph.model_validate(node.inputs[1].arg["as_graph"]["graph"])
        outer = self.said
        given = [self.argument(one.arg) for one in node.inputs[2:]]
        self.said = dict(zip(map(_named, graph.inputs), given, strict=True))
        for inner in graph.nodes:
            self.call(inner)
        answers = [self.argument(one) for one in graph.outputs]
        outer.update(zip(_names(node.outputs), answers, strict=True))
        self.said = outer

    def answer(self, outputs: Sequence[Mapping[str, Any]], made: str) -> None:
        """Names what a call answers: a value, several, or a list of tensors."""
        if len(outputs) == 1 and "as_tensors" in outputs[0]:
            several = self.new()
            self.lines.append(f"{several} = {made}")
            self.said.update({name: f"{several}[{i}]" for i, name in enumerate(_names(outputs))})
            return
        names = {self.new(): name for name in _names(outputs)}
        self.lines.append(f"{', '.join(names)} = {made}" if names else made)
        self.said.update({name: made for made, name in names.items() if name})

    def new(self) -> str:
        self.made += 1
        return f"v{self.made}"

    def argument(self, argument: Mapping[str, Any]) -> str:
        ((kind, given),) = argument.items()
        if kind in LITERALS:
            return LITERALS[kind](given)
        if kind in LISTS:
            element, one_kind = LISTS[kind]
            items = ", ".join(self.argument({one_kind: one}) for one in given)
            plain = given and element != "Optional[Tensor]"
            return f"[{items}]" if plain else f"torch.jit.annotate(List[{element}], [{items}])"
        if kind == "as_tensor":
            return self.said[given["name"]]
        if kind == "as_optional_tensor":
            return self.argument(given)
        if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
            ((which, one),) = given.items()
            return self.said[one] if which == "as_name" else self.argument({which: one})
        raise ExportUnusable(f"gives an operator {kind.removeprefix('as_')!r:.40}, which is not read")


def _is_pytorchs(operator: str, overload: str) -> bool:
    """Whether it computes: what TorchScript has besides, such as of files, no dispatcher knows."""
    name = f"aten::{operator}" + (f".{overload}" if overload != "default" else "")
    return operator not in _FILES and bool(torch._C._dispatch_has_kernel(name))


def _names(outputs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a call answers is called; "" where nobody reads it."""
    if len(outputs) == 1 and "as_tensors" in outputs[0]:
        return [str(one["name"]) for one in outputs[0]["as_tensors"]]
    return [_named(output) for output in outputs]


def _named(output: Mapping[str, Any]) -> str:
    ((kind, given),) = output.items()
    if kind == "as_tensor":
        return str(given["name"])
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return str(given["as_name"])
    if kind == "as_none":
        return ""
    raise ExportUnusable(f"calls what answers {kind.removeprefix('as_')!r:.40}, which is not read")
