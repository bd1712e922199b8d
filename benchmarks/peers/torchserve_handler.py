"""The handler that `torchserve_server` packs."""

from typing import Any

import torch
from digits import answer, decode, infer, load


class Digit:
    def initialize(self, context: Any) -> None:  # noqa: ARG002
        self.model = load()

    def handle(self, requests: list[dict[str, Any]], context: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        if "file" not in requests[0]:  # whether it is ready: /ping does not say
            return [{} for _ in requests]
        images_u8 = torch.cat([decode(bytes(request["file"])) for request in requests])
        return [answer(row) for row in infer(self.model, images_u8)]
