import litserve as ls
import torch
from fastapi import Request
from PIL import Image
from torchvision import transforms

mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
steps = [transforms.Resize(224), transforms.CenterCrop(224), transforms.ToTensor()]
prepare = transforms.Compose([*steps, transforms.Normalize(mean, std)])


class NetAPI(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.model = torch.jit.load("net.pt", device).eval()

    def decode_request(self, request: Request) -> torch.Tensor:
        return prepare(Image.open(request["file"].file).convert("RGB"))[None]

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.model(images).softmax(1)[0]

    def encode_response(self, output: torch.Tensor) -> dict:
        return {"label": output.argmax().item(), "confidence": output.max().item()}


if __name__ == "__main__":
    ls.LitServer(NetAPI(), accelerator="cpu").run(port=8000)
