import bentoml
import torch
from PIL.Image import Image
from torchvision import transforms

mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
steps = [transforms.Resize(224), transforms.CenterCrop(224), transforms.ToTensor()]
prepare = transforms.Compose([*steps, transforms.Normalize(mean, std)])


@bentoml.service
class Net:
    def __init__(self) -> None:
        self.model = torch.jit.load("net.pt").eval()

    @bentoml.api
    def predict(self, file: Image) -> dict:
        with torch.inference_mode():
            output = self.model(prepare(file.convert("RGB"))[None]).softmax(1)[0]
        return {"label": output.argmax().item(), "confidence": output.max().item()}
