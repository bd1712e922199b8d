import bentoml
import numpy as np
import torch
from PIL.Image import Image


@bentoml.service
class Digit:
    def __init__(self) -> None:
        self.model = torch.jit.load("model.pt").eval()

    @bentoml.api
    def predict(self, file: Image) -> dict:
        images = torch.from_numpy(np.array(file.convert("L").resize((28, 28))))[None, None]
        with torch.inference_mode():
            output = self.model(images)[0, :10]
        return {"digit": output.argmax().item(), "probabilities": output.tolist()}
