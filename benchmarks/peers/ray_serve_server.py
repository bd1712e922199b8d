"""Ray Serve. Started as `python ray_serve_server.py PORT`."""

import signal
import sys
from typing import Any

import ray
import torch
from digits import BEST, answer, decode, infer, load
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 1})
class Digit:
    def __init__(self) -> None:
        self.model = load()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001)
    async def infer_together(self, images_u8: list[torch.Tensor]) -> list[list[float]]:
        return infer(self.model, torch.cat(images_u8))

    async def __call__(self, request: Request) -> dict[str, Any]:
        if request.method == "GET":  # whether it is ready: the proxy's own check does not say
            return {}
        form = await request.form()
        images_u8 = decode(await form["file"].read())
        row = await self.infer_together(images_u8) if BEST else infer(self.model, images_u8)[0]
        return answer(row)


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    logging = {"enable_access_log": not BEST, "log_level": "WARNING" if BEST else "INFO"}
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config=logging)
    serve.run(Digit.bind(), route_prefix="/predict", logging_config=logging)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    serve.shutdown()
    ray.shutdown()
