"""Where a model runs: which device there is, and how a module is called on it.

A runner takes rows on the CPU and returns answers f32 on the CPU. It is called by one thread at a time.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from service.engine.torchscript import MODEL_FAULTS
from service.errors import DeviceUnavailable

logger = logging.getLogger(__name__)

Runner = Callable[[Tensor], Tensor]

# The names of instructions for half precision in torch.cpu.get_capabilities(), the last one of ARM's.
HALF_INSTRUCTIONS = {
    torch.bfloat16: ("avx512_bf16", "amx_bf16", "bf16"),
    torch.float16: ("avx512_fp16", "amx_fp16", "fp16_arith"),
}

# In its first calls a network chooses its kernels and workspaces, which must not happen in a capture.
CALLS_BEFORE_CAPTURE = 3


def resolve_device(choice: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device that exists. Raises DeviceUnavailable."""
    if choice == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(choice)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceUnavailable(
                f"device {choice!r} was asked for, but this machine has {count} usable CUDA device(s);"
                " use 'cpu' or 'auto', or check the NVIDIA driver and container toolkit"
            )
    return device


def computes(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the device has instructions for numbers of this type.

    Torch computes half precision without them, too, and takes 3 to 20 times as long as in float32.
    """
    if dtype == torch.float32:
        return True
    if device.type == "cuda":
        return dtype == torch.float16 or bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older versions of torch do not tell.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return torch.backends.mkldnn.is_available() and any(
        capabilities.get(name) for name in HALF_INSTRUCTIONS[dtype]
    )


def runner(
    module: Callable[[Tensor], Tensor],
    row: Tensor,
    device: torch.device,
    dtype: torch.dtype,
    batch_sizes: Sequence[int],
) -> Runner:
    """How to run `module`, which is on `device`.

    `row`: [1, ...], an example. `dtype`: float32, or the half precision of matrix products and
    convolutions (automatic mixed precision). `batch_sizes`, ascending: on CUDA, each becomes a graph.
    """
    call = module if dtype == torch.float32 else _in_half_precision(module, device, dtype)
    if device.type == "cpu":
        return call
    # TF32 rounds to 10 bits of mantissa: answers would differ from the CPU's by about 1e-3.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        return CudaGraphs(call, row, device, batch_sizes)
    except MODEL_FAULTS as error:  # a network that waits for its own results cannot be captured
        logger.warning("running without CUDA graphs: %s", error)
        return lambda rows: call(rows.to(device)).cpu()


def _in_half_precision(
    module: Callable[[Tensor], Tensor], device: torch.device, dtype: torch.dtype
) -> Callable[[Tensor], Tensor]:
    # A cast that is cached during a capture would be gone when the graph is replayed.
    precision = torch.autocast(device.type, dtype, cache_enabled=False)

    def call(rows: Tensor) -> Tensor:
        with precision:
            return module(rows).float()

    return call


class AsItIs:
    """Run TorchScript without its optimising executor, on this thread, and without gradients.

    That executor compiles anew on the second and third call with each shape, which stalls requests for 50
    to 250 ms. A module that was optimised when it was loaded is as fast without it. Made anew for every
    batch: two threads that shared one would leave each other without gradients.
    """

    def __init__(self) -> None:
        self._no_gradients = torch._C._InferenceMode(True)  # torch.inference_mode, which adds a microsecond

    def __enter__(self) -> None:
        torch._C._set_graph_executor_optimize(False)
        self._no_gradients.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._no_gradients.__exit__(*error)
        torch._C._set_graph_executor_optimize(True)


class _Graph(NamedTuple):
    """One captured batch size. The host's side is pinned, so copies need no staging and do not wait."""

    rows_host: Tensor
    rows: Tensor
    replay: Callable[[], None]
    answers: Tensor
    answers_host: Tensor


class CudaGraphs:
    """A module on a CUDA device, captured once for each batch size and replayed: one launch, not dozens.

    A batch is padded to the next size with whatever rows were there before; their answers are dropped.
    See https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
    """

    def __init__(self, call: Runner, row: Tensor, device: torch.device, sizes: Sequence[int]) -> None:
        """`row`: [1, ...] on the CPU, an example. Raises RuntimeError when `call` cannot be captured."""
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._call = call
        self._largest = sizes[-1]
        # The largest first: the others then fit into the memory that it has taken.
        captured = {size: self._capture(call, row, size) for size in reversed(sizes)}
        self._graphs = {size: captured[size] for size in sizes}

    def __call__(self, rows: Tensor) -> Tensor:
        count = len(rows)
        if count > self._largest:
            with torch.cuda.stream(self._stream):
                return self._call(rows.to(self._stream.device)).cpu()
        graph = next(graph for size, graph in self._graphs.items() if size >= count)
        graph.rows_host[:count] = rows
        with torch.cuda.stream(self._stream):
            graph.rows.copy_(graph.rows_host, non_blocking=True)
            graph.replay()
            graph.answers_host.copy_(graph.answers, non_blocking=True)
        self._stream.synchronize()
        return graph.answers_host[:count].clone()

    def _capture(self, call: Runner, row: Tensor, size: int) -> _Graph:
        rows_host = row.repeat_interleave(size, 0).pin_memory()
        with torch.cuda.stream(self._stream):
            rows = rows_host.to(self._stream.device)
            for _ in range(CALLS_BEFORE_CAPTURE):
                call(rows)
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Thread-local: another model may be serving on another thread while this one is captured.
        with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
            answers = call(rows)
        answers_host = torch.empty(answers.shape, dtype=answers.dtype, pin_memory=True)
        return _Graph(rows_host, rows, graph.replay, answers, answers_host)
