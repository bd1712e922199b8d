"""BentoML. Started by `bentoml serve bentoml_server:Digit`."""

from pathlib import Path
from typing import Any

import bentoml
from digits import BEST, answer, decode, infer, load

QUIET = {"logging": {"access": {"enabled": False}}, "metrics": {"enabled": False}}


@bentoml.service(workers=1, **(QUIET if BEST else {}))
class Digit:
    def __init__(self) -> None:
        self.model = load()

    if BEST:

        @bentoml.api(route="/predict")
        async def predict(self, file: Path) -> dict[str, Any]:
            return answer(infer(self.model, decode(file.read_bytes()))[0])
    else:

        @bentoml.api(route="/predict")
        def predict_in_a_thread(self, file: Path) -> dict[str, Any]:
            return answer(infer(self.model, decode(file.read_bytes()))[0])
