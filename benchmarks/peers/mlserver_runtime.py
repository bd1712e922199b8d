"""The runtime that `mlserver_server` starts: PNGs in a BYTES tensor, or pixels → ten probabilities each.

PNGs are base64: they come as JSON. Pixels come over gRPC, as UINT8 [N, 28, 28].
"""

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
        came = payload.inputs[0]
        if came.datatype == "BYTES":
            images_u8 = torch.cat([decode(base64.b64decode(data)) for data in came.data])
        else:
            images_u8 = torch.tensor(NumpyCodec.decode_input(came))[:, None]
        probabilities = torch.tensor(infer(self.model, images_u8))
        output = NumpyCodec.encode_output("probabilities", probabilities.numpy())
        return InferenceResponse(model_name=self.name, outputs=[output])
