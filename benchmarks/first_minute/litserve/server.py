import litserve as ls
import numpy as np
import torch
from fastapi import Request
from PIL import Image


class DigitAPI(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.model = torch.jit.load("model.pt", device).eval()

    def decode_request(self, request: Request) -> torch.Tensor:
        picture = Image.open(request["file"].file).convert("L").resize((28, 28))
        return torch.from_numpy(np.array(picture))[None, None]

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.model(images)[0, :10]

    def encode_response(self, output: torch.Tensor) -> dict:
        return {"digit": output.argmax().item(), "probabilities": output.tolist()}


if __name__ == "__main__":
    ls.LitServer(DigitAPI(), accelerator="cpu").run(port=8000)
