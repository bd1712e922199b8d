"""Triton, by its package for Python: `python triton_server.py PORT`. Pixels go in as a tensor."""

import signal
import sys
from typing import Any

import numpy as np
import torch
from digits import infer, load
from numpy.typing import NDArray
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

MAX_BATCH = 64

model = load()


def answer(requests: list[Any]) -> list[dict[str, NDArray[np.float32]]]:
    images_u8 = [request.data["image"] for request in requests]
    together = torch.from_numpy(np.concatenate(images_u8)).unsqueeze(1)
    rows = np.array(infer(model, together), np.float32)
    ends = np.cumsum([len(images) for images in images_u8])[:-1]
    return [{"probabilities": part} for part in np.split(rows, ends)]


if __name__ == "__main__":
    port = int(sys.argv[1])
    config = TritonConfig(http_port=port, grpc_port=port + 1, metrics_port=port + 2, log_verbose=0)
    with Triton(config=config) as triton:
        triton.bind(
            model_name="digit",
            infer_func=answer,
            inputs=[Tensor(name="image", dtype=np.uint8, shape=(28, 28))],
            outputs=[Tensor(name="probabilities", dtype=np.float32, shape=(10,))],
            config=ModelConfig(
                max_batch_size=MAX_BATCH,
                batching=True,
                batcher=DynamicBatcher(max_queue_delay_microseconds=0),
            ),
        )
        triton.run()
        signal.sigwait([signal.SIGTERM, signal.SIGINT])
