"""KServe's server, asked over gRPC. Started as `python kserve_server.py PORT`; gRPC is at the next port."""

import sys
from typing import Any

import torch
from digits import infer, load
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.logging import configure_logging


class Digit(Model):
    def __init__(self) -> None:
        super().__init__("digit")
        self.model = load()
        self.ready = True

    async def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        images_u8 = torch.tensor(payload.inputs[0].as_numpy())[:, None]
        probabilities = torch.tensor(infer(self.model, images_u8)).numpy()
        output = InferOutput("probabilities", list(probabilities.shape), "FP32")
        output.set_data_from_numpy(probabilities, binary_data=True)
        return InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    port = int(sys.argv[1])
    configure_logging({"version": 1, "disable_existing_loggers": True})  # it writes lines for each request
    server = ModelServer(http_port=port, grpc_port=port + 1, enable_grpc=True, enable_latency_logging=False)
    server.start([Digit()])
