"""What is asked of the servers: bodies, concurrency, and which model is live."""

import base64
import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import rpc

BOUNDARY = "benchmark"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
DIGITS_PER_BATCH = 64
HOURS_PER_BATCH = 10_000
PHOTO_SIZE = (4000, 3000)

SOFTMAX_MLP, CNN = "softmax-mlp", "cnn"


@dataclass(frozen=True)
class Scenario:
    """One kind of request. `rows` is how many answers one of them holds."""

    name: str
    body: str
    connections: int
    model: str = SOFTMAX_MLP
    rows: int = 1

    @property
    def is_rpc(self) -> bool:
        return self.body.startswith("rpc")


HEADLINE = Scenario("digit, 16 clients", "form", 16)
HEADLINE_64 = Scenario("digit, 64 clients", "form", 64)
ALONE = Scenario("digit, 1 client", "form", 1)
HEADLINE_CNN = Scenario("digit by the cnn, 16 clients", "form", 16, CNN)
HEADLINE_CNN_64 = Scenario("digit by the cnn, 64 clients", "form", 64, CNN)
ALONE_CNN = Scenario("digit by the cnn, 1 client", "form", 1, CNN)
RAW = Scenario("digit as the body itself, 16 clients", "png", 16)
PASS = Scenario("one hour, 16 clients", "hour", 16)
BATCH = Scenario("64 digits a request, 16 clients", "form of 64", 16, rows=DIGITS_PER_BATCH)
TENSOR = Scenario("digit as a binary tensor below /v2, 16 clients", "tensor", 16)
TENSORS = Scenario(
    "64 digits a request as a binary tensor below /v2, 16 clients",
    "tensor of 64",
    16,
    rows=DIGITS_PER_BATCH,
)
RPC = Scenario("digit over gRPC, 16 clients", "rpc", 16)
RPCS = Scenario("64 digits a request over gRPC, 16 clients", "rpc of 64", 16, rows=DIGITS_PER_BATCH)
THOUSAND = Scenario("digit, 1,000 clients", "form", 1000)

BY_CNN = (HEADLINE_CNN, HEADLINE_CNN_64, ALONE_CNN)
BY_MLP = (HEADLINE, HEADLINE_64, ALONE)
PEERS = (*BY_CNN, *BY_MLP)
OURS = (
    *PEERS,
    RAW,
    PASS,
    BATCH,
    TENSOR,
    TENSORS,
    Scenario("digit, 4 clients", "form", 4),
    Scenario("digit, 256 clients", "form", 256),
    THOUSAND,
    Scenario("64 digits a request by the cnn, 4 clients", "form of 64", 4, CNN, DIGITS_PER_BATCH),
    Scenario("12-megapixel JPEG, 4 clients", "photo", 4, CNN),
    Scenario("10,000 hours a request, 4 clients", "hours", 4, rows=HOURS_PER_BATCH),
)


@dataclass(frozen=True)
class Bodies:
    """The request bodies as files under one folder."""

    folder: Path

    def path(self, body: str) -> Path:
        return self.folder / body.replace(" ", "-")

    def write(self, digits: list[bytes]) -> None:
        """`digits`: PNG files of 28×28."""
        hours = np.linspace(0, 12, HOURS_PER_BATCH).round(3).tolist()
        oip = {"name": "images", "shape": [1], "datatype": "BYTES"}
        encoded = base64.b64encode(digits[0]).decode()
        contents = {
            "form": form(digits[:1]),
            "form of 64": form([digits[i % len(digits)] for i in range(DIGITS_PER_BATCH)]),
            "png": digits[0],
            "photo": photo(digits[0]),
            "hour": json.dumps({"hours": 4.0}).encode(),
            "hours": json.dumps({"hours": hours}).encode(),
            "tensor": tensor(digits[:1]),
            "tensor of 64": tensor([digits[i % len(digits)] for i in range(DIGITS_PER_BATCH)]),
            "rpc": rpc.request(pixels(digits[:1])),
            "rpc of 64": rpc.request(pixels([digits[i % len(digits)] for i in range(DIGITS_PER_BATCH)])),
            "oip": json.dumps({"inputs": [{**oip, "data": [encoded]}]}).encode(),
        }
        for body, content in contents.items():
            self.path(body).write_bytes(content)


CONTENT_TYPES = {
    "form": MULTIPART,
    "form of 64": MULTIPART,
    "png": "image/png",
    "photo": "image/jpeg",
    "hour": "application/json",
    "hours": "application/json",
    "oip": "application/json",
    "tensor": "application/octet-stream",
    "tensor of 64": "application/octet-stream",
}
PATHS = {  # of those that are no digit as every server is asked for it
    "hour": "/predict/pass",
    "hours": "/predict/pass",
    "tensor": "/v2/models/digit/infer",
    "tensor of 64": "/v2/models/digit/infer",
}
TENSOR_JSON_BYTES = 256  # which blanks fill up


def form(files: list[bytes]) -> bytes:
    """A multipart/form-data body with one part `file` for each file, as curl writes it."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="digit.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    ).encode()
    parts = [head + content + b"\r\n" for content in files]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def fields(body: str) -> dict[str, str]:
    """What the head of a request says of its body."""
    named = {"Content-Type": CONTENT_TYPES[body]}
    if PATHS.get(body, "").startswith("/v2/"):
        named["Inference-Header-Content-Length"] = str(TENSOR_JSON_BYTES)
    return named


def tensor(files: list[bytes]) -> bytes:
    """Their pixels as one binary tensor, which is asked for one of bytes."""
    rows = pixels(files)
    size = {"binary_data_size": rows.nbytes}
    said = {"name": "image", "shape": rows.shape, "datatype": "UINT8", "parameters": size}
    document = json.dumps({"inputs": [said], "parameters": {"binary_data_output": True}})
    return document.ljust(TENSOR_JSON_BYTES).encode() + rows.tobytes()


def pixels(files: list[bytes]) -> NDArray[np.uint8]:
    """`[N, 28, 28]`."""
    return np.stack([np.array(Image.open(BytesIO(file)).convert("L")) for file in files])


def photo(digit: bytes) -> bytes:
    """A JPEG of 12 megapixels: the digit in dark ink on a bright sheet with some grain."""
    width, height = PHOTO_SIZE
    ink = Image.open(BytesIO(digit)).resize((height, height), Image.Resampling.BICUBIC)
    sheet = np.full((height, width), 225, dtype=np.float32)
    left = (width - height) // 2
    sheet[:, left : left + height] -= np.asarray(ink, dtype=np.float32) * 0.7
    grain = np.random.default_rng(0).normal(0, 3, (height, width)).astype(np.float32)
    picture = Image.fromarray((sheet + grain).clip(0, 255).astype(np.uint8)).convert("RGB")
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
