"""Learning from published models instead of from the labels alone."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from service.manifest import ArtifactStore
from service.predictor import Predictor, load

CLASSES = 10


class Teachers:
    """Published versions of the digit model, which tell how alike the digits look to them.

    A net learns more from a teacher's probabilities than from the label (Hinton, Vinyals and Dean 2015),
    and most when both see the very same distorted image (Beyer, Zhai, Royer, Markeeva, Anil and
    Kolesnikov 2022).
    """

    def __init__(self, store: ArtifactStore, versions: Sequence[int]) -> None:
        """Raises ArtifactError."""
        cpu = torch.device("cpu")
        self._predictors = [load(store.folder("digit", version), cpu) for version in versions]

    def targets(self, images: Tensor, labels: Tensor) -> Tensor:
        """`images [N, 1, 28, 28]` in grey levels, `labels i64 [N]` → mean probabilities `f32 [N, 10]`.

        A teacher that errs says the label instead.
        """
        images_u8 = images.detach().round().clamp(0, 255).to("cpu", torch.uint8)
        label = one_hot(labels.cpu(), CLASSES).float()
        told = [self._told(predictor, images_u8, label) for predictor in self._predictors]
        return torch.stack(told).mean(0).to(labels.device)

    def _told(self, predictor: Predictor, images_u8: Tensor, label: Tensor) -> Tensor:
        probabilities = predictor.predict(images_u8)[:, :CLASSES]
        right = probabilities.argmax(1) == label.argmax(1)
        return torch.where(right[:, None], probabilities, label)
