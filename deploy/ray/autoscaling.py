"""How many replicas: by the rows that wait, as the service counts them."""

import math
from typing import Any

from ray.serve.config import AutoscalingContext

from deploy.ray.replica import QUEUED


class ByQueue:
    """Asks for as many replicas as leave no more than `batches` full batches waiting in each."""

    def __init__(self, batches: float = 1.0) -> None:
        self._batches = batches

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        waiting = sum((context.aggregated_metrics or {}).get(QUEUED, {}).values())
        return max(1, math.ceil(waiting / self._batches)), {}
