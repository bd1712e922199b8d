"""mosec. Started as `python mosec_server.py --port PORT`; the picture is the body."""

from typing import Any

import torch
from digits import BEST, answer, decode, infer, load
from mosec import Server, Worker

BATCH, WAIT_MS = 16, 1


class Digit(Worker):
    def __init__(self) -> None:
        self.model = load()

    def deserialize(self, data: bytes) -> torch.Tensor:
        return decode(data)

    def forward(self, data: Any) -> Any:
        """Of one picture, or of several where they are batched."""
        if not BEST:
            return answer(infer(self.model, data)[0])
        return [answer(row) for row in infer(self.model, torch.cat(data))]


if __name__ == "__main__":
    server = Server()
    batching = {"max_batch_size": BATCH, "max_wait_time": WAIT_MS} if BEST else {}
    server.append_worker(Digit, num=1, **batching)
    server.run()
