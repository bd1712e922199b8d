"""FastAPI as the tutorials write it. Started by uvicorn as `plain_fastapi:app`.

BENCH_SETTINGS `async` predicts on the event loop, anything else on a thread.
"""

import os
from typing import Any

import torch
from digits import answer, decode, infer, load
from fastapi import FastAPI, UploadFile
from pydantic import BaseModel

app = FastAPI()
digit = load()
hours_to_pass = load("BENCH_PASS")


class Hours(BaseModel):
    hours: float


@torch.inference_mode()
def predict_pass(request: Hours) -> dict[str, Any]:
    hours = torch.tensor([[request.hours]], device=os.environ.get("BENCH_DEVICE", "cpu"))
    probability = hours_to_pass(hours).item()
    return {"hours": request.hours, "probability": probability, "passed": probability >= 0.5}


if os.environ.get("BENCH_SETTINGS") == "async":

    @app.post("/predict/digit")
    async def predict_digit(file: UploadFile) -> dict[str, Any]:
        return answer(infer(digit, decode(await file.read()))[0])

    app.post("/predict/pass")(predict_pass)
else:

    @app.post("/predict/digit")
    def predict_digit_in_a_thread(file: UploadFile) -> dict[str, Any]:
        return answer(infer(digit, decode(file.file.read()))[0])

    app.post("/predict/pass")(predict_pass)
