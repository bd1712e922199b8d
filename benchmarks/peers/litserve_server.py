"""LitServe. Started as `python litserve_server.py PORT`."""

import sys
from typing import Any

import litserve
import torch
from digits import BEST, answer, decode, infer, load
from fastapi import Request


class DigitAPI(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002
        self.model = load()

    def decode_request(self, request: Request) -> torch.Tensor:
        return decode(request["file"].file.read())

    def predict(self, images_u8: torch.Tensor) -> list[list[float]]:
        return infer(self.model, images_u8)

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        return answer(output[0])


if __name__ == "__main__":
    api = DigitAPI()
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=1, fast_queue=BEST, track_requests=False
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        generate_client_file=False,
        log_level="warning" if BEST else "info",
        access_log=not BEST,
    )
