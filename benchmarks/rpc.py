"""gRPC: what is asked as the Open Inference Protocol has it, and a load of it.

`python -m benchmarks.rpc ADDRESS FILE CONNECTIONS SECONDS` is a process of its own: so many connections,
and on each the message in FILE again and again, one call after the other. It prints a line as wrk's script
does. wrk has no gRPC, and what counts answers of HTTP/2 alone takes an error of gRPC for one.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import grpc
import numpy as np
from numpy.typing import NDArray

from benchmarks.load import Load, parse
from service.rpc.messages import SERVICE, message

INFER = f"/{SERVICE}/ModelInfer"
TIMEOUT_S = 10


def request(images_u8: NDArray[np.uint8]) -> bytes:
    """For what is on `images_u8 [N, 28, 28]`, as raw contents."""
    asked = message("ModelInferRequest", model_name="digit", raw_input_contents=[images_u8.tobytes()])
    asked.inputs.add(name="image", datatype="UINT8", shape=images_u8.shape)
    return bytes(asked.SerializeToString())


def probabilities(address: str, asked: bytes) -> list[float]:
    """The first row that is answered; nothing where there is no answer."""
    with grpc.insecure_channel(address) as channel:
        try:
            said = channel.unary_unary(INFER)(asked, timeout=TIMEOUT_S)
        except grpc.RpcError:
            return []
    answer = message("ModelInferResponse")
    answer.ParseFromString(said)
    if answer.raw_output_contents:
        return [float(value) for value in np.frombuffer(answer.raw_output_contents[0], np.float32)[:10]]
    return list(answer.outputs[0].contents.fp32_contents[:10])


def run_rpc(address: str, body: Path, connections: int, seconds: int) -> Load:
    """Raises LoadFailed."""
    command = [sys.executable, "-m", "benchmarks.rpc", address, str(body), str(connections), str(seconds)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    return parse(result.stdout + result.stderr)


class _Calls:
    """All that were made, until the time is over."""

    def __init__(self, address: str, asked: bytes, seconds: float) -> None:
        self._address = address
        self._asked = asked
        self._ends_at = time.perf_counter() + seconds
        self.taken_ms: list[float] = []
        self.errors = {"status": 0, "connect": 0, "timeout": 0}

    async def make(self) -> None:
        """One after the other, on a connection of its own."""
        options = (("grpc.use_local_subchannel_pool", 1),)
        async with grpc.aio.insecure_channel(self._address, options=options) as channel:
            infer = channel.unary_unary(INFER)
            while (started := time.perf_counter()) < self._ends_at:
                try:
                    await infer(self._asked, timeout=TIMEOUT_S)
                except grpc.RpcError as error:
                    self.errors[_KINDS.get(error.code(), "status")] += 1
                self.taken_ms.append(1000 * (time.perf_counter() - started))


_KINDS = {grpc.StatusCode.UNAVAILABLE: "connect", grpc.StatusCode.DEADLINE_EXCEEDED: "timeout"}


async def main(address: str, body: str, connections: str, seconds: str) -> None:
    started = time.perf_counter()
    calls = _Calls(address, Path(body).read_bytes(), float(seconds))
    await asyncio.gather(*(calls.make() for _ in range(int(connections))))
    p50, p99, most = (float(np.percentile(calls.taken_ms, part)) for part in (50, 99, 100))
    figures = {"requests": len(calls.taken_ms), "seconds": time.perf_counter() - started}
    latencies = {"p50_ms": p50, "p99_ms": p99, "max_ms": most}
    print(json.dumps({**figures, **latencies, "read": 0, "write": 0, **calls.errors}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
