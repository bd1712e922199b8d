"""The runtime that `mlserver_server` starts: base64 PNGs in a BYTES tensor → ten probabilities each."""

import base64

import torch
from digits import decode, infer, load
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Digit(MLModel):
    async def load(self) -> bool:
        self.model = load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images_u8 = torch.cat([decode(base64.b64decode(data)) for data in payload.inputs[0].data])
        probabilities = torch.tensor(infer(self.model, images_u8))
        output = NumpyCodec.encode_output("probabilities", probabilities.numpy())
        return InferenceResponse(model_name=self.name, outputs=[output])
